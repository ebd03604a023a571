"""What kopf gets to hear: news alone.

A list tells what is known already, and most of what a watch tells is the echo of our own writes. kopf would queue,
wrap and log each of them, which takes it 0.8 ms, for a handler that then finds nothing new (bench/README.md).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

import aiohttp
import orjson

from secretset.domain.names import Kind

_MOMENT, _MOMENTS = 0.005, 50  # seconds between two looks at whether a write was answered, and how many there are

_KINDS = frozenset(kind.value for kind in Kind)


class Memory(Protocol):
    """What was seen of sets; asked in kopf's thread."""

    def knows(self, kind: Kind, metadata: Mapping[str, Any]) -> bool:
        """Whether this very version of a set was seen."""

    def awaits(self, kind: Kind, metadata: Mapping[str, Any]) -> bool:
        """Whether a write to this set is under way, whose echo this may be."""


def of(memory: Memory) -> type[aiohttp.ClientResponse]:
    """The class of answers for kopf's session: without the versions of sets that were seen."""

    class News(aiohttp.ClientResponse):
        """An answer without what is known already."""

        async def start(self, connection: Any) -> aiohttp.ClientResponse:
            """Begin to read."""
            await super().start(connection)
            if self.status == 200 and self.url.query.get("watch") == "true":
                self.content = _Stream(self.content, memory)  # type: ignore[assignment]
            return self

        async def json(self, *, loads: Callable[[str], Any] = orjson.loads, **options: Any) -> Any:
            """Read a list, or anything else."""
            body = await super().json(loads=loads, **options)
            if isinstance(body, dict) and isinstance(body.get("items"), list):
                body["items"] = [item for item in body["items"] if not _told(item, memory.knows)]
            return body

    return News


class _Stream:
    """A watch as it is read, without events that tell nothing new; for the rest, the stream that it is read from."""

    def __init__(self, stream: aiohttp.StreamReader, memory: Memory) -> None:
        self._stream = stream
        self._memory = memory

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Whole lines, as they come and in their order."""
        rest = bytearray()
        async for chunk in self._stream.iter_chunked(size):
            rest += chunk
            if b"\n" not in chunk:
                continue
            *lines, rest = rest.split(b"\n")
            events = [(line, _set_in(line)) for line in lines]
            clear = next((at for at, (_, obj) in enumerate(events) if self._may_echo(obj)), len(events))
            for part in (events[:clear], events[clear:]):
                await self._answered(part)
                if news := [line + b"\n" for line, obj in part if not (obj and _told(obj, self._memory.knows))]:
                    yield b"".join(news)
        if rest:
            yield bytes(rest)

    async def _answered(self, events: list[tuple[bytearray, dict[str, Any] | None]]) -> None:
        """Wait until the writes that these may be echoes of were answered, unless that takes long."""
        for _ in range(_MOMENTS):
            if not any(self._may_echo(obj) for _, obj in events):
                return
            await asyncio.sleep(_MOMENT)

    def _may_echo(self, obj: dict[str, Any] | None) -> bool:
        return obj is not None and _told(obj, self._memory.awaits)


def _set_in(line: bytes | bytearray) -> dict[str, Any] | None:
    """The set that an event of a watch shows as it is now, if it does."""
    try:
        event = orjson.loads(line)
    except json.JSONDecodeError:
        return None  # kopf finds out what it is
    return event["object"] if event.get("type") in {"ADDED", "MODIFIED"} else None


def _told(obj: Mapping[str, Any], by: Callable[[Kind, Mapping[str, Any]], bool]) -> bool:
    kind = obj.get("kind")
    return kind in _KINDS and by(Kind(kind), obj["metadata"])
