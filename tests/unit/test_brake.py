"""The brake on mass deletion: how many go at once, who goes next, and what people are told."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from builders import at, region, secret_set
from secretset.config import Config
from secretset.controller import brake as at_work
from secretset.controller.brake import DeletionBrake
from secretset.controller.events import EventRecorder
from secretset.controller.store import HubStore
from secretset.domain import names
from secretset.domain.brake import Brake
from secretset.domain.names import Key, Kind
from secretset.domain.reasons import Problem, Reason


def always(_: Any) -> bool:
    return True


def brake(burst: int = 2, per_minute: float = 60.0, **more: Any) -> Brake[str]:
    return Brake(burst=burst, per_minute=per_minute, now=0.0, **more)


def test_a_few_go_at_once_and_the_others_one_after_the_other() -> None:
    line = brake(burst=2, per_minute=60)
    assert [line.take(key, 0.0) for key in "abcd"] == [True, True, False, False]
    assert (line.waiting, line.granted) == (2, 2)
    assert line.next_turn(0.0) == 1.0
    assert line.due(0.9, always) == []
    assert line.due(1.0, always) == ["c"]
    assert line.due(1.9, always) == []
    assert line.due(2.1, always) == ["d"]
    assert line.next_turn(2.1) is None


def test_who_may_go_may_until_it_is_done() -> None:
    line = brake(burst=1)
    assert [line.take("a", second) for second in (0.0, 0.0, 500.0)] == [True] * 3
    line.done("a")
    assert line.granted == 0
    assert line.take("b", 500.0)
    assert not line.take("a", 500.0)


def test_who_asks_again_keeps_its_place_and_nobody_overtakes() -> None:
    line = brake(burst=1)
    line.take("a", 0.0)
    assert [line.take(key, 0.0) for key in "bcd"] == [False] * 3
    assert not line.take("c", 0.5)
    # There is room by now, but it belongs to who came first.
    assert not line.take("d", 1.5)
    assert not line.take("e", 1.5)
    assert line.due(1.5, always) == ["b"]
    assert line.take("b", 1.5)
    line.done("b")
    assert [line.due(second, always) for second in (3.0, 4.0, 5.0)] == [["c"], ["d"], ["e"]]


def test_who_leaves_costs_the_others_nothing() -> None:
    line = brake(burst=1)
    for key in "abcdef":
        line.take(key, 0.0)
    line.done("c")
    assert line.due(1.0, lambda key: key not in "bd") == ["e"]
    assert (line.waiting, line.granted) == (1, 2)


def test_the_bucket_holds_no_more_than_the_burst() -> None:
    line = brake(burst=2)
    assert [line.take(key, 10_000.0) for key in "abc"] == [True, True, False]
    line = brake(burst=2)
    line.empty()
    assert not line.take("a", 0.0)
    assert brake(burst=0).take("a", 0.0)


def test_it_is_calm_when_nobody_waits_and_the_bucket_is_half_full() -> None:
    line = brake(burst=4)
    assert line.calm(0.0)
    for key in "abcde":
        line.take(key, 0.0)
    assert not line.calm(0.5)
    assert line.due(1.0, always) == ["e"]
    assert not line.calm(1.0)
    assert line.calm(3.0)


def test_without_a_rate_nobody_goes_by_time() -> None:
    line = brake(burst=1, per_minute=0)
    assert line.take("a", 0.0)
    assert not line.take("b", 1.0)
    assert line.next_turn(1.0) is None
    assert line.due(1e6, always) == []
    line.done("b")
    assert line.calm(1e6)
    # A minute in which nobody waited and nobody asked makes the bucket full again.
    assert not line.take("c", 1e6 + 59)
    line.done("c")
    assert not line.take("c", 1e6 + 118)
    line.done("c")
    assert line.take("d", 1e6 + 178)


def test_however_many_wait_each_call_costs_the_same() -> None:
    def seconds(count: int) -> float:
        line = brake(burst=50, per_minute=60)
        began = time.perf_counter()
        for turn in range(count):
            line.take(f"{turn}", 0.0)
        for turn in range(count):
            line.take(f"{turn}", 0.0)
            line.next_turn(0.0)
        for turn in range(count):
            for key in line.due(float(turn), always):
                line.done(key)
        assert line.waiting == 0
        return time.perf_counter() - began

    seconds(1_000)
    few, many = min(seconds(2_000) for _ in range(3)), seconds(40_000)
    assert many < few * 20 * 6  # linear, with room for a busy machine; quadratic would be 400 times as long


steps = st.lists(
    st.tuples(st.sampled_from(["take", "due", "done"]), st.integers(0, 12), st.floats(0, 3)), min_size=1, max_size=80
)


@given(steps, st.integers(1, 4), st.sampled_from([0.0, 6.0, 30.0, 120.0]))
def test_never_more_than_the_bucket_gives_and_always_in_order(
    script: list[tuple[str, int, float]], burst: int, per_minute: float
) -> None:
    line: Brake[int] = Brake(burst=burst, per_minute=per_minute, now=0.0)
    now, quiet = 0.0, 0
    waiting: list[int] = []
    granted: set[int] = set()
    total = 0
    for what, key, passed in script:
        now += passed
        if what == "done":
            line.done(key)
            granted.discard(key)
            waiting = [other for other in waiting if other != key]
        elif what == "due":
            turns = line.due(now, always)
            assert turns == waiting[: len(turns)]
            waiting, total = waiting[len(turns) :], total + len(turns)
            granted |= set(turns)
        elif key not in granted:
            fresh = key not in waiting
            if line.take(key, now):
                assert fresh
                assert not waiting
                granted.add(key)
                total += 1
            elif fresh:
                waiting.append(key)
        assert (line.waiting, line.granted) == (len(waiting), len(granted))
        quiet = int(now // 60) if not per_minute else 0
        assert total <= burst * (1 + quiet) + now * per_minute / 60 + 1e-6


# --- at work


class Recorder:
    """Of the recorder of events, what the brake uses."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, bool]] = []
        self.notes: list[str] = []

    def emit_region(self, record: Any, *, reason: str, note: str, action: str, warning: bool = False) -> None:
        assert action == "Delete"
        self.told.append((record.name, reason, warning))
        self.notes.append(note)


US, EU = region("us").record(), region("eu").record()


def key(number: int) -> Key:
    return Key(Kind.SECRET_SET, "team", f"app-{number}")


class AtWork:
    """A brake at work, and sets that are being deleted."""

    def __init__(self, count: int, *, burst: int = 1, per_minute: float = 600.0, **status: Any) -> None:
        self.store = HubStore(lambda _: None, lambda _: None)
        for number in range(count):
            built = secret_set(f"app-{number}").in_region("us").with_status(**status)
            built.with_meta(deletionTimestamp=at(1), generation=2, finalizers=[names.FINALIZER])
            self.store.apply_set(built.record())
        for record in (US, EU):
            self.store.apply_region(record, {})
        self.events = Recorder()
        self.woken: list[int] = []
        config = Config(deletion_burst=burst, deletions_per_minute=per_minute)
        self.brake = DeletionBrake(config, self.store, cast("EventRecorder", self.events))

    def ask(self, number: int, record: Any = US) -> bool:
        try:
            self.brake.check(key(number), record, lambda: self.woken.append(number))
        except Problem:
            return False
        return True


def braked() -> float:
    return REGISTRY.get_sample_value("secretset_deletions_braked") or 0.0


async def until(check: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_who_waits_is_woken_in_turn_and_each_region_tells_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_work, "_CALM_SECONDS", 0.05)
    work = AtWork(5)
    assert [work.ask(0), work.ask(1), work.ask(2), work.ask(3, EU), work.ask(2)] == [True, *[False] * 4]
    assert braked() == 3
    assert work.events.told == [("us", "DeletionBraked", True), ("eu", "DeletionBraked", True)]
    assert all("Retain" in note and "--deletions-per-minute" in note for note in work.events.notes)
    await until(lambda: len(work.woken) == 3)
    assert work.woken == [1, 2, 3]
    assert braked() == 0
    assert all(work.ask(number) for number in work.woken)
    for number in range(4):
        work.brake.done(key(number))
    await until(lambda: len(work.events.told) == 4)
    assert sorted(work.events.told[2:]) == [(name, "DeletionBrakeReleased", False) for name in ("eu", "us")]


async def test_who_is_retained_leaves_the_line_and_who_is_gone_is_not_woken() -> None:
    work = AtWork(4)
    assert [work.ask(number) for number in range(4)] == [True, False, False, False]
    work.brake.done(key(1))
    assert braked() == 2
    work.store.forget_set(key(2))
    await until(lambda: work.woken)
    assert work.woken == [3]
    assert braked() == 0


async def test_a_region_that_another_replica_serves_holds_up_nobody() -> None:
    work = AtWork(4)
    assert [work.ask(0), work.ask(1), work.ask(2), work.ask(3, EU)] == [True, False, False, False]
    work.brake.leave("us")
    assert braked() == 1
    await until(lambda: work.woken)
    assert work.woken == [3]


async def test_the_problem_tells_the_ways_out_and_no_number() -> None:
    work = AtWork(2)
    work.ask(0)
    with pytest.raises(Problem) as raised:
        work.brake.check(key(1), US, lambda: None)
    assert raised.value.reason is Reason.DELETION_BRAKED
    assert "Retain" in raised.value.message
    assert "--deletions-per-minute" in raised.value.message
    assert not any(letter.isdigit() for letter in raised.value.message)


@pytest.mark.parametrize(
    ("count", "burst", "reason"),
    [(3, 50, "DeletionBraked"), (51, 50, "RegionUnreachable")],
    ids=["the brake was on", "the region is back"],
)
async def test_a_restart_gives_no_new_burst(count: int, burst: int, reason: str) -> None:
    work = AtWork(count, burst=burst, reason=reason, observedGeneration=2)
    assert not work.ask(0)
    await until(lambda: work.woken == [0])
    assert work.ask(0)


@pytest.mark.parametrize(
    ("count", "reason", "generation"),
    [(50, "RegionUnreachable", 2), (51, "RegionUnreachable", 1), (51, "Synced", 1)],
    ids=["few wait", "told before the deletion", "just deleted"],
)
async def test_what_did_not_wait_before_goes_at_once(count: int, reason: str, generation: int) -> None:
    work = AtWork(count, burst=50, reason=reason, observedGeneration=generation)
    assert [number for number in range(count) if work.ask(number)] == list(range(50))


async def test_what_waits_in_regions_of_others_holds_up_nobody_until_they_come_here() -> None:
    work = AtWork(3, burst=50, reason="DeletionBraked", observedGeneration=2)
    assert work.ask(90, EU)
    assert not work.ask(0, US)  # this region was just taken over
    assert work.events.told == [("us", "DeletionBraked", True)]
    assert not any("More than" in note for note in work.events.notes)


async def test_grants_of_sets_that_went_another_way_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_work, "_LATEST", 0.0)
    work = AtWork(20, burst=2, per_minute=60_000)
    for number in range(18):
        await asyncio.sleep(0.002)
        assert work.ask(number)
        work.store.forget_set(key(number))
    assert work.brake._brake is not None
    assert work.brake._brake.granted <= 5
    assert len(work.brake._asked) <= 5
