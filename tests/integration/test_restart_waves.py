"""Changes that follow each other, and sets that change together: what belongs together is one restart."""

from __future__ import annotations

import json

from harness import Org, env_from, env_key, eventually, value_from
from harness.rolling import (
    DATA,
    READY_DELAY,
    assert_restarted,
    change,
    put,
    restart_times,
    restarted,
    rolled_out,
    settled,
    workload,
)

SLOW = {READY_DELAY: "1s"}  # their pods take their time to become ready


def revision(org: Org, number: int) -> None:
    eventually(lambda: org.status().get("revision") == number, f"revision {number}")


def test_what_is_undone_in_the_quiet_window_restarts_nothing(org: Org) -> None:
    values = {"a": org.canary(), "b": org.canary()}
    org.source_of(values)
    pods = {"reads-a": env_key("app", "A"), "reads-b": env_key("app", "B"), "reads-all": env_from("app")}
    for name, pod in pods.items():
        org.deployment(name, pod)
    org.secret_set(data=DATA, restart={"quietSeconds": 3})
    settled(org, revision=1, bound=3)
    change(org, "a")
    revision(org, 2)
    assert rolled_out(org) == ("False", "RollingOut")
    put(org, a=values["a"])
    settled(org, revision=3, bound=3)

    change(org, "a", "b")
    revision(org, 4)
    put(org, a=values["a"])
    settled(org, revision=5, bound=3)
    assert restarted(org, *pods) == {"reads-a": 0, "reads-b": 1, "reads-all": 1}
    assert {name: org.generation(name) for name in pods} == {"reads-a": 1, "reads-b": 2, "reads-all": 2}


def test_several_sets_that_change_together_are_one_restart(org: Org) -> None:
    org.source("src", a=org.canary(), b=org.canary())
    container = env_from("app")["containers"][0]
    container["envFrom"].append({"secretRef": {"name": "other"}})
    org.deployment("web", {"containers": [container]})
    org.deployment("alone", env_from("other"))
    for name, key, quiet in (("app", "a", 1), ("other", "b", 3)):
        org.secret_set(name, data={"A": value_from("src", key)}, restart={"quietSeconds": quiet})
    settled(org, revision=1, bound=1)
    settled(org, revision=1, bound=2, name="other")
    change(org, "a", "b")
    waves = [settled(org, revision=2, bound=1), settled(org, revision=2, bound=2, name="other")]
    assert_restarted(org, 1)
    assert org.restarts("alone") == 1
    over = {name: status["restartedFor"] for name, status in zip(("app", "other"), waves, strict=True)}
    found = org.get("deployment", "web", namespace=org.regional) or {}
    notes = found["spec"]["template"]["metadata"]["annotations"]
    assert notes["secretset.dev/restarted-for"] == ",".join(f"{name}@{wave}" for name, wave in over.items())
    marks = {name: found["metadata"]["annotations"][f"wave.secretset.dev/{name}"] for name in over}
    assert marks == over


def test_one_at_a_time_whatever_happens_meanwhile(org: Org) -> None:
    """The first is undone and the second replaced, which ends their rollouts at once: neither comes twice."""
    names = ["eins", "fuenf", "vier", "zwei"]  # in their order
    for name in names:
        workload(org, "Deployment", name, env_from("app"), pod_notes=SLOW)
    org.source()
    org.secret_set(restart={"maxConcurrent": 1})
    settled(org, revision=1, bound=4)
    change(org, "a")
    eventually(lambda: org.restarts("eins") == 1)
    assert rolled_out(org) == ("False", "RollingOut")
    org.there("rollout", "undo", "deployment/eins")
    eventually(lambda: org.restarts("fuenf") == 1)
    found = org.get("deployment", "fuenf", namespace=org.regional) or {}
    manifest = found["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
    org.there("replace", "-f", "-", input=json.dumps(json.loads(manifest)))
    status = settled(org, revision=2, bound=4)
    patched = restart_times(org)
    assert [name for _, name in patched] == names
    assert patched[3][0] - patched[2][0] > 0.9
    assert {name: org.generation(name) for name in names} == {"eins": 3, "fuenf": 3, "vier": 2, "zwei": 2}
    assert status["restartedFor"].startswith("2-")
