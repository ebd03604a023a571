"""The brake on mass deletion, at work: who waits is woken when its turn comes, and people are told once.

It is one for all regions that this replica serves, because a mistake on the hub reaches all of them at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from secretset import telemetry
from secretset.config import Config
from secretset.controller.events import EventRecorder
from secretset.controller.store import HubStore
from secretset.domain import reasons
from secretset.domain.brake import Brake
from secretset.domain.names import Key
from secretset.domain.reasons import Reason
from secretset.domain.regions import RegionRecord

log = structlog.get_logger(__name__)

_SOONEST, _CALM_SECONDS, _LATEST = 0.1, 5.0, 60.0  # between looks at the line


class DeletionBrake:
    """Lets the deletion of managed Secrets through, a few at once and then slowly.

    It remembers nothing over a restart, nor of a region that was another replica's. But deleted sets that wait say so
    in their status: where the brake was on, or more than a burst wait, the bucket is emptied, so that no burst is given
    away twice.
    """

    def __init__(self, config: Config, store: HubStore, events: EventRecorder) -> None:
        self._config = config
        self._store = store
        self._events = events
        self._brake: Brake[Key] | None = None
        self._asked: dict[Key, tuple[str, Callable[[], None]]] = {}  # who waits or may go: region, and how to wake it
        self._told: set[str] = set()
        self._met: set[str] = set()  # regions that were looked at for sets that waited before
        self._timer: asyncio.TimerHandle | None = None
        self._pruned = 0.0

    def check(self, key: Key, region: RegionRecord, wake: Callable[[], None]) -> None:
        """Let the deletion of a set's Secret through; `done` must follow when it is made, or not wanted any more.

        Args:
            key: of the set.
            region: where its Secret is.
            wake: called when its turn has come, to ask again.

        Raises:
            Problem: ``DeletionBraked``: it has its place in the line, and must wait.
        """
        now = time.monotonic()
        brake = self._brake = self._brake or Brake(
            burst=self._config.deletion_burst, per_minute=self._config.deletions_per_minute, now=now
        )
        if region.name not in self._met:
            self._met.add(region.name)
            if self._piled_up(region.name):
                brake.empty()
        if len(self._asked) > brake.waiting + 2 * self._config.deletion_burst and now - self._pruned > _LATEST:
            self._prune(brake, now)
        known = key in self._asked
        self._asked[key] = (region.name, wake)
        if brake.take(key, now):
            return
        if not known:
            telemetry.DELETIONS_DELAYED.inc()
        self._measure(brake)
        self._engage(region)
        self._plan(brake, now)
        raise reasons.deletion_braked()

    def done(self, key: Key) -> None:
        """The Secret of a set is gone, or is to stay."""
        if self._brake is not None and self._asked.pop(key, None) is not None:
            self._brake.done(key)
            self._measure(self._brake)

    def away(self, key: Key) -> None:
        """The region of a set cannot be asked: it takes no turn meanwhile, or all would go at once when it is back.

        With a rate of 0 there are no turns to take; it keeps its place then, lest the bucket fill up.
        """
        if self._config.deletions_per_minute:
            self.done(key)

    def leave(self, region: str) -> None:
        """A region is another replica's now: its sets wait there, and hold up nobody here."""
        for key in [key for key, (name, _) in self._asked.items() if name == region]:
            self.done(key)
        self._told.discard(region)
        self._met.discard(region)

    def _piled_up(self, region: str) -> bool:
        """Whether sets of a region wait since an earlier pass, behind the brake or more than may go at once.

        A deletion is a new generation, so a status of the present one was written after it.
        """
        waiting = [
            record
            for record in self._store.sets.values()
            if record.deleting and record.finalized and record.observed_generation == record.generation
        ]
        mine = [record for record in waiting if self._store.region_of(record) == region]
        return len(mine) > self._config.deletion_burst or any(r.reason == Reason.DELETION_BRAKED for r in mine)

    def _wanted(self, key: Key) -> bool:
        record = self._store.sets.get(key)
        return record is not None and record.deleting

    def _look(self, brake: Brake[Key]) -> None:
        """Wake those whose turn has come; end when it is calm."""
        self._timer = None
        now = time.monotonic()
        try:
            if now - self._pruned > _LATEST:
                self._prune(brake, now)
            for key in brake.due(now, self._wanted):
                self._asked[key][1]()
            self._measure(brake)
            if brake.calm(now):
                self._release()
        finally:
            if self._told:
                self._plan(brake, now)

    def _plan(self, brake: Brake[Key], now: float) -> None:
        if self._timer is None:
            turn = brake.next_turn(now)
            seconds = _CALM_SECONDS if turn is None else min(max(turn, _SOONEST), _LATEST)
            self._timer = asyncio.get_running_loop().call_later(seconds, self._look, brake)

    def _prune(self, brake: Brake[Key], now: float) -> None:
        self._pruned = now
        for key in [key for key in self._asked if not self._wanted(key)]:
            del self._asked[key]
            brake.done(key)

    def _engage(self, region: RegionRecord) -> None:
        if region.name in self._told:
            return
        self._told.add(region.name)
        burst, rate = self._config.deletion_burst, self._config.deletions_per_minute
        log.warning("deleted sets wait for their turn", region=region.name, burst=burst, per_minute=rate)
        pace = f"{rate:g} a minute go" if rate else "none goes until somebody decides"
        self._events.emit_region(
            region,
            reason=Reason.DELETION_BRAKED.value,
            note=f"Deleted sets wait for their turn: beyond {burst} at once {pace}. If it was a mistake, set "
            "spec.deletionPolicy to Retain on those that wait: that keeps their Secrets. To let all go sooner raise "
            "--deletions-per-minute.",
            action="Delete",
            warning=True,
        )

    def _release(self) -> None:
        for name in self._told:
            if region := self._store.regions.get(name):
                note = "No deleted set waits for its turn any more."
                self._events.emit_region(region, reason="DeletionBrakeReleased", note=note, action="Delete")
        if self._told:
            log.info("no deletion waits any more", regions=sorted(self._told))
        self._told.clear()

    def _measure(self, brake: Brake[Key]) -> None:
        telemetry.DELETIONS_BRAKED.set(brake.waiting)
