"""The long forms of `unit.test_plan_histories` and `unit.test_queue_histories`."""

import pytest
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from unit.histories import profile
from unit.test_plan_histories import Plan
from unit.test_queue_histories import Keys, Passes

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]


@pytest.mark.parametrize(("machine", "examples", "steps"), [(Keys, 1000, 60), (Passes, 1000, 40)])
def test_no_history_of_very_many_loses_a_key(machine: type[RuleBasedStateMachine], examples: int, steps: int) -> None:
    run_state_machine_as_test(machine, settings=profile(examples, steps))


def test_any_of_very_many_histories_ends_as_the_newest_memory_says() -> None:
    run_state_machine_as_test(Plan, settings=profile(1000, 30))
