"""An event loop whose time passes only while everybody waits: hours take no time, and all comes in the same order."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop that begins at the time 0; nothing in it may wait for the world outside."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Waiting(self))

    def time(self) -> float:
        return self._now

    def pass_time(self, seconds: float) -> None:
        """Somebody waited so long."""
        self._now += seconds

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something to its end; time passes as far as it has to."""
        return self.run_until_complete(work)

    def turn(self) -> None:
        """Let everybody do what they can do without waiting."""
        self.run(_turns(20))

    def sleep(self, seconds: float) -> None:
        """Let this time pass, and let everybody do what comes up meanwhile."""
        self.run(asyncio.sleep(seconds))
        self.turn()

    def end(self) -> None:
        """Cancel what is left, and close."""
        left = asyncio.all_tasks(self)
        for task in left:
            task.cancel()
        self.turn()
        self.close()


class _Waiting(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found:
            assert timeout is not None, "everybody waits, and nothing will ever happen"
            self._loop.pass_time(max(0.0, timeout))
        return found


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def gauge(metric: Any, labels: Mapping[str, str]) -> float | None:
    """What a metric tells under these labels; None if there is no such series."""
    (family,) = metric.collect()
    return next((sample.value for sample in family.samples if sample.labels == labels), None)
