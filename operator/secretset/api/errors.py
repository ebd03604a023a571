"""What callers are told when something is not done: always ``{"error", "code"}``, and nothing of what they sent."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import compile_path
from starlette.types import Scope

from secretset import telemetry
from secretset.actions.errors import Refused, Why
from secretset.actions.sets import absent
from secretset.domain import names
from secretset.kube import errors as kube

log = structlog.get_logger(__name__)

BAD_REQUEST = "GENERIC_BAD_REQUEST"
# seeds/003, validationError.
BAD_FORMAT = "Invalid request format"
# Paths that only Pipecat's CLI has: there a 401 needs this code, or its hint to log in is not shown (facts.md).
_OF_THE_CLI = ("/v1/organizations", "/v1/users")
_READS = frozenset({"", "get", "list", "watch"})


class Answer(Exception):
    """An answer that ends a request.

    Attributes:
        status: HTTP status.
        code: for programs.
        headers: besides the usual ones.
    """

    def __init__(self, status: int, code: str, error: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(error)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        """As it is sent."""
        body = {"error": str(self), "code": self.code}
        return JSONResponse(body, status_code=self.status, headers=self.headers)


class BodyTooLarge(HTTPException):
    """The body is longer than allowed: raised where it is read; whatever reads it lets this kind of error through."""

    def __init__(self, limit: int) -> None:
        super().__init__(413)
        self.limit = limit


class BodyTooSlow(HTTPException):
    """The body took too long: raised as `BodyTooLarge` is."""

    def __init__(self, seconds: float) -> None:
        super().__init__(408)
        self.seconds = seconds


def bad_request(error: str = BAD_FORMAT) -> Answer:
    """400: what was sent breaks a rule, which the text names."""
    return Answer(400, BAD_REQUEST, error)


def unauthorized(path: str) -> Answer:
    """401: no token, or none that the hub accepts."""
    code = "401" if path.startswith(_OF_THE_CLI) else "UNAUTHORIZED"
    return Answer(401, code, "Unauthorized", {"WWW-Authenticate": "Bearer"})


def not_found(error: str = "Not found") -> Answer:
    """404: it is not there, or the caller may not see it; nothing tells which."""
    return Answer(404, "NOT_FOUND", error)


def forbidden(error: str) -> Answer:
    """403: the caller may see it, and not do that."""
    return Answer(403, "FORBIDDEN", error)


def conflict(error: str, code: str = "CONFLICT") -> Answer:
    """409: not as things stand; later perhaps."""
    return Answer(409, code, error)


def unavailable(error: str, code: str = "HUB_UNREACHABLE", *, after: float = 1.0) -> Answer:
    """503: it is nobody's fault here; to be tried again."""
    return Answer(503, code, error, _later(after))


def too_many(after: float) -> Answer:
    """429: the caller asks too often."""
    return Answer(429, "RATE_LIMITED", "Too many requests: wait as long as Retry-After says", _later(after))


def too_large(limit: int) -> Answer:
    """413: the body is too long."""
    telemetry.HTTP_REFUSED.labels("body").inc()
    return Answer(413, "BODY_TOO_LARGE", f"The body is longer than {limit:,} bytes")


def too_slow(seconds: float) -> Answer:
    """408: the body did not arrive in time; what is left of it is not waited for (RFC 9110, 15.5.9)."""
    telemetry.HTTP_REFUSED.labels("body").inc()
    return Answer(408, "BODY_TIMEOUT", f"The body took longer than {seconds:g} seconds", {"Connection": "close"})


def timed_out() -> Answer:
    """504: the hub did not answer in time."""
    return Answer(504, "TIMEOUT", "The hub took too long: look at what is there before you try again")


def internal() -> Answer:
    """500: a defect; the log tells where."""
    return Answer(500, "INTERNAL", "Internal server error")


def install(app: FastAPI) -> None:
    """Have an application answer so, whatever goes wrong in it."""

    async def answer(request: Request, error: Exception) -> JSONResponse:
        return answer_to(request, error).response()

    for kind in (Answer, Refused, kube.KubeError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, answer)


def answer_to(request: Request, error: Exception) -> Answer:
    """The answer that an exception of a route means."""
    match error:
        case Answer():
            return error
        case RequestValidationError():
            return bad_request()
        case BodyTooLarge():
            return too_large(error.limit)
        case BodyTooSlow():
            return too_slow(error.seconds)
        case HTTPException(status_code=405):
            return Answer(405, "METHOD_NOT_ALLOWED", "Method not allowed", {"Allow": _allowed(request)})
        case HTTPException():
            return _of_framework(error)
        case Refused():
            return _of_refusal(error)
        case kube.Unauthorized():
            return unauthorized(request.url.path)
        case kube.KubeError():
            return _of_hub(request, error)
        case _:
            return internal()


def _allowed(request: Request) -> str:
    """All methods of a path (RFC 9110, 10.2.1); the framework names those of the first route alone."""
    paths = request.app.openapi()["paths"]
    found = {method.upper() for path in matching(request.scope) for method in paths[path]}
    return ", ".join(sorted(found)) or "GET"


def matching(scope: Scope) -> Iterator[str]:
    """The paths of our document that a request's path is one of."""
    paths = scope["app"].openapi()["paths"] if "app" in scope else ()
    return (path for path in paths if _pattern(path).match(scope["path"]))


@functools.cache
def _pattern(path: str) -> re.Pattern[str]:
    return compile_path(path)[0]


def _of_framework(error: HTTPException) -> Answer:
    if error.status_code == 404:
        return not_found()
    if error.status_code < 500:
        return Answer(error.status_code, BAD_REQUEST, BAD_FORMAT, error.headers)
    return internal()


def _of_refusal(error: Refused) -> Answer:
    # Those of seeds/003 are whole sentences.
    text = str(error)[:1].upper() + str(error)[1:]
    match error.why:
        case Why.ABSENT | Why.NO_ORGANIZATION:
            return not_found(text)
        case Why.CONFLICT | Why.NOT_READY | Why.TAKEN | Why.IN_USE:
            return conflict(text, error.why.name)
        case Why.NO_KEYS | Why.NOT_HELD:
            return unavailable(text, "NO_SEALING_KEYS")
        case _:
            return bad_request(text)


def _of_hub(request: Request, error: kube.KubeError) -> Answer:
    match error:
        case kube.NamespaceTerminating():
            return conflict("The organization is being deleted")
        case kube.QuotaExceeded():
            return Answer(403, "QUOTA_EXCEEDED", "The quota of the organization leaves no room for it")
        case kube.Forbidden():
            # Who may not even look learns nothing; who may look at what is there, that this is not allowed.
            if error.verb in _READS:
                return absent_here(request)
            return forbidden(f"You may not {error.verb} {error.resource} there (RBAC of the hub)")
        case kube.NotFound():
            return absent_here(request)
        case kube.AlreadyExists() | kube.Conflict():
            return conflict("It was modified concurrently. Please retry.")
        case kube.Invalid():
            return bad_request("The hub refuses this")
        case kube.Throttled():
            return too_many(error.retry_after or 1.0)
        case kube.ApiError() if error.code == 504:
            return timed_out()
        case _:
            log.warning("the hub could not be asked", error=str(error))
            return unavailable("The hub could not be asked; try again")


def absent_here(request: Request) -> Answer:
    """404 for what a path names, in the very words that are used when it is not there."""
    organization = getattr(request.state, "organization", "")
    if not organization:
        return not_found()
    name = request.path_params.get("name")
    if name is None:
        return no_organization(organization)
    return _of_refusal(absent(organization, name))


def no_organization(name: str) -> Answer:
    """404 for an organization."""
    shown = f"'{name}'" if names.NAMESPACE_PATTERN.fullmatch(name) else "of that name"
    return not_found(f"There is no organization {shown}")


def _later(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, round(seconds)))}
