"""Following the Secret of a region: whatever is in it, there is a verdict, and the next content counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
import structlog

from secretset.controller import region_credentials as module
from secretset.controller.runner import RegionRunner
from secretset.domain.reasons import Problem
from secretset.kube.client import Client
from secretset.kube.credentials import Credentials
from unit.kubeconfigs import KUBECONFIG, secret, text

CANARY = "cAnArYcAnArY"
WHERE = "Region 'us' is not ready: Secret 'system/us' with its credentials cannot be used"


class Link:
    credentials = ""


class Runner:
    """A runner that writes down what becomes of it."""

    name = "us"

    def __init__(self) -> None:
        self.link = Link()
        self.problem: Problem | None = None
        self.client: object | None = None
        self.log: asyncio.Queue[str] = asyncio.Queue()
        self.fault: Exception | None = None

    async def connect(self, client: object) -> None:
        if self.fault is not None:
            raise self.fault
        self.client, self.problem = client, None
        self.log.put_nowait("connected")

    async def disconnect(self, problem: Problem) -> None:
        self.client, self.problem = None, problem
        self.log.put_nowait(problem.message)

    async def told(self) -> str:
        return await asyncio.wait_for(self.log.get(), 5)


class Hub:
    """A watch of one Secret, for `module.Watch`."""

    shown: Any = None

    def __init__(self, *_: Any, on_upsert: Any, **__: Any) -> None:
        Hub.shown = staticmethod(on_upsert)
        self.failing = None
        self.synced = asyncio.Event()

    async def run(self) -> None:
        await asyncio.Event().wait()


def client_of(credentials: Credentials) -> Client:
    return cast("Client", credentials)


@pytest.fixture
async def runner(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Runner]:
    monkeypatch.setattr(module, "Watch", Hub)
    runner = Runner()
    following = asyncio.create_task(
        module.follow(
            cast("Client", None), cast("RegionRunner", runner), KUBECONFIG, client_of, exec_plugins=frozenset()
        )
    )
    await asyncio.sleep(0)
    yield runner
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


@pytest.mark.parametrize("content", [b"a: !!bool x", b"a: !!timestamp x", b"&a [*a]", b"", b"{"])
async def test_garbage_ends_the_older_credentials_and_says_so(runner: Runner, content: bytes) -> None:
    Hub.shown(secret(kubeconfig=text()))
    assert await runner.told() == "connected"
    Hub.shown(secret(kubeconfig=content))
    assert (await runner.told()).startswith(f"{WHERE}: it ")
    assert runner.client is None
    Hub.shown(secret(kubeconfig=text()))
    assert await runner.told() == "connected"


async def test_a_defect_has_a_verdict_too_and_is_tried_again(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AGAIN_SECONDS", 0.05)
    runner.fault = RuntimeError(CANARY)
    with structlog.testing.capture_logs() as logs:
        Hub.shown(secret(kubeconfig=text()))
        assert await runner.told() == f"{WHERE}."
    errors = [entry["error"] for entry in logs if entry["log_level"] == "error"]
    assert errors
    assert errors[0].startswith("RuntimeError at test_region_credentials.py:")
    assert CANARY not in str(logs)
    runner.fault = None
    assert await runner.told() == "connected"


async def test_newer_content_comes_before_another_attempt(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AGAIN_SECONDS", 60.0)
    runner.fault = RuntimeError(CANARY)
    Hub.shown(secret(kubeconfig=text()))
    assert await runner.told() == f"{WHERE}."
    runner.fault = None
    Hub.shown(secret(kubeconfig=text(user={"token": "newer"})))
    assert await runner.told() == "connected"
    assert await cast("Credentials", runner.client).authorize() == "Bearer newer"


@pytest.mark.parametrize("turns", range(6))
async def test_it_ends_when_content_comes_in_that_moment(monkeypatch: pytest.MonkeyPatch, turns: int) -> None:
    """asyncio.wait_for lost that cancellation, and an operator that was told to stop went on for ever."""
    monkeypatch.setattr(module, "Watch", Hub)
    following = asyncio.create_task(
        module.follow(
            cast("Client", None), cast("RegionRunner", Runner()), KUBECONFIG, client_of, exec_plugins=frozenset()
        )
    )
    for _ in range(3):
        await asyncio.sleep(0)
    Hub.shown(secret(kubeconfig=text()))
    for _ in range(turns):
        await asyncio.sleep(0)
    following.cancel()
    done, _ = await asyncio.wait({following}, timeout=1)
    following.cancel()
    assert done
    assert following.cancelled()
