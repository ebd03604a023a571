"""Replicas follow the sealing keys: the leader makes and publishes them, and values wait for those that are missing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from secretset.controller import kek, key_store, sealing_keys
from secretset.domain.reasons import Problem, Reason
from secretset.domain.sealing import Cause, Unopened
from secretset.kube import errors
from unit.key_hub import INSTALLATION, PLACE, SECRET, SYSTEM, Follower, KeyHub, entry, private, sealed

FAILED = {"phase": "failed", "reason": "UnsealFailed", "observedGeneration": 1}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become hundredths."""
    for name, seconds in (("_APART_SECONDS", 0.02), ("_TICK_SECONDS", 0.05), ("_POLL_SECONDS", 0.6)):
        monkeypatch.setattr(sealing_keys, name, seconds)


@asynccontextmanager
async def running(*followers: Follower) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(each.keys.run()) for each in followers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(check: Callable[[], object]) -> None:
    async with asyncio.timeout(3):
        while not check():  # noqa: ASYNC110  (of all sorts)
            await asyncio.sleep(0.005)


async def more_reads(hub: KeyHub) -> None:
    before = hub.reads()
    await until(lambda: hub.reads() > before)


async def unopened(follower: Follower, text: str) -> Cause:
    with pytest.raises(Unopened) as caught:
        await follower.keys.opened(PLACE, text)
    return caught.value.why


async def test_the_leader_makes_the_first_key_and_publishes_it() -> None:
    hub = KeyHub()
    leader, other = Follower(hub, leads=True), Follower(hub)
    await leader.keys.load()
    assert hub.writes() == []
    async with running(leader, other):
        await until(lambda: hub.writes() == ["create secretset-sealing-keys", "create secretset-public-keys"])
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
    assert hub.document == published
    assert ["keys restore" in each["why"] for each in logs if each["log_level"] == "error"] == [True]  # told once
    # It goes on when they are back. A document of another installation is none of its business.
    hub.objects[SECRET] = kept
    again = Follower(hub, leads=True)
    await again.keys.load()
    assert published.current is not None
    assert await again.keys.opened(PLACE, sealed(published.current)) == b"value"
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
        await until(lambda: follower.keys._uid == hub.objects[SECRET]["metadata"]["uid"])
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
        assert [each["why"] for each in logs if each["event"] == "no sealing key is made"] == [
            "those that are kept are wrapped with a key-encryption key that was not given (--sealing-kek-file)"
        ]


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
        await until(lambda: counted() == {private(1).kid: 2, private(2).kid: 0, "other": 1})
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
