"""The work queue: each key at most once in it, never in two workers at once, later if asked, slower after failures.

The semantics are those of client-go's workqueue: a key that is added while it is being worked on is worked on again
afterwards, so no change is lost and no key runs beside itself.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import Generic, TypeVar

from secretset import telemetry

T = TypeVar("T")

BACKOFF_FIRST, BACKOFF_LAST = 0.5, 60.0  # seconds


class WorkQueue(Generic[T]):
    """A deduplicating, delaying queue of keys for several workers of one loop."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._ready: deque[T] = deque()
        self._queued: set[T] = set()
        self._running: set[T] = set()
        self._again: set[T] = set()
        self._later: dict[T, tuple[float, asyncio.TimerHandle]] = {}
        self._failures: dict[T, int] = {}
        self._wakeup = asyncio.Event()

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def idle(self) -> bool:
        """Whether nothing is queued or being worked on (delayed keys do not count)."""
        return not self._ready and not self._running

    def add(self, key: T) -> None:
        """Have a key worked on as soon as a worker is free."""
        if key in self._running:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._ready.append(key)
            self._wakeup.set()
            self._measure()

    def add_after(self, key: T, seconds: float) -> None:
        """Have a key worked on later; of several times for one key the earliest counts."""
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        known = self._later.get(key)
        if known is not None:
            if known[0] <= due:
                return
            known[1].cancel()
        self._later[key] = (due, loop.call_at(due, self._due, key))

    def retry(self, key: T, *, at_least: float = 0.0) -> float:
        """Have a key worked on again, later with each failure in a row; return the seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(BACKOFF_FIRST * 2.0 ** min(failures, 16), BACKOFF_LAST)
        delay = max(delay * random.uniform(0.75, 1.25), at_least)  # noqa: S311  (jitter)
        telemetry.QUEUE_RETRIES.labels(self._name).inc()
        self.add_after(key, delay)
        return delay

    def succeeded(self, key: T) -> None:
        """Forget a key's failures."""
        self._failures.pop(key, None)

    def forget(self, key: T) -> None:
        """Drop what is remembered or planned for a key."""
        self._failures.pop(key, None)
        if known := self._later.pop(key, None):
            known[1].cancel()

    async def get(self) -> T:
        """Take the next key; `done` must follow."""
        while not self._ready:
            self._wakeup.clear()
            await self._wakeup.wait()
        key = self._ready.popleft()
        self._queued.discard(key)
        self._running.add(key)
        self._measure()
        return key

    def done(self, key: T) -> None:
        """Give a key back after work on it."""
        self._running.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def close(self) -> None:
        """Cancel what is planned."""
        for _, handle in self._later.values():
            handle.cancel()
        self._later.clear()

    def _due(self, key: T) -> None:
        self._later.pop(key, None)
        self.add(key)

    def _measure(self) -> None:
        telemetry.QUEUE_DEPTH.labels(self._name).set(len(self._ready))
