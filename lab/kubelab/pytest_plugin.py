"""Fixtures: real control planes for tests.

Planes are leashed to the process that runs the tests: they end with it, even by `kill -9`. Under pytest-xdist each
worker is such a process, with planes of its own, of other names. An idle plane costs memory and a twentieth of a core,
so a plane should not outlive the tests that need it: it ends with the scope of the factory that started it.

    def test_nodes(control_plane):
        assert "node-0" in control_plane.kubectl("get", "nodes").stdout

    @pytest.fixture(scope="module")
    def regions(module_control_planes):
        return module_control_planes(2)

With `--dist loadfile` the tests of a module run in one worker, so that its planes start once.
"""

import os
import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol, Unpack

import pytest

from kubelab.options import OptionFields
from kubelab.plane import ControlPlane


class ControlPlanes(Protocol):
    """Starts planes that are stopped at the end of the fixture's scope, after all that was made with them."""

    def __call__(self, wanted: int | Sequence[str], **options: Unpack[OptionFields]) -> list[ControlPlane]:
        """Starts planes side by side and returns them, ready, in order.

        Args:
            wanted: How many, or a word for each that becomes part of its name.
            **options: The fields of `kubelab.Options`, for each of them.
        """


@pytest.fixture(scope="session")
def control_planes() -> Iterator[ControlPlanes]:
    """A factory of planes that last for the session."""
    with _planes() as start:
        yield start


@pytest.fixture(scope="module")
def module_control_planes() -> Iterator[ControlPlanes]:
    """A factory of planes that end with the module whose tests use them."""
    with _planes() as start:
        yield start


@pytest.fixture
def function_control_planes() -> Iterator[ControlPlanes]:
    """A factory of planes that end with the test."""
    with _planes() as start:
        yield start


@pytest.fixture(scope="module")
def control_plane(module_control_planes: ControlPlanes) -> ControlPlane:
    """One plane with a node and an audit log, shared by all tests of a module: use a namespace of your own."""
    return module_control_planes(["shared"], nodes=1, audit=True)[0]


@contextmanager
def _planes() -> Iterator[ControlPlanes]:
    started: list[ControlPlane] = []

    def start(wanted: int | Sequence[str], **options: Unpack[OptionFields]) -> list[ControlPlane]:
        words = [str(number) for number in range(wanted)] if isinstance(wanted, int) else list(wanted)
        planes = [ControlPlane(_name(word), **options) for word in words]
        started.extend(planes)
        _side_by_side(ControlPlane.start, planes)
        return planes

    try:
        yield start
    finally:
        _side_by_side(ControlPlane.stop, started)


def _name(word: str) -> str:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    return f"pytest-{worker}-{word}-{secrets.token_hex(3)}"


class _Act(Protocol):
    def __call__(self, plane: ControlPlane, /) -> object: ...


def _side_by_side(act: _Act, planes: Sequence[ControlPlane]) -> None:
    if not planes:
        return
    with ThreadPoolExecutor(len(planes)) as pool:
        # Read to the end, so that the first failure is raised here and not lost.
        list(pool.map(act, planes))
