"""Our own writes to sets: no pass for what the pass under way goes on from, and none of their echoes is news."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from builders import SetBuilder, secret_set
from secretset.controller.context import Context
from secretset.controller.hub import add_finalizer, remove_finalizer, write_status
from secretset.controller.store import HubStore
from secretset.domain.names import FINALIZER, Kind
from secretset.kube import errors

Object = dict[str, Any]


class World:
    """A hub that answers a write once it is let, and the store that hears of it."""

    def __init__(self) -> None:
        self.looks: list[str] = []
        self.store = HubStore(lambda key: self.looks.append(key.name), lambda _: None)
        self.answer: Object | Exception = {}
        self.sent, self.let = asyncio.Event(), asyncio.Event()
        self.context = cast("Context", SimpleNamespace(hub=self, store=self.store, status_writes={}))
        self.see(version(5))

    async def patch(self, *_: Any) -> Object:
        self.sent.set()
        await self.let.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    replace = patch

    def see(self, built: SetBuilder) -> None:
        """A watch shows a set."""
        self.store.apply_set(built.record())

    def told(self, number: int) -> tuple[bool, bool]:
        """Whether a version of the set may be an echo, and whether it is known."""
        meta = {"namespace": "team", "name": "app", "resourceVersion": str(number)}
        return self.store.awaits(Kind.SECRET_SET, meta), self.store.knows(Kind.SECRET_SET, meta)


def version(number: int, **meta: Any) -> SetBuilder:
    """A set, at a version."""
    return secret_set("app").with_meta(resourceVersion=str(number), **meta)


@pytest.fixture
def world() -> World:
    return World()


async def test_a_finalizer_that_the_pass_put_on_starts_no_other_pass(world: World) -> None:
    world.let.set()
    world.answer = version(6, finalizers=[FINALIZER]).object()
    fresh, _ = await add_finalizer(world.context, version(5).record())
    assert (fresh.finalized, world.store.sets[fresh.key]) == (True, fresh)
    assert world.looks == ["app"]  # for the set itself
    world.see(version(7, finalizers=[]))
    assert world.looks == ["app", "app"]  # somebody took it off


async def test_a_finalizer_that_others_leave_behind_is_looked_at(world: World) -> None:
    world.let.set()
    world.see(version(6, finalizers=[FINALIZER, "theirs"], deletionTimestamp="2026-01-01T00:00:00Z"))
    world.looks.clear()
    gone = version(7, finalizers=["theirs"], deletionTimestamp="2026-01-01T00:00:00Z")
    world.answer = gone.object()
    (seen,) = world.store.sets.values()
    await remove_finalizer(world.context, seen)
    assert world.looks == ["app"]


@pytest.mark.parametrize("answer", [version(6).object(), errors.Conflict(409), errors.Unreachable("timeout")])
async def test_a_status_that_is_being_written_may_be_what_a_watch_shows(
    world: World, answer: Object | Exception
) -> None:
    world.answer = answer
    obj = {**version(5).object(), "kind": "SecretSet"}
    writing = asyncio.ensure_future(write_status(world.context, obj, {"phase": "ready"}))
    await world.sent.wait()
    assert world.told(6) == (True, False)
    world.let.set()
    await asyncio.wait([writing])
    assert world.told(6) == (False, isinstance(answer, dict))
    assert (writing.exception() is None) == isinstance(answer, dict)


async def test_who_follows_changes_waits_for_the_next_and_misses_none(world: World) -> None:
    seen = world.store.pulse.count
    waits = [asyncio.create_task(world.store.pulse.after(seen)) for _ in range(2)]
    await asyncio.sleep(0)
    assert not any(wait.done() for wait in waits)
    world.see(version(6))
    world.store.forget_set(next(iter(world.store.sets)))
    async with asyncio.timeout(1):
        assert await asyncio.gather(*waits) == [seen + 2, seen + 2]
        assert await world.store.pulse.after(seen + 1) == seen + 2
