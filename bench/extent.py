"""How much is measured, in the full form and in the short one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True, kw_only=True)
class Extent:
    """The numbers of one form.

    Attributes:
        rounds: of what is repeated as a whole, and medians are taken of.
        sizes: numbers of sets that are made ready at once, with the rounds of each.
        up: how many sets are created while the operator runs.
        samples: of one set at a time, and of one change at a time.
        turns: blocks in which operator and floor take turns at those.
        beside: samples of a set's time beside regions in distress, in each round.
        changes: of what 200 Deployments use, in each round.
        links: samples of each way to lose a link, and a replica.
        flapping: seconds for which a link flaps; 0: none does.
        regions: how many are at rest; 0: their memory is not measured.
        scales: numbers of sets at rest, ascending.
        layouts: numbers of organizations that they are in.
        idle: the number of sets with which the operator idles, and for how many seconds.
        together: whether parts whose figures are counts, sizes, or mostly waiting, run at the same time.
    """

    rounds: int
    sizes: Mapping[int, int]
    up: int
    samples: int
    turns: int
    beside: int
    changes: int
    links: int
    flapping: float
    regions: int
    scales: tuple[int, ...]
    layouts: tuple[int, int]
    idle: tuple[int, float]
    together: bool

    def of_sets(self, sets: int) -> Self:
        """The same with one number of sets wherever there are many; with as many as in the full form, idle as long."""
        seconds = self.idle[1] if sets < FULL.idle[0] else FULL.idle[1]
        return replace(self, sizes={sets: max(self.sizes.values())}, up=sets, scales=(sets,), idle=(sets, seconds))


FULL = Extent(
    rounds=3,
    sizes={1000: 3, 5000: 2, 10_000: 2},
    up=1000,
    samples=200,
    turns=4,
    beside=200,
    changes=4,
    links=6,
    flapping=30.0,
    regions=100,
    scales=(1000, 10_000, 50_000),
    layouts=(10, 300),
    idle=(10_000, 120.0),
    together=False,
)
QUICK = Extent(
    rounds=1,
    sizes={200: 1, 1000: 1},
    up=300,
    samples=30,
    turns=1,
    beside=50,
    changes=2,
    links=1,
    flapping=0.0,
    regions=0,
    scales=(1000,),
    layouts=(10, 60),
    idle=(1000, 10.0),
    together=True,
)
