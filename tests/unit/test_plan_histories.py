"""Whatever befalls a set, its Secret and its status: the plan makes of it what the newest memory says, and no more.

What must be so is judged by `unit.plan_world`, at every write and after every pass.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from secretset.domain import names
from unit.histories import profile
from unit.plan_stage import WINDOW
from unit.plan_world import World

_TIMES = '"2026-03-01T00:00:01Z","2026-03-01T00:00:02Z"'
_FORGERIES = [
    f"{names.ANNOTATION_REVISION}=0",
    f"{names.ANNOTATION_REVISION}=x",
    f"{names.ANNOTATION_REVISION}=7",
    f"{names.ANNOTATION_KEYS}=",
    f"{names.ANNOTATION_KEYS}={{}}",
    f'{names.ANNOTATION_KEYS}={{"A":["k1.x",{_TIMES}]}}',
    f"{names.ANNOTATION_WAVE}=",
    f'{names.ANNOTATION_WAVE}={{"id":1}}',
    f"{names.ANNOTATION_UPDATED}=yesterday",
    f"{names.ANNOTATION_INPUTS}=",
    f"{names.ANNOTATION_ASKED}=",
    f"{names.ANNOTATION_OWNER_UID}=somebody",
]
fuses = st.sampled_from([None, None, 0, 1, 2])
back = st.integers(0, 5)


class Plan(RuleBasedStateMachine):
    """One set, its managed Secret and its status."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @rule()
    def work(self) -> None:
        self.world.work()

    @rule(fuse=st.integers(0, 3), tardy=st.booleans())
    def work_and_die(self, fuse: int, tardy: bool) -> None:
        self.world.work(fuse, tardy)

    @rule(key=st.sampled_from("ABC"), value=st.sampled_from([0, 1, 2, None]))
    def change(self, key: str, value: int | None) -> None:
        self.world.change(key, value)

    @rule(key=st.sampled_from("AB"), value=st.sampled_from([0, 1]), fuse=fuses, tardy=st.booleans())
    def change_and_work(self, key: str, value: int, fuse: int | None, tardy: bool) -> None:
        self.world.change(key, value)
        self.world.work(fuse, tardy)

    @rule(policy=st.sampled_from(["Auto", "Never"]), windowed=st.booleans())
    def configure(self, policy: str, windowed: bool) -> None:
        self.world.configure(policy=policy, window=WINDOW if windowed else None)

    @rule()
    def ask(self) -> None:
        self.world.ask()

    @rule(seconds=st.sampled_from([1, 60, 600]))
    def tick(self, seconds: int) -> None:
        self.world.tick(seconds)

    @rule(retain=st.booleans(), fuse=fuses)
    def recreate(self, retain: bool, fuse: int | None) -> None:
        self.world.recreate(retain, fuse)

    @rule(how=st.sampled_from(["data", "no data", "labels", "immutable", "theirs", "held", *_FORGERIES]))
    def drift(self, how: str) -> None:
        self.world.drift(how)

    @rule(how=st.sampled_from(["theirs", "held"]), then=st.sampled_from(["data", "labels", "immutable"]))
    def drift_of_what_bears_marks_of_others(self, how: str, then: str) -> None:
        self.world.drift(how)
        self.world.drift(then)
        self.world.work()

    @rule()
    def recreate_and_work(self) -> None:
        self.world.recreate(retain=True, fuse=None)
        self.world.work()

    @rule()
    def delete(self) -> None:
        self.world.delete()

    @rule()
    def let_go(self) -> None:
        self.world.let_go()

    @rule(back=back)
    def put_back(self, back: int) -> None:
        self.world.put_back(back)

    @rule(whose=st.sampled_from(["nobody", "another installation", "another set"]))
    def occupy(self, whose: str) -> None:
        self.world.occupy(whose)

    @rule()
    def vacate(self) -> None:
        self.world.vacate()

    @rule()
    def lose_status(self) -> None:
        self.world.lose_status()

    @rule(back=back)
    def rewind_status(self, back: int) -> None:
        self.world.rewind_status(back)

    @rule(drop=st.booleans())
    def add_key(self, drop: bool) -> None:
        self.world.add_key(drop)

    @rule()
    def work_of_clone(self) -> None:
        self.world.work_of_clone()

    @rule()
    def leave_of_clone(self) -> None:
        self.world.leave_of_clone()

    def teardown(self) -> None:
        try:
            self.world.settle()
        finally:
            self.world.close()


def test_any_history_ends_as_the_newest_memory_says() -> None:
    run_state_machine_as_test(Plan, settings=profile(100, 20, always_the_same=True))


def test_a_request_that_was_carried_out_is_remembered_though_the_secret_forgets_it() -> None:
    """The status forgot it too, at the next pass, and the one after that restarted everybody once more."""
    world = World()
    try:
        world.work()
        world.ask()
        world.work()
        world.work()
        assert world.restarts == 2  # the first is for the first delivery, as the Secret is optional there
        world.drift(f"{names.ANNOTATION_ASKED}=")
        for _ in range(3):
            world.work()
        assert world.restarts == 2
        world.settle()
    finally:
        world.close()
