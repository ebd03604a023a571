"""Waves carried out on a pretend API server: order of writes, who slipped through, conflicts, and what fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from builders import deployment, secret_set
from secretset.domain import names
from secretset.domain.marks import wave_annotation
from secretset.domain.waves import Wave
from secretset.kube import errors
from unit.at_rest import AT_ONCE, LIST, SECRET, Region, named, web
from unit.cluster import Cluster, Crashed, Object, path_of, stored


async def test_the_secret_is_written_first_and_each_workload_by_one_patch() -> None:
    region = await Region.made(web("a"), web("b"), deployment("other").env_from("dbs"))
    after = await region.change()
    assert region.writes == ["PUT app", "PATCH a", "PATCH b"]
    assert (named(after.restarted), after.over) == (["a", "b"], region.wave)
    for name in "ab":
        found = region.workload(name)
        assert (found.marks, found.restarted_for) == ({"app": region.wave.id}, f"app@{region.wave.id}")
        assert found.generation == 2
    assert region.statuses["app"]["restartedFor"] == region.wave.id
    assert "plannedFor" not in region.statuses["app"]
    assert region.told == ["Restarted: Restarted for revision 2: deployment/a, deployment/b"]
    await region.change()
    assert len(region.writes) == 3


async def test_a_quiet_window_that_ends_within_the_pass_is_not_missed() -> None:
    region = await Region.made(web("a"))
    region.sets["app"].with_spec(restart={"quietSeconds": 5, "maxWaitSeconds": 5})
    get = region.cluster.get

    async def slow(path: str, params: Any = None, **kw: Any) -> Object:
        region.clock += 6 if path == LIST else 0
        return await get(path, params, **kw)

    region.cluster.get = slow  # type: ignore[method-assign]
    after = await region.change()
    assert (after.restarted, after.wait) == ([], 0.0)
    after = await region.change()
    assert named(after.restarted) == ["a"]


async def test_the_patch_names_what_it_was_decided_on() -> None:
    region = await Region.made(web("a"))
    bodies: list[Object] = []
    patch = region.cluster.patch

    async def watched(path: str, body: Object, content_type: str) -> Object:
        bodies.append(body)
        return await patch(path, body, content_type)

    region.cluster.patch = watched  # type: ignore[method-assign]
    version = region.workload("a").resource_version
    await region.change()
    (body,) = bodies
    assert body["metadata"] == {
        "uid": "uid-a",
        "resourceVersion": version,
        "annotations": {names.wave_mark("app"): region.wave.id},
    }
    note = {names.ANNOTATION_RESTARTED_FOR: f"app@{region.wave.id}"}
    assert body["spec"] == {"template": {"metadata": {"annotations": note}}}


async def test_one_patch_serves_all_sets_that_a_workload_waits_for() -> None:
    region = await Region.made(web("both").env_from("dbs"), sets=("app", "dbs"))
    slow = {"quietSeconds": 5, "maxWaitSeconds": 5}
    for name in ("app", "dbs"):
        region.sets[name].with_spec(restart=slow)
    await region.change()
    await region.work("dbs", {"A": b"2"})
    region.clock += 6
    await region.work("dbs", {"A": b"2"})
    await region.change()
    assert region.writes == ["PUT app", "PUT dbs", "PATCH both"]
    found = region.workload("both")
    assert found.restarted_for == f"app@{found.marks['app']},dbs@{found.marks['dbs']}"
    assert {name: status["restartedFor"] for name, status in region.statuses.items()} == found.marks
    assert [secret for secret, seen in (("app", True), ("dbs", True)) if bool(region.scene(secret).in_flight) is seen]


# --- who slipped through


async def test_who_raced_is_added_to_the_wave_on_the_secret_before_it_is_restarted() -> None:
    region = await Region.made(web("a"))
    stored(region.cluster, web("raced"))
    after = await region.change()
    assert region.writes == ["PUT app", "PATCH a", "PUT app", "PATCH raced"]
    assert (named(after.restarted), set(region.wave.targets)) == (["a", "raced"], {"uid-a", "uid-raced"})
    assert after.over == region.wave


@pytest.mark.parametrize("tardy", [False, True])
@pytest.mark.parametrize("fuse", range(5))
async def test_whenever_the_operator_dies_all_are_restarted_once(fuse: int, tardy: bool) -> None:
    region = await Region.made(web("a"))
    stored(region.cluster, web("raced"))
    region.cluster.fuse, region.cluster.tardy = fuse, tardy
    with pytest.raises(Crashed):
        await region.change()
    region.start()
    region.tick()
    await region.change()
    assert {region.workload(name).generation for name in ("a", "raced")} == {2}
    assert region.statuses["app"]["restartedFor"] == region.wave.id
    before = len(region.writes)
    await region.change()
    assert len(region.writes) == before


async def test_who_was_created_after_the_write_is_left_alone_even_if_it_is_listed_later() -> None:
    region = await Region.made(web("a"))
    region.cluster.fuse = 1
    with pytest.raises(Crashed):
        await region.change()
    region.cluster.exact = False
    stored(region.cluster, web("later").with_meta(creationTimestamp="2099-01-01T00:00:00Z"))
    region.start()
    await region.change()
    assert (region.workload("a").generation, region.workload("later").generation) == (2, 1)


async def test_a_wave_is_looked_over_once() -> None:
    region = await Region.made(web("a"), web("held").paused())
    after = await region.change()
    assert (region.lists, named(after.restarted), after.over) == (1, ["a"], None)
    assert region.statuses["app"]["plannedFor"] == region.wave.id
    assert region.told[0].startswith("Restarting: Restarting 2 workloads for revision 2, first: deployment/a")
    for _ in range(3):
        await region.change()
    region.start()
    await region.change()
    assert region.lists == 1, "the status remembers it"


async def test_a_wave_is_whole_before_the_next_takes_it_over() -> None:
    """The operator died before it had looked; what raced with the first change must not be lost to the second."""
    region = await Region.made(web("a"))
    region.runner.seen.drop("team-us")
    stored(region.cluster, web("raced"))
    region.cluster.fuse = 1
    with pytest.raises(Crashed):
        await region.change(b"2")
    region.start()
    region.runner.seen.drop("team-us")  # neither does the watch show anything yet
    await region.change(b"3")
    assert {region.workload(name).generation for name in ("a", "raced")} == {2}


async def test_a_secret_that_bears_another_wave_by_now_is_left_as_it_is() -> None:
    region = await Region.made(web("a"))
    stored(region.cluster, web("raced"))
    other = Wave(id="9-x", since=0, changed=0, targets={})
    get = region.cluster.get

    async def overtaken(path: str, params: Any = None, *, accept: str | None = None) -> Object:
        if path == SECRET and "PATCH a" in region.writes:
            obj = region.cluster.objects[SECRET]
            obj["metadata"]["annotations"] |= wave_annotation(other)
            region.cluster.put(SECRET, obj)
        return await get(path, params, accept=accept)

    region.cluster.get = overtaken  # type: ignore[method-assign]
    with pytest.raises(errors.Conflict):
        await region.change()
    assert region.wave == other
    assert region.workload("raced").generation == 1


async def test_a_secret_that_is_gone_by_now_is_looked_at_anew() -> None:
    region = await Region.made(web("a"))
    stored(region.cluster, web("raced"))
    put = region.cluster.put

    def taken_away(path: str, obj: Object | None) -> Object:
        answer = put(path, obj)
        if path.endswith("/a"):
            put(SECRET, None)
        return answer

    region.cluster.put = taken_away  # type: ignore[method-assign]
    with pytest.raises(errors.Conflict):
        await region.change()


async def test_restarts_outlive_a_secret_that_is_lost_while_nobody_looks() -> None:
    """Its wave was on it. The status tells what was done; whoever it does not name is restarted."""
    region = await Region.made(web("a"), web("held").paused())
    await region.change()
    region.cluster.put(SECRET, None)
    region.start()
    region.tick()
    await region.change()
    assert region.wave.targets.keys() == {"uid-held"}
    region.change_behind("held", lambda obj: obj["spec"].pop("paused"))
    region.see(region.cluster.objects[f"{LIST}/held"])
    await region.change()
    assert {region.workload(name).generation for name in ("a", "held")} == {2}
    region.cluster.put(SECRET, None)
    region.start()
    before = [write for write in region.writes if write.startswith("PATCH")]
    await region.change()
    assert [write for write in region.writes if write.startswith("PATCH")] == before, "all were made"


# --- workloads that are not as they were seen


async def test_one_that_is_gone_is_let_go() -> None:
    region = await Region.made(web("a"), web("ghost"))
    ghost = region.cluster.objects[f"{LIST}/ghost"]
    region.cluster.put(path_of(ghost), None)
    after = await region.change()
    assert (named(after.restarted), after.over) == (["a"], region.wave)


async def test_one_that_has_changed_is_read_and_restarted() -> None:
    region = await Region.made(web("a"))
    region.change_behind("a", lambda obj: obj["metadata"].update(labels={"x": "y"}))
    after = await region.change()
    assert region.writes == ["PUT app", "PATCH a", "PATCH a"]
    assert (named(after.restarted), after.over) == (["a"], region.wave)


async def test_one_that_another_replica_has_restarted_is_not_restarted_again() -> None:
    region, other = await Region.made(web("a")), Region(Cluster())
    region.cluster.fuse = 1
    with pytest.raises(Crashed):
        await region.change()
    region.start()
    other.cluster, other.statuses = region.cluster, region.statuses
    other.add(secret_set("app").with_key("A", source="src").with_spec(restart=AT_ONCE))
    other.start()
    await other.change(write_status=False)
    after = await region.change()
    assert (named(after.restarted), after.over) == ([], region.wave)
    assert region.workload("a").generation == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda obj: obj["metadata"].update(annotations={names.ANNOTATION_PAUSED: "true"}),
        lambda obj: obj["spec"].update(paused=True),
    ],
    ids=["annotated", "paused"],
)
async def test_one_that_was_paused_since_is_left_alone(change: Callable[[Object], Any]) -> None:
    region = await Region.made(web("a"), limit=1)
    region.change_behind("a", change)
    assert named((await region.change()).restarted) == []
    assert region.workload("a").generation == 1
    assert region.runner.budget.take(region.scene("app").seen.key, 1) == 1


async def test_one_that_was_replaced_before_the_write_is_not_taken_for_its_successor() -> None:
    region = await Region.made(web("a"))
    region.change_behind("a", lambda obj: obj["metadata"].update(uid="successor"))
    after = await region.change()
    assert [(w.name, w.uid) for w in after.restarted] == [("a", "successor")]
    assert region.wave.owed == {"successor"}
    assert region.workload("a").generation == 2


async def test_one_that_changes_all_the_time_is_left_for_later_and_keeps_no_place() -> None:
    region = await Region.made(web("a"), web("b"), limit=2)
    region.cluster.faults[f"{LIST}/a"] = [errors.Conflict(409)] * 9
    with pytest.raises(errors.Conflict):
        await region.change()
    assert region.workload("b").generation == 2
    assert region.runner.budget.take(region.scene("app").seen.key, 5) == 1


async def test_what_one_refuses_does_not_keep_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    region = await Region.made(web("a"), web("b"))
    region.cluster.faults[f"{LIST}/a"] = [errors.Forbidden(403)]
    after = await region.change()
    assert (named(after.restarted), after.failure) == (["b"], None)
    assert after.wait == pytest.approx(1.0, abs=0.2)
    told = {item["name"]: item for item in after.status["workloads"]["items"]}
    assert told["a"]["state"] == "held"
    assert told["a"]["message"] == "The operator may not patch deployments there."
    assert region.workload("b").generation == 2
    before = len(region.writes)
    assert named((await region.change()).restarted) == []
    assert len(region.writes) == before, "it is left alone for a while"
    monkeypatch.setattr("secretset.controller.refusals.time.monotonic", lambda: float("inf"))
    assert named((await region.change()).restarted) == ["a"]


async def test_who_is_refused_does_not_wake_itself_and_keeps_no_place() -> None:
    region = await Region.made(web("a"), web("b"), limit=1)
    region.cluster.faults[f"{LIST}/a"] = [errors.Invalid(422)]
    await region.change()
    assert region.writes == ["PUT app", "PATCH a"]
    assert not region.runner.budget._waiting
    assert named((await region.change()).restarted) == ["b"]


async def test_a_search_that_fails_does_not_keep_the_restarts_and_is_made_again() -> None:
    region = await Region.made(web("a"))
    stored(region.cluster, web("raced"))
    region.cluster.faults[LIST] = [errors.Unreachable("x")]
    with pytest.raises(AssertionError):
        await region.change()
    assert (region.workload("a").generation, region.workload("raced").generation) == (2, 1)
    await region.change()
    assert region.workload("raced").generation == 2


# --- the region's budget


async def test_no_more_are_restarted_than_the_region_has_places_for() -> None:
    region = await Region.made(*(web(name) for name in "abc"), limit=2)
    assert named((await region.change()).restarted) == ["a", "b"]
    assert named((await region.change()).restarted) == []
    found = region.cluster.objects[f"{LIST}/a"]
    found["status"]["observedGeneration"] = 2
    region.see(region.cluster.put(path_of(found), found))
    assert named((await region.change()).restarted) == ["c"]


async def test_what_rolls_since_before_the_operator_began_counts() -> None:
    region = await Region.made(*(web(name) for name in "abc"), limit=2)
    await region.change()
    region.start()
    assert named((await region.change()).restarted) == []


async def test_who_is_stuck_holds_no_place() -> None:
    region = await Region.made(web("a"), web("b"), limit=1)
    await region.change()
    scene = region.scene("app")
    region.runner.seen.stuck["uid-a"] = "pod 'x': y"
    region.runner.budget.give_back("uid-a")
    scene.count_in_flight()
    assert region.runner.budget.take(scene.seen.key, 1) == 1
