"""Many sets at once, until all are ready: the operator and the bare client by turns, in three sizes."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench import goals, objects
from bench.api import Api
from bench.audit import AuditLog, Tally
from bench.floor import Floor
from bench.objects import Name
from bench.process import OperatorProcess, cpu
from bench.rows import Row
from kubelab import ControlPlane

_PART = "many sets"
# What is measured of one run of the operator.
_START = "from its start"
_WORK = "from its first write"

Figures = dict[str, list[float]]


class Bulk:
    """Measures on a furnished plane without controllers."""

    def __init__(self, plane: ControlPlane, api: Api, floor: Floor) -> None:
        self._plane = plane
        self._api = api
        self._audit = AuditLog(plane.audit_log)
        self._floor = floor

    async def down(self, sizes: Mapping[int, int], say: Callable[[str], None]) -> tuple[list[Row], dict[str, Any]]:
        """Sets that are created while the operator is down.

        Args:
            sizes: numbers of sets, with the rounds of each, of which medians are taken.
            say: is told how far it is.
        """
        seen: dict[int, Figures] = {size: {} for size in sizes}
        for size, rounds in sizes.items():
            for number in range(rounds):
                say(f"{size} sets, {number + 1} of {rounds}")
                # Whoever comes second finds a larger store: by turns, so that it is not always the same.
                for side in ("floor", "ours") if number % 2 == 0 else ("ours", "floor"):
                    wanted = objects.names(f"{side}-{number}", size)
                    figures = await (self._bare(wanted) if side == "floor" else self._started(wanted))
                    for key, value in figures.items():
                        seen[size].setdefault(key, []).append(value)
                    await objects.wipe(self._api, wanted)
        rows = [row for size in sizes for row in _throughput(size, _medians(seen[size]))]
        if len(sizes) > 1:
            rows += _growth(min(sizes), max(sizes), {size: _medians(figures) for size, figures in seen.items()})
        return rows, {str(size): figures for size, figures in seen.items()}

    async def up(self, size: int, rounds: int) -> tuple[list[Row], Figures]:
        """Sets that are created while the operator runs; the floor creates and writes at the same time, too."""
        seen: Figures = {}
        for number in range(rounds):
            wanted = objects.names(f"fu{number}", size)
            seen.setdefault("floor", []).append(await self._floor.meanwhile(wanted))
            await objects.wipe(self._api, wanted)
            wanted = objects.names(f"ou{number}", size)
            async with OperatorProcess(self._plane) as operator:
                await operator.ready()
                await self._audit.settled()
                started = time.time()
                await objects.create_sets(self._api, wanted)
                last, _ = await self._audit.all_ready(self._api, wanted)
            seen.setdefault("ours", []).append(last - started)
            await objects.wipe(self._api, wanted)
        mid = _medians(seen)
        what = f"{size} sets, created while the operator runs → all ready"
        row = Row(part=_PART, what=what, unit="s", ours=mid["ours"], floor=mid["floor"], goal=goals.WHILE_UP)
        return [row], seen

    async def _bare(self, wanted: Sequence[Name]) -> dict[str, float]:
        made = await self._floor.create_all(wanted)
        before = self._processors(os.getpid())
        seconds = await self._floor.after(made)
        return {"floor": seconds, "floor: processors": self._processors(os.getpid()) - before}

    def _processors(self, client: int) -> float:
        """Processor time until now of a client and of both programs that serve it, in seconds."""
        return sum(map(cpu, (client, self._plane.pids["kube-apiserver"], self._plane.pids["etcd"])))

    async def _started(self, wanted: Sequence[Name]) -> dict[str, float]:
        await objects.create_sets(self._api, wanted)
        self._audit.skip()
        async with OperatorProcess(self._plane) as operator:
            before = self._processors(operator.pid)
            last, tally = await self._audit.statuses(wanted)
            used, all_used = cpu(operator.pid), self._processors(operator.pid) - before
            if rest := await objects.not_ready(self._api, wanted):
                last, more = await self._audit.all_ready(self._api, rest)
                tally.writes += more.writes
            await operator.ready()
            requests = await operator.requests()
        return {
            _START: last - operator.started,
            _WORK: last - _first_write(tally),
            "writes": len(tally.counted()),
            "requests": requests,
            "processor": used,
            "processors": all_used,
        }


def _first_write(tally: Tally) -> float:
    return min(write.begun for write in tally.counted() if write.code < 300)


def _medians(figures: Figures) -> dict[str, float]:
    return {key: statistics.median(values) for key, values in figures.items()}


def _throughput(size: int, mid: Mapping[str, float]) -> list[Row]:
    what = f"{size} sets, created while the operator is down → all ready"
    start = mid[_START] - mid[_WORK]
    return [
        Row(
            part=_PART,
            what=f"{what}, {_WORK} on",
            unit="sets/s",
            ours=size / mid[_WORK],
            floor=size / mid["floor"],
            goal=goals.THROUGHPUT,
        ),
        Row(
            part=_PART,
            what=f"{what}, {_START} on",
            unit="s",
            ours=mid[_START],
            floor=mid["floor"],
            goal=goals.THROUGHPUT_START,
            note=f"{start:.1f} s until its first write",
            sets=size,
            curve="operator started → all ready",
        ),
        Row(
            part=_PART,
            what=f"{size} sets: writes of each, mean",
            unit="writes",
            ours=mid["writes"] / size,
            goal=goals.WRITES_NEW,
        ),
        Row(part=_PART, what=f"{size} sets: requests for each", unit="requests", ours=mid["requests"] / size, floor=2),
        Row(
            part=_PART,
            what=f"{size} sets: processor time for each, of client, API server and etcd",
            unit="ms",
            ours=mid["processors"] / size * 1e3,
            floor=mid["floor: processors"] / size * 1e3,
            note=f"of the operator, with its start, {mid['processor'] / size * 1e3:.1f} ms",
        ),
    ]


def _growth(least: int, most: int, mid: Mapping[int, Mapping[str, float]]) -> list[Row]:
    """How much longer a set takes among many than among few; the floor has a growth of its own."""

    def growth(key: str) -> float:
        return mid[most][key] / most / (mid[least][key] / least)

    what = f"time of a set among {most}, over that among {least}"
    return [
        Row(
            part=_PART,
            what=f"{what}, {_WORK} on",
            unit="times",
            ours=growth(_WORK),
            floor=growth("floor"),
            goal=goals.GROWTH,
        ),
        Row(part=_PART, what=f"{what}, {_START} on", unit="times", ours=growth(_START), floor=growth("floor")),
    ]
