"""The status of a Region while two replicas both believe that it is theirs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from prometheus_client import REGISTRY

from builders import region, secret_set
from secretset import telemetry
from secretset.config import Config
from secretset.controller.context import Context
from secretset.controller.events import EventRecorder
from secretset.controller.installation import Installation
from secretset.controller.membership import Membership
from secretset.controller.region_report import CONTEST_LIMIT, CONTEST_SECONDS, RegionReport
from secretset.controller.runner import RegionRunner
from secretset.controller.store import HubStore
from secretset.kube.client import Client
from unit.slots import KEYRING

BANK = region("bank")


class Hub:
    """A Region, and how often its status was written."""

    def __init__(self) -> None:
        self.status: dict[str, Any] = {}
        self.writes = 0

    async def get(self, _: str) -> Any:
        return {**BANK.object(), "status": self.status}

    async def replace(self, _: str, body: dict[str, Any]) -> None:
        self.status = body["status"]
        self.writes += 1


class Writer:
    """One replica's report of the region."""

    def __init__(self, hub: Hub, name: str) -> None:
        self.hub = hub
        self.changed: list[str] = []
        self.store = HubStore(lambda _: None, self.changed.append)
        context = Context(
            hub=cast("Client", hub),
            store=self.store,
            installation=Installation(id="i", keyring=KEYRING),
            events=cast("EventRecorder", SimpleNamespace(emit_region=lambda *_, **__: None)),
            config=Config(),
        )
        link = SimpleNamespace(
            known=True,
            problem=None,
            answered=True,
            refused=False,
            last_contact=0.0,
            server_version="v1",
            cluster_id="c",
        )
        runner = SimpleNamespace(link=link, rights=SimpleNamespace(missing=()), features=SimpleNamespace(bind=None))
        self.runners = {"bank": cast("RegionRunner", runner)}
        self.me = SimpleNamespace(me=SimpleNamespace(name=name), leads=False, owner=lambda _: name)
        self.report = RegionReport(context, cast("Membership", self.me), self.runners)

    async def looks(self, now: float) -> None:
        """It sees what there is, and tells what it thinks."""
        self.changed.clear()
        self.store.apply_region(BANK.record(), self.hub.status)
        self.report._forget_lost()
        await self.report._write(BANK.record(), [], now)

    async def waits(self, since: float, seconds: float) -> float:
        """Another replica claims the region right after it did; it waits that long before it says otherwise. When."""
        self.hub.status = {**self.hub.status, "replica": "another"}
        await self.looks(since + seconds - 0.1)
        assert self.hub.status["replica"] == "another"
        await self.looks(since + seconds)
        assert self.hub.status["replica"] != "another"
        return since + seconds


async def test_two_that_both_believe_that_it_is_theirs_do_not_write_by_turns() -> None:
    hub = Hub()
    one, other = Writer(hub, "a"), Writer(hub, "b")
    await one.looks(100.0)
    await other.looks(100.1)  # who is new takes over at once
    assert (hub.status["replica"], hub.writes) == ("b", 2)
    for step in range(20):
        await one.looks(100.2 + step / 10)
        await other.looks(100.2 + step / 10)
    assert hub.writes == 2
    # It is put right in the end, by the one who is right: the other has learnt better by then.
    other.runners.clear()
    await one.looks(100.0 + CONTEST_SECONDS + 0.1)
    await other.looks(100.0 + CONTEST_SECONDS + 0.2)
    assert (hub.status["replica"], hub.writes) == ("a", 3)


async def test_who_is_contradicted_each_time_waits_twice_as_long_each_time() -> None:
    one, now = Writer(Hub(), "a"), 100.0
    await one.looks(now)
    waits = [min(CONTEST_SECONDS * 2**times, CONTEST_LIMIT) for times in range(8)]
    assert waits[-2:] == [CONTEST_LIMIT] * 2
    for seconds in waits:
        now = await one.waits(now, seconds)


async def test_a_wait_that_grew_is_forgotten_with_the_region() -> None:
    hub = Hub()
    one, now = Writer(hub, "a"), 100.0
    await one.looks(now)
    for seconds in (CONTEST_SECONDS, 2 * CONTEST_SECONDS):
        now = await one.waits(now, seconds)
    mine = dict(one.runners)
    one.runners.clear()
    await one.looks(now + 0.1)
    hub.status = {**hub.status, "replica": "another"}
    one.runners.update(mine)
    await one.looks(now + 0.2)
    assert hub.status["replica"] == "a"
    await one.waits(now + 0.2, CONTEST_SECONDS)


async def test_who_lost_a_region_and_has_it_again_says_so_at_once() -> None:
    hub = Hub()
    one, other = Writer(hub, "a"), Writer(hub, "b")
    await one.looks(100.0)
    mine = dict(one.runners)
    one.runners.clear()
    await one.looks(100.1)
    await other.looks(100.2)
    assert hub.status["replica"] == "b"
    one.runners.update(mine)
    await one.looks(100.3)
    assert hub.status["replica"] == "a"


async def test_what_somebody_else_wrote_is_put_right_at_once() -> None:
    hub = Hub()
    one = Writer(hub, "a")
    await one.looks(100.0)
    good = hub.status
    for damage in ({}, {**good, "phase": "failed"}, {**good, "reason": "Gone"}):
        hub.status = damage
        await one.looks(100.1)
        assert one.changed
        assert hub.status == good


def _up() -> float | None:
    return REGISTRY.get_sample_value("secretset_region_up", {"region": "bank"})


async def test_the_leader_tells_that_nobody_serves_a_region() -> None:
    leader = Writer(Hub(), "a")
    mine = dict(leader.runners)
    leader.runners.clear()
    await leader.looks(100.0)
    assert _up() is None
    # The agent of the region dies; the hub's leader sees that nobody serves it.
    leader.me.leads, leader.me.owner = True, lambda _: None
    await leader.looks(101.0)
    assert _up() == 0
    # The agent is back, and tells by itself.
    leader.me.owner = lambda _: "agent"
    await leader.looks(102.0)
    assert _up() is None
    # Who leads no more tells nothing of it, nor of a Region that is gone.
    for end in ({"leads": False}, {"store": None}):
        leader.me.leads, leader.me.owner = True, lambda _: None
        await leader.looks(103.0)
        assert _up() == 0
        if "leads" in end:
            leader.me.leads = False
        else:
            leader.store.forget_region("bank")
        leader.report._forget_lost()
        assert _up() is None
    # One that becomes ours is told of by its link.
    leader.me.leads = True
    await leader.looks(104.0)
    assert _up() == 0
    leader.runners.update(mine)
    await leader.looks(105.0)
    leader.me.leads = False
    leader.report._forget_lost()
    assert _up() == 0
    telemetry.REGION_UP.remove("bank")


async def test_nobody_is_woken_for_a_region_that_is_retired() -> None:
    leader = Writer(Hub(), "a")
    leader.runners.clear()
    leader.me.leads, leader.me.owner = True, lambda _: None
    await leader.report._write(region("bank").with_spec(decommissioned=True).record(), [], 100.0)
    assert _up() is None


def _sets() -> dict[tuple[str, str], float]:
    (metric,) = (each for each in REGISTRY.collect() if each.name == "secretset_sets")
    return {(each.labels["region"], each.labels["phase"]): each.value for each in metric.samples}


def test_sets_are_measured_as_the_status_of_their_region_counts_them() -> None:
    writer = Writer(Hub(), "a")
    writer.store.apply_region(BANK.record(), {})
    writer.store.apply_region(region("gone").with_spec(decommissioned=True).record(), {})
    current, old = {"generation": 2, "observed": 2}, {"generation": 2, "observed": 1}
    for name, where, phase, at in (
        ("app", "bank", "ready", current),
        ("web", "bank", "ready", old),
        ("api", "bank", "failed", old),
        ("new", "bank", "", {"generation": 1, "observed": 0}),
        ("left", "gone", "failed", current),
    ):
        built = secret_set(name).in_region(where).with_meta(generation=at["generation"])
        writer.store.apply_set(built.with_status(phase=phase, observedGeneration=at["observed"], region=where).record())
    writer.report._measure()
    assert _sets() == {("bank", "ready"): 1, ("bank", "pending"): 3}
    telemetry.SETS.clear()
