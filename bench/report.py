"""From rows to a table, and to the files that are kept: `latest.*` of a full run, `quick.*` of a short one."""

from __future__ import annotations

import datetime
import hashlib
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
import psutil  # type: ignore[import-untyped]

from bench import goals, plot
from bench.extent import Extent
from bench.rows import CELLS, Row

RESULTS = Path(__file__).resolve().parent / "results"
_SOURCE = RESULTS.parents[1] / "operator"
# Per core. Above it somebody else took part, because the benchmark's own three programs share the cores as well.
_BUSY = 1.5
_CAPTIONS = {
    "goals": "Figures beside their goals",
    "time": "Time by number of sets",
    "memory": "Memory by number of sets",
}


def machine() -> dict[str, Any]:
    """Where it ran, without anything that names the machine."""
    return {
        "cores": os.cpu_count(),
        "memoryGB": round(psutil.virtual_memory().total / 1e9),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load": [round(load, 2) for load in os.getloadavg()],
    }


def source(folder: Path = _SOURCE) -> str:
    """A hash of the operator's source: each start of the operator runs what is there then."""
    whole = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        whole.update(file.read_bytes())
    return whole.hexdigest()[:12]


def form(extent: Extent) -> str:
    """What tells how something was measured: how much of it, and a hash of the benchmark's own source."""
    return f"{source(RESULTS.parent)} {extent}"


def doubts(facts: dict[str, Any]) -> list[str]:
    """What makes the figures of a run unfit to be kept as a reference."""
    found = []
    if facts["quick"]:
        found.append("the short form: fewer samples, fewer sets, one round")
    found += [f"the part {part} failed: {what.splitlines()[0]}" for part, what in facts["failed"].items()]
    if facts["source"] != facts["sourceAfter"]:
        found.append("the operator's source changed during the run: rows may be of different versions")
    load = max(facts["machine"]["load"][0], facts["loadAfter"])
    if load > _BUSY * facts["machine"]["cores"]:
        found.append(f"the machine was busy (load {load:.1f}): times and their ratios are not those of the operator")
    return found


def missed(rows: Sequence[Row], *, short: bool | None = None) -> list[str]:
    """What is not as asked for.

    Args:
        rows: of the run.
        short: the form of a complete run, in which each goal has to have a row; None for a run of some parts.
    """
    found = [f"missed: {row.part}: {row.what}: {row.beside}" for row in rows if row.met is False]
    if short is not None:
        found += [f"not measured: {about}" for about in absent(rows, short=short)]
    return found


def absent(rows: Sequence[Row], *, short: bool) -> list[str]:
    """What is asked for, and has no row."""
    return goals.missing({row.goal for row in rows if row.goal is not None}, short=short)


def markdown(rows: Sequence[Row], facts: dict[str, Any], charts: Sequence[str] = ()) -> str:
    """The table in Markdown, under a line that says where and when, above the plots."""
    place = facts["machine"]
    form = "short form" if facts["quick"] else "full form"
    asked = [row for row in rows if row.met is not None]
    head = (
        f"{facts['date']}, {form}, {facts['seconds']:.0f} s, Kubernetes {facts['kubernetes']}, "
        f"Python {place['python']}, {place['cores']} cores shared by client, API server and etcd, "
        f"load before {place['load'][0]}, after {facts['loadAfter']}. "
        f"As asked for: {sum(row.met is True for row in asked)} of {len(asked)}."
    )
    name = _name(facts)
    lines = [
        head,
        *(f"\n**Not a reference: {doubt}.**" for doubt in doubts(facts)),
        *(f"\n**Not measured: {about}.**" for about in absent(rows, short=facts["quick"])),
        "",
        f"| {' | '.join(CELLS)} |",
        "|---|---|---:|---:|---:|---|---|",
        *(f"| {' | '.join(row.cells())} |" for row in rows),
        *(f"\n![{_CAPTIONS[chart]}]({name}-{chart}.svg)" for chart in charts),
    ]
    return "\n".join(lines) + "\n"


def table(rows: Sequence[Row]) -> str:
    """The table for a terminal."""
    grid = [list(CELLS), *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in grid) for column in range(len(grid[0]))]

    def line(cells: list[str]) -> str:
        padded = [c.rjust(w) if 2 <= n <= 4 else c.ljust(w) for n, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return "  ".join(padded).rstrip()

    return "\n".join(map(line, grid))


def save(rows: Sequence[Row], facts: dict[str, Any], folder: Path = RESULTS) -> list[Path]:
    """Write table, figures and plots, and return the files.

    Args:
        rows: of a complete run.
        facts: of it, with the details of each part.
        folder: where to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = _name(facts)
    charts = plot.charts(rows)
    texts = {f"{name}-{chart}.svg": svg for chart, svg in charts.items()}
    texts[f"{name}.md"] = markdown(rows, facts, tuple(charts))
    texts[f"{name}.json"] = _document(rows, facts)
    for file, text in texts.items():
        (folder / file).write_text(text)
    return [folder / file for file in texts]


def today() -> str:
    """The date of a run."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _name(facts: dict[str, Any]) -> str:
    return "quick" if facts["quick"] else "latest"


def _document(rows: Sequence[Row], facts: dict[str, Any]) -> str:
    kept = [
        {
            **{key: value for key, value in asdict(row).items() if value not in ("", 0, None) or key == "ours"},
            "ratio": row.ratio,
            "goal": None if row.goal is None else str(row.goal),
            "met": row.met,
        }
        for row in rows
    ]
    unknown = absent(rows, short=facts["quick"])
    document = _rounded({**facts, "doubts": doubts(facts), "notMeasured": unknown, "rows": kept})
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {str(key): _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
