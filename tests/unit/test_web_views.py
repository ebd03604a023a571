"""Who gets a view of the hub, for how long, and who has to make room."""

from __future__ import annotations

import asyncio
from typing import Any, cast
from unittest.mock import ANY

import pytest

from secretset.actions.session import Session
from secretset.domain.names import Key, Kind
from secretset.kube import errors
from secretset.kube.callers import Callers
from secretset.web import views
from secretset.web.live import View
from secretset.web.scope import Scope
from secretset.web.views import Views

ALL = Scope(sets=frozenset((kind, None) for kind in Kind), regions=True)
SHOP = Scope(sets=frozenset({(Kind.SECRET_SET, "shop")}), regions=False)


class Hub:
    """Clients whose requests wait, or fail, and what a user may follow."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.scope = ALL
        self.asked: list[tuple[str, ...]] = []
        self.fault: errors.KubeError | None = None
        self.meanwhile: Any = None

    def client(self, token: str) -> Any:
        self.opened.append(token)
        hub = self

        class Client:
            name = "hub"

            async def get(self, *_: Any, **__: Any) -> Any:
                if hub.fault is not None:
                    raise hub.fault
                await asyncio.Event().wait()

            async def close(self) -> None:
                hub.closed.append(token)

        return Client()

    async def scope_of(self, _: Session, own: str | None, named: tuple[str, ...] = ()) -> Scope:
        self.asked.append(named)
        if self.meanwhile is not None:
            self.meanwhile()
        return self.scope


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    found = Hub()
    monkeypatch.setattr(views, "scope_of", found.scope_of)
    return found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def found(hub: Hub, clock: Clock) -> Views:
    return Views(cast("Callers", hub), clock)


async def look(found: Views, token: str, *, name: str = "", wanted: str = "") -> View:
    nobody = cast("Session", None)
    return await found.of(f"digest of {token}", token, nobody, name=name or token, own=None, wanted=wanted)


async def test_a_user_has_one_view_and_no_other_user_gets_it(hub: Hub, found: Views) -> None:
    mine, again = await look(found, "mine"), await look(found, "mine")
    theirs = await look(found, "theirs")
    assert mine is again
    assert mine is not theirs
    assert hub.opened == ["mine", "theirs"]
    await found.close()
    assert sorted(hub.closed) == ["mine", "theirs"]


async def ended(found: Views) -> None:
    """Wait until what was dropped is closed."""
    await asyncio.gather(*found._ending)


async def test_two_pages_at_once_open_one(hub: Hub, found: Views) -> None:
    one, two = await asyncio.gather(look(found, "mine"), look(found, "mine"))
    assert one is two
    assert hub.opened == ["mine"]
    await found.close()


async def test_rights_are_asked_for_again_and_a_view_of_others_is_made_anew(
    hub: Hub, found: Views, clock: Clock
) -> None:
    first = await look(found, "mine")
    clock.now += 59
    assert await look(found, "mine") is first
    assert len(hub.asked) == 1
    clock.now += 2
    assert await look(found, "mine") is first, "they are the same"
    assert len(hub.asked) == 2
    hub.scope = SHOP
    clock.now += 61
    second = await look(found, "mine")
    assert second is not first
    assert second.scope == SHOP
    await found.close()
    assert hub.closed == ["mine", "mine"]


async def test_an_organization_that_is_asked_for_is_looked_for_at_once(hub: Hub, found: Views) -> None:
    hub.scope = SHOP
    await look(found, "mine", wanted="shop")
    await look(found, "mine", wanted="shop")
    assert hub.asked == [("shop",)]
    await look(found, "mine", wanted="bank")
    assert hub.asked[1:] == [("bank", "shop")]
    await found.close()


async def test_one_user_with_many_tokens_displaces_nobody_but_themselves(hub: Hub, found: Views) -> None:
    await look(found, "mine")
    for number in range(30):
        await look(found, f"token-{number}", name="greedy")
    await ended(found)
    assert "mine" not in hub.closed
    assert len(hub.closed) == 28
    await found.close()


async def test_of_too_many_users_the_one_who_looked_longest_ago_makes_room(hub: Hub, found: Views) -> None:
    for number in range(20):
        await look(found, f"user-{number}")
    await look(found, "user-0")
    await look(found, "one-more")
    await ended(found)
    assert hub.closed == ["user-1"]
    await found.close()


async def test_who_does_not_follow_makes_room_before_who_does(hub: Hub, found: Views) -> None:
    first = await look(found, "user-0")
    for number in range(1, 20):
        await look(found, f"user-{number}")
    with first.stream():
        await look(found, "one-more")
        await ended(found)
        assert hub.closed == ["user-1"]
    await found.close()


async def test_of_too_many_sets_the_one_who_looked_longest_ago_makes_room(
    hub: Hub, found: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "_MOST_SETS", 5)
    for number in range(3):
        view = await look(found, f"user-{number}")
        view.sets |= dict.fromkeys((Key(Kind.SECRET_SET, "shop", f"{number}-{each}") for each in range(2)), ANY)
    await look(found, "user-3")
    await ended(found)
    assert hub.closed == ["user-0"]
    await found.close()


async def test_who_does_not_look_any_more_is_not_followed_any_more(
    hub: Hub, found: Views, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "_IDLE_SECONDS", 0.05)
    await look(found, "mine")
    clock.now += 1
    async with asyncio.timeout(5):
        while not hub.closed:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await found.close()


async def test_a_view_that_is_dropped_while_its_rights_are_asked_for_is_made_anew(
    hub: Hub, found: Views, clock: Clock
) -> None:
    first = await look(found, "mine")
    clock.now += 61
    hub.meanwhile = lambda: found.drop("digest of mine")
    assert await look(found, "mine") is not first
    await found.close()


@pytest.mark.parametrize("fault", [errors.Forbidden(403, "no"), errors.Unauthorized(401, "no")])
async def test_what_a_user_may_not_see_any_more_is_not_shown_any_more(hub: Hub, fault: errors.KubeError) -> None:
    hub.fault = fault
    view = View(hub.client("mine"), SHOP, name="mine", now=0.0)
    key = Key(Kind.SECRET_SET, "shop", "app")
    other = Key(Kind.SECRET_SET, "bank", "app")
    view.sets = {key: cast("Any", None), other: cast("Any", None)}
    assert not await view.settled(1.0)
    assert list(view.sets) == [other]
    await view.close()


async def test_what_is_not_there_in_time_is_not_complete(hub: Hub) -> None:
    view = View(hub.client("mine"), ALL, name="mine", now=0.0)
    assert not await view.settled(0.01)
    await view.close()
    assert hub.closed == ["mine"]


@pytest.mark.parametrize(
    ("scope", "only"),
    [
        (SHOP, "shop"),
        (Scope(sets=frozenset((kind, "shop") for kind in Kind), regions=True), "shop"),
        (ALL, ""),
        (Scope(sets=frozenset(), regions=True), ""),
        (Scope(sets=frozenset({(Kind.SECRET_SET, "shop"), (Kind.SECRET_SET, "bank")}), regions=True), ""),
        (Scope(sets=frozenset({(Kind.SECRET_SET, "shop")}), regions=True, more=1), ""),
    ],
)
def test_who_may_follow_one_organization_means_that_one(scope: Scope, only: str) -> None:
    assert scope.only == only
