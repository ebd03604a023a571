"""The parts of the benchmark, and the control planes that each of them has."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from bench import counting, furnish, latency, pages, sealing
from bench.api import Api
from bench.bulk import Bulk
from bench.extent import Extent
from bench.kept import Kept, Part
from bench.latency import Latency
from bench.regions import Regions
from bench.restarts import Restarts
from bench.rows import Row
from bench.scale import Point, Scale, growth
from kubelab import ControlPlane

Say = Callable[[str], None]
Found = tuple[list[Row], Any]


async def measure(extent: Extent, parts: Sequence[str], facts: dict[str, Any], say: Say, kept: Kept) -> list[Row]:
    """Measure some parts, one after the other unless the extent says otherwise.

    Args:
        extent: how much.
        parts: their names, in the order of `PARTS`.
        facts: gets the API server's version, each part's seconds and details, and what ended one (`failed`).
        say: is told how far it is.
        kept: takes each part that is done; those that it has are not measured again.
    """
    found: dict[str, list[Row]] = {}
    facts |= {"parts": {}, "details": {}, "failed": {}}

    async def one(part: str) -> None:
        if (done := kept.parts.get(part)) is not None:
            found[part], facts["details"][part], facts["parts"][part] = done.rows, done.details, done.seconds
            facts["kubernetes"] = kept.server
            say(f"{part}: is there already")
            return
        started = time.monotonic()
        try:
            found[part], facts["details"][part] = await PARTS[part](extent, facts, partial(_say, say, part))
        except Exception as error:  # noqa: BLE001  (the other parts take long as well, and are worth as much)
            found[part], facts["failed"][part] = [], f"{type(error).__name__}: {error}"
            traceback.print_exc()
        facts["parts"][part] = round(time.monotonic() - started)
        if found[part]:
            done = Part(rows=found[part], details=facts["details"][part], seconds=facts["parts"][part])
            kept.add(part, done, facts.get("kubernetes", ""))
        say(f"{part}: took {facts['parts'][part]} s")

    for part in parts:
        if not (extent.together and part in _PATIENT):
            await one(part)
    async with asyncio.TaskGroup() as group:
        for part in parts:
            if part not in found:
                group.create_task(one(part))
    return list(itertools.chain.from_iterable(found[part] for part in parts))


async def _sealing(extent: Extent, facts: dict[str, Any], say: Say) -> Found:
    say("one processor, no cluster")
    return sealing.measure(rounds=extent.rounds), {}


async def _writes(extent: Extent, facts: dict[str, Any], say: Say) -> Found:
    say("counting")
    async with _plane(facts, nodes=1) as (plane, api):
        return await counting.count(plane, api)


async def _race(extent: Extent, facts: dict[str, Any], say: Say) -> Found:
    async with _plane(facts) as (plane, api):
        await furnish.hub(plane, api)
        bulk = Bulk(plane, api, await latency.learn(plane, api))
        rows, details = await bulk.down(extent.sizes, say)
        say(f"{extent.up} sets, the operator up")
        more, beside = await bulk.up(extent.up, extent.rounds)
        return rows + more, {**details, "up": beside}


async def _latency(extent: Extent, facts: dict[str, Any], say: Say) -> Found:
    async with _plane(facts) as (plane, api):
        await furnish.hub(plane, api)
        one = Latency(plane, api, await latency.learn(plane, api), turns=extent.turns)
        say("one set at a time")
        rows = await one.new_sets(extent.samples)
        say("one update at a time")
        rows += await one.updates(extent.samples)
        return rows, one.details


async def _restarts(extent: Extent, facts: dict[str, Any], say: Say) -> Found:
    say("one set, many Deployments")
    async with _plane(facts) as (plane, api):
        await furnish.hub(plane, api)
        return await Restarts(plane, api).measure(rounds=extent.rounds, changes=extent.changes)


async def _regions(extent: Extent, facts: dict[str, Any], say: Say) -> Found:
    say("links and replicas that end")
    async with _plane(facts) as (hub, api), _plane(facts) as (far, far_api):
        await furnish.hub(hub, api)
        return await Regions(hub, api, far, far_api).measure(
            sets=extent.beside,
            rounds=extent.rounds,
            samples=extent.links,
            many=extent.regions,
            flapping=extent.flapping,
        )


async def _scale(extent: Extent, facts: dict[str, Any], say: Say) -> Found:
    rows: list[Row] = []
    points: list[list[Point]] = []
    details: dict[str, Any] = {}
    sets, seconds = extent.idle
    for layout in extent.layouts:
        async with _plane(facts) as (plane, api):
            scale = Scale(plane, api, layout, say)
            await scale.furnish()
            for number in extent.scales:
                rows += await scale.measure(number)
                if number == sets:
                    # Few organizations: the sets are what idles. Many: so are the watches.
                    if layout == extent.layouts[0]:
                        rows += await scale.idle(sets, seconds)
                        rows += await pages.measure(plane, api, sets, say)
                    else:
                        rows += await scale.namespaced()
            points.append(scale.points)
            details[f"{layout} organizations"] = scale.details
    return rows + growth(*points), details


Measure = Callable[[Extent, dict[str, Any], Say], Awaitable[Found]]
PARTS: Mapping[str, Measure] = {
    "sealing": _sealing,
    "writes": _writes,
    "race": _race,
    "latency": _latency,
    "restarts": _restarts,
    "regions": _regions,
    "scale": _scale,
}
# Their figures are counts, sizes, or mostly waiting: what runs beside them changes little.
_PATIENT = frozenset({"writes", "regions", "scale"})


def _say(say: Say, part: str, text: str) -> None:
    say(f"{part}: {text}")


@asynccontextmanager
async def _plane(facts: dict[str, Any], *, nodes: int = 0) -> AsyncIterator[tuple[ControlPlane, Api]]:
    """A new control plane, with controllers only where there are nodes."""
    name = f"bench-{secrets.token_hex(3)}"
    plane = ControlPlane(name, nodes=nodes, controllers=bool(nodes), audit=True)
    try:
        await asyncio.to_thread(plane.start)
        async with Api(plane) as api:
            facts["kubernetes"] = (await api.send("GET", "/version"))["gitVersion"]
            yield plane, api
    finally:
        await asyncio.to_thread(plane.stop)
