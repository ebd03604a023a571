"""What the dashboard shows of many sets: filters, order, pages, the map, and what needs somebody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from secretset.domain import board
from secretset.domain.board import Order, Query
from secretset.domain.health import Finding, Level
from secretset.domain.names import Kind
from secretset.domain.regions import RegionRecord
from secretset.domain.set_view import SetView

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def ago(days: float) -> str:
    return (NOW - timedelta(days=days)).isoformat().replace("+00:00", "Z")


def made(
    name: str,
    organization: str = "shop",
    *,
    phase: str = "ready",
    reason: str = "Synced",
    region: str | None = "us-west",
    updated: float | None = 1,
    kind: Kind = Kind.SECRET_SET,
    going: bool = False,
    description: str = "",
    keys: tuple[str, ...] = ("A",),
    **workloads: int,
) -> SetView:
    status: dict[str, Any] = {"observedGeneration": 1, "phase": phase, "reason": reason, "workloads": workloads}
    status |= {"region": region} if region else {}
    status |= {"updatedAt": ago(updated)} if updated is not None else {}
    meta = {
        "namespace": organization,
        "name": name,
        "uid": name,
        "resourceVersion": "1",
        "generation": 1,
        "creationTimestamp": ago(400),
    }
    meta |= {"deletionTimestamp": ago(0)} if going else {}
    spec = {"data": {key: {"sealed": "x"} for key in keys}, "description": description}
    return SetView.parse(kind, {"metadata": meta, "spec": spec, "status": status}, keep=False)


def region(name: str, **conditions: str) -> tuple[RegionRecord, dict[str, Any]]:
    meta = {"name": name, "uid": name, "resourceVersion": "1", "creationTimestamp": ago(1), "generation": 1}
    record = RegionRecord.parse({"metadata": meta, "spec": {}})
    assert record is not None
    told = {"Reachable": "True", "Authorized": "True"} | conditions
    message = "it does not answer since noon"
    return record, {
        "observedGeneration": 1,
        "conditions": [
            {"type": kind, "status": status, "message": message, "lastTransitionTime": f"{kind} since"}
            for kind, status in told.items()
        ],
    }


SETS = [
    made("app", bound=2, current=2),
    made("db", keys=("URL", "PASSWORD"), updated=200),
    made("app", "bank", region="eu", phase="failed", reason="SourceForbidden", description="For the Teller"),
    made("cache", "bank", region="eu", phase="pending", reason="RegionUnreachable", updated=None, bound=3, current=1),
    made("pull", kind=Kind.IMAGE_PULL_SECRET),
    made("gone", going=True, bound=1, stalled=1),
]


def names(**query: Any) -> list[str]:
    return [f"{view.organization}/{view.name}" for view in board.listing(SETS, Query(**query), NOW).rows]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["bank/app", "bank/cache", "shop/app", "shop/db", "shop/gone", "shop/pull"]),
        ({"text": "APP"}, ["bank/app", "shop/app"]),
        ({"text": " teller "}, ["bank/app"]),
        ({"text": "password"}, ["shop/db"]),
        ({"organization": "bank"}, ["bank/app", "bank/cache"]),
        ({"region": "eu", "phase": "failed"}, ["bank/app"]),
        ({"phase": "pending"}, ["bank/cache", "shop/gone"]),
        ({"reason": "SourceForbidden"}, ["bank/app"]),
        ({"region": "(none yet)"}, []),
        ({"unused": True}, ["shop/db"]),
        ({"old": True}, ["shop/db"]),
        ({"text": "nothing like it"}, []),
    ],
)
def test_what_is_asked_for(query: dict[str, Any], found: list[str]) -> None:
    assert names(**query) == found


@pytest.mark.parametrize(
    ("order", "up"),
    [
        (Order.NAME, ["bank/app", "shop/app", "bank/cache", "shop/db", "shop/gone", "shop/pull"]),
        (Order.ORGANIZATION, ["bank/app", "bank/cache", "shop/app", "shop/db", "shop/gone", "shop/pull"]),
        (Order.REGION, ["bank/app", "bank/cache", "shop/app", "shop/db", "shop/gone", "shop/pull"]),
        (Order.PHASE, ["bank/app", "bank/cache", "shop/gone", "shop/app", "shop/db", "shop/pull"]),
        (Order.KEYS, ["bank/app", "bank/cache", "shop/app", "shop/gone", "shop/pull", "shop/db"]),
        (Order.USED, ["bank/app", "shop/db", "shop/pull", "shop/gone", "shop/app", "bank/cache"]),
        (Order.UPDATED, ["bank/cache", "shop/db", "bank/app", "shop/app", "shop/gone", "shop/pull"]),
    ],
)
def test_every_order_is_by_what_it_says_and_then_by_name(order: Order, up: list[str]) -> None:
    assert names(order=order) == up
    assert sorted(names(order=order, descending=True)) == sorted(up)


@pytest.mark.parametrize(
    ("order", "first"),
    [(Order.NAME, "shop/pull"), (Order.KEYS, "shop/db"), (Order.USED, "bank/cache"), (Order.REGION, "shop/app")],
)
def test_every_order_can_be_turned_round(order: Order, first: str) -> None:
    assert names(order=order, descending=True)[0] == first


def test_pages_have_all_rows_once() -> None:
    many = [made(f"set-{number:03}") for number in range(25)]
    pages = [board.listing(many, Query(page=number), NOW, size=10) for number in (1, 2, 3)]
    assert [view.name for page in pages for view in page.rows] == [view.name for view in many]
    assert {(page.total, page.pages) for page in pages} == {(25, 3)}


@pytest.mark.parametrize(("page", "shown"), [(0, 1), (-3, 1), (99, 3)])
def test_a_page_that_is_not_there_is_the_nearest(page: int, shown: int) -> None:
    many = [made(f"set-{number:03}") for number in range(25)]
    assert board.listing(many, Query(page=page), NOW, size=10).page == shown


def test_a_table_of_nothing_has_one_page() -> None:
    listing = board.listing([], Query(page=4), NOW)
    assert (listing.rows, listing.total, listing.page, listing.pages) == ([], 0, 1, 1)


def test_an_address_has_what_is_not_as_by_default() -> None:
    assert Query().parameters() == {}
    query = Query(text="a b", unused=True, order=Order.NAME, page=3)
    assert query.parameters() == {"text": "a b", "unused": "1", "order": "name", "page": "3"}
    assert query.parameters(page=1, descending=True) == {
        "text": "a b",
        "unused": "1",
        "order": "name",
        "descending": "1",
    }


def test_the_map_begins_with_the_worst() -> None:
    found = board.health([*SETS, made("new", "zoo", region=None, phase="pending", reason="Accepted")])
    assert list(found) == ["bank", "shop", "zoo"]
    eu = found["bank"]["eu"]
    assert (eu.total, eu.failed, eu.pending, eu.ready, eu.worst) == (2, 1, 1, 0, "failed")
    west = found["shop"]["us-west"]
    assert (west.total, west.pending, west.worst) == (4, 1, "pending")
    assert list(found["zoo"]) == ["(none yet)"]


def test_what_needs_somebody_comes_with_what_to_do_the_worst_first() -> None:
    keys = Finding(check="sealing keys", level=Level.WARN, says="k1 is current, 90 days old.", to_do="rotate")
    found = board.matters(SETS, [region("us-west"), region("eu", Reachable="False")], keys)
    assert [(each.level, each.says) for each in found] == [
        (Level.FAIL, "Region eu: it does not answer since noon"),
        (Level.FAIL, "One set failed (SourceForbidden): bank/app."),
        (Level.FAIL, "One set with a rollout that does not get on: shop/gone."),
        (Level.WARN, "Sealing keys: k1 is current, 90 days old."),
        (Level.WARN, "One set pending (RegionUnreachable): bank/cache."),
    ]
    assert all(each.to_do for each in found)
    assert (found[0].region, found[0].since) == ("eu", "Reachable since")
    assert not any(each.since for each in found[1:])
    assert found[1].query == Query(phase="failed", reason="SourceForbidden")


def test_many_sets_with_one_reason_are_one_matter() -> None:
    many = [made(f"set-{number}", phase="failed", reason="TooLarge") for number in range(1200)]
    (found,) = board.matters(many, [])
    assert found.says.startswith("1,200 sets failed (TooLarge): shop/set-0, shop/set-1, ")
    assert found.says.endswith(" and 1195 more.")


def test_nothing_needs_anybody_where_all_is_well() -> None:
    well = Finding(check="sealing keys", level=Level.OK, says="k1 is current, 3 days old.")
    assert board.matters([SETS[0], SETS[1]], [region("us-west")], well) == []


def test_rollouts_that_do_not_get_on_come_first() -> None:
    some = [made("a", restarting=1), made("b", held=1), made("c", stalled=1), made("d", current=1)]
    assert [view.name for view in board.rollouts(some)] == ["c", "a", "b"]


def test_a_time_that_is_none_makes_nothing_old() -> None:
    assert not board.is_old(made("app", updated=None), NOW)
