"""The end of a deletion: when a set waits for its region, when it is let go, and what is remembered then."""

from typing import Any, cast

import pytest

from builders import region
from secretset.controller import tombstones
from secretset.domain import names, reasons
from secretset.domain.names import Kind
from secretset.domain.reasons import Problem, Reason
from secretset.kube import errors, paths
from unit.left_behind import ABANDON, AWAY, SECRET_PATH, SYSTEM, World, stone
from unit.runners import runner
from unit.slots import OWNER, UID

LOST: dict[str, Problem] = {
    "unreachable": AWAY,
    "not ready": reasons.region_not_ready("us", "why."),
}
REFUSALS: dict[str, tuple[Exception, Reason]] = {
    "forbidden": (errors.Forbidden(403), Reason.PERMISSION_DENIED),
    "throttled": (errors.Throttled(429, retry_after=9.0), Reason.RETRYING),
    "broken": (errors.ServerError(500), Reason.REGION_UNREACHABLE),
    "silent": (errors.Unreachable("x"), Reason.REGION_UNREACHABLE),
    "invalid": (errors.Invalid(422), Reason.RETRYING),
    "proxy": (errors.ApiError(405), Reason.RETRYING),
    "too long": (errors.AnswerTooLong("x"), Reason.RETRYING),
    "always changed": (errors.Conflict(409), Reason.RETRYING),
}


async def test_a_region_that_answers_is_asked_whatever_the_annotation_says() -> None:
    world = World()
    await world.delete(ABANDON)
    assert world.gone
    assert SECRET_PATH not in world.there.objects
    assert world.left == []


@pytest.mark.parametrize("problem", LOST.values(), ids=LOST)
async def test_a_set_waits_for_its_region_until_it_is_abandoned(problem: Problem) -> None:
    world = World()
    world.problem = problem
    for notes in ({}, {names.ANNOTATION_ABANDON: "yes"}):
        with pytest.raises(Problem) as raised:
            await world.delete(notes)
        assert raised.value is problem
        assert not world.gone
    await world.delete(ABANDON)
    assert world.gone
    assert world.hub.log == ["create configmaps", "patch secretsets app"]
    assert world.left == [stone(why=problem.reason.value, since=world.left[0].since)]


@pytest.mark.parametrize(("error", "reason"), REFUSALS.values(), ids=REFUSALS)
async def test_a_region_that_refuses_counts_as_one_that_cannot_be_asked(error: Exception, reason: Reason) -> None:
    world = World()
    world.there.fails = {"/secrets/": error}
    with pytest.raises(Problem) as raised:
        await world.delete()
    assert raised.value.reason is reason
    await world.delete(ABANDON)
    assert world.gone
    assert [each.uid for each in world.left] == [UID]


async def test_a_namespace_that_is_gone_there_holds_nothing_up() -> None:
    world = World()
    world.region(region("us").on_cluster("abroad").with_meta(generation=2))
    world.there.objects.clear()
    world.there.fails = {"/secrets/": errors.Forbidden(403)}
    await world.delete()
    assert world.gone
    assert world.left == []


async def test_a_region_that_was_deleted_can_be_abandoned() -> None:
    world = World()
    world.context.store.forget_region("us")
    with pytest.raises(Problem) as raised:
        await world.delete()
    assert raised.value.reason is Reason.REGION_UNKNOWN
    world.runner.name = None
    await world.delete(ABANDON)
    assert world.gone
    assert world.left == [stone(cluster="", why="RegionUnknown", since=world.left[0].since)]


async def test_the_cluster_is_known_from_the_region_s_status_where_it_was_not_reached() -> None:
    world = World()
    world.problem = AWAY
    cast("Any", world.runner).cluster_id = ""
    world.context.store.region_statuses["us"] = {"clusterId": "cluster-1"}
    await world.delete(ABANDON)
    assert [each.cluster for each in world.left] == ["cluster-1"]


async def test_a_decommissioned_region_is_not_waited_for() -> None:
    world = World()
    world.region(region("us").with_spec(decommissioned=True).with_meta(generation=2))
    await world.delete()
    assert world.gone
    assert [each.why for each in world.left] == ["RegionDecommissioned"]
    # It is left alone, though it answers, until it is a region again.
    assert await world.tombstones.sweep(world.runner) == 0
    assert SECRET_PATH in world.there.objects
    world.region(region("us").with_meta(generation=3))
    assert await world.tombstones.sweep(world.runner) == 1
    assert SECRET_PATH not in world.there.objects


async def test_what_is_retained_leaves_no_tombstone() -> None:
    world = World()
    world.problem, world.policy = AWAY, "Retain"
    await world.delete(ABANDON)
    assert world.gone
    assert world.left == []


async def test_a_set_whose_last_write_got_no_answer_leaves_a_tombstone_all_the_same() -> None:
    world = World()
    world.problem = AWAY
    await world.delete(ABANDON, shipped=False)
    assert [each.place for each in world.left] == [("us", "team-us")]
    world = World()
    world.context.store.forget_region("us")
    await world.delete(shipped=False)
    assert world.gone
    assert world.left == []


async def test_a_tombstone_goes_before_a_set_that_retains_its_secret_after_all() -> None:
    for seen in (True, False):
        world = World()
        world.problem = AWAY
        world.hub.fails = {"patch": errors.Unreachable("x")}
        with pytest.raises(errors.Unreachable):
            await world.delete(ABANDON)  # it was not let go, but its tombstone stands
        assert len(world.left) == 1
        if not seen:
            world.tombstones._forget(world.left[0].name)
        world.policy = "Retain"
        world.hub.fails = {"delete": errors.Unreachable("x")}
        with pytest.raises(errors.Unreachable):
            await world.delete(ABANDON)
        assert not world.gone
        world.hub.fails = {}
        await world.delete(ABANDON)
        assert world.gone
        assert world.left == []
        assert world.hub.log == ["create configmaps", "delete configmaps", "patch secretsets app"]
        world.problem = None
        assert await world.tombstones.sweep(world.runner) == 0
        assert SECRET_PATH in world.there.objects


async def test_a_tombstone_that_may_not_be_written_or_taken_away_names_the_role_on_the_hub() -> None:
    for verb, policy in (("create", None), ("get", "Retain")):
        world = World()
        world.problem, world.policy = AWAY, policy
        world.hub.fails = {f"{verb} {paths.core('configmaps', SYSTEM)}": errors.Forbidden(403)}
        with pytest.raises(Problem) as raised:
            await world.delete(ABANDON)
        told = reasons.ways_out(raised.value)
        assert raised.value.reason is Reason.PERMISSION_DENIED
        assert f"{verb} configmaps" in told
        assert "deploy/rbac.yaml" in told
        assert names.ANNOTATION_ABANDON not in told
        assert not world.gone


async def test_an_organization_leaves_only_so_much_in_a_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tombstones, "_LIMIT", 2)
    world = World()
    world.problem = AWAY
    for uid, owner in (("a", OWNER), ("b", OWNER), ("c", OWNER._replace(namespace="others"))):
        await world.tombstones.bury(stone(uid=uid, owner=owner))
    await world.tombstones.bury(stone(uid="c", region="eu"))
    await world.tombstones.bury(stone(uid="b"))  # what is remembered already is no hindrance
    with pytest.raises(Problem) as raised:
        await world.delete(ABANDON)
    assert raised.value.reason is Reason.RETRYING
    assert "'team'" in raised.value.message
    assert "Retain" in reasons.ways_out(raised.value)
    assert names.ANNOTATION_ABANDON not in reasons.ways_out(raised.value)
    assert not world.gone
    # A decommissioned region takes no new sets: those that it has go, however many they are.
    world.region(region("us").with_spec(decommissioned=True).with_meta(generation=2))
    await world.delete()
    assert world.gone
    assert len(world.left) == 4


async def test_a_missing_right_is_told_by_the_region_too_until_the_set_goes() -> None:
    world = World()
    world.there.fails = {"/secrets/": errors.Forbidden(403)}
    with pytest.raises(Problem):
        await world.delete()
    assert (world.served.held, world.doubts) == ({OWNER: "team-us"}, ["us"])
    world.there.fails = {}
    await world.delete()
    assert world.served.held == {}


async def test_rights_are_looked_up_where_a_deletion_is_held_up_though_nothing_else_is_there() -> None:
    served = runner()
    pull = OWNER._replace(kind=Kind.IMAGE_PULL_SECRET)
    served.held |= {OWNER: "team-us", pull: "other"}
    assert served._rights_wanted() == {"team-us": False, "other": True}
    served.displace(OWNER)
    assert served._rights_wanted() == {"other": True}


async def test_a_set_whose_place_is_no_namespace_any_more_says_so_and_can_be_let_go() -> None:
    world = World()
    for changes in ({"namespace": "{namespace}-" + "x" * 60}, {"namespace": "{namespace}.us", "decommissioned": True}):
        world.hub.objects.clear()
        world.region(region("us").with_spec(**changes).with_meta(generation=len(changes) + 1))
        if "decommissioned" not in changes:
            with pytest.raises(Problem) as raised:
                await world.delete(shipped=False)
            assert raised.value.reason is Reason.INVALID_SPEC
        await world.delete(ABANDON if "decommissioned" not in changes else None, shipped=False)
        assert world.gone
        assert world.left == []


async def test_nothing_is_let_go_before_its_tombstone_stands() -> None:
    world = World()
    world.problem = AWAY
    world.hub.fails = {"create": errors.Unreachable("x")}
    with pytest.raises(errors.Unreachable):
        await world.delete(ABANDON)
    world.hub.fails = {"create": errors.Forbidden(403)}
    with pytest.raises(Problem) as raised:
        await world.delete(ABANDON)
    assert raised.value.reason is Reason.PERMISSION_DENIED
    assert not world.gone
    # What a pass that broke off had written already is no hindrance.
    world.hub.fails = {"patch": errors.Unreachable("x")}
    with pytest.raises(errors.Unreachable):
        await world.delete(ABANDON)
    world.hub.fails = {}
    await world.delete(ABANDON)
    assert world.gone
    assert len(world.left) == 1


async def test_the_brake_holds_what_would_take_a_secret_away_and_nothing_else() -> None:
    world = World(deletion_burst=1, deletions_per_minute=0)
    world.context.brake.check(OWNER._replace(name="other"), region("us").record(), lambda: None)
    for notes in ({}, ABANDON):
        with pytest.raises(Problem) as raised:
            await world.delete(notes)
        assert raised.value.reason is Reason.DELETION_BRAKED
    assert SECRET_PATH in world.there.objects
    world.policy = "Retain"
    await world.delete()
    assert world.gone
    assert SECRET_PATH in world.there.objects
    world.policy = None
    await world.delete(shipped=False)
    assert world.gone


async def test_a_set_whose_region_is_away_takes_no_turn() -> None:
    for per_minute, waiting in ((60, 0), (0, 1)):
        world = World(deletion_burst=1, deletions_per_minute=per_minute)
        world.context.brake.check(OWNER._replace(name="other"), region("us").record(), lambda: None)
        with pytest.raises(Problem):
            await world.delete()
        world.problem = AWAY
        with pytest.raises(Problem) as raised:
            await world.delete()
        assert raised.value is AWAY
        assert world.context.brake._brake is not None
        assert world.context.brake._brake.waiting == waiting
