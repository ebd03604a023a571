"""Whatever happens, every workload ends with the last content, restarted once for each wave and never without a cause.

The operator's own code runs here (deliver, carry_out, follow_up, and all that they decide by) on a pretend API server.
It may die before or after any of its writes, and then begins with no memory; its watches may lag behind.
"""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from unit.histories import profile
from unit.rollout_world import Need, World

keys = st.sampled_from("AB")
one_of_two = st.sampled_from(["one", "two"])
seen = st.sampled_from([True, True, False])


def needs(*sets: str) -> st.SearchStrategy[list[Need]]:
    each = st.tuples(st.sampled_from(sets), st.sampled_from(["", "A", "B"]), st.booleans())
    return st.lists(each, min_size=1, max_size=1 if len(sets) == 1 else 3)


class OneSet(RuleBasedStateMachine):
    """One set changes back and forth, while the workloads that use it come, change and go."""

    sets: tuple[str, ...] = ("app",)

    def __init__(self) -> None:
        super().__init__()
        self.world = World(*self.sets)

    @initialize(first=needs("app"), second=needs("app"), delivered=st.booleans())
    def begin(self, first: list[Need], second: list[Need], delivered: bool) -> None:
        self.world.create("one", first)
        self.world.create("two", second)
        if delivered:
            self.world.work("app")

    @rule(key=keys)
    def flip(self, key: str) -> None:
        self.world.flip("app", key)
        self.world.work("app")

    @rule(key=keys, fuse=st.integers(0, 4), tardy=st.booleans())
    def flip_and_die(self, key: str, fuse: int, tardy: bool) -> None:
        self.world.flip("app", key)
        self.world.work("app", fuse, tardy)

    @rule(fuse=st.sampled_from([None, 0, 1, 2, 3]), tardy=st.booleans())
    def ask(self, fuse: int | None, tardy: bool) -> None:
        self.world.ask("app")
        self.world.work("app", fuse, tardy)

    @rule(seconds=st.sampled_from([0.5, 2, 8]))
    def work_later(self, seconds: float) -> None:
        self.world.tick(seconds)
        self.world.work("app")

    @rule(name=one_of_two, wanted=needs("app"), shown=seen)
    def create(self, name: str, wanted: list[Need], shown: bool) -> None:
        self.world.create(name, wanted, shown)

    @rule(name=one_of_two, wanted=needs("app"), shown=seen)
    def edit(self, name: str, wanted: list[Need], shown: bool) -> None:
        self.world.edit(name, wanted, shown)

    @rule(name=one_of_two, shown=seen)
    def roll_back(self, name: str, shown: bool) -> None:
        self.world.roll_back(name, shown)

    def teardown(self) -> None:
        try:
            self.world.settle()
        finally:
            self.world.close()


class TwoSets(OneSet):
    """Two sets, some workloads use both; and whatever else may happen."""

    sets = ("app", "dbs")
    either = st.sampled_from(sets)
    all_three = st.sampled_from(["one", "two", "three"])

    @rule(name=either, key=keys, value=st.sampled_from([b"1", b"2", None]))
    def change(self, name: str, key: str, value: bytes | None) -> None:
        self.world.change(name, key, value)

    @rule(name=either)
    def ask_for_either(self, name: str) -> None:
        self.world.ask(name)

    @rule(name=either)
    def work(self, name: str) -> None:
        self.world.work(name)

    @rule(name=either, fuse=st.integers(0, 4), tardy=st.booleans())
    def work_and_die(self, name: str, fuse: int, tardy: bool) -> None:
        self.world.work(name, fuse, tardy)

    @rule()
    def watch(self) -> None:
        self.world.watch()

    @rule(name=all_three, wanted=needs(*sets), shown=seen)
    def create_another(self, name: str, wanted: list[Need], shown: bool) -> None:
        self.world.create(name, wanted, shown)

    @rule(name=all_three, shown=seen)
    def delete(self, name: str, shown: bool) -> None:
        self.world.delete(name, shown)

    @rule(name=all_three, shown=seen)
    def scale(self, name: str, shown: bool) -> None:
        self.world.scale(name, shown)

    @rule(name=all_three, paused=st.booleans(), shown=seen)
    def pause(self, name: str, paused: bool, shown: bool) -> None:
        self.world.pause(name, paused, shown)

    @rule(name=all_three, stalled=st.booleans())
    def rolled(self, name: str, stalled: bool) -> None:
        self.world.rolled(name, stalled)

    @rule(name=either, policy=st.sampled_from(["Auto", "Never"]))
    def switch(self, name: str, policy: str) -> None:
        self.world.configure(name, policy=policy)

    @rule(name=either, most=st.sampled_from([1, None]))
    def limit(self, name: str, most: int | None) -> None:
        self.world.configure(name, maxConcurrent=most)


@pytest.mark.parametrize(("machine", "examples", "steps"), [(OneSet, 60, 12), (TwoSets, 40, 25)])
def test_any_history_ends_well(machine: type[OneSet], examples: int, steps: int) -> None:
    run_state_machine_as_test(machine, settings=profile(examples, steps))
