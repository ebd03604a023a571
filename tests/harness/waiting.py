"""Wait for what should happen, and see that nothing else does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

SOON = 15.0  # seconds after which something that should happen at once counts as not happened


def eventually(check: Callable[[], Any], what: str = "", *, seconds: float = SOON) -> Any:
    """Poll until ``check`` returns something true, and return it; the last value is told on failure."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or 'it'} did not happen within {seconds:.0f} s; last seen: {found!r}")
        time.sleep(0.03)


def holds(check: Callable[[], Any], *, seconds: float) -> None:
    """Assert that something stays so for a while."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert check()
        time.sleep(0.1)
