"""What can go wrong between the operator and an API server, as a tree of types.

The *type* decides what is done about it; nobody matches on texts. No exception carries the text of an API server's
answer, because that may echo what was sent (facts.md, "Checked on the 1.36.3 apiserver").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class KubeError(Exception):
    """Base of all errors of this package."""


class ConfigError(KubeError):
    """A kubeconfig cannot be used; the message is a closed sentence that says why."""


class NoCredentials(KubeError):
    """The credentials cannot be made now; the message is a closed sentence."""


class Unreachable(KubeError):
    """No answer: refused, timed out, cut off, or a TLS handshake that failed."""


class Untrusted(Unreachable):
    """What answers there shows a certificate that is not trusted, not for that name, or expired."""


class Retired(KubeError):
    """These credentials are not used any more; newer ones are."""


class Fenced(KubeError):
    """This replica holds no valid Lease, so it must not write: another one may be at work already."""


class AnswerTooLong(KubeError):
    """The answer is longer than what we take into memory; ask for less."""


class ApiError(KubeError):
    """The API server answered with an error.

    Attributes:
        code: HTTP status.
        reason: the machine-readable reason of the Status object, empty if there was none.
        retry_after: seconds that the server asks to wait; 0 if it did not.
        verb: what was asked for, in RBAC's words; empty if it was no single request.
        resource: on what, with the subresource.
    """

    verb = ""
    resource = ""

    def __init__(self, code: int, reason: str = "", *, retry_after: float = 0.0) -> None:
        super().__init__(f"HTTP {code} {reason}".rstrip())
        self.code = code
        self.reason = reason
        self.retry_after = retry_after


class Unauthorized(ApiError):
    """401: the credentials are not, or no longer, accepted."""


class Forbidden(ApiError):
    """403: the credentials do not allow it."""


class NamespaceTerminating(Forbidden):
    """403: nothing can be created in a namespace that is being deleted."""


class QuotaExceeded(Forbidden):
    """403: a ResourceQuota leaves no room."""


class NotFound(ApiError):
    """404: what was asked for is not there, or the server knows no such path (yet), or a proxy answers in its place."""


class Absent(NotFound):
    """404, and the API server names the object that is not there. Only on this may anything be given up or made."""


class AlreadyExists(ApiError):
    """409 on a create."""


class Conflict(ApiError):
    """409: the object is not at the version, or not the one, that the request named."""


class Gone(ApiError):
    """410: the version to continue from is too old."""


class Invalid(ApiError):
    """400, 413 or 422: the API server refuses the object itself."""


class Throttled(ApiError):
    """429."""


class ServerError(ApiError):
    """5xx."""


_BY_CODE: dict[int, type[ApiError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    413: Invalid,
    422: Invalid,
    429: Throttled,
}


def from_status(code: int, status: Mapping[str, Any], retry_after: str | None = None) -> ApiError:
    """The exception for an HTTP error and its Status object (`metav1.Status`)."""
    reason = str(status.get("reason") or "")
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None  # a proxy's JSON may have any form
    kind = ServerError if code >= 500 else _BY_CODE.get(code, ApiError)
    if code == 504 and _names(causes, "ResourceVersionTooLarge"):
        kind = Gone  # the version is of a future that a restored etcd has not seen
    if code == 409 and reason == "AlreadyExists":
        kind = AlreadyExists
    elif code == 404 and reason == "NotFound" and isinstance(details, dict) and details.get("name"):
        kind = Absent
    elif code == 403 and _names(causes, "NamespaceTerminating"):
        kind = NamespaceTerminating
    elif code == 403 and "exceeded quota" in str(status.get("message") or ""):
        # The one text we look at: the quota plugin gives no machine-readable reason, and Kubernetes' own controllers
        # recognise it so. Its text names resources and amounts, and is not kept.
        kind = QuotaExceeded
    elif code == 403 and "status unknown for quota" in str(status.get("message") or ""):
        kind = Throttled  # a quota that is seconds old: its controller has not counted yet
    return kind(code, reason, retry_after=_seconds(retry_after))


def _names(causes: Any, reason: str) -> bool:
    listed = causes if isinstance(causes, list) else []
    return any(isinstance(cause, dict) and cause.get("reason") == reason for cause in listed)


def _seconds(text: str | None) -> float:
    """The Retry-After header in seconds (RFC 9110, 10.2.3); API servers send only the number form."""
    return float(text) if text and text.isascii() and text.isdigit() else 0.0
