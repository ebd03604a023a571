"""Somebody between the operator and an API server: for crashes at one write, and late watches."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from aiohttp import web
from yarl import URL

from harness.relay import Relay, lose
from kubelab.plane import ControlPlane

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# As in `process.writes`: questions, heartbeats, and what is best effort.
_APART = ("/events", "/leases", "/selfsubjectaccessreviews", "/selfsubjectrulesreviews")

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


class Between(Relay):
    """A relay with a trap.

    Args:
        plane: whose API server it is.
        kubeconfig: that leads to it.
    """

    def __init__(self, plane: ControlPlane, kubeconfig: Path) -> None:
        super().__init__(plane, kubeconfig)
        self._trap: Trap | None = None
        self._held: dict[str, asyncio.Event] = {}

    def at(self, match: Match, when: When, act: Callable[[], object] = lambda: None, *, number: int = 1) -> Trap:
        """Have something happen at one of the next requests; another trap, if there is one, is taken away."""
        self._trap = Trap(match=match, number=number, when=when, act=act)
        return self._trap

    def clear(self) -> None:
        """Let nothing happen any more, but what has begun to."""
        self.running.run(self._clear())

    def hold(self, resource: str) -> None:
        """Let no event of a watch of this resource (`deployments`) through, until `release`."""
        self.running.run(self._hold(resource))

    def release(self, resource: str) -> None:
        """Let all that was held come."""
        self.running.run(self._release(resource))

    # --- in the loop

    async def _clear(self) -> None:
        self._trap = None

    async def _hold(self, resource: str) -> None:
        self._held[resource] = asyncio.Event()

    async def _release(self, resource: str) -> None:
        self._held.pop(resource).set()

    def _due(self, request: web.Request) -> Trap | None:
        trap = self._trap
        if trap is None or not trap.match(request.method, request.rel_url):
            return None
        trap.seen += 1
        if trap.seen != trap.number:
            return None
        self._trap = None
        return trap

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass a request on, unless it springs the trap."""
        trap, body = self._due(request), await request.read()
        if trap is not None and trap.when in {"before", "meanwhile"}:
            await _spring(trap)
            if trap.when == "before":
                return lose(request)
        async with self.passed_on(request, body) as answer:
            if trap is not None and trap.when == "lost":
                await answer.read()
                await _spring(trap)
                return lose(request)
            response = await self.copied(request, answer)
        if trap is not None and trap.when == "after":
            await _spring(trap)
        return response

    async def before_chunk(self, request: web.Request) -> None:
        """Hold an event of a watch."""
        if "watch" in request.query and (held := self._held.get(request.path.rpartition("/")[2])):
            await held.wait()


async def _spring(trap: Trap) -> None:
    await asyncio.to_thread(trap.act)
    trap.sprung.set()
