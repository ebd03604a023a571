"""Many sets, each changed again and again as fast as the API server takes it, and all of them deleted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from chaos.lane import FAR, Lane
from chaos.run import run
from chaos.scene import NEAR, Scene
from chaos.trouble import Trouble

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]
UPDATES = 10
_USERS = 8  # who change things at the same time
_BOUND = 5  # sets that a Deployment uses


class Storm(Trouble):
    """Needs time, and that alone.

    Args:
        sets: how many.
    """

    def __init__(self, sets: int) -> None:
        self.crowd = sets
        self.patience = 30 + sets / 5
        self.lasts = self.patience


def _storm(sets: int, region: str) -> Callable[[Scene], Iterator[None]]:
    """Sets that are there, ten changes of each, and deletion of all.

    Several changes within a quiet window are one restart, so how often a Deployment was restarted is not said by what
    users did alone: at least once, and not more often than its set was changed.
    """

    def play(scene: Scene) -> Iterator[None]:
        names = [f"app-{number}" for number in range(sets)]
        value = scene.canary()
        _each(names, lambda name: scene.set(name, region, A=value, bound=int(name in names[:_BOUND])))
        for name in names[:_BOUND]:
            scene.deployment(f"user-of-{name}", {"envFrom": [{"secretRef": {"name": name}}]}, region)
        used = [key for key in scene.generations if key[1].startswith("user-of-")]
        yield
        values = [scene.canary() for _ in range(UPDATES)]
        for key in used:
            del scene.generations[key]
        began = time.monotonic()
        for value in values:  # all of them once, then all of them again: most wait in the queue when the next one comes
            _each(names, partial(_change, scene, value))
        seconds = time.monotonic() - began
        print(f"{sets * UPDATES} changes of {sets} sets in {seconds:.1f} s")  # `pytest -s` shows the figure
        yield
        for plane, name in used:
            found = scene.user(region).get("deployment", name, scene.regional(region)) or {}
            generation = found["metadata"]["generation"]
            assert 2 <= generation <= 1 + UPDATES, f"oracle 3: {name} was restarted {generation - 1} times"
            scene.generations[plane, name] = generation
            scene.restarted.add((plane, name))
        _each(names, scene.delete)

    return play


def _change(scene: Scene, value: str, name: str) -> None:
    scene.data(name, A=value)


def _each(names: list[str], act: Callable[[str], object]) -> None:
    """Do it with each, by several users at a time.

    Raises:
        BaseExceptionGroup: one of them could not.
    """
    failures: list[BaseException] = []

    def work(mine: list[str]) -> None:
        try:
            for name in mine:
                act(name)
        except BaseException as error:  # noqa: BLE001  (told below)
            failures.append(error)

    parts = [names[first::_USERS] for first in range(_USERS)]
    threads = [threading.Thread(target=work, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise BaseExceptionGroup("users", failures)


@pytest.mark.parametrize("region", [NEAR, FAR])
def test_storm(lane: Lane, region: str) -> None:
    run(lane, "storm", trouble=Storm(100), play=_storm(100, region))


def test_storm_of_a_thousand(lane: Lane) -> None:
    """With `--deselect`, where ten minutes are too long."""
    run(lane, "storm", trouble=Storm(1000), play=_storm(1000, NEAR))
