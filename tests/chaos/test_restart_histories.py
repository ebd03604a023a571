"""The long form of `unit.test_restart_properties`."""

import pytest
from hypothesis.stateful import run_state_machine_as_test

from unit.histories import profile
from unit.test_restart_properties import OneSet, TwoSets

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]


@pytest.mark.parametrize(("machine", "examples", "steps"), [(OneSet, 1000, 15), (TwoSets, 1000, 40)])
def test_any_of_very_many_histories_ends_well(machine: type[OneSet], examples: int, steps: int) -> None:
    run_state_machine_as_test(machine, settings=profile(examples, steps))
