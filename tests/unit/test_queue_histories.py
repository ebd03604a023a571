"""Whatever is added when, and whatever comes of passes: no change is lost, and no key runs beside itself.

`Keys` holds the queue against a plain model of it, exactly. `Passes` has a region's workers make passes that end in
every way that there is, and judges what can be seen of them. Time is virtual, so hours of backoff take no time.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from secretset import telemetry
from secretset.controller.queue import BACKOFF_FIRST, BACKOFF_LAST, WorkQueue
from unit.histories import profile
from unit.pass_world import HOW, KEYS, World
from unit.virtual import VirtualLoop, gauge

_NAME = "histories"
letters = st.sampled_from("abcd")
delays = st.sampled_from([0.0, 0.1, 0.5, 2.0, 45.0, 600.0])


class Keys(RuleBasedStateMachine):
    """One queue, and hands that take keys from it and give them back."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.queue: WorkQueue[str] = WorkQueue(_NAME)
        self.hands: list[asyncio.Task[None]] = []  # those that wait
        self.taken: list[str] = []
        # The model.
        self.ready: list[str] = []
        self.running: list[str] = []
        self.again: list[str] = []
        self.later: dict[str, float] = {}
        self.failures: Counter[str] = Counter()
        self.waiting = 0
        self.expected: list[str] = []
        self.closed = False
        self._ties = 0

    # --- what happens

    @rule(key=letters)
    def add(self, key: str) -> None:
        self.queue.add(key)
        self._model_add(key)
        self._turn()

    @rule(first=letters, second=letters)
    def add_two_in_one_turn(self, first: str, second: str) -> None:
        for key in (first, second):
            self.queue.add(key)
            self._model_add(key)
        self._turn()

    @rule(key=letters, seconds=delays)
    def add_after(self, key: str, seconds: float) -> None:
        seconds = self._untied(seconds)

        async def plan() -> None:
            self.queue.add_after(key, seconds)

        self.loop.run(plan())
        self._model_later(key, seconds)
        self._turn()

    @rule(key=letters, at_least=delays)
    def retry(self, key: str, at_least: float) -> None:
        at_least = self._untied(at_least)

        async def fail() -> float:
            return self.queue.retry(key, at_least=at_least)

        delay = self.loop.run(fail())
        middle = min(BACKOFF_FIRST * 2.0 ** self.failures[key], BACKOFF_LAST)
        assert max(at_least, 0.75 * middle) <= delay <= max(at_least, 1.25 * middle)
        self.failures[key] += key not in self.later
        self._model_later(key, delay)
        self._turn()

    @rule(key=letters)
    def succeed(self, key: str) -> None:
        self.queue.succeeded(key)
        del self.failures[key]

    @rule(key=letters)
    def forget(self, key: str) -> None:
        self.queue.forget(key)
        del self.failures[key]
        self.later.pop(key, None)

    @rule()
    def reach_out(self) -> None:
        """A worker waits for a key."""
        self.hands.append(self.loop.create_task(self._hand()))
        self.waiting += 1
        self._turn()

    @precondition(lambda self: self.waiting and not self.closed)
    @rule(key=letters, first=st.booleans())
    def withdraw(self, key: str, first: bool) -> None:
        """A worker that waits is cancelled in the very turn in which a key comes: it must not take that along."""
        if not first:
            self.queue.add(key)
        self.hands.pop(0).cancel()
        self.waiting -= 1
        if first:
            self.queue.add(key)
        self._model_add(key)
        self._turn()

    @precondition(lambda self: self.running)
    @rule(number=st.integers(0, 3))
    def give_back(self, number: int) -> None:
        key = self.running.pop(number % len(self.running))
        self.queue.done(key)
        if key in self.again:
            self.again.remove(key)
            self.ready.append(key)
        self._turn()

    @rule(seconds=st.sampled_from([0.2, 1.0, 30.0, 700.0]))
    def wait(self, seconds: float) -> None:
        end = self.loop.time() + seconds
        for key, due in sorted(self.later.items(), key=lambda item: item[1]):
            if due <= end:
                del self.later[key]
                self._model_add(key)
                self._model_take()
        self.loop.sleep(seconds)
        self._compare()

    @precondition(lambda self: not self.closed)
    @rule()
    def close(self) -> None:
        """What was planned is not done any more, and nothing is taken in."""
        self.queue.close()
        self.closed = True
        self.later.clear()

    # --- what must be so

    @invariant()
    def tells_what_it_holds(self) -> None:
        assert len(self.queue) == len(self.ready)
        assert self.queue.idle == (not self.ready and not self.running)
        told = {"name": _NAME}
        if self.closed:
            assert gauge(telemetry.QUEUE_DEPTH, told) is None
        else:
            assert gauge(telemetry.QUEUE_DEPTH, told) == len(self.ready)
            assert (gauge(telemetry.QUEUE_LONGEST, told) or 0.0) >= 0.0

    def teardown(self) -> None:
        """Everything that is owed comes, once, and then there is nothing."""
        try:
            self.wait(700.0)
            while self.ready or self.running:
                self.reach_out()
                while self.running:
                    self.give_back(0)
            assert self.queue.idle
            assert not self.later
            before = len(self.taken)
            self.loop.sleep(10_000.0)
            assert len(self.taken) == before
        finally:
            self.queue.close()
            self.loop.end()

    # --- the model

    async def _hand(self) -> None:
        self.taken.append(await self.queue.get())

    def _untied(self, seconds: float) -> float:
        """No two of these end in the same moment, as their order would be anybody's."""
        self._ties += 1
        return seconds + self._ties * 1e-6

    def _model_add(self, key: str) -> None:
        if self.closed or key in self.ready or key in self.again:
            return
        (self.again if key in self.running else self.ready).append(key)

    def _model_later(self, key: str, seconds: float) -> None:
        if not self.closed:
            due = self.loop.time() + seconds
            self.later[key] = min(due, self.later.get(key, due))

    def _model_take(self) -> None:
        while self.waiting and self.ready:
            self.waiting -= 1
            key = self.ready.pop(0)
            assert key not in self.running
            self.running.append(key)
            self.expected.append(key)

    def _turn(self) -> None:
        self._model_take()
        self.loop.turn()
        now = self.loop.time()
        assert all(due > now for due in self.later.values())
        self._compare()

    def _compare(self) -> None:
        self.hands = [hand for hand in self.hands if not hand.done()]
        assert self.taken == self.expected, "not the keys that were due, in the order in which they were"
        assert len(self.hands) == self.waiting


class Passes(RuleBasedStateMachine):
    """A region's workers, while its sets change and their passes end in one way or another."""

    keys = st.sampled_from(KEYS)
    ends = st.lists(st.tuples(st.sampled_from(sorted(HOW)), st.sampled_from([0.0, 0.3, 5.0])), min_size=1, max_size=4)

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @initialize(workers=st.integers(1, 3))
    def begin(self, workers: int) -> None:
        self.world.begin(workers)

    @rule(key=keys)
    def change(self, key: int) -> None:
        self.world.change(key)

    @rule(of=st.lists(keys, min_size=2, max_size=9))
    def change_many_at_once(self, of: list[int]) -> None:
        for key in of:
            self.world.change(key, turn=False)
        self.world.turn()

    @rule(key=keys, ends=ends)
    def let_it_end_like_this(self, key: int, ends: list[tuple[str, float]]) -> None:
        self.world.script(key, ends)
        self.world.change(key)

    @rule(key=keys, more=st.integers(1, 2))
    def change_while_it_is_looked_at(self, key: int, more: int) -> None:
        self.world.script(key, [("done", 5.0)])
        for _ in range(1 + more):
            self.world.change(key)

    @rule(key=keys, seconds=st.sampled_from([0.1, 3.0, 100.0]))
    def plan(self, key: int, seconds: float) -> None:
        self.world.plan(key, seconds)

    @rule(seconds=st.sampled_from([0.1, 0.4, 1.0, 10.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.world.wait(seconds)

    @rule()
    def hand_over(self) -> None:
        """The region is another replica's, or its Region changed: a new runner is handed all its sets."""
        self.world.hand_over()

    @invariant()
    def all_is_well(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        try:
            self.world.settle()
        finally:
            self.world.close()


@pytest.mark.parametrize(("machine", "examples", "steps"), [(Keys, 120, 40), (Passes, 80, 25)])
def test_no_history_loses_a_key(machine: type[RuleBasedStateMachine], examples: int, steps: int) -> None:
    run_machine(machine, settings=profile(examples, steps, always_the_same=True))


def test_a_pass_does_not_end_its_worker_because_something_that_it_waited_for_was_cancelled() -> None:
    world = World()
    try:
        world.begin(workers=1)
        world.script(0, [("what it waited for was cancelled", 0.0)])
        world.change(0)
        world.check()
        world.settle()
    finally:
        world.close()
