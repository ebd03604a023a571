"""An API server in distress: HTTPS, and one fault. For what no real control plane can be made to do on command."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, Self

import orjson
from aiohttp import web

from harness.loop import LoopThread
from harness.serving import listen, serving_context
from kubelab import kubeconfig, pki

# Stands in every answer that is a fault; it must turn up in no status, event or log.
SAID = "said-by-a-server-in-distress"
_REVIEWS = "/apis/authorization.k8s.io/"
_REASONS = {
    401: "Unauthorized",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class Request(NamedTuple):
    """One request that came in."""

    at: float
    """time.monotonic()"""
    method: str
    path: str
    """Without the query."""


class Fault:
    """What a server answers: a response to all but some paths, where it is well."""

    def __init__(self, respond: Callable[[], web.Response], *, well: Iterable[str] = ()) -> None:
        self._respond = respond
        self._well = tuple(well)

    async def answer(self, request: web.Request) -> web.Response:
        """The response to one request."""
        if not request.path.startswith(self._well):
            return self._respond()
        if request.path.startswith(_REVIEWS):
            return _json(201, _granted(await request.json()))
        if request.path == "/version":
            return _json(200, {"major": "1", "minor": "36", "gitVersion": "v1.36.3"})
        return web.Response(text="ok")


def throttling(*, retry_after: int = 1) -> Fault:
    """429 with Retry-After (whole seconds) to all but /version, /readyz and access reviews, which allow everything."""

    def respond() -> web.Response:
        return _status(429, {"Retry-After": str(retry_after)}, {"retryAfterSeconds": retry_after})

    return Fault(respond, well=("/version", "/readyz", _REVIEWS))


def unauthorized() -> Fault:
    """401 to everything, as for a token that was revoked."""
    return Fault(lambda: _status(401))


def failing(code: int = 500) -> Fault:
    """An error of the server to all but /version."""
    return Fault(lambda: _status(code), well=("/version",))


def garbage() -> Fault:
    """200 with a page for people, as of a captive portal or a proxy's login."""
    return Fault(lambda: web.Response(text=f"<html><body>{SAID}</body></html>", content_type="text/html"))


class FaultyServer:
    """Serves a fault at 127.0.0.1 in a thread of its own, and keeps account of who came when. A context manager.

        with FaultyServer(throttling(retry_after=2)) as server:
            config = server.kubeconfig(tmp_path / "config")

    Args:
        fault: What it answers.
        valid_seconds: How long its serving certificate is valid from now; below 0, it has expired. Absent: for years.

    Attributes:
        fault: May be replaced at any time.
        port: where it listens.
    """

    def __init__(self, fault: Fault, *, valid_seconds: float | None = None) -> None:
        self.fault = fault
        self.port = 0
        self._requests: list[Request] = []
        self._authority = pki.Authority.create("in-distress")
        self._tls = serving_context(self._authority.serving(valid_seconds=valid_seconds))
        self._loop: LoopThread | None = None
        self._runner: web.AppRunner | None = None

    def __enter__(self) -> Self:
        self._loop = LoopThread("faulty-server")
        self._loop.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        assert self._runner is not None
        self._loop.run(self._runner.cleanup())
        self._loop.close()

    @property
    def requests(self) -> list[Request]:
        """All so far, oldest first."""
        return list(self._requests)

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """How many requests came, by method and path."""
        return Counter((request.method, request.path) for request in self.requests)

    def times(self, method: str, path: str) -> list[float]:
        """When (time.monotonic()) these requests came, oldest first."""
        return [request.at for request in self.requests if (request.method, request.path) == (method, path)]

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig that leads here, with a token and the CA inside, and return its path."""
        return kubeconfig.write(
            path,
            plane="in-distress",
            server=f"https://127.0.0.1:{self.port}",
            ca=self._authority.pair.certificate,
            user=kubeconfig.token_user("any"),
        )

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner, self.port = await listen(app, self._tls)

    async def _handle(self, request: web.Request) -> web.Response:
        self._requests.append(Request(time.monotonic(), request.method, request.path))
        return await self.fault.answer(request)


def _granted(review: dict[str, Any]) -> dict[str, Any]:
    """The answer to a SelfSubjectAccessReview or SelfSubjectRulesReview: everything is allowed."""
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
    rules = {"resourceRules": [everything], "nonResourceRules": [], "incomplete": False}
    return review | {"status": rules if review.get("kind") == "SelfSubjectRulesReview" else {"allowed": True}}


def _status(code: int, headers: dict[str, str] | None = None, details: dict[str, Any] | None = None) -> web.Response:
    """A metav1.Status, as an API server words its refusals."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": SAID,
        "reason": _REASONS.get(code, ""),
        "details": details or {},
        "code": code,
    }
    return _json(code, body, headers)


def _json(code: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=code, body=orjson.dumps(body), content_type="application/json", headers=headers)
