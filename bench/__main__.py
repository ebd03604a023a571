"""The benchmark: the operator beside a floor that is measured in the same run. See README.md for what a row means.

Each part has control planes of its own, one after the other: only where writes are counted do rollouts take place;
times and memory are measured without controllers. All planes end with this process, however it ends.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from typing import Any

import uvloop

from bench import report
from bench.extent import FULL, QUICK
from bench.kept import Kept
from bench.parts import PARTS, measure


def main() -> int:
    """Measure, print the table, keep the results; return 1 if a part failed, with --strict also for a missed goal."""
    options = _options()
    extent = QUICK if options.quick else FULL
    if options.sets:
        extent = extent.of_sets(options.sets)
    whole = set(options.only) == set(PARTS) and not options.sets
    # Collected before anything of ours runs: the load of somebody else makes all times worthless.
    facts: dict[str, Any] = {
        "date": report.today(),
        "quick": options.quick,
        "machine": report.machine(),
        "source": report.source(),
    }
    started = time.monotonic()
    kept = Kept(source=facts["source"], form=report.form(extent), keeps=whole or options.resume)
    facts["resumed"] = sorted(kept.resumed()) if options.resume else []
    before = sum(part.seconds for part in kept.parts.values())

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {text}", file=sys.stderr, flush=True)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rows = runner.run(measure(extent, [part for part in PARTS if part in options.only], facts, say, kept))
    facts["seconds"] = before + time.monotonic() - started
    facts |= {"loadAfter": round(os.getloadavg()[0], 2), "sourceAfter": report.source()}
    print(report.table(rows))
    missed = report.missed(rows, short=options.quick if whole else None)
    for line in (*missed, *(f"not a reference: {doubt}" for doubt in report.doubts(facts))):
        print(line)
    if whole:
        print("kept:", ", ".join(str(file.relative_to(report.RESULTS.parents[1])) for file in report.save(rows, facts)))
    return int(bool(facts["failed"]) or (options.strict and bool(missed)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench",
        description="Measure the operator beside a floor of the same run. Rows and parts: bench/README.md.",
        epilog='Given as: make bench QUICK=1 BENCH_ARGS="--only latency writes --strict"',
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        default=os.environ.get("QUICK", "") not in {"", "0"},
        help="the short form, within 5 minutes; kept as results/quick.*, beside the full run (also: QUICK=1)",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=tuple(PARTS),
        default=list(PARTS),
        metavar="PART",
        help=f"some parts, of {', '.join(PARTS)}; nothing is kept then",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with a run that was interrupted: parts of it that were done, of the same source, are taken over",
    )
    parser.add_argument("--sets", type=int, metavar="N", help="one number of sets instead of several; nothing is kept")
    parser.add_argument("--strict", action="store_true", help="end with 1 if a goal was missed, or has no figure")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
