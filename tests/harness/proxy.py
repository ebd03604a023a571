"""A link that can be broken: a TCP proxy on loopback, for one region of a test.

It forwards bytes and knows nothing of TLS: kubelab's serving certificates are for 127.0.0.1, so clients verify them
through the proxy as they do without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

import yaml

from harness.loop import LoopThread
from kubelab.pki import write_private
from kubelab.plane import ControlPlane

_HERE = "127.0.0.1"
_CHUNK = 2**16
_CHUNKS_ON_THE_WAY = 256  # of one direction of one connection, while the link is slow; then the sender has to wait
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: closing sends RST, not FIN

Way = Literal["up", "down"]
_Line = asyncio.Queue[tuple[float, bytes]]


@dataclass(frozen=True, kw_only=True)
class _Mode:
    listens: bool = True
    flows: bool = True
    forgets: bool = False
    delay: float = 0.0


_UP = _Mode()
_REFUSING = _Mode(listens=False)


@dataclass(kw_only=True, eq=False)
class _Link:
    """One connection; a dead one stays open, and nothing ever passes it again."""

    writers: list[asyncio.StreamWriter]
    dead: bool
    task: asyncio.Task[None] = field(init=False)

    def reset(self) -> None:
        for writer in self.writers:
            _reset(writer)


class Proxy:
    """A TCP proxy in a thread of its own, which begins `up`. The modes may be changed at any time, from any thread.

        with Proxy.to(plane) as link:
            config = link.kubeconfig(plane.kubeconfig)
            link.black_hole()

    When a method returns, the new mode holds. A server that refuses is told to a client as a reset: the proxy has
    accepted by then.

    Args:
        host: of the server.
        port: of the server.

    Attributes:
        port: at 127.0.0.1; while it refuses too, it is kept, and nobody else gets it.
        accepted: connections that a client got so far; those into a black hole count.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server_address = (host, port)
        self._mode = _UP
        self._listener: asyncio.Server | None = None
        self._flapping: asyncio.Task[None] | None = None
        self._flowing = asyncio.Event()
        self._changing = asyncio.Lock()
        self._links: set[_Link] = set()
        self._bytes: dict[Way, int] = {"up": 0, "down": 0}
        self.accepted = 0
        self.port = 0
        self._holder: socket.socket | None = None
        self._loop: LoopThread | None = None

    @classmethod
    def to(cls, plane: ControlPlane) -> Self:
        """A proxy before a plane's API server, whose port survives its restarts."""
        return cls(_HERE, plane.ports["apiserver"])

    def __enter__(self) -> Self:
        # Bound and never listening, it keeps the port while nothing else does.
        self._holder = _bound(0)
        self.port = int(self._holder.getsockname()[1])
        self._loop = LoopThread(f"proxy-{self.port}")
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self._running().close()
        self._loop = None
        if self._holder is not None:
            self._holder.close()

    # --- facts

    @property
    def bytes_up(self) -> int:
        """Bytes that reached the server."""
        return self._bytes["up"]

    @property
    def bytes_down(self) -> int:
        """Bytes that reached clients."""
        return self._bytes["down"]

    @property
    def open(self) -> int:
        """Connections that are open now, dead ones included."""
        return len(self._links)

    def kubeconfig(self, path: Path) -> Path:
        """Write a copy of a kubeconfig that leads through the proxy, next to it, and return its path."""
        content = yaml.safe_load(path.read_text())
        for entry in content["clusters"]:
            entry["cluster"]["server"] = f"https://{_HERE}:{self.port}"
        copy = path.with_name(f"{path.name}-by-{self.port}")
        write_private(copy, yaml.safe_dump(content, sort_keys=False).encode())
        return copy

    # --- modes

    def up(self) -> None:
        """Forward."""
        self._choose(_UP)

    def refuse(self) -> None:
        """Close the port and reset all connections, as a host does whose server is gone."""
        self._choose(_REFUSING)

    def black_hole(self, *, forgets: bool = True) -> None:
        """Accept, and let nothing pass, neither bytes nor the end of a connection.

        Args:
            forgets: Whether connections that are open in it stay dead when the link comes back, as behind a NAT that
                forgot them. Without, they go on where they were, and nothing is lost: TCP sends again.
        """
        self._choose(_Mode(flows=False, forgets=forgets))

    def slow(self, seconds: float) -> None:
        """Forward with this latency, each way."""
        self._choose(_Mode(delay=seconds))

    def flap(self, period: float) -> None:
        """Refuse and be up by turns, half a period (in seconds) each, until another mode is chosen."""
        self._running().run(self._flap(period))

    def cut(self) -> None:
        """Reset all connections there are; the mode stays, so a client may come again at once."""
        self._running().run(self._cut())

    # --- in the loop

    def _running(self) -> LoopThread:
        assert self._loop is not None, "use it as a context manager"
        return self._loop

    def _choose(self, mode: _Mode) -> None:
        self._running().run(self._change(mode))

    async def _change(self, mode: _Mode) -> None:
        async with self._changing:
            await self._end_flapping()
            await self._enter(mode)

    async def _flap(self, period: float) -> None:
        async def alternate() -> None:
            for mode in itertools.cycle((_UP, _REFUSING)):
                await asyncio.sleep(period / 2)
                await self._enter(mode)

        async with self._changing:
            await self._end_flapping()
            await self._enter(_REFUSING)
            self._flapping = asyncio.create_task(alternate())

    async def _end_flapping(self) -> None:
        if self._flapping is not None:
            self._flapping.cancel()
            await asyncio.gather(self._flapping, return_exceptions=True)
            self._flapping = None

    async def _enter(self, mode: _Mode) -> None:
        """May be cancelled at any await, and called again."""
        self._mode = mode
        if mode.forgets:
            for link in self._links:
                link.dead = True
        if mode.flows:
            self._flowing.set()
        else:
            self._flowing.clear()
        if not mode.listens:
            if self._listener is not None:
                self._listener.close()
                self._listener = None
            await self._cut()
        elif self._listener is None:
            self._listener = await asyncio.start_server(self._accept, sock=_bound(self.port), start_serving=False)
            await self._listener.start_serving()

    async def _cut(self) -> None:
        links = list(self._links)
        for link in links:
            link.reset()
            link.task.cancel()
        await asyncio.gather(*(link.task for link in links), return_exceptions=True)
        self._links.difference_update(links)  # a task that was cancelled before its first step did not do it
        await asyncio.sleep(0)  # sockets close in the turn after

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._mode.listens:  # accepted in the very turn in which the port was closed
            _reset(writer)
            return
        self.accepted += 1
        link = _Link(writers=[writer], dead=self._mode.forgets)
        # A task of ours: asyncio's own logs an error when it is cancelled (Python 3.11).
        link.task = asyncio.create_task(self._serve(link, reader, writer))
        self._links.add(link)

    async def _serve(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._forward(link, reader, writer)
        except* OSError:
            link.reset()
        finally:
            self._links.discard(link)
            for each in link.writers:
                each.close()

    async def _forward(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not link.dead:
            await self._flowing.wait()
        if link.dead:
            while await reader.read(_CHUNK):
                pass
            return
        far_reader, far_writer = await asyncio.open_connection(*self._server_address)
        link.writers.append(far_writer)
        async with asyncio.TaskGroup() as group:
            for way, source, sink in (("up", reader, far_writer), ("down", far_reader, writer)):
                line = _Line(_CHUNKS_ON_THE_WAY)
                group.create_task(self._take_in(link, source, line))
                group.create_task(self._hand_out(link, line, sink, "up" if way == "up" else "down"))

    async def _take_in(self, link: _Link, source: asyncio.StreamReader, line: _Line) -> None:
        data = b"-"
        while data:
            try:
                data = await source.read(_CHUNK)
            except OSError:
                if not link.dead and self._mode.flows:
                    raise
                data = b""  # the other side must not hear of it
            await line.put((time.monotonic() + self._mode.delay, data))

    async def _hand_out(self, link: _Link, line: _Line, sink: asyncio.StreamWriter, way: Way) -> None:
        while True:
            due, data = await line.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not link.dead:
                await self._flowing.wait()
            if not link.dead:
                if not data:
                    with contextlib.suppress(OSError):
                        sink.write_eof()
                    return
                sink.write(data)
                self._bytes[way] += len(data)
                await sink.drain()
            elif not data:
                return


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((_HERE, port))
    return bound


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):  # it is closed already
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
