"""Replicas among each other, with a clock that the tests set and a hub that can be away, or deaf."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from prometheus_client import REGISTRY

from builders import region
from secretset import telemetry
from secretset.controller import membership
from secretset.domain.replicas import Replica, owner
from secretset.kube import errors, leases
from unit.lease_hub import LEADER, Clock, One, World, settle


async def until(check: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not check():  # noqa: ASYNC110  (what is waited for is not told)
            await asyncio.sleep(0.002)


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    clock = Clock()
    monkeypatch.setattr(leases, "clock", clock)
    for name, seconds in (("RENEW_SECONDS", 0.004), ("_RETRY_SECONDS", 0.004), ("_LOOK_SECONDS", 0.002)):
        monkeypatch.setattr(membership, name, seconds)
    world = World(clock)
    async with world.stack:
        yield world


@asynccontextmanager
async def away(world: World, seconds: float) -> AsyncIterator[None]:
    world.hub.away = True
    await world.pass_(seconds)
    yield
    world.hub.away = False


async def test_replicas_know_each_other_before_anything_is_theirs(world: World) -> None:
    a = await world.start("a")
    b = One(world.hub, "b")
    await b.is_there.join()
    # Before any watch: from the moment when its Lease holds it knows of the other.
    assert b.sees() == {"a", "b"}
    assert b.is_there.valid
    await until(lambda: a.sees() == {"a", "b"})


async def test_one_leads_and_when_it_goes_the_other_does(world: World) -> None:
    a = await world.start("a")
    await until(lambda: a.is_there.leads)
    b = await world.start("b")
    await settle()
    assert (a.is_there.leads, b.is_there.leads) == (True, False)
    await a.stop()
    # Its Leases are gone; nobody has to wait.
    assert "delete secretset-replica-a" in world.hub.log
    await until(lambda: b.is_there.leads)
    assert b.sees() == {"b"}


async def test_who_dies_counts_until_its_lease_has_expired(world: World) -> None:
    a, b = await world.start("a"), await world.start("b")
    await until(lambda: a.sees() == b.sees() == {"a", "b"})
    await until(lambda: a.is_there.leads)
    await a.stop(leaves=False)
    await world.pass_(membership.LEASE_SECONDS - 1)
    assert b.sees() == {"a", "b"}
    await world.pass_(2)
    assert b.sees() == {"b"}
    await until(lambda: b.is_there.leads)
    # What it left is cleared away, after a while.
    assert world.hub.holder("secretset-replica-a")
    await world.pass_(membership._LONG_DEAD)
    await until(lambda: "secretset-replica-a" not in world.hub.objects)
    assert b.sees() == {"b"}


async def test_a_lease_that_is_old_by_any_clock_needs_no_waiting(world: World) -> None:
    a = await world.start("a")
    await a.stop(leaves=False)
    stale = world.hub.objects["secretset-replica-a"]
    world.hub.change("update", "secretset-replica-a", stale | {"spec": stale["spec"] | {"renewTime": _LONG_AGO}})
    b = await world.start("b")
    assert b.sees() == {"b"}


async def test_a_dead_watch_kills_nobody(world: World) -> None:
    a, b = await world.start("a"), await world.start("b")
    await until(lambda: a.sees() == b.sees() == {"a", "b"})
    world.hub.deaf = True
    before = b.changes
    await world.pass_(3 * membership.LEASE_SECONDS)
    assert a.sees() == b.sees() == {"a", "b"}
    assert b.changes == before


async def test_who_slept_writes_nothing_before_it_has_its_lease_again(world: World) -> None:
    a, b = await world.start("a"), await world.start("b")
    await until(lambda: a.is_there.leads and a.sees() == b.sees() == {"a", "b"})
    a.api.cut = True  # asleep: it does nothing, and nobody hears of it
    await world.pass_(membership.LEASE_SECONDS + 3)
    assert b.sees() == {"b"}
    await until(lambda: b.is_there.leads)
    assert not a.is_there.valid
    assert not a.is_there.leads
    with pytest.raises(errors.Fenced):
        a.is_there.fence()
    before = a.changes
    a.api.cut = False
    await until(lambda: a.is_there.valid)
    # It knows who leads now, and who lives, from the first moment on, and tells those who work for it.
    assert a.sees() == {"a", "b"}
    assert not a.is_there.leads
    await until(lambda: a.changes > before)
    await until(lambda: b.sees() == {"a", "b"})
    assert [b.is_there.leads, a.is_there.leads] == [True, False]


async def test_a_late_answer_gives_no_right_to_write(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    a = await world.start("a")

    async def late() -> None:
        world.clock.now += membership.VALID_SECONDS + 1  # we slept between the request and its answer

    monkeypatch.setattr(a.api, "_reach", late)
    await settle()
    assert not a.is_there.valid


async def test_while_the_hub_is_away_nobody_may_write_and_nothing_moves(world: World) -> None:
    a, b = await world.start("a"), await world.start("b")
    await until(lambda: a.is_there.leads and a.sees() == b.sees() == {"a", "b"})
    await settle()
    world.hub.log.clear()
    before = a.changes, b.changes
    async with away(world, 3 * membership.LEASE_SECONDS):
        assert not a.is_there.valid
        assert not b.is_there.valid
        assert (a.changes, b.changes) == before
        b.api.cut = True  # comes back later than the other
    await until(lambda: a.is_there.valid)
    await world.pass_(membership.LEASE_SECONDS - 3)
    # Nobody could renew: that proves nothing.
    assert a.sees() == {"a", "b"}
    assert a.is_there.leads
    assert a.changes == before[0] + 1
    b.api.cut = False
    await until(lambda: b.is_there.valid)
    await world.pass_(membership.LEASE_SECONDS)
    assert a.sees() == b.sees() == {"a", "b"}
    assert b.changes == before[1] + 1
    assert set(world.hub.log) == {"update secretset-replica-a", "update secretset-replica-b"}


async def test_who_dies_while_the_hub_is_away_is_found_out(world: World) -> None:
    a, b = await world.start("a"), await world.start("b")
    await until(lambda: a.sees() == b.sees() == {"a", "b"})
    async with away(world, 2 * membership.LEASE_SECONDS):
        await b.stop(leaves=False)
    await until(lambda: a.is_there.valid)
    assert a.sees() == {"a", "b"}
    await world.pass_(membership.LEASE_SECONDS + 1)
    await until(lambda: a.sees() == {"a"})


async def test_a_lease_that_somebody_deleted_is_made_again(world: World) -> None:
    a, b = await world.start("a"), await world.start("b")
    await until(lambda: a.is_there.leads and b.sees() == {"a", "b"})
    for name in ("secretset-replica-a", LEADER):
        world.hub.change("delete", name, None)
    await until(lambda: world.hub.holder("secretset-replica-a") and world.hub.holder(LEADER))
    await until(lambda: a.sees() == b.sees() == {"a", "b"})
    assert [a.is_there.leads, b.is_there.leads].count(True) == 1
    assert not a.is_there.lost.is_set()


async def test_the_later_of_two_of_one_name_has_it(world: World) -> None:
    first, second = await world.start("a"), One(world.hub, "a")
    await until(lambda: first.is_there.leads)
    while not second.is_there.valid:
        try:
            await second.start()
        except errors.Conflict:  # the other was faster: tried again
            await asyncio.sleep(0)
    await until(first.is_there.lost.is_set)
    assert not first.is_there.valid
    with pytest.raises(errors.Fenced):
        first.is_there.fence()
    await first.stop()
    assert not [line for line in world.hub.log if line.startswith("delete")]
    assert second.is_there.valid
    await second.stop()


async def test_a_renewal_whose_answer_was_lost_is_no_stranger(world: World) -> None:
    a = await world.start("a")
    lease = world.hub.objects["secretset-replica-a"]
    world.hub.change("update", "secretset-replica-a", lease)
    await settle()
    assert a.is_there.valid
    assert not a.is_there.lost.is_set()


async def test_who_leaves_lets_go_also_after_a_renewal_whose_answer_was_lost(world: World) -> None:
    a = await world.start("a")
    await until(lambda: a.is_there.leads)
    assert a._task is not None
    a._task.cancel()
    await asyncio.gather(a._task, return_exceptions=True)
    world.hub.change("update", "secretset-replica-a", world.hub.objects["secretset-replica-a"])
    await a.is_there.leave()
    assert world.hub.objects == {}
    assert not a.is_there.valid


async def test_leaving_a_hub_that_is_away_takes_no_time(world: World) -> None:
    a = await world.start("a")
    world.hub.away = True
    async with asyncio.timeout(1):
        await a.stop()


async def test_a_region_from_inside_is_for_who_was_told_to_serve_it(world: World) -> None:
    a, b = await world.start("a"), await world.start("b", frozenset({"bank"}))
    await until(lambda: a.sees() == b.sees() == {"a", "b"})
    bank = region("bank").with_spec(cluster={"inCluster": True}).record()
    assert a.is_there.owner(bank) == b.is_there.owner(bank) == "b"
    assert a.is_there.owner(region("open").record()) == "a"
    assert world.hub.objects["secretset-replica-b"]["metadata"]["annotations"] == {"secretset.dev/regions": "bank"}
    shared = region("bank").record()  # an ordinary region of that name: either may serve it
    assert a.is_there.owner(shared) == owner("bank", [Replica(name="a"), Replica(name="b")])
    # Who is limited never leads.
    await a.stop()
    await until(lambda: b.sees() == {"b"})
    await settle()
    assert not b.is_there.leads
    assert LEADER not in world.hub.objects
    assert b.is_there.owner(region("open").record()) is None


async def test_nothing_but_renewals_is_written_while_nothing_happens(world: World) -> None:
    everybody = [await world.start(name) for name in "abc"]
    await until(lambda: everybody[0].is_there.leads and all(one.sees() == {"a", "b", "c"} for one in everybody))
    await settle()
    world.hub.log.clear()
    changes = [one.changes for one in everybody]
    await world.pass_(20)
    assert set(world.hub.log) == {f"update secretset-replica-{name}" for name in "abc"}
    assert [one.changes for one in everybody] == changes


_LONG_AGO = "2020-01-01T00:00:00.000000Z"


def _told(name: str, /, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


async def test_a_replica_without_its_lease_says_so(world: World) -> None:
    a = await world.start("a")
    await world.start("agent", frozenset({"bank"}))
    await until(lambda: a.sees() == {"a", "agent"})
    lead = {"name": LEADER}
    # An agent is no replica on the hub.
    await until(lambda: (_told("secretset_replicas"), _told("leader_election_master_status", **lead)) == (1, 1))
    async with away(world, membership.LEASE_SECONDS + 1):
        await until(lambda: (_told("secretset_replicas"), _told("leader_election_master_status", **lead)) == (0, 0))
    await until(lambda: (_told("secretset_replicas"), _told("leader_election_master_status", **lead)) == (1, 1))


async def test_who_cannot_join_does_not_lead(world: World) -> None:
    telemetry.LEADER.clear()
    One(world.hub, "agent", frozenset({"bank"}))
    assert _told("leader_election_master_status", name=LEADER) is None
    One(world.hub, "a")
    assert _told("leader_election_master_status", name=LEADER) == 0
