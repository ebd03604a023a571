"""The benchmark: the operator beside a floor that is measured in the same run. See README.md for what a row means.

Two control planes, one after the other: one where rollouts take place, to count writes; one without controllers, to
measure times and memory with nothing else on the machine. Both end with this process, however it ends.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
import time
from dataclasses import dataclass
from typing import Any

import uvloop

from bench import counting, latency, objects, report, sealing
from bench.api import Api
from bench.audit import AuditLog
from bench.bulk import Bulk
from bench.regions import Regions
from bench.report import Row
from bench.restarts import Restarts
from kubelab import ControlPlane

PARTS = ("sealing", "writes", "race", "latency", "restarts", "regions", "scale")


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How much is measured."""

    sets: int
    rounds: int
    samples: int
    changes: int
    links: int
    many: int
    scales: tuple[int, ...]


FULL = Extent(sets=1000, rounds=3, samples=200, changes=100, links=6, many=100, scales=(1000, 10_000))
QUICK = Extent(sets=1000, rounds=1, samples=50, changes=30, links=2, many=20, scales=(1000,))


def main() -> int:
    """Measure, print the table, keep the results; return 1 with --strict if something is not as asked for."""
    options = _options()
    extent = QUICK if options.quick else FULL
    if options.sets:
        extent = Extent(
            sets=options.sets,
            rounds=extent.rounds,
            samples=extent.samples,
            changes=extent.changes,
            links=extent.links,
            many=extent.many,
            scales=(options.sets,),
        )
    # Collected before anything of ours runs: the load of somebody else makes all times worthless.
    facts: dict[str, Any] = {
        "date": report.today(),
        "quick": options.quick,
        "machine": report.machine(),
        "source": report.source(),
    }
    started = time.monotonic()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rows = runner.run(_measure(extent, options.only, facts))
    facts["seconds"] = time.monotonic() - started
    facts |= {"loadAfter": round(os.getloadavg()[0], 2), "sourceAfter": report.source()}
    print(report.table(rows))
    for doubt in report.doubts(facts):
        print(f"not a reference: {doubt}")
    if options.only == list(PARTS) and not options.sets:
        report.save(rows, facts)
    return int(options.strict and any(row.met is False for row in rows))


async def _measure(extent: Extent, parts: list[str], facts: dict[str, Any]) -> list[Row]:
    rows: list[Row] = []
    details: dict[str, Any] = {}
    facts["details"] = details
    if "sealing" in parts:
        _say("sealing")
        rows += sealing.measure(rounds=extent.rounds)
    if "writes" in parts:
        _say("counting writes")
        with _plane(nodes=1) as plane:
            async with Api(plane) as api:
                found, details["writes"] = await counting.count(plane, api)
        rows += found
    if not set(parts) - {"sealing", "writes"}:
        return rows
    with _plane(controllers=False) as plane:
        async with Api(plane) as api:
            facts["kubernetes"] = (await api.send("GET", "/version"))["gitVersion"]
            await objects.furnish(plane, api)
            floor = await latency.learn(plane, api)
            bulk = Bulk(plane, api, AuditLog(plane.audit_log), floor)
            if "race" in parts:
                _say(f"{extent.sets} sets, rounds: {extent.rounds}")
                found, details["race"] = await bulk.race(extent.sets, extent.rounds)
                rows += found
            if "latency" in parts:
                _say("one at a time")
                rows += await latency.measure(plane, api, floor, sets=extent.samples, changes=extent.changes)
            if "restarts" in parts:
                _say("restarts")
                found, details["restarts"] = await Restarts(plane, api).measure(rounds=extent.rounds)
                rows += found
            if "regions" in parts:
                _say("regions")
                with _plane(controllers=False) as far:
                    async with Api(far) as far_api:
                        regions = Regions(plane, api, far, far_api)
                        found, details["regions"] = await regions.measure(
                            sets=extent.samples, rounds=extent.rounds, samples=extent.links, many=extent.many
                        )
                        rows += found
            already = 0
            for scale in extent.scales if "scale" in parts else ():
                _say(f"memory with {scale} sets")
                found, details[f"scale {scale}"] = await bulk.scale(scale, already)
                rows += found
                already = scale
    return rows


def _plane(*, nodes: int = 0, controllers: bool = True) -> ControlPlane:
    return ControlPlane(f"bench-{secrets.token_hex(3)}", nodes=nodes, controllers=controllers, audit=True).start()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the operator beside a floor of the same run.")
    parser.add_argument(
        "--quick",
        action="store_true",
        default=os.environ.get("QUICK", "") not in {"", "0"},
        help="the short form; QUICK=1",
    )
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=list(PARTS), help="some parts; nothing is kept then"
    )
    parser.add_argument("--sets", type=int, help="another number of sets; nothing is kept then")
    parser.add_argument("--strict", action="store_true", help="end with 1 if something is not as asked for")
    return parser.parse_args()


def _say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
