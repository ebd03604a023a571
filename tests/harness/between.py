"""Somebody between the operator and an API server who reads each request: for crashes at one write, and late watches.

It ends TLS with a certificate of its own, and passes on whatever credentials a client comes with.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

import aiohttp
import yaml
from aiohttp import web
from yarl import URL

from harness.loop import LoopThread
from kubelab import pki
from kubelab.pki import write_private
from kubelab.plane import ControlPlane

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# As in `process.writes`: questions, heartbeats, and what is best effort.
_APART = ("/events", "/leases", "/selfsubjectaccessreviews", "/selfsubjectrulesreviews")
_OF_ONE_HOP = frozenset({"host", "connection", "transfer-encoding", "content-length", "keep-alive"})

When = Literal["before", "meanwhile", "lost", "after"]
Match = Callable[[str, URL], bool]


def is_write(method: str, url: URL) -> bool:
    """Whether a request changes something that tests count."""
    return method in WRITES and not any(part in url.path for part in _APART)


def write_of(verb: str, end: str) -> Match:
    """Matches writes with this method whose path ends so."""
    return lambda method, url: method == verb and url.path.endswith(end)


@dataclass(kw_only=True, eq=False)
class Trap:
    """Something that happens at one request, once.

    Attributes:
        match: which requests it is for.
        number: at which of them; 1 is the next.
        when: `before`: the request is lost; `meanwhile`: it is sent afterwards; `lost`: when the server has answered,
            and the answer is lost; `after`: when it has been answered.
        act: what happens then.
        sprung: it has happened.
        seen: so many requests matched so far.
    """

    match: Match
    number: int
    when: When
    act: Callable[[], object]
    sprung: threading.Event = field(default_factory=threading.Event)
    seen: int = 0

    @property
    def met(self) -> bool:
        """Whether its request has come."""
        return self.seen >= self.number


class Between:
    """Passes requests on to a plane's API server, from a thread of its own. A context manager.

    Args:
        plane: whose API server it is.
        kubeconfig: that leads to it.

    Attributes:
        kubeconfig: the same, but for the way, which leads through here.
    """

    def __init__(self, plane: ControlPlane, kubeconfig: Path) -> None:
        self._server = plane.server
        self._theirs = ssl.create_default_context(cadata=plane.ca.decode())
        self._authority = pki.Authority.create("between")
        self._original = kubeconfig
        self.kubeconfig = kubeconfig
        self._trap: Trap | None = None
        self._held: dict[str, asyncio.Event] = {}
        self._loop: LoopThread | None = None
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    def __enter__(self) -> Self:
        self._loop = LoopThread("between")
        port = self._loop.run(self._start())
        content = yaml.safe_load(self._original.read_text())
        for entry in content["clusters"]:
            entry["cluster"]["server"] = f"https://127.0.0.1:{port}"
            entry["cluster"]["certificate-authority-data"] = base64.b64encode(self._authority.pair.certificate).decode()
        self.kubeconfig = self._original.with_name(f"{self._original.name}-between-{port}")
        write_private(self.kubeconfig, yaml.safe_dump(content, sort_keys=False).encode())
        return self

    def __exit__(self, *_: object) -> None:
        self._running().run(self._end())
        self._running().close()
        self._loop = None

    def at(self, match: Match, when: When, act: Callable[[], object] = lambda: None, *, number: int = 1) -> Trap:
        """Have something happen at one of the next requests; another trap, if there is one, is taken away."""
        self._trap = Trap(match=match, number=number, when=when, act=act)
        return self._trap

    def clear(self) -> None:
        """Let nothing happen any more, but what has begun to."""
        self._running().run(self._clear())

    def hold(self, resource: str) -> None:
        """Let no event of a watch of this resource (`deployments`) through, until `release`."""
        self._running().run(self._hold(resource))

    def release(self, resource: str) -> None:
        """Let all that was held come."""
        self._running().run(self._release(resource))

    # --- in the loop

    def _running(self) -> LoopThread:
        assert self._loop is not None, "use it as a context manager"
        return self._loop

    async def _clear(self) -> None:
        self._trap = None

    async def _hold(self, resource: str) -> None:
        self._held[resource] = asyncio.Event()

    async def _release(self, resource: str) -> None:
        self._held.pop(resource).set()

    async def _start(self) -> int:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._theirs, limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=_serving(self._authority.serving()))
        await site.start()
        return int(self._runner.addresses[0][1])

    async def _end(self) -> None:
        assert self._runner is not None
        assert self._session is not None
        await self._runner.cleanup()
        await self._session.close()

    def _due(self, request: web.Request) -> Trap | None:
        trap = self._trap
        if trap is None or not trap.match(request.method, request.rel_url):
            return None
        trap.seen += 1
        if trap.seen != trap.number:
            return None
        self._trap = None
        return trap

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        assert self._session is not None
        trap, body = self._due(request), await request.read()
        if trap is not None and trap.when in {"before", "meanwhile"}:
            await _spring(trap)
            if trap.when == "before":
                return _lose(request)
        headers = {name: text for name, text in request.headers.items() if name.lower() not in _OF_ONE_HOP}
        url = URL(f"{self._server}{request.raw_path}", encoded=True)
        async with self._session.request(request.method, url, headers=headers, data=body or None) as answer:
            if trap is not None and trap.when == "lost":
                await answer.read()
                await _spring(trap)
                return _lose(request)
            passed = {name: text for name, text in answer.headers.items() if name.lower() not in _OF_ONE_HOP}
            response = web.StreamResponse(status=answer.status, headers=passed)
            try:
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    if "watch" in request.query and (held := self._held.get(request.path.rpartition("/")[2])):
                        await held.wait()
                    await response.write(chunk)
                await response.write_eof()
            except ConnectionError:
                pass  # the operator is gone
        if trap is not None and trap.when == "after":
            await _spring(trap)
        return response


async def _spring(trap: Trap) -> None:
    await asyncio.to_thread(trap.act)
    trap.sprung.set()


def _lose(request: web.Request) -> web.StreamResponse:
    """Cut the connection: the client hears nothing, whatever was done."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _serving(pair: pki.KeyPair) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.TemporaryDirectory() as folder:  # the only way in is by files
        pki.save(Path(folder), "serving", pair)
        context.load_cert_chain(Path(folder) / "serving.crt", Path(folder) / "serving.key")
    return context
