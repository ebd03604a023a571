"""A brake on mass deletion: a token bucket over the managed Secrets that deleted sets take away with them. Pure.

A CRD or a namespace that is deleted by mistake deletes thousands of sets in a second, in all regions. The first few
go at once, as one set does; the others wait in a line that moves slowly enough for somebody to notice and to keep them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

QUIET_SECONDS = 60.0  # with a rate of 0: how long nothing must be asked for before the bucket is full again


class Brake(Generic[K]):
    """Who may go now, and who waits: first come, first served. Every call costs the same, however many wait.

    With ``per_minute=0`` nobody who waits ever goes by time; the bucket fills up again after a minute in which nobody
    waited and nobody asked.

    Args:
        burst: how many may go at once; at least 1.
        per_minute: how many may go each minute after that.
        now: seconds of a monotonic clock; of each later call too.
    """

    def __init__(self, *, burst: int, per_minute: float, now: float) -> None:
        self._burst = float(max(burst, 1))
        self._rate = per_minute / 60
        self._tokens = self._burst
        self._filled = self._busy = now
        self._waiting: OrderedDict[K, None] = OrderedDict()  # a plain dict is slow to take its first entry from
        self._granted: set[K] = set()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def granted(self) -> int:
        """How many may go and did not say yet that they have gone."""
        return len(self._granted)

    def take(self, key: K, now: float) -> bool:
        """Whether a key may go. If it may, it may until `done`; if not, it has its place in the line."""
        self._fill(now)
        self._busy = now
        if key in self._granted:
            return True
        if self._waiting or self._tokens < 1:
            self._waiting.setdefault(key)
            return False
        self._tokens -= 1
        self._granted.add(key)
        return True

    def due(self, now: float, wanted: Callable[[K], bool]) -> list[K]:
        """Those whose turn has come, in their order; they may go now. Those that are not wanted leave the line."""
        self._fill(now)
        found = []
        while self._waiting:
            key = next(iter(self._waiting))
            if wanted(key):
                if self._tokens < 1:
                    break
                self._tokens -= 1
                self._granted.add(key)
                found.append(key)
            del self._waiting[key]
        return found

    def next_turn(self, now: float) -> float | None:
        """Seconds until the next one may go; None if nobody waits, or nobody goes by time."""
        self._fill(now)
        if not self._waiting or not self._rate:
            return None
        return max(0.0, (1 - self._tokens) / self._rate)

    def empty(self) -> None:
        """Take what is in the bucket away: nobody goes at once."""
        self._tokens = 0.0

    def done(self, key: K) -> None:
        """A key has gone, or does not want to any more."""
        self._granted.discard(key)
        self._waiting.pop(key, None)

    def calm(self, now: float) -> bool:
        """Whether nobody waits, and nobody is about to: the bucket is half full again."""
        self._fill(now)
        return not self._waiting and (self._tokens >= self._burst / 2 or not self._rate)

    def _fill(self, now: float) -> None:
        elapsed, self._filled = max(0.0, now - self._filled), now
        if self._rate:
            self._tokens = min(self._burst, self._tokens + elapsed * self._rate)
        elif self._waiting:
            self._busy = now
        elif now - self._busy >= QUIET_SECONDS:
            self._tokens = self._burst
