"""What the state machines of these tests have in common."""

from __future__ import annotations

from hypothesis import settings


def profile(examples: int, steps: int, *, always_the_same: bool = False) -> settings:
    """So many histories of so many steps; with ``always_the_same`` those of the run before."""
    return settings(max_examples=examples, stateful_step_count=steps, deadline=None, derandomize=always_the_same)
