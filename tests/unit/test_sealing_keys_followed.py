"""Replicas follow the sealing keys: the leader makes and publishes them, and values wait for those that are missing."""

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from secretset.controller import kek, sealing_keys
from secretset.domain.observed import decode_data
from secretset.domain.reasons import Problem, Reason
from secretset.domain.sealing import Cause, Unopened
from secretset.domain.sealing_keys import Entry, Unusable
from secretset.kube import errors
from unit.key_hub import (
    INSTALLATION,
    PLACE,
    SECRET,
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

FAILED = {"phase": "failed", "reason": "UnsealFailed", "observedGeneration": 1}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch)


async def test_the_leader_makes_the_first_key_and_publishes_it() -> None:
    hub = KeyHub()
    leader, other = Follower(hub, leads=True), Follower(hub)
    await leader.keys.load()
    assert hub.writes() == []
    with capture_logs() as logs:
        async with running(leader, other):
            await until(lambda: hub.writes() == ["create secretset-sealing-keys", "create secretset-public-keys"])
    assert ["secretset keys backup" in each["event"] for each in logs if "a new" in each["event"]] == [True]
    public = hub.document.current
    assert public is not None
    assert hub.document.installation == INSTALLATION
    assert hub.kids == {public.kid}
    # Whoever meets the key finds it.
    assert await other.keys.opened(PLACE, sealed(public)) == b"value"


async def test_two_that_both_think_they_lead_make_one_key() -> None:
    hub = KeyHub()
    leaders = [Follower(hub, leads=True) for _ in range(3)]
    async with running(*leaders):
        await until(lambda: "create secretset-public-keys" in hub.log)
        await asyncio.sleep(0.2)
    assert len(hub.kids) == 1
    assert {key.kid for key in hub.document.keys} == hub.kids


async def test_a_key_that_is_due_is_followed_by_another_and_goes_on_opening() -> None:
    hub = KeyHub()
    hub.keep_keys(1, days=31)
    leader = Follower(hub, leads=True, days=30)
    async with running(leader):
        await until(lambda: len(hub.kids) == 2 and "create secretset-public-keys" in hub.log)
        await asyncio.sleep(0.1)
    assert [key.kid == private(1).kid for key in hub.document.keys] == [False, True]
    assert await leader.keys.opened(PLACE, sealed(private(1))) == b"value"
    assert hub.document.current is not None
    assert await leader.keys.opened(PLACE, sealed(hub.document.current)) == b"value"
    assert hub.writes() == ["replace secretset-sealing-keys", "create secretset-public-keys"]


async def test_who_does_not_lead_writes_nothing_and_neither_does_one_with_a_folder(tmp_path: Path) -> None:
    hub = KeyHub()
    (tmp_path / private(1).kid).write_bytes(entry(1, days=400).render())
    follower, folder = Follower(hub), Follower(hub, leads=True, folder=tmp_path)
    async with running(follower, folder):
        await until(lambda: "create secretset-public-keys" in hub.log)
        await asyncio.sleep(0.1)
    assert hub.writes() == ["create secretset-public-keys"]
    assert [key.kid for key in hub.document.keys] == [private(1).kid]
    assert await folder.keys.opened(PLACE, sealed(private(1))) == b"value"
    with pytest.raises(errors.ConfigError, match="--sealing-keys-dir"):
        await Follower(hub, folder=tmp_path / "none").keys.load()


async def test_unknown_keys_are_looked_for_at_most_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing_keys, "_APART_SECONDS", 10.0)
    hub = KeyHub()
    hub.keep_keys(1)
    follower = Follower(hub)
    text = sealed(private(2))
    assert await asyncio.gather(*(unopened(follower, text) for _ in range(50))) == [Cause.UNKNOWN_KEY] * 50
    assert hub.reads() == 2  # one was on its way when the others came, so it might have missed their key
    for _ in range(5):
        assert await unopened(follower, text) is Cause.UNKNOWN_KEY
    assert hub.reads() == 3
    # No look is needed for what no key would open.
    assert await unopened(follower, "hpke1.AAAA") is Cause.MALFORMED
    assert await unopened(follower, sealed(private(1), place=PLACE._replace(key="B"))) is Cause.NOT_FOR_HERE
    assert hub.reads() == 3


async def test_while_a_look_is_owed_there_is_no_verdict() -> None:
    """Whoever has many looks made with keys that nobody has, has no set of others fail after a rotation."""
    hub = KeyHub()
    hub.keep_keys(1)
    follower = Follower(hub)
    for number in (7, 8, 9):
        assert await unopened(follower, sealed(private(number))) is Cause.UNKNOWN_KEY
    hub.keep_keys(1, 2)
    for number in (2, 6):
        with pytest.raises(Problem) as caught:
            await follower.keys.opened(PLACE, sealed(private(number)))
        assert caught.value.reason is Reason.RETRYING
    # What was looked for is not there, whoever else has looks made.
    assert await unopened(follower, sealed(private(7))) is Cause.UNKNOWN_KEY
    async with running(follower):
        await until(lambda: hub.reads() == 4)
        await asyncio.sleep(0)
    assert await follower.keys.opened(PLACE, sealed(private(2))) == b"value"
    for number in (6, 7, 8, 9):
        assert await unopened(follower, sealed(private(number))) is Cause.UNKNOWN_KEY


async def test_a_hub_that_does_not_answer_is_no_verdict_about_a_key() -> None:
    hub = KeyHub()
    hub.keep_keys(1)
    follower = Follower(hub)
    hub.fails = errors.Unreachable("no answer")
    for _ in range(3):
        with pytest.raises(errors.Unreachable):
            await follower.keys.opened(PLACE, sealed(private(1)))
    hub.fails = None
    await asyncio.sleep(0.07)
    assert await follower.keys.opened(PLACE, sealed(private(1))) == b"value"


async def test_sets_that_wait_for_a_key_are_looked_at_when_it_is_back() -> None:
    hub = KeyHub()
    hub.keep_keys(1)
    follower = Follower(hub)
    waits = follower.has_set("app", sealed(private(2)), **FAILED)
    other = follower.has_set("web", sealed(private(1)))
    follower.looked_at.clear()
    async with running(follower):
        await until(lambda: hub.reads() >= 1)
        await asyncio.sleep(0.02)
        follower.looked_at.clear()
        before = hub.reads()
        hub.keep_keys(1, 2)
        await until(lambda: waits in follower.looked_at)
        assert hub.reads() - before <= 3
    assert other not in follower.looked_at


async def test_nobody_waits_so_the_hub_is_asked_once_a_minute() -> None:
    hub = KeyHub()
    hub.keep_keys(1)
    follower = Follower(hub)
    follower.has_set("app", sealed(private(1)))
    async with running(follower):
        await asyncio.sleep(0.4)
        assert hub.reads() == 1
        await until(lambda: hub.reads() == 2)


async def test_a_key_that_was_retired_opens_nothing_any_more() -> None:
    hub = KeyHub()
    hub.keep_keys(1, 2)
    follower = Follower(hub)
    await follower.keys.load()
    hub.keep_keys(2)
    async with running(follower):
        await until(lambda: hub.reads() >= 2)
        await asyncio.sleep(0.02)
        assert await unopened(follower, sealed(private(1))) is Cause.UNKNOWN_KEY
        assert await follower.keys.opened(PLACE, sealed(private(2))) == b"value"


async def test_damaged_and_wrapped_entries_are_kept_and_never_covered_up() -> None:
    hub = KeyHub()
    wrapped = await kek.wrapped(entry(1), [kek.LocalKey(bytes(32))])
    hub.keep({private(1).kid: wrapped, private(2).kid: b"damaged"})
    before = hub.objects[SECRET]
    leader = Follower(hub, leads=True)
    async with running(leader):
        await until(lambda: hub.reads() >= 1)
        leader.keys.members_changed()
        await until(lambda: hub.reads() >= 2)
    assert hub.objects[SECRET] == before
    assert hub.writes() == []
    with_key = Follower(hub, leads=True, keks=[kek.LocalKey(bytes(32))])
    async with running(with_key):
        await until(lambda: "create secretset-public-keys" in hub.log)
    assert [key.kid for key in hub.document.keys] == [private(1).kid]
    assert await with_key.keys.opened(PLACE, sealed(private(1))) == b"value"


async def test_no_key_is_made_that_would_not_be_wrapped_as_the_others_are() -> None:
    hub = KeyHub()
    wrapped = await kek.wrapped(entry(1, days=90), [kek.LocalKey(bytes(32))])
    hub.keep({private(1).kid: wrapped, private(2).kid: entry(2, days=60)})
    for keks in ([], [kek.LocalKey(b"o" * 32)]):
        with capture_logs() as logs:
            async with running(Follower(hub, leads=True, days=30, keks=keks)):
                await more_reads(hub)
                await asyncio.sleep(0.05)
        assert len(hub.kids) == 2
        (why,) = (each["why"] for each in logs if each["event"] == "no sealing key is made")
        assert why.startswith("those that are kept are wrapped with a key-encryption key that was not given")


async def test_new_keys_are_wrapped_where_there_is_a_key_for_it() -> None:
    hub = KeyHub()
    key = kek.LocalKey(bytes(32))
    async with running(Follower(hub, leads=True, keks=[key])):
        await until(lambda: "create secretset-public-keys" in hub.log)
    blind, seeing = Follower(hub), Follower(hub, keks=[key])
    public = hub.document.current
    assert public is not None
    assert await unopened(blind, sealed(public)) is Cause.UNKNOWN_KEY
    assert await seeing.keys.opened(PLACE, sealed(public)) == b"value"


async def test_a_right_that_is_missing_stops_nobody() -> None:
    hub = KeyHub()
    hub.fails = errors.Forbidden(403)
    follower = Follower(hub, leads=True)
    await follower.keys.load()
    async with running(follower):
        await asyncio.sleep(0.15)
        assert 2 <= hub.reads() <= 6
        hub.fails = None
        await until(lambda: "create secretset-public-keys" in hub.log)
    hub.fails = errors.Unreachable("no answer")
    with pytest.raises(errors.Unreachable):
        await Follower(hub).keys.load()


async def test_the_leader_counts_values_by_the_keys_that_are_held() -> None:
    hub = KeyHub()
    hub.keep_keys(1, 2)
    leader = Follower(hub, leads=True)
    leader.has_set("app", sealed(private(1)))
    leader.has_set("web", sealed(private(1)))
    leader.has_set("api", sealed(private(3)))

    def counted() -> dict[str, float]:
        (metric,) = (each for each in REGISTRY.collect() if each.name == "secretset_sealed_values")
        return {sample.labels["kid"]: sample.value for sample in metric.samples}

    async with running(leader):
        await until(lambda: counted() == {private(1).kid: 2, private(2).kid: 0, "lost": 0, "foreign": 1})
        leader.leads = False
        await until(lambda: not counted())


async def test_values_that_were_opened_are_counted() -> None:
    hub = KeyHub()
    hub.keep_keys(1)
    follower = Follower(hub)
    before = REGISTRY.get_sample_value("secretset_values_opened_total") or 0.0
    await follower.keys.opened(PLACE, sealed(private(1)))
    with contextlib.suppress(Unopened):
        await follower.keys.opened(PLACE, sealed(private(2)))
    assert REGISTRY.get_sample_value("secretset_values_opened_total") == before + 1


def wrapping(number: int) -> kek.LocalKey:
    return kek.LocalKey(bytes([number]) * 32)


class Away(kek.LocalKey):
    """A key service that may be away."""

    away = False

    def unwrap(self, wrapped: bytes) -> bytes:
        if self.away:
            raise Unusable("the key service cannot be asked")
        return super().unwrap(wrapped)


async def test_a_key_service_that_is_away_brings_no_rotation_about_and_hides_no_key() -> None:
    hub, service = KeyHub(), Away(bytes(32))
    new = await kek.wrapped(entry(2, days=3), [service])
    hub.keep({private(1).kid: entry(1, days=40), private(2).kid: new})
    async with running(Follower(hub, leads=True, keks=[service])):
        await until(lambda: "create secretset-public-keys" in hub.log)
    before = hub.document
    hub.log.clear()
    service.away = True
    leader = Follower(hub, leads=True, keks=[service])
    async with running(leader):
        await more_reads(hub)
        await asyncio.sleep(0.05)
        assert leader.keys._opener.kids == {private(1).kid}
        assert (hub.document, hub.document.current) == (replace(before, held=False), None)
        service.away = False
        leader.keys._wake.set()
        await until(lambda: leader.keys._opener.kids == hub.kids and hub.document == before)
    assert set(hub.writes()) == {"replace secretset-public-keys"}
    # One that is damaged is none to seal with.
    service.away = True
    hub.keep({private(1).kid: entry(1, days=4), private(2).kid: b"damaged"})
    async with running(Follower(hub, leads=True, keks=[service])):
        await until(lambda: [key.kid for key in hub.document.keys] == [private(1).kid])


async def test_a_new_time_of_a_key_is_taken_over() -> None:
    hub = KeyHub()
    hub.keep({private(1).kid: entry(1, days=2), private(2).kid: entry(2, days=1)})
    leader = Follower(hub, leads=True)
    async with running(leader):
        await until(lambda: "create secretset-public-keys" in hub.log)
        with capture_logs() as logs:
            hub.keep({private(1).kid: entry(1, days=-2), private(2).kid: entry(2, days=1)})
            leader.keys._wake.set()
            await until(lambda: hub.document.keys[0].kid == private(1).kid)
    told = [each["kid"] for each in logs if "made in the future" in each["event"]]
    assert told == [private(1).kid]


async def test_that_the_newest_key_is_not_wrapped_is_told_once() -> None:
    hub = KeyHub()
    hub.keep_keys(1)
    leader = Follower(hub, leads=True, keks=[wrapping(1)])
    with capture_logs() as logs:
        async with running(leader, Follower(hub)):
            await until(lambda: "create secretset-public-keys" in hub.log)
            hub.keep({private(1).kid: entry(1), private(2).kid: await kek.wrapped(entry(2, days=1), [wrapping(1)])})
            leader.keys._wake.set()
            await until(lambda: len(leader.keys._opener.kids) == 2)
    assert [each["kid"] for each in logs if "is not wrapped" in each["event"]] == [private(1).kid]


async def test_a_right_that_is_missing_is_told_once_and_asked_for_once_in_a_while() -> None:
    hub = KeyHub()
    hub.refuses = errors.Forbidden(403)
    follower = Follower(hub, leads=True)
    follower.has_set("app", sealed(private(2)), **FAILED)  # for which it looks at each tick, else
    with capture_logs() as logs:
        async with running(follower):
            await asyncio.sleep(0.4)
            assert hub.writes() == ["create secretset-sealing-keys"]
            await until(lambda: len(hub.writes()) == 2)
    assert len([each for each in logs if "could not be looked after" in each["event"]]) == 1


async def test_sets_whose_key_went_are_looked_at_and_which_keys_are_lacking_is_known() -> None:
    hub = KeyHub()
    hub.keep_keys(1, 2)
    follower = Follower(hub)
    assert not follower.keys.lacks({private(3).kid})  # nobody looked yet
    await follower.keys.load()
    uses = follower.has_set("app", sealed(private(1)))
    other = follower.has_set("web", sealed(private(2)))
    follower.looked_at.clear()
    assert not follower.keys.lacks({private(1).kid, private(2).kid})
    hub.keep_keys(2)
    async with running(follower):
        await until(lambda: uses in follower.looked_at)
    assert other not in follower.looked_at
    assert follower.keys.lacks({private(1).kid, private(2).kid})
    assert not follower.keys.lacks(frozenset())
    # A hub that does not answer is no verdict.
    hub.fails = errors.Unreachable("no answer")
    with pytest.raises(errors.Unreachable):
        await follower.keys.load()
    assert not follower.keys.lacks({private(1).kid})


async def test_how_old_keys_are_is_a_metric() -> None:
    hub = KeyHub()
    hub.keep_keys(1, days=3)
    await Follower(hub).keys.load()
    labels = {"kid": private(1).kid}
    found = REGISTRY.get_sample_value("secretset_sealing_key_created_timestamp_seconds", labels)
    assert found == Entry.parse(decode_data(hub.objects[SECRET])[private(1).kid]).created.timestamp()
