"""Scenarios while others take namespaces, room, rights and credentials away, or hold on to what is to go."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from chaos.lane import FAR, Lane
from chaos.misfortunes import Immutable, NamespaceGone, NoRoom, RightsTaken, Rotated, SecretHeld, SetHeld
from chaos.run import run
from chaos.scenarios import SCENARIOS
from chaos.scene import NEAR, Scene

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]


def _where(name: str) -> str:
    return FAR if name.startswith("far-") else NEAR


def _without_organization(name: str) -> Callable[[Scene], Iterator[None]]:
    """What a scenario has made, until its organization is deleted."""

    def play(scene: Scene) -> Iterator[None]:
        inner = SCENARIOS[name](scene)
        next(inner)
        if not scene.sets:
            next(inner, None)
        yield
        scene.user().delete("namespace", scene.name)
        for key in scene.sets:
            scene.sets[key] = None

    return play


@pytest.mark.parametrize(
    "name", ["create", "change", "delete", "sealed-changes", "pull", "far-create", "far-change", "far-delete"]
)
def test_regional_namespace_deleted(lane: Lane, name: str) -> None:
    """It goes with all that is in it, and comes back."""
    run(lane, name, trouble=NamespaceGone(_where(name)))


@pytest.mark.parametrize("name", ["change", "sealed-changes", "crowd-changes", "pull-changes", "far-change"])
def test_organization_deleted(lane: Lane, name: str) -> None:
    """With its sets, its sources and the operator's rights in it: what it delivered goes, and nothing else."""
    run(lane, name, play=_without_organization(name))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("create", True),
        ("sealed", True),
        ("pull", True),
        ("crowd", True),
        ("far-create", True),
        ("change", False),
        ("recreate", False),
        ("sealed-changes", False),
        ("far-change", False),
    ],
)
def test_no_room(lane: Lane, name: str, told: bool) -> None:
    """A quota keeps Secrets from being created; what is there already is changed all the same."""
    run(lane, name, trouble=NoRoom(_where(name), told=told))


@pytest.mark.parametrize(
    "name",
    ["change", "change-twice", "add-key", "remove-key", "sealed-changes", "pull-changes", "delete", "far-change"],
)
def test_immutable(lane: Lane, name: str) -> None:
    """Somebody has made the managed Secret immutable."""
    run(lane, name, trouble=Immutable(_where(name)))


@pytest.mark.parametrize("name", ["delete", "recreate", "lost", "pull-deleted", "far-delete", "far-lost"])
def test_secret_held(lane: Lane, name: str) -> None:
    """Somebody's finalizer holds the managed Secret that is to go."""
    run(lane, name, trouble=SecretHeld(_where(name)))


@pytest.mark.parametrize("name", ["delete", "recreate", "pull-deleted", "far-delete"])
def test_set_held(lane: Lane, name: str) -> None:
    """Somebody's finalizer holds the set that is to go."""
    run(lane, name, trouble=SetHeld(_where(name)))


@pytest.mark.parametrize(
    "name",
    ["create", "change", "delete", "recreate", "sealed-changes", "pull", "far-create", "far-change", "far-delete"],
)
def test_rights_taken(lane: Lane, name: str) -> None:
    """The operator may do nothing in the regional namespace for a while."""
    run(lane, name, trouble=RightsTaken(_where(name)))


@pytest.mark.parametrize("name", ["create", "change", "delete", "recreate", "pull", "far-change"])
def test_rights_to_sources_taken(lane: Lane, name: str) -> None:
    """The operator may read nothing in the organization for a while."""
    run(lane, name, trouble=RightsTaken(_where(name), organization=True))


@pytest.mark.parametrize("name", ["far-create", "far-change", "far-delete", "far-lost", "change"])
@pytest.mark.parametrize("wrong", [False, True], ids=["good", "wrong"])
def test_credentials_rotated(lane: Lane, name: str, wrong: bool) -> None:
    """Those of a region change ten times."""
    run(lane, name, trouble=Rotated(wrong=wrong))
