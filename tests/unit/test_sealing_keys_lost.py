"""Sealing keys that were lost, and not retired: whoever holds them puts them back, and none is made in their place."""

import asyncio
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from secretset.controller import key_store
from secretset.domain.sealing import Cause
from secretset.kube import errors
from unit.key_hub import (
    INSTALLATION,
    PLACE,
    SECRET,
    SYSTEM,
    Follower,
    KeyHub,
    entry,
    hasten,
    more_reads,
    private,
    running,
    sealed,
    unopened,
    until,
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch)


async def test_a_secret_that_was_deleted_is_put_back_and_nobody_loses_a_key() -> None:
    hub = KeyHub()
    hub.keep_keys(1, 2)
    leader, other = Follower(hub, leads=True), Follower(hub)
    await leader.keys.load()
    await other.keys.load()
    before = hub.objects.pop(SECRET)["data"]
    assert await unopened(other, sealed(private(3))) is Cause.UNKNOWN_KEY
    assert await other.keys.opened(PLACE, sealed(private(1))) == b"value"
    async with running(leader):
        await until(lambda: SECRET in hub.objects)
    assert hub.objects[SECRET]["data"] == before


async def test_a_leader_that_ends_puts_back_what_was_lost_since_it_looked() -> None:
    hub = KeyHub()
    hub.keep_keys(1)
    leader = Follower(hub, leads=True)
    async with running(leader):
        await until(lambda: "create secretset-public-keys" in hub.log)
        before = hub.objects.pop(SECRET)["data"]
    assert hub.objects[SECRET]["data"] == before
    # A hub that does not answer holds up nobody.
    async with running(leader):
        await more_reads(hub)
        hub.fails = errors.Unreachable("gone")


async def test_a_hub_of_yesterday_gets_the_key_of_today_and_a_retired_one_stays_away() -> None:
    hub = KeyHub()
    hub.keep_keys(1, 2)
    leader = Follower(hub, leads=True)
    await leader.keys.load()
    hub.keep_keys(1)
    leader.keys.rewound()
    async with running(leader):
        await until(lambda: hub.kids == {private(1).kid, private(2).kid})
        await until(lambda: "create secretset-public-keys" in hub.log)
        await asyncio.sleep(0.05)
        assert await leader.keys.opened(PLACE, sealed(private(2))) == b"value"
        # From then on, what goes is retired.
        hub.keep_keys(2)
        leader.keys.members_changed()
        await until(lambda: [key.kid for key in hub.document.keys] == [private(2).kid])
    assert hub.kids == {private(2).kid}


async def test_no_key_is_made_in_place_of_those_that_were_lost() -> None:
    hub = KeyHub()
    async with running(Follower(hub, leads=True)):
        await until(lambda: "create secretset-public-keys" in hub.log)
    kept, published = hub.objects.pop(SECRET), hub.document
    with capture_logs() as logs:
        async with running(Follower(hub, leads=True)):
            await until(lambda: hub.reads() >= 2)
            await asyncio.sleep(0.1)
    assert SECRET not in hub.objects
    assert (hub.document, hub.document.current) == (replace(published, held=False), None)  # nobody seals for it
    assert ["keys restore" in each["why"] for each in logs if "why" in each] == [True]  # told once
    assert ["nobody may seal" in each["event"] for each in logs if "kid" in each] == [True]
    # It goes on when they are back. A document of another installation is none of its business.
    hub.objects[SECRET] = kept
    again = Follower(hub, leads=True)
    await again.keys.load()
    assert published.current is not None
    assert await again.keys.opened(PLACE, sealed(published.current)) == b"value"
    async with running(again):
        await until(lambda: hub.document == published)
    del hub.objects[SECRET]
    await key_store.publish(hub.client, SYSTEM, replace(published, installation="another"))
    async with running(Follower(hub, leads=True)):
        await until(lambda: SECRET in hub.objects and hub.document.installation == INSTALLATION)


async def test_keys_that_another_secret_lacks_were_not_retired() -> None:
    hub = KeyHub()
    hub.keep_keys(1, 2)
    follower = Follower(hub)
    await follower.keys.load()
    del hub.objects[SECRET]
    hub.keep_keys(3)
    for _ in range(2):  # not at the next look either
        follower.keys._reads.extend([float("-inf")] * 3)
        await unopened(follower, sealed(private(4)))
        for number in (1, 2, 3):
            assert await follower.keys.opened(PLACE, sealed(private(number))) == b"value"
    # The leader may have begun anew: whoever has them puts them back.
    async with running(follower):
        await until(lambda: hub.kids == {private(number).kid for number in (1, 2, 3)})
        follower.keys._wake.set()
        await more_reads(hub)
        hub.keep_keys(2, 3)  # retired
        follower.keys._wake.set()
        await until(lambda: private(1).kid not in follower.keys._opener.kids)


async def test_an_entry_that_is_damaged_while_it_is_held_is_told_and_not_taken_over() -> None:
    hub = KeyHub()
    hub.keep_keys(1, 2, days=31)
    before = hub.objects[SECRET]["data"]
    leader = Follower(hub, leads=True, days=30)
    await leader.keys.load()
    with capture_logs() as logs:
        hub.keep({private(1).kid: b"damaged", private(2).kid: entry(2, days=31)})
        async with running(leader):
            for _ in range(2):
                leader.keys._wake.set()
                await more_reads(hub)
            await asyncio.sleep(0.05)
            assert await leader.keys.opened(PLACE, sealed(private(1))) == b"value"
            assert {key.kid for key in hub.document.keys} == hub.kids > {private(1).kid, private(2).kid}
            del hub.objects[SECRET]
            leader.keys._wake.set()
            await until(lambda: SECRET in hub.objects)
    assert hub.objects[SECRET]["data"].items() > before.items()
    told = [each for each in logs if each["event"] == "the entry of a sealing key cannot be used"]
    assert {(each["kid"], each["held_still"]) for each in told} == {(private(1).kid, True)}
    assert len(told) <= 2  # once more after the rotation


async def test_a_former_state_is_seen_in_the_secret_itself() -> None:
    """A restored Secret keeps its uid; a look may come before the Lease shows that the hub was put back."""
    hub = KeyHub()
    hub.keep_keys(1)
    yesterday = hub.objects[SECRET]
    hub.keep_keys(1, 2)
    leader = Follower(hub, leads=True)
    await leader.keys.load()
    hub.objects[SECRET] = yesterday
    assert await unopened(leader, sealed(private(3))) is Cause.UNKNOWN_KEY  # it had a look made
    assert await leader.keys.opened(PLACE, sealed(private(2))) == b"value"
    async with running(leader):
        await until(lambda: hub.kids == {private(1).kid, private(2).kid})
        leader.keys.rewound()
        await more_reads(hub)
        # From then on, what goes is retired.
        hub.keep_keys(2)
        leader.keys.members_changed()
        await until(lambda: private(1).kid not in leader.keys._opener.kids)
    assert hub.kids == {private(2).kid}


async def test_what_went_just_before_the_lease_told_is_put_back() -> None:
    """Where somebody wrote the restored Secret at once, its version tells nothing."""
    hub = KeyHub()
    hub.keep_keys(1, 2)
    leader = Follower(hub, leads=True)
    await leader.keys.load()
    hub.keep_keys(1)
    async with running(leader):
        await until(lambda: private(2).kid not in leader.keys._opener.kids)
        leader.keys.rewound()
        await until(lambda: hub.kids == {private(1).kid, private(2).kid})
    assert await leader.keys.opened(PLACE, sealed(private(2))) == b"value"


async def test_a_replica_that_does_not_lead_puts_back_what_a_leader_never_knew() -> None:
    hub = KeyHub()
    hub.keep_keys(1)
    yesterday = hub.objects[SECRET]
    hub.keep_keys(1, 2)
    follower = Follower(hub)
    await follower.keys.load()
    hub.objects[SECRET] = yesterday
    leader = Follower(hub, leads=True)  # it began after that
    await leader.keys.load()
    follower.keys.rewound()
    async with running(leader, follower):
        await until(lambda: hub.kids == {private(1).kid, private(2).kid})
        await until(lambda: {key.kid for key in hub.document.keys} == hub.kids)
    assert await leader.keys.opened(PLACE, sealed(private(2))) == b"value"


async def test_who_may_only_read_holds_on_to_what_was_lost() -> None:
    hub = KeyHub()
    hub.keep_keys(1, 2)
    agent = Follower(hub)
    await agent.keys.load()
    del hub.objects[SECRET]
    hub.keep_keys(1)
    hub.refuses = errors.Forbidden(403)
    with capture_logs() as logs:
        async with running(agent):
            for _ in range(3):
                agent.keys._wake.set()
                await more_reads(hub)
            await asyncio.sleep(0.05)
            assert await agent.keys.opened(PLACE, sealed(private(2))) == b"value"
    assert [each["kids"] for each in logs if each["log_level"] == "error"] == [[private(2).kid]]


async def test_what_is_retired_right_after_keys_were_put_back_stays_away() -> None:
    hub = KeyHub()
    hub.keep_keys(1, 2)
    leader = Follower(hub, leads=True)
    await leader.keys.load()
    del hub.objects[SECRET]
    async with running(leader):
        await until(lambda: SECRET in hub.objects)
        hub.keep_keys(2)  # of the Secret that it has just made
        leader.keys.members_changed()
        await until(lambda: private(1).kid not in leader.keys._opener.kids)
    assert hub.kids == {private(2).kid}
