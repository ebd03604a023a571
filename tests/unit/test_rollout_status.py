"""What a status tells of rollouts, and what it answers to who asks what would restart."""

from typing import Any

import pytest

from builders import WorkloadBuilder, deployment, stateful_set
from secretset.domain.models.status import Explanation
from secretset.domain.rollout_status import LISTED, Told, digest_of, explain, tell
from unit.scenes import NOW, app, done, looked, managed, wave


def told(*workloads: WorkloadBuilder, held: str = "", stuck: Any = None, **changes: Any) -> Told:
    names = [built.name for built in workloads]
    return tell(looked(*workloads, stuck=stuck, app=managed(wave(*names), **changes)))


def written(found: Told) -> dict[str, Any]:
    """The part of a status, as it is read back from an API server."""
    value, reason, message = found.condition
    status: dict[str, Any] = {
        "workloads": found.workloads.model_dump(mode="json", by_alias=True, exclude_none=True),
        "conditions": [{"type": "RolledOut", "status": value, "reason": reason, "message": message}],
    }
    if found.explanation is not None:
        status["explanation"] = found.explanation.model_dump(mode="json", by_alias=True, exclude_none=True)
    return status


@pytest.mark.parametrize(
    ("found", "condition"),
    [
        (told(), ("True", "NothingBound", "No workload uses the Secret.")),
        (told(done("a")), ("True", "RolloutComplete", "All workloads run with the present content.")),
        (told(done("a"), app("b")), ("False", "RollingOut", "Workloads are being restarted.")),
        (
            told(app("a").paused(), app("b")),
            ("False", "RolloutHeld", "Deployment 'a' is held: it is paused (spec.paused)."),
        ),
        (
            told(app("a").paused(), app("b").paused(), app("c").paused()),
            ("False", "RolloutHeld", "Deployment 'a' is held: it is paused (spec.paused). 2 more are held."),
        ),
        (
            told(done("a").rolling(), app("b"), stuck={"uid-a": "pod 'a-1': CrashLoopBackOff"}),
            ("False", "RolloutStalled", "Deployment 'a' does not get on: pod 'a-1': CrashLoopBackOff."),
        ),
    ],
)
def test_the_condition_tells_the_worst_and_names_it(found: Told, condition: tuple[str, str, str]) -> None:
    assert found.condition == condition


def test_all_are_counted_and_each_tells_how_it_stands() -> None:
    found = written(told(done("a"), app("b"), app("c").paused(), done("d").stalled()))["workloads"]
    assert {name: found[name] for name in ("bound", "current", "restarting", "stalled", "held")} == {
        "bound": 4,
        "current": 1,
        "restarting": 0,
        "stalled": 1,
        "held": 2,
    }
    assert found["items"] == [
        {
            "kind": "Deployment",
            "name": "d",
            "state": "stalled",
            "revision": 2,
            "message": "Its rollout has exceeded its progress deadline.",
        },
        {
            "kind": "Deployment",
            "name": "b",
            "state": "held",
            "revision": 1,
            "message": "The rollout of Deployment 'd' has stalled.",
        },
        {"kind": "Deployment", "name": "c", "state": "held", "revision": 1, "message": "It is paused (spec.paused)."},
        {"kind": "Deployment", "name": "a", "state": "current", "revision": 2},
    ]


def test_of_many_only_the_worst_are_listed() -> None:
    found = told(*(done(f"ok-{n:03}") for n in range(90)), app("zz").paused()).workloads
    assert (found.bound, found.current, found.held) == (91, 90, 1)
    assert found.items is not None
    assert (len(found.items), found.items[0].name, found.items[-1].name) == (LISTED, "zz", "ok-048")
    assert told().workloads.items is None


# --- whether the status says it already


def test_what_was_written_is_recognised() -> None:
    for found in (told(), told(done("a"), app("b").paused()), tell(looked(app=None), asked())):
        assert digest_of(written(found)) == found.digest


def test_every_difference_is_seen() -> None:
    several = [
        told(),
        told(done("a")),
        told(app("a")),
        told(app("a").paused()),
        told(done("b")),
        tell(looked(app=None), asked()),
        tell(looked(app=None), asked("B")),
    ]
    assert len({found.digest for found in several}) == len(several)


@pytest.mark.parametrize("status", [{}, {"conditions": None}, {"conditions": [{"type": "Ready"}]}])
def test_a_status_that_says_nothing_is_unlike_any(status: dict[str, Any]) -> None:
    assert digest_of(status) != told().digest


# --- what would restart


def asked(*keys: str, workloads: tuple[WorkloadBuilder, ...] = (), own: Any = None) -> Explanation:
    users = [built.workload() for built in workloads]
    return explain("app", keys or ("A",), revision=2, users=users, look=lambda _: own, now=NOW)


def answers(found: Explanation) -> dict[str, tuple[bool, str]]:
    return {each.name: (each.restarts, each.why) for each in found.workloads or ()}


def test_who_would_restart_and_why() -> None:
    workloads = (
        deployment("by-key").env("app", "A", "B"),
        deployment("other").env("app", "C", "D"),
        deployment("exempt").env_from("app").restarting("never"),
        stateful_set("all").env_from("app"),
    )
    found = asked("A", "Z", workloads=workloads, own=managed(None))
    assert (found.keys, found.restarts) == (["A", "Z"], 2)
    assert answers(found) == {
        "by-key": (True, "It reads 'A'."),
        "all": (True, "It uses every key."),
        "exempt": (False, "Its annotation secretset.dev/restart exempts it."),
        "other": (False, "It reads only 'C', 'D'."),
    }
    assert list(answers(found))[:2] == ["by-key", "all"], "who would restart comes first"


def test_who_would_have_to_wait_tells_for_what() -> None:
    workloads = (app("a").paused(), app("b").env("app", "Z"))
    found = answers(asked(workloads=workloads, own=managed(None)))
    assert found["a"] == (True, "It uses every key, but has to wait: it is paused (spec.paused).")
    assert found["b"][1].startswith("It uses every key, but has to wait: it reads key 'Z' of 'app', which is not there")


def test_one_that_waits_already_would_be_restarted_once() -> None:
    found = asked(workloads=(app("a"),), own=managed(wave("a")))
    assert answers(found) == {"a": (True, "It uses every key.")}


@pytest.mark.parametrize("own", [managed(None, automatic=False), managed(wave("a"), automatic=False)])
def test_for_a_policy_of_never_nothing_would(own: Any) -> None:
    found = asked(workloads=(app("a"), deployment("b").env("app", "B")), own=own)
    assert found.restarts == 0
    assert answers(found)["a"] == (False, "It uses every key, but the set's restart policy is Never.")
    assert answers(found)["b"] == (False, "It reads only 'B'.")


def test_of_many_few_are_named_and_all_are_counted() -> None:
    keys = [f"K{n}" for n in range(9)]
    reader = deployment("reader").env("app", *keys)
    found = asked("A", workloads=(reader, *(app(f"w-{n:03}") for n in range(70))), own=managed(None))
    assert (found.restarts, len(found.workloads or ())) == (70, LISTED)
    alone = asked("A", workloads=(reader,), own=managed(None))
    assert answers(alone)["reader"][1] == "It reads only 'K0', 'K1', 'K2', 'K3', 'K4' and 4 more."
    assert asked(own=managed(None)).workloads is None
