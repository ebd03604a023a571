"""The operator is killed at every single write of a wave: before it, when its answer is lost, and after it."""

from __future__ import annotations

import functools
import itertools
from typing import get_args

import pytest

from harness.alone import Alone, Crashing
from harness.between import When, write_of

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]
WHENS = [when for when in get_args(When) if when != "meanwhile"]


@pytest.mark.parametrize("when", WHENS)
def test_a_wave(lone: Alone, when: When) -> None:
    with lone.operator() as process:
        crashing = Crashing(lone, process)
        for number in itertools.count(1):
            crashing.at(when, number)
            crashing.change("a")
            if not crashing.ends_well():
                break
        print(f"killed {when} each of {number - 1} writes")  # `pytest -s` shows it
        assert number > 5  # the Secret, three restarts, the status


@pytest.mark.parametrize("when", WHENS)
def test_a_change_in_the_middle_of_a_wave(lone: Alone, when: When) -> None:
    """The first workload is restarted for each of both, the others for both at once."""
    with lone.operator() as process:
        crashing = Crashing(lone, process, slow=1, maxConcurrent=1)
        first = write_of("PATCH", "/deployments/one")
        for number in itertools.count(1):
            begun = crashing.between.at(first, "meanwhile", functools.partial(_again, crashing, when, number))
            crashing.change("a")
            assert begun.sprung.wait(15)
            if not crashing.ends_well():
                break
        print(f"killed {when} each of {number - 1} writes")
        assert number > 5


def _again(crashing: Crashing, when: When, number: int) -> None:
    crashing.change("b", one=1)
    crashing.at(when, number)
