"""What `make test` runs once more, and what it does not."""

from __future__ import annotations

import pytest

from second_look import MOST, forgivable

PLANE = "tests/integration/test_links.py::test_a_link_that_is_slow_is_no_broken_one"


@pytest.mark.parametrize(
    "failed",
    [
        [PLANE],
        [f"tests/chaos/test_short.py::test_found[{each}]" for each in range(4)],
        [f"tests/integration/test_{each}.py::test_it" for each in range(MOST)],
    ],
)
def test_a_few_tests_on_control_planes_get_a_second_look(failed: list[str]) -> None:
    assert forgivable(failed)


@pytest.mark.parametrize(
    "failed",
    [
        [],
        ["tests/unit/test_plan.py::test_it"],
        [PLANE, "tests/supply/test_sbom.py::test_it"],
        [f"tests/integration/test_{each}.py::test_it" for each in range(MOST + 1)],
        [f"{PLANE}[{each}]" for each in range(100)],
    ],
)
def test_nothing_else_does(failed: list[str]) -> None:
    assert not forgivable(failed)
