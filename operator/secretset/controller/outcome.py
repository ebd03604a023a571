"""What can come of a pass."""

from __future__ import annotations

from dataclasses import dataclass


def soonest(*waits: float | None) -> float | None:
    """The first of several times to look again, in seconds; None stands for not until something changes."""
    return min((wait for wait in waits if wait is not None), default=None)


@dataclass(frozen=True, kw_only=True)
class Done:
    """What came of a pass.

    Attributes:
        worked: there was something to do.
        wait: seconds after which to look again; None for not until something changes.
        backoff: look again with backoff, after this many seconds at least; None for not.
    """

    worked: bool = False
    wait: float | None = None
    backoff: float | None = None


class Postponed(Exception):
    """The pass is to be repeated later, without a change of status.

    Attributes:
        seconds: when.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"postponed by {seconds:.1f} s")
        self.seconds = seconds
