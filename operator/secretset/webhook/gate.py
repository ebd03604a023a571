"""The ready gate: asks the hub how the sets stand that a workload begins to use, and answers the API server.

It is in the way of nothing that it need not be in the way of: what begins to use no Secret is allowed without a
request to anybody, what begins to use one of no set of ours after those that find it out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from secretset import telemetry
from secretset.controller.store import HubStore
from secretset.domain import gate, workloads
from secretset.domain.gate import Claims, Standing
from secretset.domain.names import Key, Kind
from secretset.domain.regions import RegionRecord
from secretset.domain.workloads import WORKLOAD_KINDS, WorkloadKind
from secretset.kube import errors, paths
from secretset.kube.client import Client
from secretset.kube.pages import items
from secretset.kube.supervise import all_of
from secretset.webhook.review import ALLOWED, Answer, Review

log = structlog.get_logger(__name__)

_KINDS = {(kind.group, kind.kind): kind for kind in WORKLOAD_KINDS}
_REVISIONS_OF = frozenset({"StatefulSet", "DaemonSet"})  # the others leave ReplicaSets behind
_FEW = 8  # organizations of one namespace that are asked one by one
_AT_ONCE = 64  # requests of the gate, whoever asks for what
# Together with what the way takes, less than the five seconds that the API server waits (deploy/gate.yaml).
DEADLINE_SECONDS = 3.0

# Not the reason that goes with 409. Of a Conflict, or of a word that it does not know, `kubectl apply --force` takes
# the running workload down to make it anew; without it kubectl repeats for four seconds, or blames field managers.
_REASON = "Forbidden"
_UNKNOWN = "secretset: whether the secret sets are ready could not be found out"


class Gate:
    """Answers reviews of workloads.

    Args:
        hub: where the sets are.
        here: the cluster whose API server asks.
        store: Regions and organizations of the hub; without its sets, which are asked for when they are needed.
        regions_here: the Regions that live in that cluster.
        synced: whether the store knows all of them.
        operator_namespace: no Region may lead there.
        fail_closed: refuse what cannot be judged; else it is allowed, with a warning.
        deadline: seconds for all requests of one review.
    """

    def __init__(
        self,
        *,
        hub: Client,
        here: Client,
        store: HubStore,
        regions_here: Callable[[], Sequence[RegionRecord]],
        synced: Callable[[], bool],
        operator_namespace: str,
        fail_closed: bool = False,
        deadline: float = DEADLINE_SECONDS,
    ) -> None:
        self._hub = hub
        self._here = here
        self._store = store
        self._regions_here = regions_here
        self._synced = synced
        self._operator_namespace = operator_namespace
        self._fail_closed = fail_closed
        self._deadline = deadline
        self._slots = asyncio.Semaphore(_AT_ONCE)
        for outcome in ("allowed", "refused", "rollback", "unknown"):  # so that the first is seen to be one more
            telemetry.GATE_DECISIONS.labels(outcome)

    async def answer(self, review: Review) -> Answer:
        """Whether a workload may be stored as it is."""
        with telemetry.GATE_SECONDS.time():
            try:
                outcome, answer = await self._judge(review)
            except (errors.KubeError, TimeoutError) as error:
                outcome, answer = "unknown", self._cannot_tell(error)
        telemetry.GATE_DECISIONS.labels(outcome).inc()
        return answer

    async def _judge(self, review: Review) -> tuple[str, Answer]:
        kind = _KINDS.get((review.group, review.kind))
        if kind is None or review.subresource or review.new is None or review.operation not in {"CREATE", "UPDATE"}:
            return "allowed", ALLOWED
        template = _template(review.new)
        wanted = gate.newly_used(template, _template(review.old))
        if not wanted:
            return "allowed", ALLOWED
        if not self._synced():
            raise errors.Unreachable("the Regions of the hub are not known yet")
        claims = self._claims(review.namespace)
        if not claims:
            return "allowed", ALLOWED
        async with asyncio.timeout(self._deadline):
            unready = gate.in_the_way(
                await self._standings(wanted, claims),
                claims,
                regions=self._store.regions,
                organizations=self._store.organizations,
            )
            if not unready:
                return "allowed", ALLOWED
            if review.old is not None and gate.ran_before(template, await self._earlier(kind, review.old)):
                return "rollback", ALLOWED
        sets = [f"{each.namespace}/{each.name}" for each in unready]
        log.info("refused", kind=kind.kind, namespace=review.namespace, operation=review.operation, sets=sets)
        return "refused", Answer(allowed=False, code=409, reason=_REASON, message=gate.refusal(unready))

    def _claims(self, namespace: str) -> Claims:
        return gate.claims(
            namespace,
            here=self._regions_here(),
            regions=self._store.regions,
            organizations=self._store.organizations,
            operator_namespace=self._operator_namespace,
        )

    async def _standings(self, wanted: Sequence[str], claims: Claims) -> list[Standing]:
        """The sets of these names in these organizations, of both kinds, read from a quorum.

        Raises:
            KubeError: the hub cannot tell of each of them.
        """
        few = list(claims) if len(claims) <= _FEW else []
        looks = [self._one(Key(kind, each, name)) for name in wanted for kind in Kind for each in few] or [
            self._by_name(kind, name, claims) for name in wanted for kind in Kind
        ]
        return [each for found in await all_of(*looks) for each in found]

    async def _one(self, key: Key) -> list[Standing]:
        async with self._slots:
            try:
                return [Standing.parse(key.kind, await self._hub.get(paths.custom(key)))]
            except errors.NotFound:
                return []

    async def _by_name(self, kind: Kind, name: str, claims: Claims) -> list[Standing]:
        """The sets of a name in many organizations, that share a namespace."""
        async with self._slots:
            selector = {"fieldSelector": f"metadata.name={name}"}
            found = [Standing.parse(kind, obj) async for obj in items(self._hub, paths.custom_list(kind), selector)]
        return [each for each in found if each.namespace in claims]

    async def _earlier(self, kind: WorkloadKind, old: Any) -> list[gate.Template]:
        """The pod templates that a workload had before, as far as its controller keeps them."""
        workload = workloads.parse(kind, old)
        plural = "controllerrevisions" if kind.kind in _REVISIONS_OF else "replicasets"
        path = paths.history(plural, workload.namespace)
        async with self._slots:
            history = [item async for item in items(self._here, path, {"labelSelector": workload.selector})]
        return list(gate.earlier_templates(history, workload.uid))

    def _cannot_tell(self, error: Exception) -> Answer:
        log.warning("not judged", error=type(error).__name__, allowed=not self._fail_closed)
        if self._fail_closed:
            return Answer(
                allowed=False, code=503, reason="ServiceUnavailable", message=f"{_UNKNOWN}. Retry in a moment."
            )
        return Answer(allowed=True, warnings=(f"{_UNKNOWN}; the workload was let through",))


def _template(obj: Any) -> gate.Template:
    """The pod template of a workload; empty where there is none (a Rollout may have a reference instead)."""
    return ((obj or {}).get("spec") or {}).get("template") or {}
