"""When a page is told to look again: after each change of what it shows, once a second, and to bounds."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest
from fastapi import Request
from fastapi.sse import ServerSentEvent

from builders import secret_set
from secretset.domain.names import Key, Kind
from secretset.domain.set_view import SetView
from secretset.kube.client import Client
from secretset.web import stream
from secretset.web.live import STREAMS, View, slim
from secretset.web.scope import Scope


class Page:
    """Follows a view, as a browser does."""

    def __init__(self, view: View, *, since: str | None = None, of: str = "", last: str | None = None) -> None:
        self.rests = 0
        self.retries: list[int | None] = []
        self.ended = False
        self._pending: asyncio.Future[ServerSentEvent | None] | None = None
        headers = {} if last is None else {"last-event-id": last}
        request = SimpleNamespace(state=SimpleNamespace(rest=self._rest), headers=headers)
        self.events = stream.follow(
            cast("Request", request), view, since=view.moment if since is None else since, of=of
        )

    def _rest(self) -> None:
        self.rests += 1

    async def next(self, seconds: float = 1.0) -> ServerSentEvent | None:
        """The next event; None if none comes. When a browser is to come back is noted apart."""
        while True:
            self._pending = self._pending or asyncio.ensure_future(anext(self.events, None))
            done, _ = await asyncio.wait([self._pending], timeout=seconds)
            if not done:
                return None
            found, self._pending = self._pending.result(), None
            if found is None:
                self.ended = True
            elif found.event is None:
                self.retries.append(found.retry)
                continue
            return found


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_TOGETHER", 0.02)


@pytest.fixture
def view() -> View:
    class Nobody:
        async def close(self) -> None:
            pass

    return View(cast("Client", Nobody()), Scope(sets=frozenset(), regions=False), name="ada", now=0.0)


def shows(view: View, name: str) -> None:
    built = slim(SetView.parse(Kind.SECRET_SET, secret_set(name).object(), keep=False))
    view.sets[built.key] = built
    view.pulse.beat()


async def test_a_page_that_is_as_new_hears_of_the_next_change_and_several_are_one(view: View) -> None:
    page = Page(view)
    assert await page.next(0.05) is None
    assert page.rests == 1, "it counts for nobody while it waits"
    for name in ("one", "two", "three"):
        shows(view, name)
    event = await page.next()
    assert event is not None
    assert (event.event, event.id) == ("changed", view.moment)
    assert await page.next(0.05) is None


async def test_what_changed_before_it_listened_is_told_at_once(view: View) -> None:
    before = view.moment
    shows(view, "one")
    for since, last, told in ((before, None, True), (before, view.moment, False), (view.moment, before, True)):
        event = await Page(view, since=since, last=last).next(0.05)
        assert (event is not None) == told, "the last event counts, not the page's address"
    other = View(cast("Client", None), view.scope, name="ada", now=0.0)
    shows(other, "one")
    assert await Page(view, since=other.moment).next() is not None, "as many changes of another view are others"


async def test_a_page_of_one_set_hears_of_that_set_alone(view: View) -> None:
    page = Page(view, of="team/app")
    assert await page.next(0.01) is None
    shows(view, "other")
    assert await page.next(0.06) is None
    shows(view, "app")
    assert (await page.next()) is not None
    shows(view, "app")
    assert (await page.next()) is not None, "each version counts, whatever a table shows of it"
    del view.sets[Key(Kind.SECRET_SET, "team", "app")]
    view.pulse.beat()
    assert (await page.next()) is not None


async def test_there_is_room_for_so_many(view: View) -> None:
    pages = [Page(view) for _ in range(STREAMS)]
    for page in pages:
        assert await page.next(0.005) is None
    late = Page(view)
    assert await late.next() is None
    assert (late.ended, late.retries) == (True, [60_000])
    for page in pages:
        assert (page.ended, page.retries) == (False, [2_000])


@pytest.mark.parametrize("pause", [0.0, 0.01, 0.05])
async def test_who_follows_a_view_that_ends_ends_too_whatever_changed_just_before(view: View, pause: float) -> None:
    page = Page(view)
    assert await page.next(0.005) is None
    shows(view, "one")
    await asyncio.sleep(pause)
    await view.close()
    while await page.next() is not None:
        pass
    assert page.ended, "it waits for a view that is no more"
    assert not view.followed
    after = Page(view)
    assert (await after.next(), after.ended) == (None, True)
