"""Sealing at admission: a `value` is sealed before the API server stores it, with the public key alone.

It is asked only about objects that may carry plain text (deploy/seal.yaml), and fails closed for those.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import structlog

from secretset import telemetry
from secretset.domain import admission, names
from secretset.domain.names import Kind
from secretset.domain.sealing_keys import PublicKeys
from secretset.webhook.review import ALLOWED, Answer, Review

log = structlog.get_logger(__name__)

_KINDS = {(names.GROUP, kind.value): kind for kind in Kind}
# Not Invalid, which goes with 422: of that, `kubectl apply --force` would delete the set to make it anew.
_REASON = "Forbidden"
_NO_KEYS = (
    "the public key is not known yet: the operator publishes it in the ConfigMap 'secretset-public-keys'. "
    "Retry in a moment, or seal the values with 'secretset seal'"
)


class Seal:
    """Answers reviews of SecretSets and ImagePullSecrets.

    Args:
        keys: the public keys as they are known now; None before they are.
        reserved: names that ``spec.data`` may not use.
    """

    def __init__(self, keys: Callable[[], PublicKeys | None], reserved: Collection[str] = names.RESERVED_KEYS) -> None:
        self._keys = keys
        self._reserved = reserved
        for outcome in ("patched", "unchanged", "refused", "no_key"):  # so that the first is seen to be one more
            telemetry.SEAL_DECISIONS.labels(outcome)

    async def answer(self, review: Review) -> Answer:
        """The patch after which no plain text is left, or a refusal."""
        kind = _KINDS.get((review.group, review.kind))
        if kind is None or review.subresource or review.new is None or review.operation not in {"CREATE", "UPDATE"}:
            return ALLOWED
        outcome, answer = self._judge(kind, review, review.new)
        telemetry.SEAL_DECISIONS.labels(outcome).inc()
        return answer

    def _judge(self, kind: Kind, review: Review, new: Mapping[str, Any]) -> tuple[str, Answer]:
        keys = self._keys()
        key = keys.current if keys is not None else None
        if keys is None or key is None:
            log.warning("refused: no public key is known", kind=kind.value, namespace=review.namespace)
            return "no_key", Answer(allowed=False, code=503, reason="ServiceUnavailable", message=_NO_KEYS)
        try:
            done = admission.seal(
                kind,
                review.namespace,
                new,
                review.old,
                installation=keys.installation,
                key=key,
                reserved=self._reserved,
            )
        except admission.Refused as refused:
            log.info("refused", kind=kind.value, namespace=review.namespace, operation=review.operation)
            return "refused", Answer(allowed=False, code=422, reason=_REASON, message=refused.message)
        telemetry.VALUES_SEALED.inc(done.values)
        return ("patched" if done.patch else "unchanged"), Answer(allowed=True, patch=done.patch)
