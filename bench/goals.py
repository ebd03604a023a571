"""What is asked for: every limit that a row is held against, in one place. `report.py` prints it beside the figure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """How a figure is held against a limit."""

    AT_MOST = "≤ {limit:g}"
    EXACTLY = "{limit:g}"
    AT_MOST_TIMES = "≤ {limit:g} times the floor"
    AT_LEAST_SHARE = "≥ {limit:.0%} of the floor"


@dataclass(frozen=True, kw_only=True)
class Goal:
    """One limit.

    Attributes:
        about: which figure it is for, in a few words.
        kind: how the figure is held against it.
        limit: in the unit of the row; of the kinds with a floor, a factor.
        short: whether the short form has a row for it.
    """

    about: str
    kind: Kind
    limit: float
    short: bool = True

    def __str__(self) -> str:
        return self.kind.value.format(limit=self.limit)

    def of_limit(self, ours: float, floor: float | None) -> float:
        """How much of what is allowed a figure takes: 1 is the limit itself, more is a goal missed.

        Args:
            ours: the figure, in the unit of the row.
            floor: what it is compared with; the kinds with a floor need it.

        Raises:
            ValueError: there is no floor to compare with.
        """
        if self.kind is Kind.EXACTLY:
            return 1.0 if ours == self.limit else 1.0 + abs(ours - self.limit)
        if self.kind is Kind.AT_MOST:
            return ours / self.limit if self.limit else 1.0 + max(0.0, ours)
        if not floor:
            raise ValueError(f"{self.about}: nothing to compare with")
        if self.kind is Kind.AT_MOST_TIMES:
            return ours / floor / self.limit
        return self.limit * floor / ours if ours else math.inf


def _most(about: str, limit: float, *, short: bool = True) -> Goal:
    return Goal(about=about, kind=Kind.AT_MOST, limit=limit, short=short)


def _times(about: str, limit: float) -> Goal:
    return Goal(about=about, kind=Kind.AT_MOST_TIMES, limit=limit)


def _exactly(about: str, limit: float) -> Goal:
    return Goal(about=about, kind=Kind.EXACTLY, limit=limit)


# One at a time, beside two bare writes (POST Secret, PUT status), and one bare PATCH of a Deployment.
ONE_SET_P50 = _times("one set, created → ready, p50", 4)
ONE_SET_P99 = _times("one set, created → ready, p99", 5)
UPDATE_P50 = _times("update → Deployment patched, p50", 5)

# Many at once.
THROUGHPUT = Goal(about="sets created while the operator is down → all ready", kind=Kind.AT_LEAST_SHARE, limit=0.75)
THROUGHPUT_START = _times("sets created while the operator is down → all ready, with its start", 1.333)  # 75 %, in time
GROWTH = _most("growth of the time to all ready with the number of sets", 1.15)
WHILE_UP = _times("sets created while the operator runs → all ready", 2)

# Restarts of what uses a set.
BOUND = _times("one set, 200 bound Deployments", 1.3)
EACH_ONCE = _exactly("patches of each bound Deployment, off by", 0)
SINGLE_KEYS = _exactly("rollouts for keys that are written one by one", 1)

# Writes. Of a change: beside one for each bound workload.
WRITES_NEW = _most("writes of a new set", 2)
WRITES_NEW_WITHOUT_POLICY = _most("writes of a new set without the admission policy", 3)
WRITES_CHANGE = _most("writes of a change of content, beside those of bound workloads", 2)
WRITES_CHANGE_ALL = _most("writes of a change of content until its rollouts are over, beside those of workloads", 2)
WRITES_ROLLOUT = _most("status writes of a set in one second while it rolls out", 1)
WRITES_TOUCHED = _most("writes when nothing was changed", 0)
WRITES_NO_CONTENT = _most("writes of a change that is none of content", 1)
WRITES_RESYNC = _most("writes of a resync", 0)
WRITES_RESTART = _most("writes of a restart", 0)
WRITES_DELETE = _most("writes of a deletion", 2)
WRITES_REFUSED = _most("writes that were refused", 0)

# Many at rest. MB are 10^6 bytes.
RESTART_CHECKED = _most("restart with 10,000 sets → all checked", 10)
IDLE_CPU = _most("idle with 10,000 sets: share of a core", 0.5)
IDLE_WRITES = _most("idle with 10,000 sets: writes", 0)
MEMORY = {
    1000: _most("memory with 1,000 sets", 110),
    10_000: _most("memory with 10,000 sets", 150, short=False),
    50_000: _most("memory with 50,000 sets", 300, short=False),
}

# The dashboard, with 10,000 sets.
FIRST_PAGE = _most("dashboard: first page", 1)
PAGE_SIZE = _most("dashboard: first page with what it loads, kB", 300)

# Regions.
BULKHEAD_P99 = _times("one region dead, one throttling: p99 of the others", 1.2)
LINK_LOST = _most("link lost → the Region says so", 10)
LINK_BACK = _most("link back → what waited is delivered", 5)
LINK_FLAPS = _most("status writes while a link flaps for 30 s", 10, short=False)
REPLICA_KILLED = _most("replica killed → its region is served", 15)
REPLICA_STOPPED = _most("replica stopped → its region is served", 2)
REGION_MEMORY = _most("memory of a region at rest", 5, short=False)

# Sealing, beside the library's own call.
SEALING = _times("seal or open a value", 1.3)
OPEN_MANY = _most("open 10,000 values", 2)

EVERY: tuple[Goal, ...] = (*(each for each in vars().values() if isinstance(each, Goal)), *MEMORY.values())


def missing(used: set[Goal], *, short: bool = False) -> list[str]:
    """What is asked for and has no figure.

    Args:
        used: the goals that rows were held against.
        short: of the short form.
    """
    return [goal.about for goal in EVERY if goal not in used and (goal.short or not short)]
