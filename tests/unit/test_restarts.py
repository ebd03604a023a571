"""Restarts: who is restarted now, who waits, who is held and why, and how all of them stand."""

from typing import Any

import pytest

from builders import deployment, stateful_set
from secretset.config import Config
from secretset.domain.models import RestartSpec
from secretset.domain.names import ANNOTATION_PAUSED, Kind
from secretset.domain.restarts import RestartRule
from unit.scenes import NOW, app, done, looked, managed, restarted, rule, stands, wave, why

PAUSED = {ANNOTATION_PAUSED: "true"}


# --- when


@pytest.mark.parametrize(
    ("later", "since", "wait"),
    [(0.0, 0.0, 2.0), (1.5, 0.0, 0.5), (2.0, 0.0, None), (9.0, 0.0, None), (0.5, -9.0, 0.5), (0.0, -10.0, None)],
)
def test_restarts_wait_for_quiet_but_no_longer_than_the_longest_wait(
    later: float, since: float, wait: float | None
) -> None:
    found = looked(app("a"), now=NOW + later, app=managed(wave("a", since=NOW + since)))
    assert found.wait == (None if wait is None else pytest.approx(wait))
    assert restarted(found) == ([] if wait is not None else ["a"])
    assert (stands(found), found.finished) == ({"a": "restarting"}, False)


@pytest.mark.parametrize("back", [0.001, 1.0, 3600.0, 1e9])
def test_a_clock_that_was_set_back_holds_restarts_no_longer_than_the_window(back: float) -> None:
    now, waited = NOW - back, 0.0
    while (found := looked(app("a"), now=now, app=managed(wave("a")))).wait is not None:
        waited += found.wait
        now += found.wait
        assert waited <= rule().quiet + 1.5, "restarts are held back by a clock that was set back"
    assert restarted(found) == ["a"]


@pytest.mark.parametrize("never", [float("inf"), float("nan")])
def test_a_wave_with_times_that_are_none_holds_nothing_back(never: float) -> None:
    assert restarted(looked(app("a"), app=managed(wave("a", since=never, changed=never)))) == ["a"]


# --- who


@pytest.mark.parametrize("present", [managed(None), managed(wave("a"), automatic=False), None])
def test_nothing_is_restarted_without_a_wave_or_for_a_policy_of_never(present: Any) -> None:
    found = looked(app("a"), now=NOW + 60, app=present)
    assert (restarted(found), found.wait, stands(found)) == ([], None, {"a": "current"})
    assert found.finished is (present is None or present.wave is None)


def test_nothing_is_due_for_those_who_were_restarted_are_gone_or_were_never_meant() -> None:
    found = looked(done("a"), app("stranger"), app=managed(wave("a", "gone")))
    assert (restarted(found), found.finished) == ([], True)
    assert not looked(app("a").restarted_for("app", "1-u"), app=managed(wave("a"))).finished
    assert looked(app=managed(wave("a"))).finished


def test_who_lost_its_mark_is_not_restarted_again() -> None:
    found = looked(app("a"), app("b"), app=managed(wave("a", "b"), restarted=("uid-a",)))
    assert restarted(found) == ["b"]
    assert looked(app("a"), app=managed(wave("a"), restarted=("uid-a",))).finished


@pytest.mark.parametrize(
    ("limit", "names"),
    [(1, ["b"]), (2, ["b", "c"]), (3, ["b", "c", "d"]), (9, ["b", "c", "d"]), (None, ["b", "c", "d"])],
)
def test_no_more_than_the_limit_roll_at_a_time(limit: int | None, names: list[str]) -> None:
    found = looked(app("d"), app("c"), app("b"), done("a"), app=managed(wave(*"abcd"), max_concurrent=limit))
    assert restarted(found) == names
    assert found.wait is None


@pytest.mark.parametrize(("limit", "names"), [(1, []), (2, ["c"])])
def test_those_of_the_wave_that_still_roll_count_against_the_limit(limit: int, names: list[str]) -> None:
    workloads = [done("a").rolling(), app("c"), app("z").rolling()]
    assert restarted(looked(*workloads, app=managed(wave("a", "c"), max_concurrent=limit))) == names


def test_who_waits_for_its_pods_to_be_deleted_holds_up_nobody() -> None:
    held = stateful_set("a").env_from("app").restarted_for("app", "2-u").with_spec(updateStrategy={"type": "OnDelete"})
    held.with_status(updateRevision="r2", updatedReplicas=0)
    found = looked(held, app("b"), app=managed(wave("a", "b"), max_concurrent=1))
    assert (restarted(found), stands(found)) == (["b"], {"a": "held", "b": "restarting"})
    assert "waits for its pods to be deleted" in why(found, "a")


def test_those_that_did_not_get_on_before_come_last() -> None:
    workloads = [app("a").stalled(), app("b"), app("c").rolling()]
    found = looked(*workloads, stuck={"uid-c": "x"}, app=managed(wave(*"abc"), max_concurrent=1))
    assert restarted(found) == ["b"]
    assert restarted(looked(*workloads, app=managed(wave(*"abc")))) == ["b", "c", "a"]


# --- who is held


@pytest.mark.parametrize(
    ("held", "reason"),
    [
        (app("held").paused(), "it is paused (spec.paused)"),
        (app("held").annotated(**PAUSED), "it is annotated secretset.dev/paused=true"),
        (
            app("held").env("app", "A", "Z"),
            "it reads key 'Z' of 'app', which is not there: its new pods could not start",
        ),
    ],
)
def test_who_is_held_tells_why_and_does_not_keep_the_others(held: Any, reason: str) -> None:
    found = looked(held, app("a"), app=managed(wave("a", "held")))
    assert restarted(found) == ["a"]
    assert stands(found) == {"held": "held", "a": "restarting"}
    assert why(found, "held") == reason
    alone = looked(held, app=managed(wave("held")))
    assert (restarted(alone), alone.wait, alone.finished) == ([], None, False)


def test_who_is_paused_and_waits_for_nothing_is_not_held() -> None:
    assert stands(looked(done("a").paused(), app=managed(wave("a")))) == {"a": "current"}


def test_a_key_that_may_be_missing_holds_nothing() -> None:
    assert restarted(looked(app("a").env("app", "Z", optional=True), app=managed(wave("a")))) == ["a"]


def test_a_key_that_another_set_lacks_holds_it_too() -> None:
    both = app("a").env("dbs", "P")
    found = looked(both, app=managed(wave("a")), dbs=managed(None))
    assert (restarted(found), why(found, "a")[:29]) == ([], "it reads key 'P' of 'dbs', wh")
    assert restarted(looked(both, app=managed(wave("a")), dbs=managed(None, keys="P"))) == ["a"]
    assert restarted(looked(both, app=managed(wave("a")))) == ["a"], "a Secret that is not ours is not judged"


@pytest.mark.parametrize("deadline", [True, False])
def test_a_rollout_that_stalls_stops_the_wave_and_is_named(deadline: bool) -> None:
    stalls = done("a").stalled() if deadline else done("a").rolling()
    found = looked(stalls, app("b"), done("c"), stuck={"uid-a": "pod 'x': y"}, app=managed(wave(*"abc")))
    assert (restarted(found), found.wait) == ([], None)
    assert stands(found) == {"a": "stalled", "b": "held", "c": "current"}
    assert why(found, "a") == "pod 'x': y"
    assert why(found, "b") == "the rollout of Deployment 'a' has stalled"
    if deadline:
        assert why(looked(stalls, app=managed(wave("a"))), "a") == "its rollout has exceeded its progress deadline"


def test_a_rollout_that_somebody_else_began_stops_nothing() -> None:
    assert restarted(looked(app("other").stalled(), app("b"), app=managed(wave("b")))) == ["b"]


def test_the_next_change_may_mend_what_has_stalled() -> None:
    found = looked(done("a").stalled(), app("b"), app=managed(wave("a", "b", number="3-u")))
    assert restarted(found) == ["b", "a"]


def test_restarts_wait_for_their_window_and_tell_when_it_opens() -> None:
    window = (
        Config()
        .restart_rule(
            Kind.SECRET_SET, RestartSpec.model_validate({"window": {"schedule": "0 2 * * *", "duration": "1h"}})
        )
        .window
    )
    found = looked(app("a"), now=3600.0, app=managed(wave("a", since=0, changed=0), window=window))
    assert (restarted(found), found.wait, stands(found)) == ([], 3600.0, {"a": "held"})
    assert why(found, "a") == "its restart window opens at 1970-01-01T02:00Z"
    assert restarted(looked(app("a"), now=7200.0, app=managed(wave("a", since=0, changed=0), window=window))) == ["a"]
    idle = looked(done("a"), now=3600.0, app=managed(wave("a", since=0, changed=0), window=window))
    assert (idle.wait, stands(idle)) == (None, {"a": "current"})


# --- several sets


def test_one_restart_serves_every_set_that_a_workload_waits_for() -> None:
    both = app("a").env_from("dbs")
    found = looked(both, app=managed(wave("a")), dbs=managed(wave("a", number="7-d")))
    assert [(r.workload.name, dict(r.marks)) for r in found.restarts] == [("a", {"app": "2-u", "dbs": "7-d"})]
    alone = looked(both, app=managed(wave("a")), dbs=managed(wave("b", number="7-d")))
    assert [dict(r.marks) for r in alone.restarts] == [{"app": "2-u"}]


@pytest.mark.parametrize(
    ("changed", "since", "wait"),
    [
        (NOW + 1, NOW + 1, 1.0),  # that of the other goes on for a second
        (NOW + 1, NOW - 9, None),  # the other has waited as long as it may
        (NOW - 5, NOW - 5, None),
    ],
)
def test_a_restart_waits_until_all_of_its_sets_are_quiet(changed: float, since: float, wait: float | None) -> None:
    both = app("a").env_from("dbs")
    app_s, dbs_s = managed(wave("a")), managed(wave("a", since=since, changed=changed, number="7-d"))
    found = looked(both, app=app_s, dbs=dbs_s)
    assert (restarted(found), found.wait) == ([] if wait else ["a"], wait)
    assert restarted(looked(both, secret="dbs", app=app_s, dbs=dbs_s)) == restarted(found)


@pytest.mark.parametrize("other", [{"automatic": False}, {"quiet": 0.0}])
def test_a_set_that_would_not_wait_or_not_restart_puts_nothing_off(other: dict[str, Any]) -> None:
    late = wave("a", changed=NOW + 2, since=NOW + 2, number="7-d")
    found = looked(app("a").env_from("dbs"), app=managed(wave("a")), dbs=managed(late, **other))
    assert restarted(found) == ["a"]


# --- how they stand


def test_the_worst_come_first_and_tell_what_they_run_with() -> None:
    workloads = [done("current"), app("waits"), done("rolls").rolling(), app("held").paused(), app("b").stalled()]
    found = looked(*workloads, app=managed(wave("current", "waits", "rolls", "held")))
    assert list(stands(found).items()) == [
        ("b", "stalled"),
        ("held", "held"),
        ("rolls", "restarting"),
        ("waits", "restarting"),
        ("current", "current"),
    ]
    assert [verdict.revision for verdict in found.verdicts] == [2, 1, 2, 1, 2]


def test_a_workload_that_only_rolls_is_restarting() -> None:
    found = looked(app("a").rolling(), app=managed(None))
    assert (stands(found), found.finished) == ({"a": "restarting"}, True)


# --- the rule


@pytest.mark.parametrize(
    ("kind", "spec", "filled"),
    [
        (Kind.SECRET_SET, None, rule()),
        (Kind.IMAGE_PULL_SECRET, None, rule(automatic=False)),
        (Kind.SECRET_SET, {"policy": "Never"}, rule(automatic=False)),
        (Kind.IMAGE_PULL_SECRET, {"policy": "Auto"}, rule()),
        (Kind.SECRET_SET, {"quietSeconds": 0}, rule(quiet=0.0)),
        (Kind.SECRET_SET, {"quietSeconds": 60}, rule(quiet=60.0, max_wait=60.0)),
        (
            Kind.SECRET_SET,
            {"quietSeconds": 60, "maxWaitSeconds": 5, "maxConcurrent": 3},
            rule(quiet=60.0, max_wait=5.0, max_concurrent=3),
        ),
    ],
)
def test_what_a_restart_section_leaves_out_is_filled_in(kind: Kind, spec: Any, filled: RestartRule) -> None:
    parsed = None if spec is None else RestartSpec.model_validate(spec)
    assert Config().restart_rule(kind, parsed) == filled


def test_a_use_by_pull_secret_alone_can_be_restarted_too() -> None:
    puller = deployment("a").pulling_with("app")
    assert restarted(looked(puller, app=managed(wave("a")))) == ["a"]
