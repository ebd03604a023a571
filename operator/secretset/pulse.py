"""That something changed, for whoever waits for it: how often, not what."""

from __future__ import annotations

import asyncio


class Pulse:
    """Counts changes; of one event loop.

    Attributes:
        count: grows with every change.
    """

    def __init__(self) -> None:
        self.count = 0
        self._beaten = asyncio.Event()

    def beat(self) -> None:
        """Something changed."""
        self.count += 1
        self._beaten.set()

    async def after(self, count: int) -> int:
        """Wait until `count` is not this one any more; return it. Any number may wait, and none misses a change."""
        while self.count == count:
            self._beaten.clear()
            await self._beaten.wait()
        return self.count
