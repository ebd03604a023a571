"""What goes wrong meanwhile, each thing every few minutes: links, API servers, credentials, Regions."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable

from soak.stage import Stage

_AWAY = 0.25  # of a period that something is away, and
_LONGEST_AWAY = 20.0  # seconds at the most


class Troubles:
    """Makes trouble until it is told to end, and leaves everything well.

    Each happens a whole number of times in every quarter of the run, so that the quarters can be compared.

    Args:
        quarter: of the run, in seconds.
    """

    def __init__(self, stage: Stage, *, quarter: float) -> None:
        self.made: Counter[str] = Counter()
        self._stage = stage
        self._quarter = quarter
        self._one = asyncio.Lock()  # at a time, so that each is what it is called

    async def run(self, ending: asyncio.Event) -> None:
        """All of them, by turns."""
        async with asyncio.TaskGroup() as tasks:
            for times, trouble in (
                (3, self._cut_link),
                (3, self._renew_credentials),
                (1, self._kill_far),
                (1, self._kill_hub),
                (1, self._renew_region),
            ):
                tasks.create_task(self._again(ending, self._quarter / times, trouble))

    async def _again(self, ending: asyncio.Event, period: float, trouble: Callable[[float], Awaitable[None]]) -> None:
        wait = period / 2
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await ending.wait()
                    return
            begun = asyncio.get_running_loop().time()
            async with self._one:
                await trouble(min(_AWAY * period, _LONGEST_AWAY))
            self.made[trouble.__name__.strip("_").replace("_", " ")] += 1
            wait = max(0.0, period - (asyncio.get_running_loop().time() - begun))

    async def _cut_link(self, away: float) -> None:
        """By turns as a host that is gone does, and as a network that swallows everything."""
        link = self._stage.link
        await asyncio.to_thread(link.black_hole if self.made["cut link"] % 2 else link.refuse)
        try:
            await asyncio.sleep(away)
        finally:
            await asyncio.to_thread(link.up)

    async def _renew_credentials(self, _: float) -> None:
        await asyncio.to_thread(self._stage.use_new_credentials)

    async def _kill_far(self, away: float) -> None:
        await asyncio.to_thread(self._stage.far.kill, "kube-apiserver")
        await asyncio.sleep(away / 2)
        await asyncio.to_thread(self._stage.far.restart, "kube-apiserver")

    async def _kill_hub(self, away: float) -> None:
        await asyncio.to_thread(self._stage.hub.kill, "kube-apiserver")
        await asyncio.sleep(away / 2)
        await asyncio.to_thread(self._stage.hub.restart, "kube-apiserver")

    async def _renew_region(self, away: float) -> None:
        """Delete the Region, and create it again: its runner, client, watches and queue are made anew."""
        await asyncio.to_thread(self._stage.drop_region)
        await asyncio.sleep(away / 2)
        await asyncio.to_thread(self._stage.make_region)
