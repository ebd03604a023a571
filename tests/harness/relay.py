"""Somebody between a client and an API server who reads each request.

It ends TLS with a certificate of its own, and passes on whatever credentials a client comes with.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import aiohttp
import yaml
from aiohttp import web
from yarl import URL

from harness.loop import LoopThread
from harness.serving import listen, serving_context
from kubelab import pki
from kubelab.pki import write_private
from kubelab.plane import ControlPlane

_OF_ONE_HOP = frozenset({"host", "connection", "transfer-encoding", "content-length", "keep-alive"})


class Relay:
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
        self.running.run(self._end())
        self.running.close()
        self._loop = None

    @property
    def running(self) -> LoopThread:
        """The loop in which requests are handled."""
        assert self._loop is not None, "use it as a context manager"
        return self._loop

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """What becomes of a request; here: it is passed on."""
        async with self.passed_on(request, await request.read()) as answer:
            return await self.copied(request, answer)

    @asynccontextmanager
    async def passed_on(self, request: web.Request, body: bytes) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request to the API server; its answer, whose body is not read yet."""
        assert self._session is not None
        headers = {name: text for name, text in request.headers.items() if name.lower() not in _OF_ONE_HOP}
        url = self.target(request)
        async with self._session.request(request.method, url, headers=headers, data=body or None) as answer:
            yield answer

    def target(self, request: web.Request) -> URL:
        """Where a request goes to."""
        return URL(f"{self._server}{request.raw_path}", encoded=True)

    def begun(self, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        """The same answer for the client, without a body so far."""
        passed = {name: text for name, text in answer.headers.items() if name.lower() not in _OF_ONE_HOP}
        return web.StreamResponse(status=answer.status, headers=passed)

    async def copied(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        """The same answer for the client, as it comes."""
        response = self.begun(answer)
        try:
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await self.before_chunk(request)
                await response.write(chunk)
            await response.write_eof()
        except ConnectionError:
            pass  # the client is gone
        return response

    async def before_chunk(self, request: web.Request) -> None:
        """Called before a part of an answer's body is passed on."""

    async def _start(self) -> int:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._theirs, limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self.handle)
        self._runner, port = await listen(app, serving_context(self._authority.serving()))
        return port

    async def _end(self) -> None:
        assert self._runner is not None
        assert self._session is not None
        await self._runner.cleanup()
        await self._session.close()


def lose(request: web.Request) -> web.StreamResponse:
    """Cut the connection: the client hears nothing, whatever was done."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
