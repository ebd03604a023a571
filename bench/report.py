"""From figures to a table, and to the two files that are kept."""

from __future__ import annotations

import datetime
import hashlib
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import psutil  # type: ignore[import-untyped]

RESULTS = Path(__file__).resolve().parent / "results"
_SOURCE = RESULTS.parents[1] / "operator"
# Per core. Above it somebody else took part, because the benchmark's own three programs share the cores as well.
_BUSY = 1.5


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        ours: the figure of the operator.
        floor: of the bare client in the same run, if there is something to compare with.
        limit: what the issue asks for, in words.
        met: whether it is so; None if nothing is asked for.
    """

    part: str
    what: str
    unit: str
    ours: float
    floor: float | None = None
    limit: str = ""
    met: bool | None = None

    @property
    def ratio(self) -> float | None:
        """Ours over the floor."""
        return self.ours / self.floor if self.floor else None

    def cells(self) -> list[str]:
        """What stands in the table."""
        floor = "" if self.floor is None else f"{_figure(self.floor)} {self.unit}"
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        verdict = "" if self.met is None else f"{self.limit}: {'yes' if self.met else 'NO'}"
        return [self.part, self.what, f"{_figure(self.ours)} {self.unit}", floor, ratio, verdict]


def at_most(part: str, what: str, unit: str, ours: float, limit: float) -> Row:
    """A row of something that may not be more than a number."""
    return Row(part=part, what=what, unit=unit, ours=ours, limit=f"≤ {limit:g}", met=ours <= limit)


def at_most_times(part: str, what: str, unit: str, ours: float, floor: float, limit: float) -> Row:
    """A row of something that may not take more than so many times the floor."""
    return Row(
        part=part,
        what=what,
        unit=unit,
        ours=ours,
        floor=floor,
        limit=f"≤ {limit:g} times the floor",
        met=ours <= limit * floor,
    )


def percentiles(
    part: str, what: str, ours: Sequence[float], floor: Sequence[float], *, median_ms: float | None = None
) -> list[Row]:
    """Two rows, p50 and p99, of times in seconds.

    Args:
        part: of the benchmark.
        what: was measured.
        ours: of the operator.
        floor: of the bare client.
        median_ms: what the p50 of the operator may be at the most.
    """
    rows = [
        Row(part=part, what=f"{what}, {name}", unit="ms", ours=rank(ours, q) * 1e3, floor=rank(floor, q) * 1e3)
        for name, q in (("p50", 0.5), ("p99", 0.99))
    ]
    if median_ms is not None:
        rows[0] = replace(rows[0], limit=f"≤ {median_ms:g} ms", met=rows[0].ours <= median_ms)
    return rows


def rank(values: Sequence[float], q: float) -> float:
    """The nearest-rank percentile: one of the values, never one in between."""
    return sorted(values)[max(0, math.ceil(q * len(values)) - 1)]


def machine() -> dict[str, Any]:
    """Where it ran, without anything that names the machine."""
    return {
        "cores": os.cpu_count(),
        "memoryGiB": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load": [round(load, 2) for load in os.getloadavg()],
    }


def source() -> str:
    """A hash of the operator's source: each start of the operator runs what is there then."""
    whole = hashlib.sha256()
    for file in sorted(_SOURCE.rglob("*.py")):
        whole.update(file.read_bytes())
    return whole.hexdigest()[:12]


def doubts(facts: dict[str, Any]) -> list[str]:
    """What makes the figures of a run unfit to be kept as a reference."""
    found = []
    if facts["source"] != facts["sourceAfter"]:
        found.append("the operator's source changed during the run: rows may be of different versions")
    load = max(facts["machine"]["load"][0], facts["loadAfter"])
    if load > _BUSY * facts["machine"]["cores"]:
        found.append(f"the machine was busy (load {load:.1f}): times and their ratios are not those of the operator")
    return found


def markdown(rows: Sequence[Row], facts: dict[str, Any]) -> str:
    """The table in Markdown, under a line that says where and when."""
    place = facts["machine"]
    form = "short form" if facts["quick"] else "full form"
    head = (
        f"{facts['date']}, {form}, {facts['seconds']:.0f} s, Kubernetes {facts['kubernetes']}, "
        f"Python {place['python']}, {place['cores']} cores shared by client, API server and etcd, "
        f"load before {place['load'][0]}, after {facts['loadAfter']}."
    )
    lines = [
        head,
        *(f"\n**Not a reference: {doubt}.**" for doubt in doubts(facts)),
        "",
        "| part | measure | operator | floor | ratio | asked for |",
        "|---|---|---:|---:|---:|---|",
        *(f"| {' | '.join(row.cells())} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def table(rows: Sequence[Row]) -> str:
    """The table for a terminal."""
    grid = [["part", "measure", "operator", "floor", "ratio", "asked for"], *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in grid) for column in range(len(grid[0]))]

    def line(cells: list[str]) -> str:
        padded = [c.rjust(w) if 2 <= n <= 4 else c.ljust(w) for n, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return "  ".join(padded).rstrip()

    return "\n".join(map(line, grid))


def save(rows: Sequence[Row], facts: dict[str, Any]) -> None:
    """Write both files."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "latest.md").write_text(markdown(rows, facts))
    document = {**facts, "doubts": doubts(facts), "rows": [{**asdict(row), "ratio": row.ratio} for row in rows]}
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    (RESULTS / "latest.json").write_bytes(orjson.dumps(_rounded(document), option=options))


def today() -> str:
    """The date of a run."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


def _figure(value: float) -> str:
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
