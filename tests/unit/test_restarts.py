"""Restarts: what a wave holds, when it is due, how many at a time, and what is counted."""

from typing import Any

import pytest

from builders import deployment
from secretset.config import Config
from secretset.domain.models import RestartSpec, WorkloadCounts
from secretset.domain.names import Kind
from secretset.domain.restarts import Due, RestartRule, Wave, count, due, finished, next_wave
from secretset.domain.workloads import Workload

NOW = 1000.0
RULE = RestartRule(automatic=True, quiet=2.0, max_wait=10.0)


def rule(**changes: Any) -> RestartRule:
    return RestartRule(**{"automatic": True, "quiet": 2.0, "max_wait": 10.0} | changes)


def wave(*names: str, since: float = NOW, changed: float = NOW, number: str = "2-u") -> Wave:
    return Wave(id=number, since=since, changed=changed, targets=tuple(f"uid-{name}" for name in names))


def web(name: str, mark: str = "", *keys: str) -> Workload:
    built = deployment(name)
    built = built.env("app", *keys) if keys else built.env_from("app")
    return (built.restarted_for("app", mark) if mark else built).workload()


def follow(previous: Wave | None, *workloads: Workload, keys: set[str] | None = None, now: float = NOW) -> Wave | None:
    changed = {"A"} if keys is None else keys
    return next_wave(wave_id="3-u", secret="app", changed_keys=changed, workloads=workloads, previous=previous, now=now)


def test_a_wave_holds_exactly_who_uses_what_changed() -> None:
    other = deployment("other").env_from("unrelated").workload()
    assert follow(None, web("b"), web("a", "", "A"), web("c", "", "B"), other) == wave("a", "b", number="3-u")


def test_a_change_that_nobody_uses_is_no_wave() -> None:
    assert follow(None, web("a", "", "B")) is None
    assert follow(None) is None


def test_who_still_waits_for_the_last_change_is_taken_over() -> None:
    found = follow(wave("a", "b"), web("a", "", "A"), web("b", "", "B"), now=NOW + 5)
    assert found == wave("a", "b", since=NOW, changed=NOW + 5, number="3-u")


def test_a_wave_that_has_begun_does_not_pass_its_age_on() -> None:
    begun = follow(wave("a", "b"), web("a", "2-u"), web("b"), now=NOW + 5)
    assert begun == wave("a", "b", since=NOW + 5, changed=NOW + 5, number="3-u")
    done = follow(wave("a"), web("a", "2-u"), now=NOW + 5)
    assert done == wave("a", since=NOW + 5, changed=NOW + 5, number="3-u")


def test_a_target_that_is_gone_is_not_taken_over() -> None:
    assert follow(wave("gone"), web("a", "", "B")) is None
    assert follow(wave("gone"), web("a"), now=NOW + 5) == wave("a", since=NOW + 5, changed=NOW + 5, number="3-u")


def names_of(found: Due) -> list[str]:
    return [workload.name for workload in found.workloads]


@pytest.mark.parametrize(
    ("later", "since", "wait"),
    [(0.0, 0.0, 2.0), (1.5, 0.0, 0.5), (2.0, 0.0, None), (9.0, 0.0, None), (0.5, -9.0, 0.5), (0.0, -10.0, None)],
)
def test_restarts_wait_for_quiet_but_no_longer_than_the_longest_wait(
    later: float, since: float, wait: float | None
) -> None:
    found = due(wave("a", since=NOW + since), secret="app", workloads=[web("a")], rule=RULE, now=NOW + later)
    assert found.wait == (None if wait is None else pytest.approx(wait))
    assert names_of(found) == ([] if wait is not None else ["a"])


def test_nothing_is_due_without_a_wave_or_for_a_policy_of_never() -> None:
    assert due(None, secret="app", workloads=[web("a")], rule=RULE, now=NOW) == Due()
    assert due(wave("a"), secret="app", workloads=[web("a")], rule=rule(automatic=False), now=NOW + 60) == Due()


def test_nothing_is_due_for_those_who_were_restarted_are_gone_or_were_never_meant() -> None:
    workloads = [web("a", "2-u"), web("stranger")]
    assert due(wave("a", "gone"), secret="app", workloads=workloads, rule=RULE, now=NOW) == Due()
    assert finished(wave("a", "gone"), secret="app", workloads=workloads)
    assert not finished(wave("a"), secret="app", workloads=[web("a", "1-u")])
    assert finished(None, secret="app", workloads=workloads)


def test_a_paused_workload_is_held_and_does_not_keep_the_others() -> None:
    held = deployment("held").env_from("app").paused().workload()
    found = due(wave("a", "held"), secret="app", workloads=[held, web("a")], rule=RULE, now=NOW + 2)
    assert names_of(found) == ["a"]
    assert due(wave("held"), secret="app", workloads=[held], rule=RULE, now=NOW) == Due()


@pytest.mark.parametrize(
    ("limit", "names"),
    [(1, ["b"]), (2, ["b", "c"]), (3, ["b", "c", "d"]), (9, ["b", "c", "d"]), (None, ["b", "c", "d"])],
)
def test_no_more_than_the_limit_roll_at_a_time(limit: int | None, names: list[str]) -> None:
    workloads = [web("d"), web("c"), web("b"), web("a", "2-u")]
    found = due(wave(*"abcd"), secret="app", workloads=workloads, rule=rule(max_concurrent=limit), now=NOW + 2)
    assert names_of(found) == names


@pytest.mark.parametrize(("limit", "names"), [(1, []), (2, []), (3, ["c"])])
def test_those_that_still_roll_or_stall_count_against_the_limit(limit: int, names: list[str]) -> None:
    rolling = deployment("a").env_from("app").restarted_for("app", "2-u").rolling().workload()
    stalled = deployment("b").env_from("app").restarted_for("app", "2-u").stalled().workload()
    stranger = deployment("z").env_from("app").rolling().workload()
    workloads = [rolling, stalled, web("c"), stranger]
    found = due(wave(*"abc"), secret="app", workloads=workloads, rule=rule(max_concurrent=limit), now=NOW + 2)
    assert names_of(found) == names


@pytest.mark.parametrize("back", [0.001, 1.0, 3600.0, 1e9])
def test_a_clock_that_was_set_back_holds_restarts_no_longer_than_the_window(back: float) -> None:
    now, waited = NOW - back, 0.0
    while (found := due(wave("a"), secret="app", workloads=[web("a")], rule=RULE, now=now)).wait is not None:
        waited += found.wait
        now += found.wait
        assert waited <= RULE.quiet + 1.5, "restarts are held back by a clock that was set back"
    assert names_of(found) == ["a"]


@pytest.mark.parametrize("never", [float("inf"), float("nan")])
def test_a_wave_with_times_that_are_none_holds_nothing_back(never: float) -> None:
    found = due(wave("a", since=never, changed=never), secret="app", workloads=[web("a")], rule=RULE, now=NOW)
    assert names_of(found) == ["a"]


def test_workloads_are_counted_by_the_state_of_their_rollout() -> None:
    def made(name: str) -> Any:
        return deployment(name).env_from("app")

    workloads = [
        made("current").restarted_for("app", "2-u").workload(),
        made("waits").workload(),
        made("rolls").restarted_for("app", "2-u").rolling().workload(),
        made("stalls").stalled().workload(),
        made("held").paused().workload(),
        made("paused").restarted_for("app", "2-u").paused().workload(),
        deployment("other").env_from("other").workload(),
    ]
    present = wave("current", "waits", "rolls", "stalls", "held", "paused")
    assert count(present, secret="app", workloads=workloads, rule=RULE) == WorkloadCounts(
        bound=6, current=2, restarting=2, stalled=1, held=1
    )
    assert count(present, secret="app", workloads=workloads, rule=rule(automatic=False)) == WorkloadCounts(
        bound=6, current=4, restarting=1, stalled=1, held=0
    )


def test_a_wave_survives_its_stored_form() -> None:
    assert Wave.from_json(wave("a", "b", since=1.25).to_json()) == wave("a", "b", since=1.25)


@pytest.mark.parametrize(
    ("kind", "spec", "filled"),
    [
        (Kind.SECRET_SET, None, RestartRule(automatic=True, quiet=2.0, max_wait=10.0)),
        (Kind.IMAGE_PULL_SECRET, None, RestartRule(automatic=False, quiet=2.0, max_wait=10.0)),
        (Kind.SECRET_SET, {"policy": "Never"}, RestartRule(automatic=False, quiet=2.0, max_wait=10.0)),
        (Kind.IMAGE_PULL_SECRET, {"policy": "Auto"}, RestartRule(automatic=True, quiet=2.0, max_wait=10.0)),
        (Kind.SECRET_SET, {"quietSeconds": 0}, RestartRule(automatic=True, quiet=0.0, max_wait=10.0)),
        (Kind.SECRET_SET, {"quietSeconds": 60}, RestartRule(automatic=True, quiet=60.0, max_wait=60.0)),
        (
            Kind.SECRET_SET,
            {"quietSeconds": 60, "maxWaitSeconds": 5, "maxConcurrent": 3},
            RestartRule(automatic=True, quiet=60.0, max_wait=5.0, max_concurrent=3),
        ),
    ],
)
def test_what_a_restart_section_leaves_out_is_filled_in(kind: Kind, spec: Any, filled: RestartRule) -> None:
    parsed = None if spec is None else RestartSpec.model_validate(spec)
    assert Config().restart_rule(kind, parsed) == filled
