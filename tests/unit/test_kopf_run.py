"""kopf ends when it has ended, and tells nothing that an API server said."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterator
from typing import Any

import kopf
import pytest
from structlog.testing import capture_logs

from secretset.handlers import kopf_run

SAID = "what-an-api-server-said"


@pytest.fixture
def listening() -> Iterator[logging.Logger]:
    logger = logging.getLogger("kopf")
    before = logger.propagate, logger.handlers[:], logger.level
    kopf_run.listen()
    logger.setLevel(logging.DEBUG)
    yield logging.getLogger("kopf._core.reactor.orchestration")
    logger.propagate, logger.handlers[:] = before[:2]
    logger.setLevel(before[2])


def test_what_takes_its_cancellation_for_something_else_is_ended_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[asyncio.Task[Any]] = []
    over, closed = threading.Event(), []

    async def stubborn() -> None:
        for _ in range(3):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError(SAID)

    async def spawned(**_: Any) -> list[asyncio.Task[None]]:
        left.append(asyncio.create_task(stubborn()))
        return [asyncio.create_task(fails()), asyncio.create_task(asyncio.sleep(3600))]

    async def let_go() -> None:
        closed.append(all(task.done() for task in left))

    monkeypatch.setattr(kopf, "spawn_tasks", spawned)
    monkeypatch.setattr(kopf_run, "_CANCEL_SECONDS", 0.01)
    with pytest.raises(ValueError, match=SAID):
        kopf_run.run(kopf.OperatorRegistry(), kopf.OperatorSettings(), over, let_go)
    assert over.is_set()
    assert closed == [True]


def test_only_where_a_warning_is_from_is_told(listening: logging.Logger) -> None:
    with capture_logs() as told:
        try:
            raise RuntimeError(SAID)
        except RuntimeError:
            listening.exception("Watcher has failed: %s", SAID)
        listening.warning(SAID)
    assert SAID not in repr(told)
    assert [(line["log_level"], line["error"]) for line in told] == [("warning", "RuntimeError"), ("warning", "")]
    assert all(line["at"].startswith("kopf._core.reactor.orchestration:") for line in told)


def test_the_rest_is_told_as_it_is(listening: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        listening.debug("Starting the watch-stream")
    assert set(caplog.messages) == {"Starting the watch-stream"}  # how many of pytest listen is its own affair
