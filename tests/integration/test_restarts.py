"""A change of content restarts exactly the workloads that use what changed, exactly once, and nothing else does."""

from __future__ import annotations

import time
from typing import Any

from harness import OperatorProcess, Org, env_from, env_key, eventually, holds, value_from
from harness.rolling import DATA, assert_restarted, change, counts, metric, one_user, restarted, settled

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


def test_exactly_the_users_of_what_changed_restart(org: Org) -> None:
    everyone = {**USES_ALL, **USES_A, **USES_NONE}
    for name, pod in everyone.items():
        org.deployment(name, pod)
    org.source("src", a=org.canary(), b=org.canary())
    org.secret_set(data=DATA)
    users = len(USES_ALL) + len(USES_A)
    settled(org, revision=1, bound=users)
    assert {org.generation(name) for name in everyone} == {1}  # nothing restarts at the first delivery

    change(org, "a")
    settled(org, revision=2, bound=users)
    expected = dict.fromkeys([*USES_ALL, *USES_A], 1) | dict.fromkeys(USES_NONE, 0)
    assert restarted(org, *everyone) == expected
    assert {name: org.generation(name) - 1 for name in everyone} == expected
    told = ", ".join(sorted(f"deployment/{name}" for name in [*USES_ALL, *USES_A]))
    assert ("Restarted", f"Restarted for revision 2: {told}") in org.events()

    change(org, "b")
    settled(org, revision=3, bound=users)
    expected |= dict.fromkeys(USES_ALL, 2)
    assert restarted(org, *everyone) == expected
    assert {name: org.generation(name) - 1 for name in everyone} == expected


def test_never_means_never(org: Org) -> None:
    one_user(org, off=True, restart={"policy": "Never"})
    change(org, "a")
    settled(org, revision=2, bound=1, off=True)
    assert_restarted(org, 0)


def test_twenty_changes_of_single_keys_are_one_restart(org: Org, operator: OperatorProcess) -> None:
    names = [f"k{number}" for number in range(20)]
    org.source_of({name: org.canary() for name in names})
    org.deployment("web", env_from("app"))
    data = {name: value_from("src", name) for name in names}
    org.secret_set(data=data, restart={"quietSeconds": 2, "maxWaitSeconds": 60})
    settled(org, revision=1, bound=1)
    before = metric(operator, "secretset_changes_coalesced_total")
    for name in names:
        change(org, name)
    eventually(lambda: org.restarts("web") == 1)
    revision = org.status()["revision"]
    settled(org, revision=revision, bound=1)
    assert_restarted(org, 1)
    assert metric(operator, "secretset_changes_coalesced_total") - before == revision - 2


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


def test_the_old_manifest_brings_no_further_restart(org: Org) -> None:
    """Whoever deploys again does not know our annotations; `replace` takes them away."""
    one_user(org)
    change(org, "a")
    settled(org, revision=2, bound=1)
    org.deployment("web", env_key("app", "A"))
    assert_restarted(org, 1, generation=2)
    found = org.get("deployment", "web", namespace=org.regional) or {}
    manifest = found["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
    org.there("replace", "-f", "-", input=manifest)
    left = (org.get("deployment", "web", namespace=org.regional) or {})["metadata"].get("annotations", {})
    assert not [name for name in left if name.startswith("secretset.dev/")]
    assert_restarted(org, 1, generation=3)
    org.there("replace", "--force", "-f", "-", input=manifest)
    assert_restarted(org, 1, generation=1)
    settled(org, revision=2, bound=1)


def test_labels_and_words_restart_nothing(org: Org) -> None:
    one_user(org)
    org.kubectl("label", "secret", "src", "team=x")
    org.kubectl("label", "secretset", "app", "team=x")
    org.there("label", "secret", "app", "team=x")
    org.there("label", "deployment", "web", "team=x")
    org.there("annotate", "deployment", "web", "note=x")
    org.there("scale", "deployment", "web", "--replicas=2")
    org.secret_set(data=DATA, description="words", metadata={"owner": "x"})
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
    org.deployment("again", env_from("app"))
    eventually(lambda: counts(org).get("bound") == 3)
    change(org, "a")
    eventually(lambda: org.status().get("revision") == 2)
    org.there("delete", "deployment", "gone", "again")
    for name in ("new", "again"):  # their pods start with what is there now
        org.deployment(name, env_from("app"))
    eventually(lambda: org.restarts("web") == 1)
    settled(org, revision=2, bound=3)
    assert_restarted(org, 1)
    assert restarted(org, "gone", "again", "new") == {"gone": 0, "again": 0, "new": 0}


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


def test_a_change_while_the_operator_was_away_and_none(org: Org, operator: OperatorProcess) -> None:
    one_user(org)
    operator.kill()
    change(org, "a")
    operator.start()
    settled(org, revision=2, bound=1)
    assert_restarted(org, 1)
    before = org.writes()
    operator.restart()
    holds(lambda: org.writes() == before, seconds=2)
    assert_restarted(org, 1)
