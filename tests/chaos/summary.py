"""What `make chaos` says of all runs: a line of a table for each pattern."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

_HEAD = "| pattern | runs | violations |\n|---|---|---|"


def of(stats: Mapping[str, Sequence[Any]]) -> str:
    """A Markdown table of the runs of a session, by module and test; empty if there were none."""
    runs: Counter[str] = Counter()
    violations: Counter[str] = Counter()
    for outcome in ("passed", "failed", "error"):
        for report in stats.get(outcome, ()):
            if outcome == "error" or report.when == "call":
                runs[_pattern(report.nodeid)] += 1
                violations[_pattern(report.nodeid)] += outcome != "passed"
    if not runs:
        return ""
    lines = [f"| {pattern} | {runs[pattern]} | {violations[pattern]} |" for pattern in sorted(runs)]
    return "\n".join([_HEAD, *lines, f"| all | {runs.total()} | {violations.total()} |"])


def _pattern(nodeid: str) -> str:
    """`tests/chaos/test_programme.py::test_killed[…]` is `programme: killed`."""
    path, _, name = nodeid.partition("::")
    module = path.rpartition("/")[2].removeprefix("test_").removesuffix(".py")
    return f"{module}: {name.partition('[')[0].removeprefix('test_')}".replace("_", " ")
