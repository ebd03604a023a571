"""A hub that is put back to an earlier state: it is noticed by our Lease, and versions mean nothing any more."""

from __future__ import annotations

from typing import Any, cast

import pytest

from builders import region, secret_set
from secretset.controller.membership import Membership
from secretset.controller.store import HubStore
from secretset.domain.names import Kind
from secretset.domain.replicas import Replica
from secretset.kube import errors
from secretset.kube.client import Client


class Leases:
    """The hub's API for one Lease, with versions that a test may turn back."""

    def __init__(self) -> None:
        self.version = 100
        self.lease: dict[str, Any] | None = None

    async def get(self, path: str, *_: Any) -> Any:
        if "/leases/" not in path:
            return {"items": [] if self.lease is None else [self.lease]}
        if self.lease is None:
            raise errors.Absent(404)
        return self.lease

    async def create(self, _: str, body: dict[str, Any]) -> Any:
        assert self.lease is None
        return self._stored(body, "uid")

    async def replace(self, _: str, body: dict[str, Any]) -> Any:
        if self.lease is None:
            raise errors.Absent(404)
        if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise errors.Conflict(409, "Conflict")
        return self._stored(body, body["metadata"]["uid"])

    def _stored(self, body: dict[str, Any], uid: str) -> Any:
        self.version += 1
        meta = {**body["metadata"], "uid": uid, "resourceVersion": str(self.version)}
        self.lease = {**body, "metadata": meta}
        return self.lease


class Member:
    """A replica that renews when it is told to."""

    def __init__(self) -> None:
        self.api = Leases()
        self.rewinds = 0
        me = Replica(name="one")
        self.is_there = Membership(
            cast("Client", self.api), "system", me, on_change=lambda: None, on_rewind=self._rewound
        )

    def _rewound(self) -> None:
        self.rewinds += 1

    async def renew(self) -> None:
        await self.is_there._renew_once()


@pytest.fixture
async def member() -> Member:
    member = Member()
    await member.is_there.join()
    return member


def holder(name: str, version: str) -> dict[str, Any]:
    meta = {"name": "secretset-replica-one", "uid": "uid", "resourceVersion": version}
    return {"metadata": meta, "spec": {"holderIdentity": name}}


async def test_renewals_are_no_rewind_nor_is_a_lease_that_somebody_deleted(member: Member) -> None:
    await member.renew()
    member.api.lease = None
    await member.renew()
    await member.renew()
    assert member.rewinds == 0


async def test_a_lease_that_is_older_than_it_was_is_one(member: Member) -> None:
    await member.renew()
    assert member.api.lease is not None
    member.api.lease["metadata"]["resourceVersion"], member.api.version = "40", 50
    await member.renew()
    assert member.rewinds == 1
    await member.renew()
    assert (member.rewinds, member.is_there.lost.is_set()) == (1, False)


async def test_so_is_one_that_was_not_there_yet(member: Member) -> None:
    member.api.lease, member.api.version = None, 50
    await member.renew()
    assert (member.rewinds, member.is_there.lost.is_set()) == (1, False)


async def test_who_held_it_then_is_nobody_now(member: Member) -> None:
    member.api.lease, member.api.version = holder("predecessor", "40"), 50
    await member.renew()
    assert (member.rewinds, member.is_there.lost.is_set()) == (1, False)
    member.api.lease = holder("intruder", "60")
    await member.renew()
    assert (member.rewinds, member.is_there.lost.is_set()) == (1, True)


def test_what_comes_after_it_is_newer_whatever_its_version() -> None:
    asked: list[str] = []
    store = HubStore(lambda key: asked.append(key.name), lambda _: None)
    store.apply_set(secret_set("app").with_meta(resourceVersion="90").record())
    then = secret_set("app").with_meta(resourceVersion="40", generation=7)
    store.apply_set(then.record())
    assert store.sets[then.record().key].generation == 1
    store.doubt()
    assert not store.knows(Kind.SECRET_SET, {"namespace": "team", "name": "app", "resourceVersion": "90"})
    store.apply_set(then.record())
    assert store.sets[then.record().key].generation == 7
    assert asked == ["app", "app"]


def test_a_region_is_what_its_newest_version_says() -> None:
    changed: list[str] = []
    store = HubStore(lambda _: None, changed.append)
    new, old = (region("us").with_meta(resourceVersion=version, generation=int(version)) for version in ("9", "4"))
    for seen in (new, old):
        store.apply_region(seen.record(), {})
    assert (store.regions["us"].generation, changed) == (9, ["us"])
    store.doubt()
    store.apply_region(old.record(), {})
    assert (store.regions["us"].generation, changed) == (4, ["us", "us"])


def test_a_region_whose_status_was_changed_is_looked_at() -> None:
    changed: list[str] = []
    store = HubStore(lambda _: None, changed.append)
    record = region("us").record()
    mine = {"phase": "ready", "replica": "one"}
    for status, times in (({}, 1), ({}, 1), (mine, 2), (mine, 2), ({**mine, "phase": "failed"}, 3), ({}, 4)):
        store.apply_region(record, status)
        assert changed == ["us"] * times, status
