"""Many sets at rest: memory, a restart with all of them, and what an idle operator takes.

Two layouts on planes of their own: the same sets in few and in many organizations (each has two namespaces: its own,
where its sets and sources are, and the one of its Region, where the managed Secrets are).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import furnish, goals, objects
from bench.api import CONCURRENCY, Api
from bench.audit import AuditLog
from bench.process import OperatorProcess, cpu
from bench.rows import Row
from kubelab import ControlPlane

_PART = "many at rest"
_CHECKED_SETS = 10_000  # up to which something is asked of a restart
_REST_SECONDS = 3.0  # until memory is read: what only the rush needed was given back, or never will be
_BEGUN_SECONDS = 24.0  # from ready on; 20 s after it names are compared with the hub's for the first time
_RESYNC_EVERY = 600.0  # seconds, as shipped
_RESYNC_SECONDS, _RESYNCS = 10.0, 2.5  # half of one more, so that none begins or ends with the window


@dataclass(frozen=True, kw_only=True)
class _Memory:
    """In MB."""

    pss: float
    rss: float
    watches: int


@dataclass(frozen=True, kw_only=True)
class Point:
    """What was found after a restart, at one number of sets in one layout."""

    sets: int
    organizations: int
    memory: _Memory


@dataclass(frozen=True, kw_only=True)
class _Restarted:
    memory: _Memory
    seconds: float
    writes: int
    requests: int


class Scale:
    """Measures one layout on a plane without controllers.

    Args:
        plane: a new one.
        api: the bare client of it.
        organizations: how many.
        say: is told how far it is.
    """

    def __init__(self, plane: ControlPlane, api: Api, organizations: int, say: Callable[[str], None]) -> None:
        self._plane = plane
        self._api = api
        self._among = objects.organizations(organizations)
        self._say = say
        self._audit = AuditLog(plane.audit_log)
        self._where = f"in {organizations} organizations"
        self.points: list[Point] = []
        self.details: dict[str, Any] = {}

    async def furnish(self) -> None:
        """Make what has to be there."""
        await furnish.hub(self._plane, self._api, among=self._among)

    async def measure(self, sets: int) -> list[Row]:
        """Memory with so many sets, those of smaller numbers among them; then a restart."""
        self._say(f"{sets} sets {self._where}")
        already = self.points[-1].sets if self.points else 0
        new = objects.names("kept", sets, self._among)[already:]
        # Nothing is timed here, so as many at a time as the API server likes.
        creating = await objects.create_sets(self._api, new, 2 * CONCURRENCY)
        others = await self._watches()
        async with OperatorProcess(self._plane) as operator:
            self._audit.skip()
            last, _ = await self._audit.all_ready(self._api, new)
            seconds = last - operator.started
            await asyncio.sleep(_REST_SECONDS)
            grown = _Memory(pss=operator.pss(), rss=operator.rss(), watches=await self._watches() - others)
            peak = operator.peak()
            await self._audit.settled()
        self._say(f"{sets} sets {self._where}: a restart")
        found = await self._restart(sets)
        self.points.append(Point(sets=sets, organizations=len(self._among), memory=found.memory))
        self.details[f"{sets} sets"] = {
            "created": creating,
            f"started → {sets - already} ready": seconds,
            "peak RSS, MB": peak,
        }
        what = f"{sets} sets {self._where}: memory once all are ready"
        curve = f"{self._where}, once all are ready"
        return [self._memory(what, sets, grown, curve), *self._restarted(sets, found, self._where)]

    async def idle(self, sets: int, seconds: float) -> list[Row]:
        """What the operator takes while nothing happens; nobody asks for its metrics meanwhile."""
        async with OperatorProcess(self._plane) as operator:
            await operator.ready()
            begun = time.monotonic() + _BEGUN_SECONDS
            await operator.checked(sets)
            await asyncio.sleep(begun - time.monotonic())
            await self._audit.settled(quiet=_REST_SECONDS)
            self._say(f"{sets} sets {self._where}: idle for {seconds:.0f} s")
            before, started = cpu(operator.pid), time.monotonic()
            await asyncio.sleep(seconds)
            share = (cpu(operator.pid) - before) / (time.monotonic() - started)
            tally = await self._audit.settled()
        self.details["idle, apart"] = dict(tally.apart())
        resync = await self._resync(sets, share)
        what = f"{sets} sets {self._where}, idle for {seconds:.0f} s"
        return [
            Row(part=_PART, what=f"{what}: processor", unit="% of a core", ours=share * 100, goal=goals.IDLE_CPU),
            Row(
                part=_PART,
                what=f"{what}: writes",
                unit="writes",
                ours=len(tally.at_rest()),
                goal=goals.IDLE_WRITES,
                note=f"and {len(tally.of('leases'))} of Leases",
            ),
            Row(
                part=_PART,
                what=f"{sets} sets {self._where}: a resync, processor time",
                unit="s",
                ours=resync,
                note="one comes every 10 minutes",
            ),
            Row(
                part=_PART,
                what=f"{sets} sets {self._where}, idle, and a resync every 10 minutes: processor",
                unit="% of a core",
                ours=(share + resync / _RESYNC_EVERY) * 100,
            ),
        ]

    async def _resync(self, sets: int, idle: float) -> float:
        """Seconds of processor time of one comparison of everything, beside what idling takes (share of a core)."""
        async with OperatorProcess(self._plane, options=("--resync-seconds", str(_RESYNC_SECONDS))) as operator:
            await operator.ready()
            begun = time.monotonic() + _RESYNC_SECONDS * 1.2
            await operator.checked(sets)
            await asyncio.sleep(begun - time.monotonic())
            self._say(f"{sets} sets {self._where}: resyncs")
            passes, before, started = await operator.passes(), cpu(operator.pid), time.monotonic()
            await asyncio.sleep(_RESYNC_SECONDS * _RESYNCS)
            used = cpu(operator.pid) - before - idle * (time.monotonic() - started)
            return used * sets / max(1, await operator.passes() - passes)

    async def namespaced(self) -> list[Row]:
        """A restart with the rights that the chart grants by default: one watch of each kind for each namespace."""
        wide = self.points[-1]
        self._say(f"{wide.sets} sets {self._where}: rights in single namespaces")
        kubeconfig = await furnish.rights(self._plane, self._api, self._among)
        found = await self._restart(wide.sets, kubeconfig)
        each = (found.memory.pss - wide.memory.pss) / max(1, found.memory.watches - wide.memory.watches)
        return [
            *self._restarted(wide.sets, found, f"{self._where}, rights in each namespace", "rights in each namespace"),
            Row(part=_PART, what="memory of one more watch", unit="kB PSS", ours=each * 1e3),
        ]

    async def _restart(self, sets: int, kubeconfig: Path | None = None) -> _Restarted:
        others = await self._watches()
        async with OperatorProcess(self._plane, kubeconfig=kubeconfig) as operator:
            self._audit.skip()
            await operator.ready()
            checked = await operator.checked(sets)
            tally = await self._audit.settled(at_least=_REST_SECONDS)
            watches = await self._watches() - others
            return _Restarted(
                memory=_Memory(pss=operator.pss(), rss=operator.rss(), watches=watches),
                seconds=checked,
                writes=len(tally.counted()),
                requests=await operator.requests(),
            )

    def _restarted(self, sets: int, found: _Restarted, where: str, curve: str = "") -> list[Row]:
        what = f"{sets} sets {where}: restart"
        return [
            self._memory(f"{sets} sets {where}: memory after a restart", sets, found.memory, curve),
            Row(
                part=_PART,
                what=f"{what} → all checked",
                unit="s",
                ours=found.seconds,
                goal=goals.RESTART_CHECKED if sets <= _CHECKED_SETS else None,
                note=f"{found.requests / sets:.2f} requests a set",
                sets=sets,
                curve=f"restart → all checked, {where}",
            ),
            Row(part=_PART, what=f"{what}: writes", unit="writes", ours=found.writes, goal=goals.WRITES_RESTART),
        ]

    def _memory(self, what: str, sets: int, found: _Memory, curve: str = "") -> Row:
        return Row(
            part=_PART,
            what=what,
            unit="MB PSS",
            ours=found.pss,
            goal=goals.MEMORY.get(sets),
            note=f"RSS {found.rss:.0f} MB, {found.watches} watches",
            sets=sets,
            curve=curve or self._where,
        )

    async def _watches(self) -> int:
        """How many watches the API server serves, to anyone."""
        lines = (await self._api.text("/metrics")).splitlines()
        running = [
            line for line in lines if line.startswith("apiserver_longrunning_requests{") and 'verb="WATCH"' in line
        ]
        return int(sum(float(line.rsplit(" ", 1)[1]) for line in running))


def growth(few: Sequence[Point], many: Sequence[Point]) -> list[Row]:
    """What one more set costs, and one more namespace.

    Args:
        few: points of the layout with few organizations.
        many: of the one with many.
    """
    rows = []
    for points in (few, many):
        least, most = points[0], points[-1]
        if least is not most:
            each = (most.memory.pss - least.memory.pss) / (most.sets - least.sets)
            what = f"memory of one more set, in {most.organizations} organizations ({least.sets} to {most.sets})"
            rows.append(Row(part=_PART, what=what, unit="kB PSS", ours=each * 1e3))
    for one, other in zip(few, many, strict=True):
        each = (other.memory.pss - one.memory.pss) / (other.organizations - one.organizations) / 2
        where = f"{one.sets} sets in {one.organizations} to {other.organizations} organizations"
        what = f"memory of one more namespace ({where})"
        rows.append(Row(part=_PART, what=what, unit="kB PSS", ours=each * 1e3))
    return rows
