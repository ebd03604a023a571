"""One thing at a time on an idle plane: how long a user waits, and for what.

Operator and floor take turns in blocks: while the operator runs it would see to the floor's sets as well.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from bench import goals, objects, stages
from bench.api import MERGE_PATCH, Api, Follower, Seen
from bench.audit import AuditLog
from bench.floor import Floor
from bench.objects import Name
from bench.process import OperatorProcess
from bench.rows import Row, percentiles
from kubelab import ControlPlane

_PAUSE = 0.03  # seconds between two samples, so that none begins in the wake of another
_WARM = 5  # samples of each block that do not count, of either side: connections are cold after a start
_SOURCE = "of-bound"
_KEYS = ("api-key", "url")  # of the source: a set that reads now the one and now the other has changed


async def learn(plane: ControlPlane, api: Api) -> Floor:
    """Warm the plane up with a few sets, and take the floor's bodies from one of them."""
    wanted = objects.names("pattern", 20)
    async with OperatorProcess(plane) as operator:
        await operator.ready()
        await _new(api, wanted)
    floor = await Floor.learn(api, wanted[0])
    await objects.wipe(api, wanted)
    return floor


class Latency:
    """Measures on a furnished plane without controllers.

    Args:
        plane: the plane.
        api: the bare client.
        floor: the operator's writes without it.
        turns: blocks of each side.
    """

    def __init__(self, plane: ControlPlane, api: Api, floor: Floor, *, turns: int) -> None:
        self._plane = plane
        self._api = api
        self._floor = floor
        self._turns = turns
        self._audit = AuditLog(plane.audit_log)
        self._bound = Name(objects.ORGANIZATIONS[0], "bound")
        self._bare = Name(objects.ORGANIZATIONS[1], "bare")
        self._revision = 1
        self._read = 0  # which of the keys
        self.details: dict[str, list[float]] = {}
        """Each sample in seconds, in order."""

    async def new_sets(self, samples: int) -> list[Row]:
        """A set, from the answer to its creation until a watch shows that it is ready; floor: two bare writes."""
        ours: list[Seen] = []
        floor: list[float] = []
        spans: list[tuple[float, ...]] = []
        each = _WARM + samples // self._turns
        for turn in range(self._turns):
            floor += (await self._bare_pairs(objects.names(f"f{turn}", each)))[_WARM:]
            wanted = objects.names(f"one{turn}", each)
            async with OperatorProcess(self._plane) as operator:
                await self._at_rest(operator)
                seen = await _new(self._api, wanted)
                tally = await self._audit.settled()
            await objects.wipe(self._api, wanted)
            ours += seen[_WARM:]
            spans += [stages.until_ready(name, one, tally) for name, one in zip(wanted, seen, strict=True)][_WARM:]
        what = f"created → ready, idle ({len(ours)} samples; floor: POST Secret, PUT status)"
        seconds = [one.seconds for one in ours]
        self.details |= {"created → ready": seconds, "two bare writes": floor}
        rows = percentiles("one set", what, seconds, floor, p50=goals.ONE_SET_P50, p99=goals.ONE_SET_P99)
        return [*rows, *stages.shares("one set", stages.NEW, spans)]

    async def updates(self, samples: int) -> list[Row]:
        """A change, from the answer to it until a watch shows the Deployment's new template; floor: one bare patch."""
        floor: list[float] = []
        ours: dict[str, list[Seen]] = {"set": [], "source": []}
        spans: list[tuple[float, ...]] = []
        each = _WARM + samples // self._turns
        await self._prepare()
        for turn in range(self._turns):
            for number in range(each):
                seconds = await self._floor.patch(self._bare, "app", turn * each + number)
                floor += [seconds] * (number >= _WARM)
                await asyncio.sleep(_PAUSE)
            async with OperatorProcess(self._plane) as operator:
                await self._at_rest(operator)
                if turn == 0:
                    await self._until_ready()
                for kind, change in (("set", self._change_set), ("source", self._change_source)):
                    self._audit.skip()
                    seen = await self._changes(change, each)
                    tally = await self._audit.settled()
                    ours[kind] += seen[_WARM:]
                    if kind == "set":
                        spans += stages.until_patched(self._bound, seen, tally)[_WARM:]
        await self._clear()
        self.details["one bare patch"] = floor
        rows = []
        for kind, seen in ours.items():
            self.details[f"{kind} changed → patched"] = times = [one.seconds for one in seen]
            what = f"{kind} changed → Deployment patched ({len(times)} samples; floor: one PATCH)"
            rows += percentiles("one update", what, times, floor, p50=goals.UPDATE_P50)
        return [*rows, *stages.shares("one update", stages.CHANGED, spans)]

    # --- the floor

    async def _bare_pairs(self, wanted: Sequence[Name]) -> list[float]:
        seconds = []
        for name in wanted:
            seconds.append(await self._floor.after_one(await self._floor.create(name)))
            await asyncio.sleep(_PAUSE)
        await objects.wipe(self._api, wanted)
        return seconds

    # --- the operator

    async def _at_rest(self, operator: OperatorProcess) -> None:
        await operator.ready()
        await self._audit.settled()

    async def _changes(self, change: Callable[[], Awaitable[Any]], count: int) -> list[Seen]:
        """Change what one set holds, and wait for the template of the Deployment that uses it."""
        sets = Follower(self._api, objects.sets(self._bound.organization))
        deployments = Follower(self._api, objects.deployments(self._bound.target))
        await asyncio.sleep(0.2)
        seen = []
        for _ in range(count):
            self._revision += 1
            told = asyncio.create_task(sets.until(_revision(self._bound, self._revision), asyncio.sleep(0)))
            await asyncio.sleep(0)  # the task has to wait before there is something to wait for
            seen.append(await deployments.until(_restarted(self._revision), change()))
            await told
            await asyncio.sleep(_PAUSE)
        await sets.stop()
        await deployments.stop()
        return seen

    async def _change_set(self) -> None:
        self._read = 1 - self._read
        reads = {"valueFrom": {"secretKeyRef": {"name": _SOURCE, "key": _KEYS[self._read]}}}
        await self._api.send("PATCH", self._bound.path, {"spec": {"data": {"API_KEY": reads}}}, MERGE_PATCH)

    async def _change_source(self) -> None:
        path = f"{objects.secrets(self._bound.organization)}/{_SOURCE}"
        data = {key: base64.b64encode(f"{key} of {self._revision}".encode()).decode() for key in _KEYS}
        await self._api.send("PATCH", path, {"data": data}, MERGE_PATCH)

    # --- objects

    async def _prepare(self) -> None:
        for name in (self._bound, self._bare):
            body = objects.deployment(name.target, "app", name.name)
            await self._api.send("POST", objects.deployments(name.target), body)
        organization = self._bound.organization
        await self._api.send("POST", objects.secrets(organization), objects.source(organization, _SOURCE))

    async def _until_ready(self) -> None:
        sets = Follower(self._api, objects.sets(self._bound.organization))
        await asyncio.sleep(0.2)
        body = objects.secret_set(self._bound, _SOURCE)
        create = self._api.send("POST", objects.sets(self._bound.organization), body)
        await sets.until(_ready(self._bound), create)
        await sets.stop()
        await self._audit.settled()

    async def _clear(self) -> None:
        for name in (self._bound, self._bare):
            await self._api.send("DELETE", f"{objects.deployments(name.target)}/app")
        await objects.wipe(self._api, [self._bound])


async def _new(api: Api, wanted: Sequence[Name]) -> list[Seen]:
    follower = Follower(api, f"{objects.GROUP}/secretsets")
    await asyncio.sleep(0.2)
    seen = []
    for name in wanted:
        create = api.send("POST", objects.sets(name.organization), objects.secret_set(name))
        seen.append(await follower.until(_ready(name), create))
        await asyncio.sleep(_PAUSE)
    await follower.stop()
    return seen


def _ready(name: Name) -> Callable[[dict[str, Any]], bool]:
    return lambda obj: obj["metadata"]["name"] == name.name and objects.ready(obj)


def _revision(name: Name, revision: int) -> Callable[[dict[str, Any]], bool]:
    return lambda obj: obj["metadata"]["name"] == name.name and (obj.get("status") or {}).get("revision") == revision


def _restarted(revision: int) -> Callable[[dict[str, Any]], bool]:
    """Whether the template names the wave of a revision; a wave's id begins with it."""

    def so(obj: dict[str, Any]) -> bool:
        annotations = obj["spec"]["template"]["metadata"].get("annotations") or {}
        return f"@{revision}-" in annotations.get("secretset.dev/restarted-for", "")

    return so
