"""Long forms of what the integration tests do briefly, and the fault programme: `make chaos`."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from chaos import summary
from chaos.faults import parse
from chaos.lane import FAR, Lane, opened
from chaos.scene import NEAR, Scene
from harness import eventually
from integration.conftest import abroad, canaries, far, hub, hurt, lone, operator, org, temporary, there

_LONG = ("test_storms", "test_restart_histories", "test_plan_and_queue_histories", "test_kill_at_every_write")
__all__ = ["abroad", "canaries", "far", "hub", "hurt", "lone", "operator", "org", "temporary", "there"]


@pytest.fixture(scope="session")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    """A hub and another cluster, with an operator that comes through proxies."""
    with opened(tmp_path_factory.mktemp("lane")) as lane:
        calm = Scene(lane=lane, name=lane.calm).create()
        calm.source()
        for region in (NEAR, FAR):
            calm.workloads(region)
            calm.set(f"app-{region}", region)
        nextdoor = lane.nextdoor = Scene(lane=lane, name="nextdoor").create()
        nextdoor.source()
        nextdoor.set()
        eventually(lambda: not (calm.unsettled() or nextdoor.unsettled()), "the organizations beside")
        yield lane


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of `make chaos`."""
    group = parser.getgroup("chaos")
    group.addoption("--sample", type=int, metavar="N", help="run so many of the programme's runs, chosen by --seed")
    group.addoption("--seed", type=int, default=1, help="of the choice (default: 1)")
    group.addoption("--run", metavar="SCENARIO FAULT...", help="play one run again, as its failure says")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The run that was asked for."""
    if metafunc.definition.name == "test_again":
        wanted = metafunc.config.getoption("--run")
        name, *found = wanted.split() if wanted else ("",)
        cases = [(name, tuple(map(parse, found)))] if wanted else []
        metafunc.parametrize(("name", "found"), cases, ids=str)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table of docs/reliability.md, of these runs; also written to build/chaos.md."""
    table = summary.of(terminalreporter.stats)
    if table:
        terminalreporter.write_line(table)
        folder = config.rootpath / "build"
        folder.mkdir(exist_ok=True)
        folder.joinpath("chaos.md").write_text(table + "\n")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes minutes, so that nobody waits for it in the end; choose a sample."""
    items.sort(key=lambda item: not item.path.name.startswith(_LONG))
    if config.getoption("--run"):
        others = [item for item in items if not item.name.startswith("test_again")]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]
    size = config.getoption("--sample")
    if size is not None and size < len(items):
        chosen = set(random.Random(config.getoption("--seed")).sample(range(len(items)), size))
        config.hook.pytest_deselected(items=[item for number, item in enumerate(items) if number not in chosen])
        items[:] = [item for number, item in enumerate(items) if number in chosen]
