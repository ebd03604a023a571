"""Scenarios while whole planes lose their history, their programs or their store."""

from __future__ import annotations

import itertools

import pytest

from chaos.disturbances import Compacted, Killed, Pages, PutBack
from chaos.lane import FAR, Lane
from chaos.run import run
from chaos.trouble import Trouble

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]
NEAR_ONES = ("create", "change", "delete", "recreate", "sealed-changes", "pull")
FAR_ONES = ("far-create", "far-change", "far-delete")
PLACES = [*(("hub", name) for name in NEAR_ONES + FAR_ONES[:2]), *((FAR, name) for name in FAR_ONES)]
Case = tuple[str, Trouble]


def _compacted(*moments: bool, unseen: bool) -> list[Case]:
    cases = itertools.product(PLACES, moments)
    return [(name, Compacted(plane, before=before, unseen=unseen)) for (plane, name), before in cases]


def _killed() -> list[Case]:
    moments = itertools.product(PLACES, ("kube-apiserver", "etcd"), (0, 1))
    return [(name, Killed(plane, program, write)) for (plane, name), program, write in moments]


@pytest.mark.parametrize(("name", "trouble"), _compacted(False, True, unseen=False), ids=str)
def test_compacted(lane: Lane, name: str, trouble: Trouble) -> None:
    """etcd forgets all versions in a moment in which watches are cut."""
    run(lane, name, trouble=trouble)


@pytest.mark.parametrize(("name", "trouble"), _compacted(False, unseen=True), ids=str)
def test_compacted_unseen(lane: Lane, name: str, trouble: Trouble) -> None:
    """etcd forgets all versions while the API server is away, which knows none when it comes back."""
    run(lane, name, trouble=trouble)


@pytest.mark.parametrize(("plane", "name"), PLACES[:-1])  # the last leaves a single object, on a single page
@pytest.mark.parametrize("times", [1, 3])
def test_continue_tokens_expire(lane: Lane, plane: str, name: str, times: int) -> None:
    """Lists break off after a page, since etcd has forgotten what they read."""
    run(lane, name, trouble=Pages(plane, times))


@pytest.mark.parametrize(("name", "trouble"), _killed(), ids=str)
def test_program_killed(lane: Lane, name: str, trouble: Trouble) -> None:
    """An API server or a store ends, before users do something or in the midst of a write, and comes back."""
    run(lane, name, trouble=trouble)


@pytest.mark.parametrize("name", ["change", "sealed-changes", "delete", "far-change", "far-create", "far-delete"])
def test_hub_put_back(lane: Lane, name: str) -> None:
    """The hub's store is put back to before what users did."""
    run(lane, name, trouble=PutBack("hub"))


@pytest.mark.parametrize("name", ["far-change", "far-create", "far-delete", "far-lost"])
def test_far_put_back(lane: Lane, name: str) -> None:
    """The store of a region's cluster is put back to before what was delivered."""
    run(lane, name, trouble=PutBack(FAR))
