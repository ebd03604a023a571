"""What a region's cluster has: optional kinds and the bind policy, looked at when it begins and again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from secretset.controller import features as module
from secretset.controller.features import ALWAYS, Features, Kinds
from secretset.domain import policies
from secretset.domain.policies import BindPolicy, bind_policy, bind_policy_binding
from secretset.domain.workloads import ROLLOUT, WORKLOAD_KINDS
from secretset.kube import errors
from secretset.kube.client import Client

API = "/apis/admissionregistration.k8s.io/v1"
OURS = {
    f"{API}/{policies.POLICIES}/secretset-bind": bind_policy(),
    f"{API}/{policies.BINDINGS}/secretset-bind": bind_policy_binding(),
}
ARGO = "/apis/argoproj.io/v1alpha1"
ARGO_CD = {"resources": [{"name": "applications"}, {"name": "applications/status"}]}
ARGO_ROLLOUTS = {"resources": [*ARGO_CD["resources"], {"name": "rollouts"}, {"name": "rollouts/status"}]}


class Cluster:
    """A client of a cluster that answers these paths, and no others; answers that are exceptions are raised."""

    name = "us"

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {API: {"resources": [{"name": policies.POLICIES}, {"name": policies.BINDINGS}]}}
        self.looks = 0

    async def request(self, method: str, path: str, *, timeout: float) -> Any:  # noqa: ASYNC109  (as the client's)
        assert method == "GET"
        assert timeout < 5
        self.looks += path == ARGO
        answer = self.answers.get(path, errors.NotFound(404))
        if isinstance(answer, Exception):
            raise answer
        return answer


class Told:
    """Features of one region, and what they told."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.well = True
        self.followed: list[Kinds] = []
        self.fault: Exception | None = None
        self.changes = 0
        self.features = Features(well=lambda: self.well, on_kinds=self.follow, on_change=self.change)
        self.task: asyncio.Task[None] | None = None

    @property
    def client(self) -> Client:
        return cast("Client", self.cluster)

    async def follow(self, client: Client, kinds: Kinds) -> None:
        assert client is self.client
        assert kinds != self.features.kinds  # they count only once they are followed
        if self.fault is not None:
            raise self.fault
        self.followed.append(kinds)

    def change(self) -> None:
        self.changes += 1

    async def begin(self) -> None:
        await self.features.begin(self.client)
        self.task = asyncio.create_task(self.features.run(self.client))

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not true():  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    async def looked(self, times: int = 2) -> None:
        wanted = self.cluster.looks + times
        await self.until(lambda: self.cluster.looks >= wanted)


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("AGAIN_SECONDS", 0.005), ("_FAILED", 0.005), ("_SOON", 0.0005)):
        monkeypatch.setattr(module, name, seconds)


@pytest.fixture
async def told() -> AsyncIterator[Told]:
    told = Told()
    yield told
    if told.task is not None:
        told.task.cancel()
        await asyncio.gather(told.task, return_exceptions=True)


def test_what_every_cluster_has() -> None:
    assert {kind.plural for kind in ALWAYS} == {"deployments", "statefulsets", "daemonsets"}
    assert Told().features.kinds == ALWAYS


async def test_it_is_known_before_anything_is_followed(told: Told) -> None:
    told.cluster.answers |= {**OURS, ARGO: ARGO_ROLLOUTS}
    await told.features.begin(told.client)
    assert (told.features.kinds, told.features.bind) == (WORKLOAD_KINDS, BindPolicy.INSTALLED)
    # Who asks for the first time has everything to do, and is told nothing more.
    assert (told.followed, told.changes) == ([], 0)


@pytest.mark.parametrize("answer", [errors.NotFound(404), errors.Forbidden(403), ARGO_CD, {}])
async def test_a_kind_that_is_not_served(told: Told, answer: Any) -> None:
    told.cluster.answers[ARGO] = answer
    await told.features.begin(told.client)
    assert (told.features.kinds, told.features.bind) == (ALWAYS, BindPolicy.NOT_INSTALLED)


async def test_a_kind_is_never_taken_as_gone_because_nobody_answered(told: Told) -> None:
    for fault in (errors.Unreachable("cut"), errors.ServerError(500), errors.Throttled(429)):
        told.cluster.answers[ARGO] = fault
        await told.features.begin(told.client)
        assert told.features.kinds == WORKLOAD_KINDS
    await told.begin()
    await told.looked(3)
    told.cluster.answers[ARGO] = ARGO_ROLLOUTS
    await told.looked(3)
    told.cluster.answers[ARGO] = errors.ServerError(500)
    await told.looked(3)
    assert (told.features.kinds, told.followed) == (WORKLOAD_KINDS, [])
    del told.cluster.answers[ARGO]
    await told.until(lambda: told.followed == [ALWAYS])


async def test_a_kind_that_comes_and_goes_is_followed_and_let_go(told: Told) -> None:
    await told.begin()
    told.cluster.answers[ARGO] = ARGO_ROLLOUTS
    await told.until(lambda: ROLLOUT in told.features.kinds)
    await told.looked()
    assert told.followed == [WORKLOAD_KINDS]
    del told.cluster.answers[ARGO]
    await told.until(lambda: ROLLOUT not in told.features.kinds)
    assert told.followed == [WORKLOAD_KINDS, ALWAYS]


async def test_a_kind_that_could_not_be_followed_does_not_count_and_is_tried_again(told: Told) -> None:
    told.fault = errors.Unreachable("cut")
    await told.begin()
    told.cluster.answers[ARGO] = ARGO_ROLLOUTS
    await told.looked(3)
    assert told.features.kinds == ALWAYS
    told.fault = None
    await told.until(lambda: told.features.kinds == WORKLOAD_KINDS)


async def test_the_bind_policy_is_told_when_it_changes(told: Told) -> None:
    await told.begin()
    for path in OURS:
        told.cluster.answers[path] = OURS[path]
    await told.until(lambda: told.features.bind is BindPolicy.INSTALLED)
    changes = told.changes
    await told.looked(3)
    assert told.changes == changes
    told.cluster.answers[next(iter(OURS))] = errors.ServerError(500)  # what was found before stands
    await told.looked(3)
    assert (told.features.bind, told.changes) == (BindPolicy.INSTALLED, changes)


async def test_a_policy_that_could_not_be_looked_at_keeps_no_region_from_its_work(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", 600.0)
    for path in OURS:
        told.cluster.answers[path] = errors.ServerError(500)
    await told.begin()
    assert (told.features.kinds, told.features.bind) == (ALWAYS, None)
    told.cluster.answers |= OURS
    await told.until(lambda: told.features.bind is BindPolicy.INSTALLED)  # soon, not after ten minutes
    assert told.changes == 1


async def test_a_region_that_is_away_is_not_asked(told: Told) -> None:
    await told.begin()
    told.well = False
    await asyncio.sleep(0.02)
    before = told.cluster.looks
    await asyncio.sleep(0.03)
    assert told.cluster.looks == before


async def test_who_doubts_it_has_it_looked_at_soon(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", 600.0)
    await told.begin()
    await asyncio.sleep(0.02)
    before = told.cluster.looks
    told.features.due()
    await told.until(lambda: told.cluster.looks == before + 1)
    await asyncio.sleep(0.02)
    assert told.cluster.looks == before + 1
