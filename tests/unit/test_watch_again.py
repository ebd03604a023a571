"""A watch goes on after a break: from where it was if the store is the same, at once if the cluster is back."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from secretset.kube import errors, watch
from secretset.kube.client import Client
from secretset.kube.watch import Watch
from unit.watches import Faulty, Script, Seen, event, following, page

GONE = errors.Gone(410, "Expired")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_BACKOFF_FIRST", 0.001)
    monkeypatch.setattr(watch, "_BACKOFF_LAST", 0.004)


# --- a store that was put back to an earlier state


async def test_a_version_that_the_store_has_not_reached_again_is_not_gone_on_from() -> None:
    lists = [page("a", "b", version=10), page("a", "c", version=4)]
    async with following(lists, [[event("MODIFIED", "a", 12)]], looks=[4]) as (seen, client):
        assert client.asked == [("list", None), ("watch", "10"), ("look", None), ("list", None), ("watch", "4")]
        assert seen.log == ["+a@1", "+b@1", "+a@12", "+a@1", "+c@1", "-b"]
        assert seen.relists == [0, 3], "told before the older copies are handed over"
        assert seen.links == []


async def test_it_looks_for_that_again_after_each_break() -> None:
    lists = [page("a", version=10), page("a", version=4), page("a", version=2)]
    async with following(lists, [[], [], [], []], looks=[10, 4, 4, 2]) as (_, client):
        assert client.asked == [
            ("list", None),
            *[("watch", "10"), ("look", None), ("watch", "10"), ("look", None)],
            *[("list", None), ("watch", "4"), ("look", None), ("watch", "4"), ("look", None)],
            *[("list", None), ("watch", "2")],
        ]


async def test_a_cluster_that_cannot_be_asked_for_it_is_one_that_fails() -> None:
    fault = errors.Unreachable("refused")
    async with following([page("a")], [[]], looks=[fault, 11]) as (seen, client):
        assert seen.links == ["Unreachable", "NoneType"]
        assert client.asked == [("list", None), ("watch", "10"), *[("look", None)] * 2, ("watch", "10")]


@pytest.mark.parametrize("fault", [errors.Unreachable("refused"), errors.ServerError(503, "starting")])
async def test_a_cluster_that_was_away_for_longer_is_listed_whatever_its_version(fault: errors.KubeError) -> None:
    lists = [page("a", "b", version=10), page("a", version=20)]
    async with following(lists, [[]], looks=[fault, fault, 20]) as (seen, client):
        asked = [("list", None), ("watch", "10"), *[("look", None)] * 2, ("list", None), ("watch", "20")]
        assert client.asked == asked
        assert seen.log[-1] == "-b", "its store was put back, and has caught up"


async def test_a_cluster_that_is_only_busy_is_not_listed_again() -> None:
    busy = errors.Throttled(429, "busy")
    async with following([page("a")], [[]], looks=[busy, busy, 11]) as (_, client):
        assert client.asked == [("list", None), ("watch", "10"), *[("look", None)] * 3, ("watch", "10")]


async def test_every_list_of_everything_is_told_of_before_its_first_object() -> None:
    lists: Script = [errors.Unreachable("refused"), page("a", more="t"), page("b"), page("a", version=20)]
    async with following(lists, [[GONE]]) as (seen, _):
        assert seen.relists == [0, 0, 2]


# --- events that never came


async def test_a_watch_that_ends_long_after_its_list_goes_on_from_another_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_RELIST_SECONDS", 0.0)
    async with following([page("a", "b"), page("b", "c", version=20)], [[]]) as (seen, client):
        assert client.asked == [("list", None), ("watch", "10"), ("list", None), ("watch", "20")]
        assert seen.log[-1] == "-a"
        assert seen.links == []


async def test_a_later_list_that_breaks_off_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_RELIST_SECONDS", 0.0)
    cut = errors.Unreachable("cut")
    lists = [page("a"), page("a", more="t", version=20), cut, page("a", "b", version=21)]
    async with following(lists, [[]]) as (seen, client):
        assert client.asked[2:] == [("list", None), ("list", "t"), ("list", None), ("watch", "21")]
        assert seen.log[-1] == "+b@1"


async def test_who_asks_for_a_list_gets_it_while_the_watch_goes_on() -> None:
    async with following([page("a"), page("b", version=20)], []) as (seen, client):
        client.quiet.clear()
        for _ in range(2):  # also while it is just ending
            seen.watch.renew(relist=True)
            await asyncio.sleep(0)
        await client.quiet.wait()
        assert client.asked == [("list", None), ("watch", "10"), ("list", None), ("watch", "20")]
        assert seen.log == ["+a@1", "+b@1", "-a"]
        assert seen.links == []


# --- renewal, when the cluster answers again


async def test_a_watch_that_waits_for_its_next_attempt_can_be_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_BACKOFF_FIRST", 60.0)
    seen, client = Seen(), Faulty([errors.Unreachable("refused"), page("a")], [])
    seen.watch = Watch(cast("Client", client), "/things", on_upsert=seen.upsert, on_delete=seen.delete)
    task = asyncio.create_task(seen.watch.run())
    async with asyncio.timeout(5):
        await seen.watch.tried.wait()
        assert seen.log == []
        seen.watch.renew(relist=False)
        await client.quiet.wait()
    assert seen.log == ["+a@1"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("relist", [True, False])
async def test_who_was_away_for_long_is_listed_anew(relist: bool) -> None:
    watches: list[Script] = [[event("ADDED", "b", 11), errors.Unreachable("cut")]]
    seen, client = Seen(), Faulty([page("a"), page("c", version=20)], watches)

    def link() -> None:
        if seen.watch.failing is not None:
            seen.watch.renew(relist=relist)

    seen.watch = Watch(cast("Client", client), "/things", on_upsert=seen.upsert, on_delete=seen.delete, on_link=link)
    task = asyncio.create_task(seen.watch.run())
    async with asyncio.timeout(5):
        await client.quiet.wait()
    if relist:
        assert seen.log[:3] == ["+a@1", "+b@11", "+c@1"]
        assert sorted(seen.log[3:]) == ["-a", "-b"]
        assert client.asked == [("list", None), ("watch", "10"), ("list", None), ("watch", "20")]
    else:
        assert seen.log == ["+a@1", "+b@11"]
        assert client.asked[-2:] == [("look", None), ("watch", "11")]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_who_lets_us_in_and_then_ends_it_is_asked_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an API server does that is behind the version which we go on from."""
    waited: list[float] = []

    async def pause(_: Watch, seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(watch, "_BACKOFF_FIRST", 1.0)
    monkeypatch.setattr(watch, "_BACKOFF_MET", 4.0)
    monkeypatch.setattr(watch, "_BACKOFF_LAST", 60.0)
    monkeypatch.setattr(Watch, "_pause", pause)
    behind = errors.ServerError(504, "too large resource version")
    in_vain: Script = [{"type": "NOTHING"}, behind]
    watches: list[Script] = [*[in_vain] * 5, [event("MODIFIED", "a", 11), behind], in_vain]
    async with following([page("a")], watches) as (seen, _):
        assert waited == [1.0, 2.0, 4.0, 4.0, 4.0, 1.0, 2.0]
        assert seen.log == ["+a@1", "+a@11"]


# --- answers that are too long


async def test_a_list_that_is_too_long_is_asked_for_in_smaller_pages() -> None:
    long = errors.AnswerTooLong("long")
    async with following([long, long, page("a", more="t"), page("b")], []) as (seen, client):
        assert [params["limit"] for params in client.params if "limit" in params] == ["500", "125", "31", "31"]
        assert seen.log == ["+a@1", "+b@1"]
        assert seen.links == []


async def test_a_list_that_is_too_long_in_any_page_is_a_fault_like_others() -> None:
    lists: Script = [errors.AnswerTooLong("long")] * 5
    async with following([*lists, page("a")], []) as (seen, client):
        asked = [params["limit"] for params in client.params if "limit" in params]
        assert asked == ["500", "125", "31", "7", "1", "500"]
        assert seen.links == ["AnswerTooLong", "NoneType"]
        assert seen.log == ["+a@1"]
        assert seen.watch.synced.is_set()


# --- who waits for it


async def test_a_connection_that_ended_is_tried_again_before_it_counts_as_failing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "_BACKOFF_FIRST", 60.0)
    monkeypatch.setattr(watch, "_BACKOFF_LAST", 60.0)
    lists = [page("a"), page("a", version=11)]
    seen, client = Seen(), Faulty(lists, [[errors.Unreachable("cut")]], [errors.Unreachable("refused")])
    seen.watch = Watch(cast("Client", client), "/things", on_upsert=seen.upsert, on_delete=seen.delete)
    task = asyncio.create_task(seen.watch.run())

    async def until(count: int) -> None:
        async with asyncio.timeout(5):
            while len(client.asked) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)

    await until(2)
    assert isinstance(seen.watch.failing, errors.Unreachable)
    assert not seen.watch.tried.is_set()
    seen.watch.renew(relist=False)
    await until(3)
    assert seen.watch.tried.is_set(), "it failed once more"
    seen.watch.renew(relist=False)
    assert not seen.watch.tried.is_set()
    await until(5)
    assert seen.watch.tried.is_set()
    assert seen.watch.failing is None
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_failure_from_before_a_renewal_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_BACKOFF_LAST", 60.0)
    fault = errors.Unreachable("refused")
    seen, client = Seen(), Faulty([fault, fault, page("a")], [])

    def link() -> None:
        seen.links.append(type(seen.watch.failing).__name__)

    get = client.get

    async def hung(path: str, params: Mapping[str, str], *, accept: str | None = None) -> Any:
        if len(client.asked) == 1:
            seen.watch.renew(relist=False)  # while an attempt is under way
            assert not seen.watch.tried.is_set()
        elif len(client.asked) == 2:
            assert not seen.watch.tried.is_set()
        return await get(path, params, accept=accept)

    monkeypatch.setattr(client, "get", hung)
    seen.watch = Watch(cast("Client", client), "/things", on_upsert=seen.upsert, on_delete=seen.delete, on_link=link)
    task = asyncio.create_task(seen.watch.run())
    async with asyncio.timeout(5):
        await client.quiet.wait()
    assert seen.links == ["Unreachable", "NoneType"]
    assert seen.watch.tried.is_set()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
