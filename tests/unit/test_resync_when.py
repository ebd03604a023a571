"""When everything is compared: in time, whenever something may have been missed, and soon again after it failed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import pytest

from builders import secret_set
from secretset import app
from secretset.config import Config
from secretset.controller.store import HubStore
from secretset.kube import errors
from secretset.kube.client import Client
from unit.virtual import VirtualLoop

MINUTE = 60.0


class World:
    """An operator that knows one set, and nothing but compares."""

    def __init__(self, loop: VirtualLoop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop = loop
        self.compared: list[float] = []
        self.looked: list[float] = []
        self.faults = 0
        monkeypatch.setattr(app, "resync", self._compare)
        self.operator = app.Operator(Config(resync_seconds=10 * MINUTE))
        monkeypatch.setattr(self.operator, "_dispatch", lambda _: self.looked.append(loop.time()))
        store = HubStore(lambda _: None, lambda _: None)
        store.apply_set(secret_set("app").record())
        self._task = loop.create_task(self.operator._resync(cast("Client", None), store))

    async def _compare(self, *_: Any) -> None:
        self.compared.append(self.loop.time())
        if self.faults:
            self.faults -= 1
            raise errors.Throttled(429, retry_after=1.0)

    def end(self) -> None:
        self._task.cancel()
        self.loop.run(asyncio.wait({self._task}))
        self.loop.end()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(VirtualLoop(), monkeypatch)
    yield world
    world.end()


def test_soon_after_the_start_without_a_look_at_every_set_and_then_in_time(world: World) -> None:
    world.loop.sleep(5 * MINUTE)
    assert (world.compared, world.looked) == ([20.0], [])
    world.loop.sleep(22 * MINUTE)
    assert len(world.looked) == 2, "at 10 minutes, and 9 to 11 later"
    assert world.compared[1:] == world.looked


def test_what_may_have_been_missed_is_looked_for_at_once(world: World) -> None:
    world.loop.sleep(MINUTE)
    world.operator._missed.set()
    world.loop.turn()
    assert world.looked == world.compared[1:] == [MINUTE]


def test_what_failed_is_tried_again_soon_and_less_and_less_often(world: World) -> None:
    world.faults = 4
    world.loop.sleep(2 * MINUTE)
    assert world.compared == [20.0, 22.0, 26.0, 34.0, 50.0]
    assert world.looked == []


def test_sets_are_looked_at_in_time_although_it_fails_for_long(world: World) -> None:
    world.faults = 1000
    world.loop.sleep(27 * MINUTE)
    assert len(world.looked) == 2
    assert len(world.compared) < 20
