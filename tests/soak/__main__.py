"""`make soak MINUTES=30`: load, trouble, a look every few seconds, and a verdict. Ends with 1 if something grows."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

import psutil  # type: ignore[import-untyped]

from soak import report
from soak.load import Load
from soak.probe import Probe, Sample
from soak.stage import Stage, staged
from soak.trouble import Troubles

_SETTLE_SECONDS = 90.0
_ENOUGH_MINUTES = 10.0  # a shorter run is over before the process has warmed up: it tries the soak itself
_ENDED = ("a task ended", "pass failed")  # what the operator logs of defects of its own


def main() -> int:
    """Soak, and tell."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long, without the start and the end")
    parser.add_argument("--pace", type=float, default=4.0, help="things that users do in a second")
    options = parser.parse_args()
    if options.minutes <= 0 or options.pace <= 0:
        parser.error("both must be more than 0")
    print(f"soak: starting two control planes, then {options.minutes:g} minutes of load", flush=True)
    with staged() as stage:
        return asyncio.run(_soak(stage, minutes=options.minutes, pace=options.pace))


async def _soak(stage: Stage, *, minutes: float, pace: float) -> int:
    seconds = 60 * minutes
    load, troubles = Load(stage, pace=pace), Troubles(stage, quarter=seconds / 4)
    wrong: list[str] = []
    samples: list[Sample] = []
    await load.begin()
    begun = time.monotonic()
    ports = {stage.hub.ports["apiserver"]: "hub", stage.link.port: "far"}
    probe = Probe(stage.operator, ports, begun)
    ending = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load.run(ending))
            tasks.create_task(troubles.run(ending))
            await _look(probe, samples, seconds, wrong)
            ending.set()
        if not wrong:
            wrong += await _settled(load)
    finally:
        await load.end()
    wrong += _defects(stage, samples)
    report.keep_log(stage.operator.log)
    facts: dict[str, object] = {"minutes": minutes, "pace": pace}
    grows = [each.name for each in report.verdicts(samples) if not each.flat]
    made = {**troubles.made, **load.done}
    text = report.markdown(samples, settings=facts, troubles=made, wrong=wrong)
    report.save(samples, text, {**facts, "done": made, "wrong": wrong})
    print(f"\n{text}\nsoak: written to {report.FOLDER}")
    if grows and minutes < _ENOUGH_MINUTES:
        print(f"soak: {', '.join(grows)} grew, which says nothing: it takes {_ENOUGH_MINUTES:g} minutes to warm up")
        grows = []
    return int(bool(wrong or grows))


async def _look(probe: Probe, samples: list[Sample], seconds: float, wrong: list[str]) -> None:
    """A sample every few seconds; at least 15 in each quarter."""
    every = min(10.0, seconds / 60)
    begun = time.monotonic()
    print(report.heading(), flush=True)
    while (passed := time.monotonic() - begun) < seconds:
        if not probe.alive:
            wrong.append(f"the operator ended after {passed:.0f} s")
            return
        try:
            samples.append(await asyncio.to_thread(probe.look))
            print(report.line(samples[-1]), flush=True)
        except (OSError, psutil.Error) as error:  # it has just ended, or is too busy to answer: the next look tells
            print(f"{passed:>5.0f} s: no answer ({type(error).__name__})", flush=True)
        await asyncio.sleep(max(0.0, every - (time.monotonic() - begun - passed)))


async def _settled(load: Load) -> list[str]:
    """What is wrong if not everything is delivered some time after the last trouble."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while left := await load.unsettled():
        if time.monotonic() > deadline:
            return [f"{len(left)} sets are not ready {_SETTLE_SECONDS:.0f} s after the end: {', '.join(left[:5])}"]
        await asyncio.sleep(1)
    return []


def _defects(stage: Stage, samples: list[Sample]) -> list[str]:
    lines = stage.operator.lines()
    told = [line for line in lines if line.get("event") in _ENDED]
    found = [f"the operator met a defect of its own: {line['event']}, {line.get('error')}" for line in told[:5]]
    if samples and samples[-1].context["panics"] and not found:
        found.append("the operator met a defect of its own")
    return found


if __name__ == "__main__":
    sys.exit(main())
