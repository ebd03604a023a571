"""A hub without the finalizer policy: each new set is one write more, and that can go wrong, too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chaos import faults
from chaos.faults import Fault
from chaos.lane import Lane
from chaos.run import run
from chaos.scenarios import AWAY, WRITES
from harness import ROOT
from harness.helm import sets_are_taken

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]
_POLICY = str(ROOT / "deploy/finalizer-policy.yaml")
NAMES = ("create", "sealed", "pull", "recreate", "late-source", "far-create")


def _cases() -> list[tuple[str, Fault]]:
    """Crashes at each write of the hub; all else at the one that is there for that reason."""
    crashes = [
        (name, fault)
        for name in NAMES
        for number in range(1, sum(WRITES[name]) - AWAY[name] + 2)
        for fault in faults.crashes(number)
    ]
    return crashes + [(name, fault) for name in NAMES[:2] for fault in faults.of_write(1)]


@pytest.fixture(scope="module", autouse=True)
def unguarded(lane: Lane) -> Iterator[None]:
    """The lane's hub has no such policy for a while."""
    hub = lane.planes["hub"]
    hub.kubectl("delete", "-f", _POLICY)
    sets_are_taken(hub)
    yield
    hub.kubectl("apply", "-f", _POLICY)
    sets_are_taken(hub)


@pytest.mark.parametrize("name", NAMES)
def test_well(lane: Lane, name: str) -> None:
    """Nothing goes wrong; there is one write more."""
    done = run(lane, name)
    objects = [each for each in done.writes if not each.resource.endswith("/status")]
    assert len(objects) == WRITES[name][0] + 1, [str(each) for each in done.writes]


@pytest.mark.parametrize(("name", "fault"), _cases(), ids=str)
def test_finalizer(lane: Lane, name: str, fault: Fault) -> None:
    """A write is refused or lost, or the operator dies with it."""
    assert run(lane, name, (fault,)).met
