"""Fixtures of the tests of pages: clusters, each with a stand-in for the operator's pods."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from docs.stand_in import StandIn, standing_in
from docs.world import World
from integration.conftest import canaries, control_planes, function_control_planes, module_control_planes
from kubelab.plane import ControlPlane
from kubelab.pytest_plugin import ControlPlanes

__all__ = ["canaries", "control_planes", "function_control_planes", "module_control_planes"]

Reader = Callable[[str], World]


@pytest.fixture(scope="module")
def shared(module_control_planes: ControlPlanes) -> Iterator[tuple[ControlPlane, ControlPlane, StandIn]]:
    """A hub and another cluster for all pages of a module."""
    hub, other = module_control_planes(["hub", "other"], nodes=1)
    with standing_in(hub) as stand_in:
        yield hub, other, stand_in


@pytest.fixture
def reader(
    shared: tuple[ControlPlane, ControlPlane, StandIn], tmp_path: Path, canaries: list[str]
) -> Callable[[str], World]:
    """Makes the reader of a page, whose hub has the operator and nothing else."""
    hub, other, stand_in = shared

    def made(page: str) -> World:
        world = World(page, tmp_path, {"hub": hub, "other": other}, stand_in, canaries)
        world.installed()
        world.cleared()
        return world

    return made


@pytest.fixture
def newcomer(
    function_control_planes: ControlPlanes, tmp_path: Path, canaries: list[str]
) -> Iterator[Callable[[str], World]]:
    """Makes the reader of a page, whose hub is an empty cluster."""
    with ExitStack() as stack:

        def made(page: str) -> World:
            (hub,) = function_control_planes(["empty"], nodes=1)
            return World(page, tmp_path, {"hub": hub}, stack.enter_context(standing_in(hub)), canaries)

        yield made
