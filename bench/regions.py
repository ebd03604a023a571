"""Regions on another cluster: what one that is away costs the others, how soon it is told, and who takes over.

The links are broken with the proxy and the server in distress that the tests use.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

from bench import goals, objects
from bench.api import Api, side_by_side
from bench.audit import AuditLog
from bench.goals import Goal
from bench.objects import Name
from bench.process import OperatorProcess
from bench.rows import Row, rank
from bench.world import World
from harness import faulty
from harness.faulty import FaultyServer
from harness.proxy import Proxy
from kubelab import ControlPlane

_PART = "regions"
_PACE = 0.025  # seconds between two new sets: what users do, not what the machine can do
_DARK, _BUSY, _NEAR = "dark", "busy", "near"


class Regions:
    """Measures on a furnished hub, with the regions on one other plane."""

    def __init__(self, hub: ControlPlane, api: Api, far: ControlPlane, far_api: Api) -> None:
        self._hub = hub
        self._api = api
        self._world = World(api, far_api)
        self._far = far
        self._audit = AuditLog(hub.audit_log)

    async def measure(
        self, *, sets: int, rounds: int, samples: int, many: int, flapping: float
    ) -> tuple[list[Row], dict[str, Any]]:
        """All rows of this part.

        Args:
            sets: of which the time to ready is taken, in each round.
            rounds: by turns with the other regions well and in distress.
            samples: of each way to lose a link, and a replica.
            many: regions whose memory is measured; 0: none.
            flapping: seconds for which a link does; 0: none does.
        """
        with Proxy.to(self._far) as dark, Proxy.to(self._far) as busy, FaultyServer(faulty.throttling()) as throttling:
            folder = self._far.data_dir
            self._direct = self._far.kubeconfig
            self._through = busy.kubeconfig(self._far.kubeconfig)
            self._throttled = throttling.kubeconfig(folder / "throttling.kubeconfig")
            await self._world.region(_NEAR, self._direct)
            await self._world.region(_DARK, dark.kubeconfig(self._far.kubeconfig))
            await self._world.region(_BUSY, self._through)
            details: dict[str, Any] = {}
            rows = [*await self._bulkhead(dark, sets, rounds, details)]
            rows += await self._link(dark, samples, flapping, details)
            rows += await self._takeover(samples, details)
            rows += await self._memory(many, details) if many else []
        return rows, details

    async def _bulkhead(self, dark: Proxy, sets: int, rounds: int, details: dict[str, Any]) -> list[Row]:
        """Time to ready in regions that are well, by turns with the two others well and in distress."""
        ill = [self._world.name(region, n) for region in (_DARK, _BUSY) for n in range(100)]
        seen: dict[str, list[float]] = {"well": [], "ill": []}
        async with OperatorProcess(self._hub) as operator:
            await operator.ready()
            await self._world.source(_DARK, 0)
            await self._world.source(_BUSY, 0)
            await side_by_side(ill, lambda name: self._world.create(name, name.name.split("-")[0], of_region=True))
            await self._audit.statuses(ill)
            for turn in range(rounds):
                seen["well"] += await self._ready_times(sets, f"w{turn}")
                dark.black_hole()
                await self._world.credentials(_BUSY, self._throttled)
                for region in (_DARK, _BUSY):
                    await self._world.source(region, turn + 1)
                await asyncio.sleep(8.0)  # until both are known to be in distress, and all their sets wait
                seen["ill"] += await self._ready_times(sets, f"i{turn}")
                dark.up()
                await self._world.credentials(_BUSY, self._through)
                await self._world.until(partial(self._world.all_at, ill, turn + 2))
                await self._audit.settled()
        details["time to ready"] = seen
        what = f"created → ready, a dark and a throttling region beside with 100 sets waiting each ({len(seen['ill'])})"
        return [
            Row(
                part=_PART,
                what=f"{what}, {name}",
                unit="ms",
                ours=rank(seen["ill"], q) * 1e3,
                floor=rank(seen["well"], q) * 1e3,
                goal=goal,
                note="floor: both others well",
            )
            for name, q, goal in (("p50", 0.5, None), ("p99", 0.99, goals.BULKHEAD_P99))
        ]

    async def _ready_times(self, sets: int, prefix: str) -> list[float]:
        """Create sets at a steady pace, by turns on the hub and in the near region; seconds until each is ready."""
        self._audit.skip()
        wanted = {self._world.name(objects.REGION if n % 2 else _NEAR, n, prefix): n for n in range(sets)}
        created: dict[tuple[str, str], float] = {}
        for name, n in wanted.items():
            created[name] = time.time()
            await self._world.create(name, objects.REGION if n % 2 else _NEAR)
            await asyncio.sleep(_PACE)
        _, tally = await self._audit.statuses(wanted)
        first: dict[tuple[str, str], float] = {}
        for write in tally.of("secretsets/status"):
            if write.code < 300 and (write.namespace, write.name) in created:
                first.setdefault((write.namespace, write.name), write.at)
        for name in wanted:
            await self._api.send("DELETE", name.path)
        await self._audit.settled()
        return [first[name] - at for name, at in created.items()]

    async def _link(self, dark: Proxy, samples: int, flapping: float, details: dict[str, Any]) -> list[Row]:
        """How soon a lost link is told, and what waits is delivered when it is back; then a link that flaps."""
        waiting = self._world.name(_DARK, 0)
        told: list[float] = []
        delivered: list[float] = []
        async with OperatorProcess(self._hub) as operator:
            await operator.ready()
            await self._world.until(lambda: self._world.reachable(_DARK, "True"))
            for turn in range(samples):
                await asyncio.sleep(7.0)  # longer than the report of a flapping link holds back
                (dark.refuse if turn % 2 else dark.black_hole)()
                told.append(await self._world.until(lambda: self._world.reachable(_DARK, "False")))
                revision = await self._world.revision(waiting)
                await self._world.source(_DARK, 100 + turn)
                await asyncio.sleep(2.0 + turn % 4)
                dark.up()
                delivered.append(await self._world.until(partial(self._world.at, waiting, revision + 1)))
            flaps = await self._flap(dark, flapping) if flapping else []
        details |= {"told": told, "delivered": delivered}
        return [
            _row(f"link lost → the Region says so, longest of {samples}", "s", max(told), goals.LINK_LOST),
            _row(f"link back → what waited is delivered, longest of {samples}", "s", max(delivered), goals.LINK_BACK),
            *flaps,
        ]

    async def _flap(self, dark: Proxy, seconds: float) -> list[Row]:
        """What is written while a link is down and up once a second."""
        await asyncio.sleep(10.0)
        self._audit.skip()
        dark.flap(1.0)
        await asyncio.sleep(seconds)
        dark.up()
        await asyncio.sleep(8.0)
        counted = [write for write in self._audit.read() if write.resource not in {"leases", "events"}]
        what = f"link down and up once a second for {seconds:.0f} s: status writes"
        return [_row(what, "writes", len(counted), goals.LINK_FLAPS)]

    async def _takeover(self, samples: int, details: dict[str, Any]) -> list[Row]:
        """How soon the regions of a replica that was killed, or stopped, are served again."""
        name = self._world.name(_NEAR, 0, "takeover")
        await self._world.source(_NEAR, 0)
        replicas = {each: OperatorProcess(self._hub, options=("--replica", each)) for each in ("a", "b")}
        times: dict[str, list[float]] = {"killed": [], "stopped": []}
        try:
            for replica in replicas.values():
                await replica.ready(serving=False)
            await self._world.create(name, _NEAR, of_region=True)
            await self._world.until(lambda: self._world.at(name, 1))
            for turn in range(2 * samples):
                how = "killed" if turn % 2 else "stopped"
                await self._world.until(lambda: self._world.served(_NEAR, set(replicas)))
                await asyncio.sleep(3.0)
                owner = (await self._world.status(_NEAR))["replica"]
                revision = await self._world.revision(name)
                ending = asyncio.create_task(replicas[owner].stop(kill=how == "killed"))
                await self._world.source(_NEAR, turn + 1)
                times[how].append(await self._world.until(partial(self._world.at, name, revision + 1)))
                await ending
                replicas[owner] = OperatorProcess(self._hub, options=("--replica", owner))
                await replicas[owner].ready(serving=False)
        finally:
            for replica in replicas.values():
                await replica.stop()
        details["taken over"] = times
        return [
            _row(
                f"replica {how} → a change in its region is delivered, longest of {samples}", "s", max(times[how]), goal
            )
            for how, goal in (("killed", goals.REPLICA_KILLED), ("stopped", goals.REPLICA_STOPPED))
        ]

    async def _memory(self, many: int, details: dict[str, Any]) -> list[Row]:
        """What a region costs at rest."""
        before = await self._pss()
        names = [self._world.name(f"many-{n:03}", n) for n in range(many)]
        for n, name in enumerate(names):
            await self._world.region(f"many-{n:03}", self._direct, only=name.organization)
            await self._world.create(name, f"many-{n:03}")
        after = await self._pss(names)
        details["memory"] = {"before": before, "after": after}
        each = (after - before) / many
        return [_row(f"memory of a region at rest, mean of {many}", "MB PSS", each, goals.REGION_MEMORY)]

    async def _pss(self, wanted: list[Name] | None = None) -> float:
        async with OperatorProcess(self._hub) as operator:
            await operator.ready()
            if wanted:
                await self._world.until(lambda: self._world.all_at(wanted, 1))
            await asyncio.sleep(5.0)
            return operator.pss()


def _row(what: str, unit: str, ours: float, goal: Goal) -> Row:
    return Row(part=_PART, what=what, unit=unit, ours=ours, goal=goal)
