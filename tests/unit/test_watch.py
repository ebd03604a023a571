"""Our own watch against a client that fails on purpose: what is lost meanwhile, is made up for."""

from typing import Any

import pytest

from secretset.kube import errors, watch
from secretset.kube.watch import Watch
from unit.watches import Script, event, following, page


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_BACKOFF_FIRST", 0.001)
    monkeypatch.setattr(watch, "_BACKOFF_LAST", 0.004)


async def test_a_list_is_handed_over_page_by_page_and_then_every_change() -> None:
    events = [event("ADDED", "c", 11), event("MODIFIED", "a", 12), event("DELETED", "b", 13), event("BOOKMARK", "", 14)]
    async with following([page("a", more="t"), page("b")], [events]) as (seen, client):
        assert seen.log == ["+a@1", "+b@1", "+c@11", "+a@12", "-b"]
        assert seen.deleted[0]["metadata"]["name"] == "b"
        assert client.asked == [("list", None), ("list", "t"), ("watch", "10"), ("look", None), ("watch", "14")]
        assert seen.relists == [0]
        assert seen.watch.synced.is_set()
        assert seen.links == []


async def test_an_event_that_comes_once_more_after_a_newer_one_is_over() -> None:
    events = [event(*told) for told in (("MODIFIED", "a", 11), ("MODIFIED", "a", 12), ("MODIFIED", "a", 11))]
    async with following([page("a")], [[*events, event("DELETED", "a", 11)]]) as (seen, client):
        assert seen.log == ["+a@1", "+a@11", "+a@12"]
        assert client.asked[-1] == ("watch", "12")


async def test_selectors_go_with_every_request() -> None:
    async with following([page()], [[]], label_selector="a=b", field_selector="c=d") as (_, client):
        assert all(params["labelSelector"] == "a=b" for params in client.params)
        assert all(params["fieldSelector"] == "c=d" for params in client.params)


async def test_it_is_not_in_step_before_the_first_list_was_handed_over() -> None:
    async with following([page("a", more="t")], []) as (seen, _):
        assert seen.log == ["+a@1"]
        assert not seen.watch.synced.is_set()


GONE = errors.Gone(410, "Expired")


async def test_a_version_that_is_too_old_makes_it_list_again_and_tell_the_deletions_that_it_missed() -> None:
    lists = [page("a", "b"), page("b", "c", version=20)]
    async with following(lists, [[event("ADDED", "d", 11), GONE]]) as (seen, client):
        assert seen.log[:6] == ["+a@1", "+b@1", "+d@11", "+b@1", "+c@1", seen.log[5]]
        assert sorted(seen.log[5:]) == ["-a", "-d"]
        assert seen.deleted == [None, None]
        assert client.asked[-1] == ("watch", "20")
        assert seen.watch.failing is None


async def test_a_list_that_expires_between_its_pages_is_begun_anew() -> None:
    lists = [page("a", more="t"), GONE, page("a", "b")]
    async with following(lists, []) as (seen, client):
        assert seen.log == ["+a@1", "+a@1", "+b@1"]
        assert client.asked[:3] == [("list", None), ("list", "t"), ("list", None)]


@pytest.mark.parametrize("fault", [GONE, errors.Unreachable("cut off"), errors.ServerError(500)])
async def test_what_a_broken_list_handed_over_and_was_then_deleted_is_told(fault: Exception) -> None:
    lists = [page("a", "lost", more="t"), fault, page("a")]
    async with following(lists, []) as (seen, _):
        assert seen.log[-1] == "-lost"


@pytest.mark.parametrize("fault", [errors.ServerError(500), errors.Throttled(429), errors.Unreachable("cut off")])
async def test_a_fault_of_the_link_goes_on_from_where_it_was_and_loses_nothing(fault: errors.KubeError) -> None:
    watches: list[Script] = [[event("ADDED", "b", 11), fault], [event("ADDED", "c", 12)]]
    async with following([page("a")], watches) as (seen, client):
        assert seen.log == ["+a@1", "+b@11", "+c@12"]
        assert [asked for asked in client.asked if asked[0] == "watch"][:2] == [("watch", v) for v in ("10", "11")]
        assert client.asked.count(("list", None)) == 1
        assert seen.links == [type(fault).__name__, "NoneType"], "told once when it fails, once when it is back"
        assert seen.watch.failing is None


@pytest.mark.parametrize("fault", [errors.Forbidden(403), errors.Unauthorized(401), errors.NotFound(404)])
async def test_a_refusal_makes_it_list_again_because_objects_may_have_gone(fault: errors.KubeError) -> None:
    lists: Script = [page("a", "b"), fault, page("a", version=20)]
    async with following(lists, [[fault]]) as (seen, client):
        assert seen.log[-1] == "-b"
        assert client.asked[-1] == ("watch", "20")
        assert seen.links == [type(fault).__name__, "NoneType"]


async def test_a_link_that_never_comes_up_says_why() -> None:
    faults: Script = [errors.Unreachable("refused"), errors.Unreachable("refused"), errors.Forbidden(403)]
    async with following(faults, []) as (seen, _):
        assert isinstance(seen.watch.failing, errors.Forbidden)
        assert seen.links == ["Unreachable", "Forbidden"], "told only when the kind of fault changes"
        assert not seen.watch.synced.is_set()


async def test_a_server_that_asks_to_wait_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def fast(_: Watch, seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(Watch, "_pause", fast)
    async with following([errors.Throttled(429, retry_after=30.0), page("a")], []):
        assert waited == [30.0]


async def test_a_watch_that_the_server_ends_goes_on_without_a_new_list() -> None:
    async with following([page("a")], [[], [], [event("ADDED", "b", 11)]]) as (seen, client):
        again = [("look", None), ("watch", "10")]
        assert client.asked == [("list", None), ("watch", "10"), *again, *again, ("look", None), ("watch", "11")]
        assert seen.links == []


async def test_what_an_earlier_watch_handed_over_and_is_gone_since_is_told() -> None:
    async with following([page("a")], [], remembered=[("ns", "a"), ("ns", "gone")]) as (seen, _):
        assert seen.log == ["+a@1", "-gone"]


@pytest.mark.parametrize(("answer", "synced"), [(page("a"), True), (errors.Forbidden(403), False)])
async def test_it_tells_that_it_was_tried_whatever_came_of_it(answer: Any, synced: bool) -> None:
    async with following([answer], []) as (seen, _):
        assert seen.watch.tried.is_set()
        assert seen.watch.synced.is_set() is synced
