"""Scenarios while replicas sleep, die and begin, and clocks jump."""

from __future__ import annotations

import signal
import time

import pytest

from chaos.lane import Lane
from chaos.replicas import DAY, HOUR, Apart, Asleep, BothAtOnce, Clocked, Died
from chaos.run import run

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]
NAMES = ("create", "change", "delete", "recreate", "far-create", "far-change", "pull", "sealed-changes")
# With whether it happens to the replica that was there first; whose a region is depends on their names alone.
EITHER = [
    *((name, True) for name in NAMES),
    *((name, False) for name in ("create", "change", "recreate", "far-change")),
]


@pytest.mark.parametrize("name", NAMES)
def test_asleep(lane: Lane, name: str) -> None:
    """A replica stops; the other one takes over and does what there is to do; then the first wakes up."""
    run(lane, name, trouble=Asleep(20.0, first=True))


@pytest.mark.parametrize(("name", "first"), EITHER)
def test_asleep_for_a_moment(lane: Lane, name: str, first: bool) -> None:
    """It wakes up before its Lease has run out for the others, and its own trust in it has."""
    run(lane, name, trouble=Asleep(8.5, first=first))


@pytest.mark.parametrize(("name", "first"), EITHER)
def test_replica_killed(lane: Lane, name: str, first: bool) -> None:
    """A replica is killed; the other one does what there is to do."""
    run(lane, name, trouble=Died(first=first))


@pytest.mark.parametrize("name", NAMES)
def test_both_at_once(lane: Lane, name: str) -> None:
    """Two replicas begin while users do something."""
    run(lane, name, trouble=BothAtOnce())


@pytest.mark.parametrize("name", ["change-twice", *NAMES[:4], "far-change", "sealed-changes"])
@pytest.mark.parametrize("seconds", [-DAY, -HOUR, HOUR, DAY])
def test_clock_jumps(lane: Lane, name: str, seconds: int) -> None:
    """The wall clock jumps, and jumps back later."""
    run(lane, name, trouble=Clocked(seconds))


@pytest.mark.parametrize("name", ["change", "recreate", "far-change"])
@pytest.mark.parametrize("seconds", [-HOUR, HOUR])
def test_clocks_apart(lane: Lane, name: str, seconds: int) -> None:
    """One of two replicas has a clock that is an hour wrong, and the other one dies."""
    run(lane, name, trouble=Apart(seconds))


def test_ends_whenever_it_is_told_to(lane: Lane) -> None:
    """A replica is stopped at every moment of its first seconds."""
    try:
        for moment in range(30):
            replica = lane.join()
            if moment % 2:
                replica.ready()
            time.sleep(moment % 10 * 0.1)
            assert replica.stop() in {0, -signal.SIGTERM}  # by itself, or before it listened
    finally:
        lane.beside = None
        lane.logged()
        lane.forget()
