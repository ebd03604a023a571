"""Many sets at once: 1,000 sets until all are ready, the operator and the bare client by turns; then memory."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any

from bench import objects
from bench.api import Api
from bench.audit import AuditLog, Tally
from bench.floor import Floor
from bench.objects import ORGANIZATIONS, Name
from bench.process import OperatorProcess, cpu
from bench.report import Row, at_most, at_most_times
from kubelab import ControlPlane

_REST_SECONDS = 3.0  # until memory is read: what only the rush needed was given back, or never will be


class Bulk:
    """Measures on one plane, which must have been furnished."""

    def __init__(self, plane: ControlPlane, api: Api, audit: AuditLog, floor: Floor) -> None:
        self._plane = plane
        self._api = api
        self._audit = audit
        self._floor = floor

    async def race(self, sets: int, rounds: int) -> tuple[list[Row], dict[str, Any]]:
        """Sets until all are ready, by turns with the floor; medians of the rounds."""
        seen: dict[str, list[float]] = {}
        for number in range(rounds):
            figures = {
                "floor_down": await self._bare(self._floor.after, objects.names(f"fd{number}", sets)),
                **await self._down(objects.names(f"od{number}", sets)),
                "floor_up": await self._bare(self._floor.meanwhile, objects.names(f"fu{number}", sets)),
                **await self._up(objects.names(f"ou{number}", sets)),
            }
            for key, value in figures.items():
                seen.setdefault(key, []).append(value)
        mid = {key: statistics.median(values) for key, values in seen.items()}
        part = f"{sets} sets"
        rows = [
            at_most_times(part, "created while up → all ready", "s", mid["up"], mid["floor_up"], 2),
            at_most_times(part, "the same, against the operator's writes alone", "s", mid["up"], mid["floor_down"], 2),
            at_most_times(part, "operator started → all ready", "s", mid["down"], mid["floor_down"], 2),
            at_most_times(part, "the same from its first write on", "s", mid["working"], mid["floor_down"], 2),
            at_most(part, "writes of a new set, mean", "writes", mid["writes"] / sets, 3),
            Row(part=part, what="requests of a new set, mean", unit="requests", ours=mid["requests"] / sets, floor=3),
            Row(part=part, what="processor time of the operator, a set", unit="ms", ours=mid["cpu"] / sets * 1e3),
            Row(part=part, what="processor time of the API server, a set", unit="ms", ours=mid["api_cpu"] / sets * 1e3),
        ]
        return rows, seen

    async def scale(self, sets: int, already: int) -> tuple[list[Row], dict[str, Any]]:
        """Memory with many sets, and a restart with them. Sets of a smaller scale stay, and count."""
        wanted = objects.names("kept", sets)
        await objects.create_sets(self._api, wanted[already:])
        others = await self._watches()
        async with OperatorProcess(self._plane) as operator:
            self._audit.skip()
            last, _ = await self._all_ready(wanted[already:])
            seconds = last - operator.started
            await asyncio.sleep(_REST_SECONDS)
            grown, peak, watches = operator.pss(), operator.peak(), await self._watches() - others
            await self._audit.settled()
        async with OperatorProcess(self._plane) as operator:
            await operator.ready()
            checked = await operator.checked(sets)
            tally = await self._audit.settled(at_least=_REST_SECONDS)
            idle, requests = operator.pss(), await operator.requests()
        part = f"{sets} sets"
        spaces = 2 * len(ORGANIZATIONS)
        rows = [
            Row(
                part=part,
                what=f"memory once all are ready ({spaces} namespaces, {watches} watches)",
                unit="MiB PSS",
                ours=grown,
            ),
            Row(part=part, what="memory after a restart", unit="MiB PSS", ours=idle),
            Row(part=part, what="restart → all checked", unit="s", ours=checked),
            at_most(part, "restart: writes", "writes", len(tally.counted()), 0),
            Row(part=part, what="restart: requests a set", unit="requests", ours=requests / sets),
        ]
        return rows, {"peakRssMiB": peak, f"started to {sets - already} ready": seconds, "apart": dict(tally.apart())}

    async def _bare(self, run: Any, wanted: list[Name]) -> float:
        seconds = float(await run(wanted))
        await objects.wipe(self._api, wanted)
        return seconds

    async def _down(self, wanted: list[Name]) -> dict[str, float]:
        """The sets are there before the operator is; the time of its start counts."""
        await objects.create_sets(self._api, wanted)
        self._audit.skip()
        api_server = self._plane.pids["kube-apiserver"]
        before = cpu(api_server)
        async with OperatorProcess(self._plane) as operator:
            last, tally = await self._all_ready(wanted)
            used, api_used = cpu(operator.pid), cpu(api_server) - before
            await operator.ready()
            requests = await operator.requests()
        await objects.wipe(self._api, wanted)
        first = min(write.at for write in tally.of("secretsets"))
        return {
            "down": last - operator.started,
            "working": last - first,
            "writes": len(tally.counted()),
            "requests": requests,
            "cpu": used,
            "api_cpu": api_used,
        }

    async def _up(self, wanted: list[Name]) -> dict[str, float]:
        """The sets are created while the operator runs."""
        async with OperatorProcess(self._plane) as operator:
            await operator.ready()
            await self._audit.settled()
            started = time.time()
            creating = await objects.create_sets(self._api, wanted)
            last, _ = await self._all_ready(wanted)
        await objects.wipe(self._api, wanted)
        return {"up": last - started, "creating": creating}

    async def _all_ready(self, wanted: list[Name]) -> tuple[float, Tally]:
        """Wait until all are ready; return when the last one became so, and all writes until then."""
        missing = set(wanted)
        writes = Tally()
        while True:
            last, tally = await self._audit.statuses(missing)
            writes.writes += tally.writes
            objs = [obj for name in ORGANIZATIONS for obj in await self._api.items(objects.sets(name))]
            done = {Name(o["metadata"]["namespace"], o["metadata"]["name"]) for o in objs if objects.ready(o)}
            missing = {name for name in wanted if name not in done}
            if not missing:
                return last, writes

    async def _watches(self) -> int:
        """How many watches the API server serves, to anyone."""
        lines = (await self._api.text("/metrics")).splitlines()
        running = [
            line for line in lines if line.startswith("apiserver_longrunning_requests{") and 'verb="WATCH"' in line
        ]
        return int(sum(float(line.rsplit(" ", 1)[1]) for line in running))
