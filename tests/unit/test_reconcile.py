"""The frame of a pass: what is planned after it."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from secretset.controller.context import Context
from secretset.controller.outcome import Done
from secretset.controller.queue import WorkQueue
from secretset.controller.reconcile import Reconciler
from secretset.controller.runner import RegionRunner
from secretset.domain.names import Key
from secretset.kube import errors
from unit.slots import OWNER


class Runner:
    """Of a runner, what the frame of a pass uses."""

    name = "us"

    def __init__(self) -> None:
        self.queue: WorkQueue[Key] = WorkQueue("test")


async def delays(outcome: Callable[[], Awaitable[Done]], passes: int, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that are planned after each of some passes with the same outcome."""
    runner = Runner()
    reconcile = Reconciler(cast("Context", None), lambda _: cast("RegionRunner", runner))

    async def one_pass(*_: Any) -> Done:
        return await outcome()

    planned: list[float] = []
    monkeypatch.setattr(reconcile, "_pass", one_pass)
    monkeypatch.setattr(runner.queue, "add_after", lambda _, seconds: planned.append(seconds))
    for _ in range(passes):
        await reconcile(cast("RegionRunner", runner), OWNER)
    return planned


async def test_a_problem_that_time_may_mend_is_looked_at_more_and_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    async def outcome() -> Done:
        return Done(worked=True, backoff=0.0)

    found = await delays(outcome, 9, monkeypatch)
    assert found[0] < 1 < found[3] < found[6]
    assert 40 < found[8] <= 75


async def test_an_error_backs_off_and_heeds_what_the_server_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    async def outcome() -> Done:
        raise errors.Throttled(429, retry_after=7.0)

    assert all(seconds >= 7 for seconds in await delays(outcome, 3, monkeypatch))


async def test_a_defect_of_ours_neither_ends_the_worker_nor_spins(monkeypatch: pytest.MonkeyPatch) -> None:
    async def outcome() -> Done:
        raise RuntimeError("x")

    found = await delays(outcome, 4, monkeypatch)
    assert len(found) == 4
    assert found[3] > 2


async def test_what_succeeded_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = iter([0.0, 0.0, 0.0, None, 0.0])

    async def outcome() -> Done:
        return Done(worked=True, backoff=next(turns))

    assert (await delays(outcome, 5, monkeypatch))[-1] < 1
