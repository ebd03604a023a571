"""A row: one figure, what it is compared with, and what is asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.goals import Goal, Kind

CELLS = ("part", "measure", "operator", "floor", "ratio", "asked for", "")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        part: of the benchmark.
        what: was measured.
        unit: of both figures.
        ours: the figure of the operator.
        floor: of the bare client in the same run, if there is something to compare with.
        goal: what is asked for, if anything is.
        note: what else is to be said of the figure, in a few words.
        sets: how many sets there were, where that is what varies.
        curve: in a plot over the number of sets: which curve it belongs to; empty for none.
    """

    part: str
    what: str
    unit: str
    ours: float
    floor: float | None = None
    goal: Goal | None = None
    note: str = ""
    sets: int = 0
    curve: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours over the floor."""
        return self.ours / self.floor if self.floor else None

    @property
    def of_limit(self) -> float | None:
        """How much of what is allowed it takes; None if nothing is asked for."""
        return None if self.goal is None else self.goal.of_limit(self.ours, self.floor)

    @property
    def met(self) -> bool | None:
        """Whether it is as asked for; None if nothing is."""
        return None if self.of_limit is None else self.of_limit <= 1.0

    @property
    def beside(self) -> str:
        """The figure as it is held against the goal, and the goal: `2.31 (≤ 4 times the floor)`."""
        of_floor = self.goal is not None and self.goal.kind in {Kind.AT_MOST_TIMES, Kind.AT_LEAST_SHARE}
        held = f"{self.ratio:.2f}" if of_floor and self.ratio else f"{figure(self.ours)} {self.unit}"
        return f"{held} ({self.goal})"

    def cells(self) -> list[str]:
        """What stands in the table."""
        floor = "" if self.floor is None else f"{figure(self.floor)} {self.unit}"
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        goal = "" if self.goal is None else f"{self.goal}: {'yes' if self.met else 'NO'}"
        return [self.part, self.what, f"{figure(self.ours)} {self.unit}", floor, ratio, goal, self.note]


def percentiles(
    part: str,
    what: str,
    ours: Sequence[float],
    floor: Sequence[float] | None = None,
    *,
    p50: Goal | None = None,
    p99: Goal | None = None,
) -> list[Row]:
    """Two rows, p50 and p99, of times.

    Args:
        part: of the benchmark.
        what: was measured.
        ours: of the operator, in seconds.
        floor: of the bare client, likewise.
        p50: what is asked for of the one.
        p99: and of the other.
    """
    return [
        Row(
            part=part,
            what=f"{what}, {name}",
            unit="ms",
            ours=rank(ours, q) * 1e3,
            floor=None if floor is None else rank(floor, q) * 1e3,
            goal=goal,
        )
        for name, q, goal in (("p50", 0.5, p50), ("p99", 0.99, p99))
    ]


def rank(values: Sequence[float], q: float) -> float:
    """The nearest-rank percentile: one of the values, never one in between."""
    return sorted(values)[max(0, math.ceil(q * len(values)) - 1)]


def figure(value: float) -> str:
    """A figure with as many digits as it deserves."""
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
