"""An AdmissionReview: what an API server asks, and what it is answered (admission.k8s.io/v1).

The objects in it may hold values, in the environment of a pod template for one. They are never printed, logged or
echoed; an exception of this module tells what is wrong with the form, and nothing of the content.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

_API = "admission.k8s.io/v1"


class NotAReview(Exception):
    """What came is no AdmissionReview of the version that we know."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Review:
    """One question.

    Attributes:
        uid: of the question; the answer bears it.
        operation: CREATE, UPDATE, DELETE or CONNECT.
        subresource: empty for the object itself.
        namespace: empty for what has none.
        new: the object as it would be stored; None on DELETE.
        old: the object as it is; None on CREATE.
    """

    uid: str
    operation: str
    group: str
    kind: str
    subresource: str
    namespace: str
    new: Mapping[str, Any] | None
    old: Mapping[str, Any] | None

    @classmethod
    def parse(cls, body: bytes) -> Review:
        """Read the body of a request.

        Raises:
            NotAReview: it is none.
        """
        try:
            review = orjson.loads(body)
            if review["apiVersion"] != _API or review["kind"] != "AdmissionReview":
                raise NotAReview
            request = review["request"]
            return cls(
                uid=_text(request["uid"]),
                operation=_text(request["operation"]),
                group=_text(request["kind"]["group"]),
                kind=_text(request["kind"]["kind"]),
                subresource=_text(request.get("subResource")),
                namespace=_text(request.get("namespace")),
                new=_object(request.get("object")),
                old=_object(request.get("oldObject")),
            )
        except (ValueError, LookupError, TypeError, AttributeError):
            raise NotAReview from None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer.

    Attributes:
        code: HTTP status of a refusal.
        reason: the same as a word of `metav1.StatusReason`.
        message: of a refusal, for people.
        warnings: what kubectl and others print beside the outcome; at most 120 characters each are certain to be shown.
        patch: what is to be done to the object (RFC 6902); of a mutating webhook only.
    """

    allowed: bool
    code: int = 0
    reason: str = ""
    message: str = ""
    warnings: tuple[str, ...] = ()
    patch: Sequence[Mapping[str, Any]] = ()

    def to(self, uid: str) -> bytes:
        """The body of the response to the question of this uid."""
        response: dict[str, Any] = {"uid": uid, "allowed": self.allowed}
        if not self.allowed:
            status = {"status": "Failure", "code": self.code, "reason": self.reason, "message": self.message}
            response["status"] = status
        if self.warnings:
            response["warnings"] = list(self.warnings)
        if self.patch:
            response |= {"patchType": "JSONPatch", "patch": base64.b64encode(orjson.dumps(list(self.patch))).decode()}
        return orjson.dumps({"apiVersion": _API, "kind": "AdmissionReview", "response": response})


ALLOWED = Answer(allowed=True)


def _text(value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise TypeError
    return value or ""


def _object(value: Any) -> Mapping[str, Any] | None:
    if value is not None and not isinstance(value, dict):
        raise TypeError
    return value
