"""How many workloads of a region may roll at a time because of us, whichever set asks for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from secretset.domain.rollouts import Rollout

T = TypeVar("T")

# A rollout that has not ended by then gives its place back: it may be one that tells neither that it is through nor
# that it is stuck.
_LONGEST = 900.0


class RolloutBudget(Generic[T]):
    """Places for rollouts, and who waits for one, in their order.

    Args:
        limit: places; 0 for no limit.
        wake: called with who waits, when there may be a place for them.
    """

    def __init__(self, limit: int, wake: Callable[[T], None]) -> None:
        self._limit = limit
        self._wake = wake
        self._taken: dict[str, float] = {}  # uid of each workload that rolls, to when it began
        self._waiting: dict[T, None] = {}

    def note(self, uids: Iterable[str]) -> None:
        """Workloads were found rolling because of us: begun before this process did, or by another replica."""
        for uid in uids:
            self._taken.setdefault(uid, time.monotonic())

    def begin(self, uids: Iterable[str]) -> None:
        """Workloads are being restarted now."""
        self._taken.update(dict.fromkeys(uids, time.monotonic()))

    @property
    def _room(self) -> int:
        old = time.monotonic() - _LONGEST
        return max(0, self._limit - sum(began >= old for began in self._taken.values()))

    def take(self, who: T, wanted: int) -> int:
        """How many of the wanted places there are; whoever gets fewer is woken when there are more.

        They are only taken with `begin`.
        """
        if not self._limit:
            return wanted
        granted = min(wanted, self._room) if wanted else 0
        if granted < wanted:
            self._waiting[who] = None
        else:
            self._waiting.pop(who, None)
        if not wanted:
            self._wake_next()  # perhaps it was woken for nothing
        return granted

    def see(self, uid: str, rollout: Rollout | None) -> None:
        """How the rollout of a workload stands; None: it is gone."""
        if rollout is not Rollout.RESTARTING:
            self.give_back(uid)

    def cancel(self, uid: str) -> None:
        """A restart was not made after all; who asked for it is not woken for that."""
        self._taken.pop(uid, None)

    def give_back(self, uid: str) -> None:
        """A workload does not roll any more."""
        if self._taken.pop(uid, None) is not None:
            self._wake_next()

    def forget(self, who: T) -> None:
        """Somebody waits for no place any more."""
        self._waiting.pop(who, None)
        self._wake_next()

    def _wake_next(self) -> None:
        """Whoever waits longest looks again; if it is too late, it waits again, and if it needs none, the next does."""
        if self._waiting and self._room:
            who = next(iter(self._waiting))
            del self._waiting[who]
            self._wake(who)
