"""What surrounds each request: its id, headers that hold for every answer, metrics, the audit line, the last resort."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Iterable
from typing import Any

import structlog
from starlette.datastructures import MutableHeaders, State
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from secretset import telemetry
from secretset.api import errors
from secretset.api.config import ORGANIZATION, ROOT
from secretset.api.limits import RESTED
from secretset.domain import names
from secretset.kube import supervise

log = structlog.get_logger(__name__)
audit = structlog.get_logger("secretset.audit")
# Whatever level is asked for, who did what is told.
logging.getLogger("secretset.audit").setLevel(logging.INFO)

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_GONE = 499  # as nginx has it: the client did not wait for its answer


def concerns(
    request: Request, *, region: str | None = None, service: str | None = None, sets: Iterable[str] = ()
) -> None:
    """Have the audit line tell what a body names: a region, a service, and the sets that it is to be bound to."""
    request.state.region, request.state.service, request.state.bound = region, service, tuple(sets)


class Audit:
    """The outermost of our middlewares.

    ``request.state`` has ``request_id``, and takes what the audit line tells besides: ``who``, ``organization``,
    ``set``, ``keys`` (names alone), and what `concerns` is given.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.monotonic(), 0
        request_id = _request_id(scope)
        state: dict[str, Any] = scope.setdefault("state", {})
        state["request_id"] = request_id

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                if headers.get("Cache-Control", "no-cache") == "no-cache":  # what FastAPI says of a stream
                    headers["Cache-Control"] = "no-store"
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        telemetry.HTTP_IN_FLIGHT.inc()
        try:
            await self._app(scope, receive, answer)
        except ClientDisconnect:
            status = status or _GONE
        except asyncio.CancelledError:
            status = status or _GONE
            raise
        except Exception as error:  # noqa: BLE001  (its text may hold anything, a value included)
            log.error("a request failed", request_id=request_id, error=supervise.where(error))  # noqa: TRY400
            if not status:
                await errors.internal().response()(scope, receive, answer)
        finally:
            telemetry.HTTP_IN_FLIGHT.dec()
            _tell(scope, status, state.get(RESTED, time.monotonic()) - begun)  # to wait is not to be slow


def _tell(scope: Scope, status: int, seconds: float) -> None:
    route = _template(scope)
    method = scope["method"] if scope["method"] in _METHODS else "other"
    telemetry.HTTP_REQUESTS.labels(method, route, str(status)).inc()
    telemetry.HTTP_SECONDS.labels(route).observe(seconds)
    state = State(scope["state"])
    named = scope.get("path_params") or {}
    audit.info(
        "request",
        request_id=state.request_id,
        who=getattr(state, "who", None),
        source=scope["client"][0] if scope.get("client") else None,
        action=f"{method} {route}",
        organization=getattr(state, "organization", None),
        set=_name(named.get("name") or getattr(state, "set", None)),
        region=_name(named.get("region") or getattr(state, "region", None)),
        service=_name(named.get("service") or getattr(state, "service", None)),
        bound=[each for each in getattr(state, "bound", ()) if _name(each)],
        # What is no name of a key may be a value by mistake.
        keys=[key for key in getattr(state, "keys", ()) if names.is_valid_key(key)],
        outcome=status,
        milliseconds=round(seconds * 1000),
    )


def _name(text: object) -> str | None:
    """What can be the name of an object: anything else may be a value in the wrong place."""
    usable = isinstance(text, str) and (names.is_valid_name(text) or names.NAMESPACE_PATTERN.fullmatch(text))
    return str(text) if usable else None


def _template(scope: Scope) -> str:
    """The path as our document has it: a path itself may hold anything."""
    if "route" not in scope:  # refused by a limit, or there is none
        return next(errors.matching(scope), "none")
    path = str(getattr(scope["route"], "path", ""))  # as its router has it
    if not path or path.startswith(ROOT) or not scope["path"].startswith(ROOT):
        return path or "none"
    return (ORGANIZATION if "organization" in scope["path_params"] else ROOT) + path


def _request_id(scope: Scope) -> str:
    """What the caller calls this request, if it is nothing odd, else a new one."""
    for name, value in scope["headers"]:
        text = str(value.decode("latin-1"))
        if name == b"x-request-id" and _ID.fullmatch(text):
            return text
    return secrets.token_hex(8)
