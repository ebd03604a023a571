"""The comparison with the hub: what a watch never told, of sets and of Regions, is found by its version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from builders import region, secret_set
from secretset.controller.resync import load, resync
from secretset.controller.store import HubStore
from secretset.domain import record
from secretset.domain.names import Key, Kind
from secretset.kube import errors, paths
from secretset.kube.client import Client

APP = Key(Kind.SECRET_SET, "team", "app")


class Hub:
    """Lists and objects of a hub, by path; counts what is read one by one."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.read: list[str] = []
        self.silent = ""  # what it does not list

    async def get(self, path: str, _: Mapping[str, str] | None = None, **__: Any) -> Any:
        lists = {paths.REGIONS: "Region", **{paths.custom_list(kind): kind.value for kind in Kind}}
        if path in lists:
            if path == self.silent:
                raise errors.Throttled(429, retry_after=1.0)
            items = [obj for obj in self.objects.values() if obj["kind"] == lists[path]]
            return {"metadata": {"resourceVersion": "99"}, "items": items}
        self.read.append(path)
        if path not in self.objects:
            raise errors.Absent(404)
        return self.objects[path]


class World:
    """A store, beside the hub that it was loaded from."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.asked: list[Key] = []
        self.changed: list[str] = []
        self.store = HubStore(self.asked.append, self.changed.append)

    @property
    def client(self) -> Client:
        return cast("Client", self.hub)

    def set(self, version: int) -> None:
        obj = secret_set("app").with_meta(resourceVersion=str(version), generation=version).object()
        self.hub.objects[paths.custom(APP)] = {**obj, "kind": APP.kind.value}

    def region(self, version: int) -> None:
        obj = region("us").with_meta(resourceVersion=str(version), generation=version).object()
        self.hub.objects[paths.region("us")] = {**obj, "kind": "Region"}

    async def compare(self) -> list[str]:
        """What was read one by one, of one comparison."""
        self.hub.read.clear()
        await resync(self.client, self.store)
        return list(self.hub.read)


@pytest.fixture
async def world() -> World:
    world = World()
    world.set(5)
    world.region(6)
    await load(world.client, world.store)
    return world


async def test_what_is_known_is_not_read_again(world: World) -> None:
    assert await world.compare() == []


async def test_a_change_that_no_watch_told_is_found(world: World) -> None:
    world.set(7)
    world.region(8)
    assert await world.compare() == [paths.custom(APP), paths.region("us")]
    assert (world.store.sets[APP].generation, world.store.regions["us"].generation) == (7, 8)
    assert await world.compare() == []


async def test_so_is_an_end_and_a_beginning(world: World) -> None:
    world.hub.objects.clear()
    await world.compare()
    assert not world.store.sets
    assert not world.store.regions
    world.set(11)
    world.region(12)
    await world.compare()
    assert (list(world.store.sets), list(world.store.regions)) == ([APP], ["us"])


async def test_what_changes_while_it_is_compared_is_as_it_is_then(world: World) -> None:
    newer = record.parse(APP.kind, {**world.hub.objects[paths.custom(APP)]})
    newer.resource_version = "20"
    world.store.apply_set(newer)
    await world.compare()
    assert world.store.sets[APP].resource_version == "20"


@pytest.mark.parametrize("silent", [*map(paths.custom_list, Kind), paths.REGIONS])
async def test_what_a_hub_does_not_list_is_not_taken_away(world: World, silent: str) -> None:
    world.hub.silent = silent
    with pytest.raises(errors.Throttled):
        await world.compare()
    assert (list(world.store.sets), list(world.store.regions)) == ([APP], ["us"])
