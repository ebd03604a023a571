"""Kinds of workloads that a region's cluster begins to serve, or serves no more: followed, and forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from secretset.controller import watches
from secretset.controller.features import ALWAYS
from secretset.domain.names import Key, Kind
from secretset.domain.workloads import ROLLOUT, WORKLOAD_KINDS, WorkloadKind
from secretset.kube import errors
from secretset.kube.client import Client
from unit.runners import runner

KEY = Key(Kind.SECRET_SET, "team", "app")
ARGO = "/apis/argoproj.io/v1alpha1"
USES = {"containers": [{"name": "c", "envFrom": [{"secretRef": {"name": "app"}}]}]}


class Watching:
    """What stands for a watch.

    Attributes:
        fault: what its start raises; None if it starts.
    """

    def __init__(self, on_link: Callable[[str], None]) -> None:
        self.on_link = on_link
        self.namespaces: set[str] = set()
        self.state = "made"
        self.fault: Exception | None = None
        self.failed: errors.KubeError | None = None

    async def start(self) -> None:
        if self.fault is not None:
            raise self.fault
        self.state = "started"

    async def stop(self) -> None:
        self.state = "stopped"

    def need(self, namespace: str) -> None:
        self.namespaces.add(namespace)

    def failing(self, namespace: str) -> errors.KubeError | None:
        assert namespace == "team-us"
        return self.failed


class Region:
    """A runner whose watches are stood in for, and the client of its cluster."""

    name = "us"

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rollouts = True
        self.made: dict[str, Watching] = {}
        self.fault: Exception | None = None
        for name in ("secrets", "accounts"):
            monkeypatch.setattr(watches, name, lambda _, __, on_link, name=name: self.make(name, on_link))
        monkeypatch.setattr(
            watches,
            "workloads",
            lambda _, kind, __, on_link: self.make(cast("WorkloadKind", kind).plural, on_link),
        )
        self.runner = runner()
        self.runner.place(KEY, "team-us", pull=False)

    def make(self, name: str, on_link: Callable[[str], None]) -> Watching:
        self.made[name] = Watching(on_link)
        self.made[name].fault = self.fault
        return self.made[name]

    async def request(self, _: str, path: str, **__: Any) -> Any:
        if path == ARGO and self.rollouts:
            return {"resources": [{"name": "rollouts"}]}
        raise errors.NotFound(404)

    async def create(self, *_: Any) -> Any:
        raise errors.Forbidden(403)

    @property
    def client(self) -> Client:
        return cast("Client", self)

    async def begin(self) -> None:
        await self.runner._begin(self.client, False)

    def sees(self, name: str) -> None:
        """A Rollout that uses the Secret of the set."""
        meta = {"namespace": "team-us", "name": name, "uid": name, "resourceVersion": "1"}
        spec = {"selector": {"matchLabels": {"app": name}}, "template": {"spec": USES}}
        self.runner.seen.see_workload(ROLLOUT, {"metadata": meta, "spec": spec})


@pytest.fixture
async def region(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Region]:
    region = Region(monkeypatch)
    yield region
    await region.runner.stop()


async def test_what_is_served_is_followed_from_the_beginning(region: Region) -> None:
    await region.begin()
    assert region.runner.kinds == WORKLOAD_KINDS
    assert {"secrets", "accounts", *(kind.plural for kind in WORKLOAD_KINDS)} == {*region.made}
    assert {watch.state for watch in region.made.values()} == {"started"}


async def test_a_kind_that_comes_is_followed_where_sets_are(region: Region) -> None:
    region.rollouts = False
    await region.begin()
    assert region.runner.kinds == ALWAYS
    assert "rollouts" not in region.made
    before = dict(region.made)
    await region.runner._follow_kinds(region.client, WORKLOAD_KINDS)
    assert (region.made["rollouts"].state, region.made["rollouts"].namespaces) == ("started", {"team-us"})
    assert {name: region.made[name] for name in before} == before  # the others go on


async def test_one_that_cannot_be_followed_yet_leaves_nothing_behind(region: Region) -> None:
    region.rollouts = False
    await region.begin()
    region.fault = errors.Unreachable("cut")
    with pytest.raises(errors.Unreachable):
        await region.runner._follow_kinds(region.client, WORKLOAD_KINDS)
    region.fault = None
    await region.runner._follow_kinds(region.client, WORKLOAD_KINDS)
    assert region.made["rollouts"].state == "started"


async def test_of_a_kind_that_is_gone_nothing_is_known_any_more(region: Region) -> None:
    await region.begin()
    region.sees("web")
    assert [w.name for w in region.runner.seen.workloads["team-us"].values()] == ["web"]
    await region.runner._follow_kinds(region.client, ALWAYS)
    assert region.made["rollouts"].state == "stopped"
    assert not region.runner.seen.workloads["team-us"]


async def test_nor_of_one_that_went_while_we_were_away(region: Region) -> None:
    await region.begin()
    region.sees("web")
    await region.begin()
    assert [w.name for w in region.runner.seen.workloads["team-us"].values()] == ["web"]
    region.rollouts = False
    await region.begin()
    assert not region.runner.seen.workloads["team-us"]


async def test_a_watch_that_finds_nothing_to_follow_has_it_looked_at(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secretset.controller.features._SOON", 0.001)
    await region.begin()
    region.rollouts = False
    for kind, failed, gone in (
        ("deployments", errors.NotFound(404), False),
        ("rollouts", errors.Unreachable("cut"), False),
        ("rollouts", errors.NotFound(404), True),
    ):
        region.made[kind].failed = failed
        region.made[kind].on_link("team-us")
        await asyncio.sleep(0.05)
        assert (ROLLOUT not in region.runner.kinds) is gone
