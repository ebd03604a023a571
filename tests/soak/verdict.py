"""Flat, or not? The rule, which is stated in what is printed.

What a process holds goes up and down with its load, so neither two samples nor a line through all of them tell much. A
measure *grows* if both hold:

- its median over the last quarter of the time is above that over the second one by more than an allowance, which is
  what the load itself moves it by; the first quarter is the warming up;
- over those three quarters it rises more than it falls, beyond chance: Mann and Kendall's test (1945, 1948), 1 %.

What a slope would come to in 24 hours is told beside it. It is Theil and Sen's, the median of the slopes between all
pairs, which no peak moves (Sen 1968).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

_CHANCE = 2.326  # of the standard normal distribution, 1 % lie above
_DAY = 86_400.0


@dataclass(frozen=True)
class Allowance:
    """What a measure may move by: the larger of a number and a share of what it was."""

    number: float
    share: float

    def of(self, value: float) -> float:
        """For a measure that was so large."""
        return max(self.number, self.share * value)


_SMALL = Allowance(3, 0.10)
ALLOWED: Mapping[str, Allowance] = {
    "memory": Allowance(2, 0.03),
    "objects": Allowance(2000, 0.01),
    "series": Allowance(10, 0.03),
}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came of one measure.

    Attributes:
        before: median over the second quarter.
        after: median over the last one.
        allowed: what it may have grown by.
        per_day: what its slope would come to in 24 hours.
        rises: whether it rises beyond chance.
    """

    name: str
    before: float
    after: float
    least: float
    most: float
    allowed: float
    per_day: float
    rises: bool

    @property
    def flat(self) -> bool:
        """Whether it does not grow."""
        return not (self.rises and self.after - self.before > self.allowed)


def judge(name: str, times: Sequence[float], values: Sequence[float], allowance: Allowance | None = None) -> Verdict:
    """Judge one measure.

    Args:
        name: of it; its first word tells what it may move by.
        times: of the samples, in seconds, ascending.
        values: of them.
        allowance: another one.
    """
    end = times[-1]
    quarters = [[v for t, v in zip(times, values, strict=True) if low <= 4 * t / end <= low + 1] for low in range(4)]
    late = [(t, v) for t, v in zip(times, values, strict=True) if 4 * t >= end]
    before, after = statistics.median(quarters[1]), statistics.median(quarters[3])
    allowance = allowance or ALLOWED.get(name.split()[0], _SMALL)
    return Verdict(
        name=name,
        before=before,
        after=after,
        least=min(v for _, v in late),
        most=max(v for _, v in late),
        allowed=allowance.of(before),
        per_day=slope(late) * _DAY,
        rises=kendall([v for _, v in late]) > _CHANCE,
    )


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Theil and Sen's slope, in units a second."""
    return statistics.median((v2 - v1) / (t2 - t1) for (t1, v1), (t2, v2) in combinations(points, 2) if t1 != t2)


def kendall(values: Sequence[float]) -> float:
    """Mann and Kendall's statistic: standard normal if there is no trend, positive for one upwards; ties counted."""
    n = len(values)
    s = sum((b > a) - (b < a) for a, b in combinations(values, 2))
    ties = [values.count(value) for value in set(values)]
    variance = (n * (n - 1) * (2 * n + 5) - sum(t * (t - 1) * (2 * t + 5) for t in ties)) / 18
    return 0.0 if not s or not variance else (s - math.copysign(1, s)) / math.sqrt(variance)
