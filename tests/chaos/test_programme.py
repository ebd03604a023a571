"""Every scenario with everything that can go wrong with one of its requests, and without."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from chaos import faults
from chaos.faults import Fault
from chaos.lane import FAR, Lane
from chaos.pairwise import pairwise
from chaos.run import run
from chaos.scenarios import AWAY, SCENARIOS, WRITES

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]
Case = tuple[str, Fault]

# Which reads and watches each of these depends on: plane and plural.
READ = {
    "create": ("hub:secretsets", "hub:secrets", "hub:deployments"),
    "change": ("hub:secretsets", "hub:secrets", "hub:deployments"),
    "delete": ("hub:secretsets", "hub:secrets"),
    "recreate": ("hub:secretsets", "hub:secrets"),
    "late-source": ("hub:secrets",),
    "sealed": ("hub:secretsets",),
    "pull": ("hub:imagepullsecrets", "hub:secrets"),
    "far-create": ("far:secrets", "far:deployments", "hub:secrets"),
    "far-change": ("far:secrets", "far:deployments"),
    "far-delete": ("far:secrets",),
    "far-pull": ("far:serviceaccounts",),
    "rotated": ("hub:secrets",),
}
WATCHED = {
    "create": ("hub:secretsets", "hub:secrets"),
    "change": ("hub:secrets", "hub:deployments"),
    "change-twice": ("hub:secrets",),
    "describe": ("hub:secretsets",),
    "edited": ("hub:secrets",),
    "lost": ("hub:secrets",),
    "delete": ("hub:secretsets",),
    "recreate": ("hub:secretsets", "hub:secrets"),
    "late-source": ("hub:secrets",),
    "crowd": ("hub:secretsets",),
    "pull": ("hub:imagepullsecrets", "hub:serviceaccounts"),
    "far-change": ("far:secrets", "far:deployments"),
    "far-lost": ("far:secrets",),
    "region": ("hub:regions",),
    "region-closes": ("hub:regions",),
    "used-later": ("hub:deployments",),
}


# Scenario, plane, and how many writes of the operator there are.
PLAYED = [
    (name, plane, count)
    for name in SCENARIOS
    for plane, count in (("hub", sum(WRITES[name]) - AWAY[name]), (FAR, AWAY[name]))
    if count
]


def _killed() -> list[Case]:
    """Crashes at each write of each scenario."""
    return [
        (name, fault)
        for name, plane, count in PLAYED
        for number in range(1, count + 1)
        for fault in faults.crashes(number, plane)
    ]


def _writes() -> list[Case]:
    """Each fault with each scenario, and with each number of a write; each scenario with each of its writes."""
    most = max(count for _, _, count in PLAYED)
    kinds = list(faults.of_write(1))
    rows = pairwise([PLAYED, range(1, most + 1), kinds], _has)
    return [(name, replace(kind, plane=plane, number=number)) for (name, plane, _), number, kind in rows]


def _has(row: Sequence[Any]) -> bool:
    """Whether a scenario has so many writes."""
    return len(row) < 2 or row[1] <= row[0][2]


def _of(table: dict[str, tuple[str, ...]], kinds: Callable[[str, str], Iterator[Fault]]) -> list[Case]:
    """These faults of each resource that stands beside a scenario."""
    places = [(name, *place.split(":")) for name, found in table.items() for place in found]
    return [(name, fault) for name, plane, plural in places for fault in kinds(plural, plane)]


@pytest.mark.parametrize("name", SCENARIOS)
def test_well(lane: Lane, name: str) -> None:
    """Nothing goes wrong; no write is made that need not be."""
    done = run(lane, name)
    statuses = [each for each in done.writes if each.resource.endswith("/status")]
    objects, needed = WRITES[name]
    # What is in the way is tried again each second; how many of these there are, others decide.
    again = max(0, sum(each.code == 409 for each in done.writes) - 1)
    assert len(done.writes) - len(statuses) - again == objects, [str(each) for each in done.writes]
    assert needed <= len(statuses) <= needed + objects, [str(each) for each in done.writes]


@pytest.mark.parametrize(("name", "fault"), _killed(), ids=str)
def test_killed(lane: Lane, name: str, fault: Fault) -> None:
    """The operator dies before, while and after each write."""
    assert run(lane, name, (fault,)).met


@pytest.mark.parametrize(("name", "fault"), _writes(), ids=str)
def test_write(lane: Lane, name: str, fault: Fault) -> None:
    """One write is refused, lost, repeated or late."""
    assert run(lane, name, (fault,)).met


@pytest.mark.parametrize(("name", "fault"), _of(READ, faults.of_read), ids=str)
def test_read(lane: Lane, name: str, fault: Fault) -> None:
    """One read is refused, lost, late or broken off."""
    assert run(lane, name, (fault,)).met


@pytest.mark.parametrize(("name", "fault"), _of(WATCHED, faults.of_watch), ids=str)
def test_watch(lane: Lane, name: str, fault: Fault) -> None:
    """A watch breaks off, lies, or is refused."""
    assert run(lane, name, (fault,)).met


def test_again(lane: Lane, name: str, found: tuple[Fault, ...]) -> None:
    """The run that `make chaos RUN="…"` asks for."""
    run(lane, name, found)
