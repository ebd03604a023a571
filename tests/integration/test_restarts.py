"""A change of content restarts exactly the workloads that use what changed, exactly once, and nothing else does."""

from __future__ import annotations

import datetime
import itertools
import json
import time
from typing import Any

import pytest

from harness import OperatorProcess, Org, env_from, env_key, eventually, holds, value_from, writes

Pod = dict[str, Any]
IMAGE = {"name": "app", "image": "app:1"}

USES_ALL: dict[str, Pod] = {
    "env-from": env_from("app"),
    "volume": {"volumes": [{"name": "v", "secret": {"secretName": "app"}}]},
    "projected": {"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "app"}}]}}]},
    "init": {"containers": [IMAGE], "initContainers": [{**env_from("app")["containers"][0], "name": "init"}]},
}
ITEMS = [{"key": "A", "path": "a"}]
USES_A: dict[str, Pod] = {
    "env-key": env_key("app", "A"),
    "items": {"volumes": [{"name": "v", "secret": {"secretName": "app", "items": ITEMS}}]},
    "projected-items": {
        "volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "app", "items": ITEMS}}]}}]
    },
}
USES_NONE: dict[str, Pod] = {"other": env_from("somebody-elses"), "plain": {}}


def counts(org: Org) -> dict[str, int]:
    found: dict[str, int] = org.status().get("workloads") or {}
    return found


def rolled_out(org: Org) -> tuple[str, str]:
    conditions = org.status().get("conditions") or []
    return next(((c["status"], c["reason"]) for c in conditions if c["type"] == "RolledOut"), ("", ""))


def settled(org: Org, *, revision: int, bound: int) -> None:
    """Wait until a revision is in place and all workloads that use it run with it."""
    everybody = {"bound": bound, "current": bound, "restarting": 0, "stalled": 0, "held": 0}
    eventually(lambda: org.status().get("revision") == revision, f"revision {revision}")
    eventually(lambda: counts(org) == everybody and rolled_out(org) == ("True", "RolloutComplete"), "the rollout")


def change(org: Org, *keys: str) -> None:
    """New values for keys of the source."""
    body = json.dumps({"stringData": {key: org.canary() for key in keys}})
    org.kubectl("patch", "secret", "src", "-p", body)


def one_user(org: Org, **spec: Any) -> None:
    """A set that one Deployment, `web`, uses."""
    org.source("src", a=org.canary(), b=org.canary())
    org.deployment("web", env_key("app", "A"))
    org.secret_set(data={"A": value_from("src", "a"), "B": value_from("src", "b")}, **spec)
    settled(org, revision=1, bound=1)


def assert_restarted(org: Org, times: int, *, generation: int | None = None) -> None:
    """Now, and still a moment later."""
    assert org.restarts("web") == times
    time.sleep(1.0)
    assert org.restarts("web") == times
    assert org.generation("web") == (times + 1 if generation is None else generation)


def test_exactly_the_users_of_what_changed_restart(org: Org) -> None:
    everyone = {**USES_ALL, **USES_A, **USES_NONE}
    for name, pod in everyone.items():
        org.deployment(name, pod)
    org.source("src", a=org.canary(), b=org.canary())
    org.secret_set(data={"A": value_from("src", "a"), "B": value_from("src", "b")})
    users = len(USES_ALL) + len(USES_A)
    settled(org, revision=1, bound=users)
    assert {org.generation(name) for name in everyone} == {1}  # nothing restarts at the first delivery

    change(org, "a")
    settled(org, revision=2, bound=users)
    expected = dict.fromkeys([*USES_ALL, *USES_A], 1) | dict.fromkeys(USES_NONE, 0)
    assert {name: org.restarts(name) for name in everyone} == expected
    assert {name: org.generation(name) - 1 for name in everyone} == expected
    told = ", ".join(sorted([*USES_ALL, *USES_A]))
    assert ("Restarted", f"Restarted for revision 2: {told}") in org.events()

    change(org, "b")
    settled(org, revision=3, bound=users)
    expected |= dict.fromkeys(USES_ALL, 2)
    assert {name: org.restarts(name) for name in everyone} == expected
    assert {name: org.generation(name) - 1 for name in everyone} == expected


def test_never_means_never(org: Org) -> None:
    one_user(org, restart={"policy": "Never"})
    change(org, "a")
    settled(org, revision=2, bound=1)
    assert_restarted(org, 0)


def test_ten_changes_in_the_quiet_window_are_one_restart(org: Org) -> None:
    one_user(org, restart={"quietSeconds": 2, "maxWaitSeconds": 30})
    for _ in range(10):
        change(org, "a")
    eventually(lambda: org.restarts("web") == 1)
    settled(org, revision=org.status()["revision"], bound=1)
    assert_restarted(org, 1)


def test_a_stream_of_changes_cannot_put_restarts_off_for_ever(org: Org) -> None:
    one_user(org, restart={"quietSeconds": 3, "maxWaitSeconds": 4})
    began = time.monotonic()
    while not org.restarts("web"):
        change(org, "a")
        assert time.monotonic() - began < 8
    assert time.monotonic() - began > 3


def test_undo_brings_no_further_restart(org: Org) -> None:
    one_user(org)
    change(org, "a")
    settled(org, revision=2, bound=1)
    org.there("rollout", "undo", "deployment/web")
    settled(org, revision=2, bound=1)
    assert_restarted(org, 1, generation=3)


@pytest.mark.parametrize("how", [["apply"], ["replace"]], ids=lambda how: how[0])
def test_the_old_manifest_brings_no_further_restart(org: Org, how: list[str]) -> None:
    """Whoever deploys again does not know our annotations; `replace` takes them away."""
    one_user(org)
    change(org, "a")
    settled(org, revision=2, bound=1)
    if how == ["apply"]:
        org.deployment("web", env_key("app", "A"))
    else:
        found = org.get("deployment", "web", namespace=org.regional) or {}
        manifest = found["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
        org.there("replace", "-f", "-", input=manifest)
        left = (org.get("deployment", "web", namespace=org.regional) or {})["metadata"].get("annotations", {})
        assert not [name for name in left if name.startswith("secretset.dev/")]
    settled(org, revision=2, bound=1)
    assert_restarted(org, 1, generation=2 if how == ["apply"] else 3)


def test_labels_and_words_restart_nothing(org: Org) -> None:
    one_user(org)
    org.kubectl("label", "secret", "src", "team=x")
    org.kubectl("label", "secretset", "app", "team=x")
    org.there("label", "secret", "app", "team=x")
    org.there("label", "deployment", "web", "team=x")
    org.there("annotate", "deployment", "web", "note=x")
    org.there("scale", "deployment", "web", "--replicas=2")
    org.secret_set(
        data={"A": value_from("src", "a"), "B": value_from("src", "b")}, description="words", metadata={"owner": "x"}
    )
    settled(org, revision=1, bound=1)
    assert_restarted(org, 0, generation=3)  # for the note and the scaling


def test_the_same_content_from_elsewhere_restarts_nothing(org: Org) -> None:
    one_user(org)
    value = org.values()["A"]
    org.source("elsewhere", x=value)
    org.secret_set(data={"A": value_from("elsewhere", "x"), "B": value_from("src", "b")})
    settled(org, revision=1, bound=1)
    assert_restarted(org, 0)
    assert org.writes().count("update secrets app") == 0


def test_other_namespaces_are_left_alone(org: Org) -> None:
    org.deployment("web", env_from("app"), namespace=org.name)
    org.deployment("web", env_from("app"))
    org.source()
    org.secret_set()
    settled(org, revision=1, bound=1)
    change(org, "a")
    settled(org, revision=2, bound=1)
    assert_restarted(org, 1)
    there = org.get("deployment", "web")
    assert there is not None
    assert there["metadata"]["generation"] == 1


def test_a_workload_that_is_new_or_gone_meanwhile_is_no_matter(org: Org) -> None:
    one_user(org, restart={"quietSeconds": 2})
    org.deployment("gone", env_from("app"))
    eventually(lambda: counts(org).get("bound") == 2)
    change(org, "a")
    eventually(lambda: org.status().get("revision") == 2)
    org.there("delete", "deployment", "gone")
    org.deployment("new", env_from("app"))  # its pods start with what is there now
    eventually(lambda: org.restarts("web") == 1)
    settled(org, revision=2, bound=2)
    assert_restarted(org, 1)
    assert org.generation("new") == 1


def test_one_at_a_time(org: Org) -> None:
    names = ["one", "two", "three"]
    for name in names:
        _slow(org, name, seconds=1)
    org.source()
    org.secret_set(restart={"maxConcurrent": 1})
    settled(org, revision=1, bound=3)
    change(org, "a")
    eventually(lambda: rolled_out(org) == ("False", "RollingOut"))
    settled(org, revision=2, bound=3)
    patched = [
        datetime.datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp()
        for event in writes(org.plane)
        if event["objectRef"].get("namespace") == org.regional and event["objectRef"]["resource"] == "deployments"
    ]
    assert len(patched) == 3
    assert all(after - before > 0.9 for before, after in itertools.pairwise(patched))


def test_a_paused_workload_is_held_and_restarted_afterwards(org: Org) -> None:
    one_user(org)
    org.deployment("other", env_from("app"))
    settled(org, revision=1, bound=2)
    org.there("rollout", "pause", "deployment/web")
    change(org, "a")
    eventually(lambda: counts(org) == {"bound": 2, "current": 1, "restarting": 0, "stalled": 0, "held": 1})
    assert rolled_out(org) == ("False", "RolloutHeld")
    assert (org.restarts("web"), org.restarts("other")) == (0, 1)
    org.there("rollout", "resume", "deployment/web")
    settled(org, revision=2, bound=2)
    assert_restarted(org, 1, generation=4)  # pause, resume, restart
    assert org.restarts("other") == 1


def test_a_rollout_that_does_not_get_on_is_told(org: Org) -> None:
    org.source()
    _slow(org, "web", seconds=1)
    org.secret_set()
    settled(org, revision=1, bound=1)
    body = {
        "spec": {
            "progressDeadlineSeconds": 2,
            "template": {"metadata": {"annotations": {"pod-ready.stage.kwok.x-k8s.io/delay": "1000h"}}},
        }
    }
    org.there("patch", "deployment", "web", "-p", json.dumps(body))
    change(org, "a")
    eventually(lambda: counts(org).get("stalled") == 1)
    eventually(lambda: rolled_out(org) == ("False", "RolloutStalled"))
    assert org.status()["phase"] == "ready"
    assert org.restarts("web") == 1


def test_killed_between_change_and_restart(org: Org, operator: OperatorProcess) -> None:
    one_user(org, restart={"quietSeconds": 2})
    change(org, "a")
    eventually(lambda: (org.managed() or {})["metadata"]["annotations"]["secretset.dev/revision"] == "2")
    operator.kill()
    assert org.restarts("web") == 0
    operator.start()
    eventually(lambda: org.restarts("web") == 1)
    settled(org, revision=2, bound=1)
    assert_restarted(org, 1)


def test_a_change_while_the_operator_was_away(org: Org, operator: OperatorProcess) -> None:
    one_user(org)
    operator.kill()
    change(org, "a")
    operator.start()
    settled(org, revision=2, bound=1)
    assert_restarted(org, 1)


def test_a_start_writes_nothing(org: Org, operator: OperatorProcess) -> None:
    one_user(org)
    change(org, "a")
    settled(org, revision=2, bound=1)
    before = org.writes()
    operator.restart()
    holds(lambda: org.writes() == before, seconds=2)
    assert_restarted(org, 1)


def _slow(org: Org, name: str, *, seconds: int) -> None:
    """A Deployment whose pods take their time to become ready."""
    delay = {"pod-ready.stage.kwok.x-k8s.io/delay": f"{seconds}s"}
    org.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": org.regional},
            "spec": {
                "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}, "annotations": delay}, "spec": env_from("app")},
            },
        }
    )
