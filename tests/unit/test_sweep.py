"""Sweeping: a region that is back is rid of what deleted sets had left there, and of nothing else."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from builders import region
from secretset.controller import tombstones
from secretset.domain import names
from secretset.domain.names import Key, Kind
from secretset.domain.tombstone import Tombstone
from secretset.kube import errors, paths
from unit.left_behind import AWAY, SECRET_PATH, SYSTEM, World, live, stone
from unit.slots import INSTALLATION, OWNER, delivered

PULL = Key(Kind.IMAGE_PULL_SECRET, "team", "regcred")


async def buried(*stones: Tombstone) -> World:
    world = World()
    for each in stones or (stone(),):
        await world.tombstones.bury(each)
    world.hub.log.clear()
    return world


def maps(world: World) -> list[str]:
    return [path for path in world.hub.objects if "/configmaps/" in path]


async def test_a_sweep_takes_away_what_was_left_and_tells_of_it_once() -> None:
    world = await buried(stone(), stone(owner=OWNER._replace(name="gone"), uid="x"))
    changed: list[str] = []
    world.tombstones.on_change = changed.append
    assert await world.tombstones.sweep(world.runner) == 2
    assert SECRET_PATH not in world.there.objects
    assert maps(world) == []
    assert world.left == []
    await asyncio.sleep(0.2)
    assert changed == ["us"]  # however many went
    assert [told[:2] for told in world.events.told] == [("us", "Swept")]
    assert "team-us/app" in world.events.told[0][2]
    assert "gone" not in world.events.told[0][2]
    assert await world.tombstones.sweep(world.runner) == 0


async def test_a_secret_that_a_new_set_adopted_stays() -> None:
    world = await buried()
    world.there.objects[SECRET_PATH] = delivered(uid="new").copy()
    assert await world.tombstones.sweep(world.runner) == 1
    assert SECRET_PATH in world.there.objects
    assert world.there.log == []
    assert maps(world) == []
    assert world.events.told == []


async def test_a_secret_that_a_new_set_may_adopt_stays_remembered_until_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tombstones, "_LOOKS", (0.01, 0.02))
    world = await buried()
    heir = live().in_region("us").record()
    world.region(region("us").with_template("team-us").with_meta(generation=2))
    world.context.store.apply_set(heir)
    await asyncio.sleep(0.2)
    asked: list[str] = []
    world.tombstones.on_change = asked.append
    for count in (1, 2, 2):  # it asks for another look soon, but not for ever
        assert await world.tombstones.sweep(world.runner) == 0
        await asyncio.sleep(0.1)
        assert len(asked) == count
    assert SECRET_PATH in world.there.objects
    assert len(maps(world)) == 1
    # The new set was never admitted, and goes: what was left is still known.
    world.context.store.forget_set(OWNER)
    assert await world.tombstones.sweep(world.runner) == 1
    assert SECRET_PATH not in world.there.objects


async def test_a_list_of_many_is_told_once_and_read_in_moments() -> None:
    world = World()
    told: list[str] = []

    def look(name: str) -> None:
        assert world.tombstones.has(name)
        told.append(name)

    world.tombstones.on_change = look
    assert not world.tombstones.has("us")
    for number in range(2000):
        body = stone(uid=f"uid-{number}").render(SYSTEM)
        body["metadata"]["uid"] = f"{number}"
        world.tombstones._see(body)
    assert told == []
    await asyncio.sleep(0.3)
    assert told == ["us"]
    assert len(world.left) == 2000


async def test_another_cluster_behind_the_name_is_left_alone() -> None:
    world = await buried()
    world.served.cluster_id = "cluster-2"
    assert await world.tombstones.sweep(world.runner) == 0
    assert SECRET_PATH in world.there.objects
    assert len(maps(world)) == 1
    world.served.cluster_id = ""  # not told, or not known yet
    assert await world.tombstones.sweep(world.runner) == 0
    world.served.cluster_id = "cluster-1"
    assert await world.tombstones.sweep(world.runner) == 1


@pytest.mark.parametrize("error", [errors.Unreachable("x"), errors.Throttled(429), errors.Forbidden(403)])
async def test_what_fails_is_left_for_the_next_time(error: Exception) -> None:
    world = await buried()
    for what in ("get", "delete"):
        world.there.fails = {what: error}
        assert await world.tombstones.sweep(world.runner) == 0
        assert len(maps(world)) == 1
    world.there.fails = {}
    world.hub.fails = {"delete": error}
    assert await world.tombstones.sweep(world.runner) == 0
    world.hub.fails = {}
    assert await world.tombstones.sweep(world.runner) == 1
    world.problem = AWAY
    assert await world.tombstones.sweep(world.runner) == 0


async def test_a_region_that_went_away_is_not_asked_for_the_rest() -> None:
    world = await buried(*(stone(owner=OWNER._replace(name=f"app-{n}")) for n in range(50)))
    asked = 0

    async def silence(*_: Any, **__: Any) -> Any:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        raise errors.Unreachable("x")

    world.there.get = silence  # type: ignore[method-assign]
    assert await world.tombstones.sweep(world.runner) == 0
    assert asked <= 4
    assert len(maps(world)) == 50


async def test_a_right_that_is_missing_in_one_namespace_does_not_hold_up_the_others() -> None:
    world = await buried(stone(), stone(namespace="other", uid="x"))
    world.there.fails = {"namespaces/other": errors.Forbidden(403)}
    assert await world.tombstones.sweep(world.runner) == 1
    assert [each.namespace for each in world.left] == ["other"]


async def test_a_change_between_look_and_deletion_is_looked_at_again() -> None:
    world = await buried()
    look = world.there.get

    async def then_adopted(path: str, *_: Any, **__: Any) -> Any:
        found = await look(path)
        adopted = delivered(uid="new").edit(lambda _: None).copy()
        world.there.objects[SECRET_PATH] = adopted
        return found

    world.there.get = then_adopted  # type: ignore[method-assign]
    assert await world.tombstones.sweep(world.runner) == 1
    assert SECRET_PATH in world.there.objects
    assert world.events.told == []


def account(name: str, *secrets: str, mark: str | None = INSTALLATION) -> dict[str, Any]:
    notes = {names.PULL_MARK_PREFIX + PULL.name: mark} if mark else {}
    meta = {"namespace": "team-us", "name": name, "resourceVersion": "1", "annotations": notes}
    return {"metadata": meta, "imagePullSecrets": [{"name": secret} for secret in secrets]}


async def test_a_pull_secret_is_detached_too() -> None:
    world = await buried(stone(owner=PULL))
    ours, theirs = account("ours", "a", PULL.name), account("theirs", PULL.name, mark=None)
    root = paths.core("serviceaccounts", "team-us")
    world.there.objects |= {
        root: {"metadata": {}, "items": [ours, theirs]},
        f"{root}/ours": ours,
        f"{root}/theirs": theirs,
    }
    slot = delivered(key=PULL)
    world.there.objects[paths.secrets("team-us", PULL.name)] = slot.copy()
    world.there.fails = {"patch": errors.Conflict(409)}
    assert await world.tombstones.sweep(world.runner) == 0
    world.there.fails = {}
    assert await world.tombstones.sweep(world.runner) == 1
    assert world.there.log == ["delete secrets", "patch serviceaccounts ours"]
    assert world.there.objects[f"{root}/ours"]["imagePullSecrets"] == [{"name": "a"}]


@pytest.mark.parametrize("spoil", [lambda obj: obj["data"].clear(), lambda obj: obj["metadata"].update(name="x")])
async def test_a_configmap_that_is_no_tombstone_is_ignored(spoil: Callable[[dict[str, Any]], Any]) -> None:
    world = World()
    body = stone().render(SYSTEM)
    body["metadata"]["uid"] = "u"
    spoil(body)
    world.tombstones._see(body)
    world.tombstones._forget("unknown")
    assert world.left == []
