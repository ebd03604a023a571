"""One thing at a time on an idle plane: how long a user waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from bench import objects
from bench.api import MERGE_PATCH, Api, Follower
from bench.floor import Floor
from bench.objects import Name
from bench.process import OperatorProcess
from bench.report import Row, percentiles
from kubelab import ControlPlane

_PATCHED_MS = 20.0  # from the change of a source to the template, at the median
_PAUSE = 0.03  # between two samples, so that none begins in the wake of another


async def learn(plane: ControlPlane, api: Api) -> Floor:
    """Warm the plane up with a few sets, and take the floor's bodies from one of them."""
    wanted = objects.names("pattern", 20)
    async with OperatorProcess(plane) as operator:
        await operator.ready()
        sets = Follower(api, f"{objects.GROUP}/secretsets")
        await asyncio.sleep(0.2)
        for name in wanted:
            await sets.until(_ready(name), api.send("POST", objects.sets(name.organization), objects.secret_set(name)))
        await sets.stop()
    floor = await Floor.learn(api, wanted[0])
    await objects.wipe(api, wanted)
    return floor


async def measure(plane: ControlPlane, api: Api, floor: Floor, *, sets: int, changes: int) -> list[Row]:
    """Times of single sets and single changes, between two halves of the floor."""
    bound = Name(objects.ORGANIZATIONS[0], "bound")
    bare = Name(objects.ORGANIZATIONS[1], "bare")
    for name in (bound, bare):
        await api.send("POST", objects.deployments(name.target), objects.deployment(name.target, "app", name.name))

    delivered = await _floor_sets(api, floor, objects.names("f1", sets // 2))
    restarted = await _floor_changes(api, floor, bare, range(changes // 2))
    async with OperatorProcess(plane) as operator:
        await operator.ready()
        ours = await _sets(api, objects.names("one", sets))
        ours_changed = await _changes(api, bound, changes)
    delivered += await _floor_sets(api, floor, objects.names("f2", sets - sets // 2))
    restarted += await _floor_changes(api, floor, bare, range(changes // 2, changes))

    for name in (bound, bare):
        await api.send("DELETE", f"{objects.deployments(name.target)}/app")
    await objects.wipe(api, [bound])
    return [
        *percentiles("one set", f"created → ready, idle ({sets} samples)", ours, delivered),
        *percentiles(
            "one change",
            f"source → Deployment patched ({changes} samples)",
            ours_changed,
            restarted,
            median_ms=_PATCHED_MS,
        ),
    ]


async def _floor_sets(api: Api, floor: Floor, wanted: list[Name]) -> list[float]:
    seconds = []
    for name in wanted:
        obj = await floor.create(name)
        started = time.perf_counter()
        await floor.deliver(obj)
        seconds.append(time.perf_counter() - started)
        await asyncio.sleep(_PAUSE)
    await objects.wipe(api, wanted)
    return seconds


async def _floor_changes(api: Api, floor: Floor, name: Name, turns: range) -> list[float]:
    await api.send("POST", objects.secrets(name.target), floor.secret(name))
    seconds = []
    for turn in turns:
        seconds.append(await floor.restart(name, "app", turn))
        await asyncio.sleep(_PAUSE)
    await api.send("DELETE", name.secret_path)
    return seconds


async def _sets(api: Api, wanted: list[Name]) -> list[float]:
    follower = Follower(api, f"{objects.GROUP}/secretsets")
    await asyncio.sleep(0.2)
    seconds = []
    for name in wanted:
        create = api.send("POST", objects.sets(name.organization), objects.secret_set(name))
        seconds.append(await follower.until(_ready(name), create))
        await asyncio.sleep(_PAUSE)
    await follower.stop()
    for name in wanted:
        await api.send("DELETE", name.path)
    return seconds


async def _changes(api: Api, name: Name, changes: int) -> list[float]:
    """Change a source that one set reads, and wait for the template of the Deployment that uses it."""
    await api.send("POST", objects.secrets(name.organization), objects.source(name.organization, "of-bound"))
    sets = Follower(api, f"{objects.GROUP}/secretsets")
    deployments = Follower(api, objects.deployments(name.target))
    await asyncio.sleep(0.2)
    await sets.until(
        _ready(name), api.send("POST", objects.sets(name.organization), objects.secret_set(name, "of-bound"))
    )
    path = f"{objects.secrets(name.organization)}/of-bound"
    seconds = []
    for turn in range(1, changes + 1):
        told = asyncio.create_task(sets.until(_revision(name, turn + 1), asyncio.sleep(0)))
        change = api.send("PATCH", path, {"data": objects.source_data(turn)}, MERGE_PATCH)
        seconds.append(await deployments.until(_restarted(turn + 1), change))
        await told
        await asyncio.sleep(_PAUSE)
    await sets.stop()
    await deployments.stop()
    return seconds


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
