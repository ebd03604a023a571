"""When what is missing is looked up again: soon after a failure, and after a refusal, but not for each of many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from secretset.controller import rights as module
from secretset.controller.rights import Rights
from secretset.domain import rights as domain
from secretset.domain.workloads import WORKLOAD_KINDS
from secretset.kube import errors
from secretset.kube.client import Client

EVERYTHING = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}


class Cluster:
    """A client that may do everything in its namespace, or nothing."""

    def __init__(self) -> None:
        self.granted = True
        self.fault: Exception | None = None
        self.looks = 0

    async def create(self, path: str, body: Any) -> Any:
        if path.endswith("/selfsubjectaccessreviews"):
            return {"status": {"allowed": self.granted}}
        self.looks += 1
        if self.fault is not None:
            raise self.fault
        return {"status": {"resourceRules": [EVERYTHING] if self.granted else []}}

    async def get(self, path: str) -> Any:
        assert path == "/api/v1/namespaces/team"
        return {"metadata": {}}


class Looks:
    """Rights in one namespace, and how often another finding was told."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.told = 0
        self.rights = Rights(
            lambda: {"team": False},
            lambda: False,
            kinds=lambda: WORKLOAD_KINDS,
            well=lambda: True,
            on_change=self.tell,
        )

    def tell(self) -> None:
        self.told += 1

    async def until_told(self, times: int) -> None:
        async with asyncio.timeout(5):
            while self.told < times:  # noqa: ASYNC110
                await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("_SOON", 0.001), ("_FAILED", 0.01), ("_DOUBT", 0.1), ("_AGAIN", 60), ("_SELDOM", 600)):
        monkeypatch.setattr(module, name, seconds)


@pytest.fixture
async def looks() -> AsyncIterator[Looks]:
    looks = Looks()
    task = asyncio.create_task(looks.rights.run(cast("Client", looks.cluster)))
    yield looks
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_refusal_has_everything_looked_up_again(looks: Looks) -> None:
    await looks.until_told(1)
    assert looks.rights.missing == ()
    looks.cluster.granted = False
    looks.rights.doubt()  # at once after a look: it must not be forgotten
    await looks.until_told(2)
    missing = looks.rights.missing
    assert missing
    assert {lack.right for lack in missing} == {*domain.needed(WORKLOAD_KINDS, pull_secrets=False)}


async def test_many_refusals_have_it_looked_up_seldom(looks: Looks) -> None:
    await looks.until_told(1)
    before = looks.cluster.looks
    for _ in range(100):
        looks.rights.doubt()
        await asyncio.sleep(0.002)
    assert 1 <= looks.cluster.looks - before <= 6


async def test_a_look_that_failed_is_made_again_soon() -> None:
    looks = Looks()
    looks.cluster.fault = errors.Unreachable("cut")
    task = asyncio.create_task(looks.rights.run(cast("Client", looks.cluster)))
    async with asyncio.timeout(5):
        while looks.cluster.looks < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert looks.rights.missing is None
    looks.cluster.fault = None
    await looks.until_told(1)
    assert looks.rights.missing == ()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("steps", range(8))
async def test_a_look_ends_when_it_is_told_to_also_while_it_fails(steps: int) -> None:
    looks = Looks()
    looks.cluster.fault = errors.Unreachable("cut")
    task = asyncio.create_task(looks.rights.run(cast("Client", looks.cluster)))
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=0.5)
    assert done
