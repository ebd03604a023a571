"""Credentials of a region that are replaced under its passes: at no moment is that a silence of the cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from secretset.domain import reasons
from secretset.domain.names import Key, Kind
from secretset.kube import errors
from secretset.kube.client import CONNECTED, Client
from unit.runners import runner

KEY = Key(Kind.SECRET_SET, "team", "app")
NAMESPACE = "team-us"


class Credentials:
    """A client that answers, until it is closed: then each request, also one under way, and each watch fails.

    Attributes:
        lists: whether lists are answered.
        used_closed: requests that were sent, or waited for their answer, when it was closed.
    """

    name = "us"
    server = "https://us"

    def __init__(self, *, lists: bool = True) -> None:
        self.lists = lists
        self.used_closed = 0
        self._closed = asyncio.Event()

    async def prepare(self) -> None:
        pass

    async def answers(self, *_: Any, **__: Any) -> None:
        self._check()

    async def request(self, *_: Any, **__: Any) -> Any:
        self._check()
        raise errors.Absent(404)

    async def create(self, *_: Any) -> Any:
        self._check()
        raise errors.Forbidden(403)

    async def get(self, path: str, *_: Any, **__: Any) -> Any:
        if path.endswith("/kube-system"):
            raise errors.Forbidden(403)
        if not self.lists:
            await self._closed.wait()
        self._check()
        return {"metadata": {"resourceVersion": "1"}, "items": []}

    async def watch(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        self._check()
        yield {"type": CONNECTED}
        await self._closed.wait()
        self._check()

    async def forget_connections(self) -> None:
        pass

    async def close(self) -> None:
        """It takes a while, as where many connections are open."""
        self._closed.set()
        for _ in range(20):
            await asyncio.sleep(0)

    def _check(self) -> None:
        if self._closed.is_set():
            self.used_closed += 1
            raise errors.Retired("closed")


class Region:
    """A runner with a set in it, and what a pass that asks again and again is told of its watches."""

    def __init__(self) -> None:
        self.told: list[Exception | None] = []
        self.runner = runner()
        self.runner.place(KEY, NAMESPACE, pull=False)

    async def use(self, credentials: Credentials) -> None:
        await self.runner.connect(cast("Client", credentials))
        await asyncio.wait_for(self.runner.link.wait_known(), 5)

    async def look(self, seconds: float = 5.0) -> None:
        await self.runner.await_watches(NAMESPACE, ["secrets", "deployments"], seconds=seconds)

    async def keep_looking(self) -> None:
        while True:
            try:
                await self.look()
            except (errors.Retired, reasons.Problem) as error:
                self.told.append(error)
            else:
                self.told.append(None)
            await asyncio.sleep(0)


@pytest.fixture
async def region() -> AsyncIterator[Region]:
    region = Region()
    yield region
    await region.runner.stop()


async def test_nobody_is_told_that_the_region_cannot_be_reached(region: Region) -> None:
    first, second = Credentials(), Credentials()
    await region.use(first)
    await region.look()
    looking = asyncio.create_task(region.keep_looking())
    await asyncio.sleep(0)
    await region.use(second)
    await region.look()
    await asyncio.sleep(0.01)
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    assert [error for error in region.told if isinstance(error, reasons.Problem)] == []
    assert any(isinstance(error, errors.Retired) for error in region.told), "it looked while they were replaced"
    assert region.told[-1] is None, "it goes on with the newer ones"


async def test_what_follows_the_region_ends_before_its_client_is_closed(region: Region) -> None:
    first = Credentials()
    await region.use(first)
    await region.look()
    await region.use(Credentials())
    assert first.used_closed == 0


async def test_who_waits_for_a_first_list_is_told_at_once(region: Region) -> None:
    await region.use(Credentials(lists=False))
    waiting = asyncio.create_task(region.look(seconds=60.0))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await region.use(Credentials())
    with pytest.raises(errors.Retired):
        await asyncio.wait_for(waiting, 5)
    await region.look()


async def test_who_waits_for_a_first_list_is_told_why_the_region_is_lost(region: Region) -> None:
    await region.use(Credentials(lists=False))
    waiting = asyncio.create_task(region.look(seconds=60.0))
    await asyncio.sleep(0.01)
    await region.runner.disconnect(reasons.region_not_ready("us", "its credentials are gone."))
    with pytest.raises((reasons.Problem, errors.Retired)):
        await asyncio.wait_for(waiting, 5)
    with pytest.raises(reasons.Problem):
        await region.look()
