"""The work queue: each key at most once in it, never in two workers at once, later if asked, slower after failures.

The semantics are those of client-go's workqueue: a key that is added while it is being worked on is worked on again
afterwards, so no change is lost and no key runs beside itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
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
        # With when it came there, by `time.perf_counter`.
        self._queued: dict[T, float] = {}
        self._running: dict[T, float] = {}
        self._again: dict[T, float] = {}
        self._asked: dict[T, float] = {}  # when each of these was added last
        self._later: dict[T, tuple[float, asyncio.TimerHandle]] = {}
        self._failures: dict[T, int] = {}
        self._closed = False
        self._wakeup = asyncio.Event()
        self._depth = telemetry.QUEUE_DEPTH.labels(name)
        self._adds = telemetry.QUEUE_ADDS.labels(name)
        self._retries = telemetry.QUEUE_RETRIES.labels(name)
        self._waited = telemetry.QUEUE_SECONDS.labels(name)
        self._worked = telemetry.WORK_SECONDS.labels(name)
        telemetry.QUEUE_UNFINISHED.labels(name).set_function(lambda: sum(self._ages()))
        telemetry.QUEUE_LONGEST.labels(name).set_function(lambda: max(self._ages(), default=0.0))

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def idle(self) -> bool:
        """Whether nothing is queued or being worked on (delayed keys do not count)."""
        return not self._ready and not self._running

    def add(self, key: T) -> None:
        """Have a key worked on as soon as a worker is free."""
        if self._closed:
            return
        self._asked[key] = time.perf_counter()
        if key in self._queued or key in self._again:
            return
        self._adds.inc()
        if key in self._running:
            self._again[key] = time.perf_counter()
        else:
            self._enqueue(key, time.perf_counter())

    def _enqueue(self, key: T, since: float) -> None:
        self._queued[key] = since
        self._ready.append(key)
        self._wakeup.set()
        self._depth.set(len(self._ready))

    def add_after(self, key: T, seconds: float) -> None:
        """Have a key worked on later; of several times for one key the earliest counts."""
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        known = self._later.get(key)
        if known is not None:
            if known[0] <= due:
                return
            known[1].cancel()
        self._later[key] = (due, loop.call_at(due, self._due, key))

    def retry(self, key: T, *, at_least: float = 0.0) -> float:
        """Have a key worked on again, later with each failure in a row; return the seconds.

        A failure before the time of the last retry has come is none more: many events at once, as when watches begin to
        fail and come back, would otherwise put it off for a minute.
        """
        failures = self._failures.get(key, 0)
        if key not in self._later:
            self._failures[key] = failures + 1
        delay = min(BACKOFF_FIRST * 2.0 ** min(failures, 16), BACKOFF_LAST)
        delay = max(delay * random.uniform(0.75, 1.25), at_least)  # noqa: S311  (jitter)
        self._retries.inc()
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
        now = time.perf_counter()
        self._waited.observe(now - self._queued.pop(key))
        self._running[key] = now
        self._depth.set(len(self._ready))
        return key

    def done(self, key: T) -> None:
        """Give a key back after work on it."""
        self._worked.observe(time.perf_counter() - self._running.pop(key))
        if key in self._again:
            self._enqueue(key, self._again.pop(key))
        else:
            self._asked.pop(key, None)

    def asked(self, key: T) -> float:
        """When somebody last added a key that is being worked on, by `time.perf_counter`: maybe during that work."""
        return self._asked.get(key, float("inf"))

    def close(self) -> None:
        """Take nothing in any more, cancel what is planned, and tell no more of how full it is.

        Another replica, or another runner, may work on these keys now.
        """
        self._closed = True
        for _, handle in self._later.values():
            handle.cancel()
        self._later.clear()
        for gauge in (telemetry.QUEUE_DEPTH, telemetry.QUEUE_UNFINISHED, telemetry.QUEUE_LONGEST):
            with contextlib.suppress(KeyError):
                gauge.remove(self._name)

    def _due(self, key: T) -> None:
        self._later.pop(key, None)
        self.add(key)

    def _ages(self) -> list[float]:
        """Seconds that each pass under way has taken."""
        now = time.perf_counter()
        return [now - since for since in self._running.values()]
