"""What happens to replicas of the operator, and to their clocks."""

from __future__ import annotations

import signal
import tempfile
from pathlib import Path

from chaos.trouble import Trouble

HOUR, DAY = 3600, 86400
_TAKEN_OVER = 15.0  # seconds after which the other replica has taken over for sure


class Beside(Trouble):
    """Another replica, which is there from before; here nothing else happens."""

    wide = True  # what Regions and sets tell is told by whoever serves them
    patience = 60.0

    def prepare(self) -> None:
        self.lane.join().ready()

    def over(self) -> None:
        self.lane.leave()


class Asleep(Beside):
    """One replica stops, and wakes up.

    Args:
        seconds: after which it wakes.
        first: whether it is the one that was there first (else the other).
    """

    def __init__(self, seconds: float, *, first: bool) -> None:
        self.lasts = seconds
        self.first = first

    def __str__(self) -> str:
        return f"{'first' if self.first else 'second'}-{self.lasts:.0f}s"

    def begin(self) -> None:
        self._signal(signal.SIGSTOP)

    def end(self) -> None:
        self._signal(signal.SIGCONT)

    def over(self) -> None:
        self._signal(signal.SIGCONT)
        super().over()

    def _signal(self, number: int) -> None:
        replica = self.lane.operator if self.first else self.lane.beside
        assert replica is not None
        replica.signal(number)


class Died(Beside):
    """One replica is killed, and another takes its place when everything has settled, or after a while.

    Args:
        first: whether it is the one that was there first (else the other).
    """

    lasts = _TAKEN_OVER + 5

    def __init__(self, *, first: bool) -> None:
        self.first = first

    def __str__(self) -> str:
        return "first" if self.first else "second"

    def begin(self) -> None:
        replica = self.lane.operator if self.first else self.lane.beside
        assert replica is not None
        replica.kill()
        replica.ended()
        if not self.first:
            self.lane.beside = None

    def end(self) -> None:
        if self.first:
            self.lane.begin()
        else:
            self.lane.join().ready()

    def over(self) -> None:
        if self.lane.operator.code is not None:
            self.lane.begin()
        super().over()


class BothAtOnce(Beside):
    """Both begin when users do something."""

    def prepare(self) -> None:
        self.lane.operator.stop()

    def begin(self) -> None:
        self.lane.join()
        self.lane.begin()


class Clocked(Trouble):
    """The wall clock of the operator jumps by so many seconds while users do something, and back at the end.

    What it told before and after may be of other times, so statuses of others may change with it.

    Args:
        seconds: by which it jumps.
    """

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds

    def __str__(self) -> str:
        return f"{self.seconds // HOUR:+d}h"

    def prepare(self) -> None:
        self._clock = Path(tempfile.mkdtemp(dir=self.lane.nursery.folder)) / "clock"
        self._set(0)
        self.lane.operator.stop()
        self.lane.begin(clock=self._clock)

    def begin(self) -> None:
        self._set(self.seconds)

    def end(self) -> None:
        self._set(0)

    def over(self) -> None:
        self.lane.operator.stop()
        self.lane.begin()

    def _set(self, seconds: int) -> None:
        new = self._clock.with_suffix(".new")
        new.write_text(str(seconds))
        new.rename(self._clock)


class Apart(Beside):
    """The clock of one of two replicas is wrong by so many seconds from the start, and the other one dies.

    Args:
        seconds: by which it is wrong.
    """

    lasts = _TAKEN_OVER + 5

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds

    def __str__(self) -> str:
        return f"{self.seconds // HOUR:+d}h"

    def prepare(self) -> None:
        clock = Path(tempfile.mkdtemp(dir=self.lane.nursery.folder)) / "clock"
        clock.write_text(str(self.seconds))
        self.lane.join(clock=clock).ready()

    def begin(self) -> None:
        self.lane.operator.kill()
        self.lane.operator.ended()

    def end(self) -> None:
        self.lane.begin()

    def over(self) -> None:
        if self.lane.operator.code is not None:
            self.lane.begin()
        super().over()
