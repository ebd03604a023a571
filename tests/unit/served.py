"""A server that answers as a test says, and a client of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer

from secretset.kube import errors
from secretset.kube.client import Client
from secretset.kube.credentials import Credentials

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SAID = "said-by-the-server"
THINGS = "/api/v1/things"


class Served:
    """A client, and what the server got from it."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.silences = 0
        self.fenced = False
        self.answer: Handler = self.ok
        self.client: Client

    @staticmethod
    async def ok(_: web.Request) -> web.Response:
        return web.json_response({})

    def refuse_with(self, code: int, **headers: str) -> None:
        async def answer(_: web.Request) -> web.Response:
            body = {"kind": "Status", "message": SAID, "reason": "Whatever"}
            return web.json_response(body, status=code, headers={k.replace("_", "-"): v for k, v in headers.items()})

        self.answer = answer

    def say(self, text: str) -> None:
        async def answer(_: web.Request) -> web.Response:
            return web.Response(text=text)

        self.answer = answer

    def hang(self, lines: bytes = b"") -> None:
        """Begin each answer, and say nothing after these lines."""

        async def answer(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(lines)
            await asyncio.sleep(60)
            return response

        self.answer = answer

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(f"{request.method} {request.path}")
        return await self.answer(request)

    def fence(self) -> None:
        if self.fenced:
            raise errors.Fenced("no Lease")

    def silence(self) -> None:
        self.silences += 1


@asynccontextmanager
async def serving() -> AsyncIterator[Served]:
    served = Served()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", served.handle)

    async def nobody() -> None:
        return None

    async with TestServer(app) as server:
        credentials = Credentials(server=str(server.make_url("")).rstrip("/"), tls=None, authorize=nobody)
        served.client = Client(credentials, name="us", timeout=5.0, fence=served.fence, on_silence=served.silence)
        async with served.client:
            yield served


async def followed(client: Client) -> list[str]:
    return [str(event["type"]) async for event in client.watch(THINGS, {}, idle=90.0)]
