"""What the operator wrote, as the API server's audit log tells it: not what the operator says of itself.

The log also times the large runs. Its stamps are the API server's own, and reading it takes nothing away from the
programs that are measured, which a watch of thousands of objects would.
"""

from __future__ import annotations

import asyncio
import datetime
import time
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from bench import objects
from bench.api import Api
from bench.objects import Name

_OPERATOR = b'"userAgent":"secretset-operator/'
# Told apart from the writes that the issue limits: they belong to no content.
_REVIEWS = frozenset({"selfsubjectaccessreviews", "selfsubjectrulesreviews"})
APART = frozenset({"events", "leases"}) | _REVIEWS
POLL_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True)
class Write:
    """One request of the operator that changed something, or tried to."""

    resource: str
    verb: str
    namespace: str
    name: str
    code: int
    begun: float
    """When the API server received it, in seconds since the epoch."""
    at: float
    """When it was answered, likewise."""


@dataclass(kw_only=True)
class Tally:
    """The writes of one phase."""

    writes: list[Write] = field(default_factory=list)

    def of(self, *resources: str) -> list[Write]:
        """Those to some resources."""
        return [write for write in self.writes if write.resource in resources]

    def counted(self) -> list[Write]:
        """Those that the issue limits; of the Region's own status there is one for all sets."""
        return [write for write in self.writes if write.resource not in APART | {"regions/status"}]

    def at_rest(self) -> list[Write]:
        """All but Leases, which are renewed for ever, and reviews, which store nothing."""
        return [write for write in self.writes if write.resource not in {"leases"} | _REVIEWS]

    def apart(self) -> Counter[str]:
        """How many of the others there were, by resource."""
        return Counter(write.resource for write in self.writes if write.resource in APART | {"regions/status"})

    def by_resource(self) -> dict[str, int]:
        """The limited ones by verb and resource."""
        return dict(sorted(Counter(f"{write.verb} {write.resource}" for write in self.counted()).items()))

    def most_within(self, resource: str, seconds: float) -> int:
        """The most writes of one object within so many seconds."""
        by_object: dict[tuple[str, str], list[float]] = {}
        for write in self.of(resource):
            by_object.setdefault((write.namespace, write.name), []).append(write.at)
        return max(
            (sum(start <= at < start + seconds for at in stamps) for stamps in by_object.values() for start in stamps),
            default=0,
        )


class AuditLog:
    """Reads the log of a plane from where it was read to last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""

    def read(self) -> list[Write]:
        """The operator's writes since the last call."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            chunk = file.read()
        self._offset += len(chunk)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [_write(line) for line in lines if _OPERATOR in line]

    def skip(self) -> None:
        """Forget everything until now."""
        self.read()

    async def settled(self, quiet: float = 1.5, at_least: float = 0.0, seconds: float = 120.0) -> Tally:
        """Collect writes until none came for a while."""
        tally = Tally()
        started = last = time.monotonic()
        while (now := time.monotonic()) - last < quiet or now - started < at_least:
            if now - started > seconds:
                raise TimeoutError("the operator does not stop writing")
            new = self.read()
            tally.writes += new
            if any(write.resource != "leases" for write in new):  # those never end
                last = now
            await asyncio.sleep(0.05)
        return tally

    async def statuses(self, wanted: Iterable[tuple[str, str]], seconds: float = 900.0) -> tuple[float, Tally]:
        """Wait until each of these sets had its status written; return when the last one was, and all writes."""
        missing = set(wanted)
        tally = Tally()
        last = 0.0
        deadline = time.monotonic() + seconds
        while missing:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(missing)} sets have got no status")
            for write in self.read():
                tally.writes.append(write)
                if write.resource == "secretsets/status" and write.code < 300:
                    missing.discard((write.namespace, write.name))
                    last = write.at
            await asyncio.sleep(POLL_SECONDS)
        return last, tally

    async def all_ready(self, api: Api, wanted: Collection[Name]) -> tuple[float, Tally]:
        """Wait until all of these sets are ready; return when the last one became so, and all writes until then."""
        missing = set(wanted)
        writes = Tally()
        while True:
            last, tally = await self.statuses(missing)
            writes.writes += tally.writes
            missing = await objects.not_ready(api, missing)
            if not missing:
                return last, writes


def _write(line: bytes) -> Write:
    event = orjson.loads(line)
    ref = event.get("objectRef") or {}
    resource = str(ref.get("resource", "")) + (f"/{ref['subresource']}" if ref.get("subresource") else "")
    return Write(
        resource=resource,
        verb=str(event["verb"]),
        namespace=str(ref.get("namespace", "")),
        name=str(ref.get("name", "")),
        code=int((event.get("responseStatus") or {}).get("code", 0)),
        begun=_seconds(event["requestReceivedTimestamp"]),
        at=_seconds(event["stageTimestamp"]),
    )


def _seconds(stamp: str) -> float:
    return datetime.datetime.fromisoformat(stamp).timestamp()
