"""A rollout that does not get on stops the wave: the others keep the pods that run."""

from __future__ import annotations

import json

from harness import OperatorProcess, Org, env_from, eventually
from harness.rolling import (
    STALLED,
    change,
    items,
    metric,
    no_node,
    node_of,
    restarted,
    rolled_out,
    settled,
    states,
    why,
    workload,
)


def test_a_deployment_that_exceeds_its_deadline_stops_the_wave(org: Org, operator: OperatorProcess) -> None:
    for name in ("first", "last"):
        org.deployment(name, env_from("app"))
    pinned = {**env_from("app"), **node_of(org)}
    workload(org, "Deployment", "hangs", pinned, {"progressDeadlineSeconds": 2})
    org.source()
    org.secret_set(restart={"maxConcurrent": 1})
    settled(org, revision=1, bound=3)
    with no_node(org):
        change(org, "a")
        expected = {"first": "current", "hangs": "stalled", "last": "held"}
        eventually(lambda: states(org) == expected, "the stall")
        assert list(items(org)) == ["hangs", "last", "first"]  # the worst first
        assert rolled_out(org) == STALLED
        assert why(org) == "Deployment 'hangs' does not get on: its rollout has exceeded its progress deadline."
        assert items(org)["last"]["message"] == "The rollout of Deployment 'hangs' has stalled."
        assert (items(org)["last"]["revision"], items(org)["hangs"]["revision"]) == (1, 2)
        eventually(lambda: ("RolloutStalled", why(org)) in org.events(), "the event")
        eventually(lambda: metric(operator, "secretset_workloads", state="stalled") >= 1, "the metric")
        status = org.status()
        assert (status["phase"], status["revision"]) == ("ready", 2)
        assert restarted(org, "first", "hangs", "last") == {"first": 1, "hangs": 1, "last": 0}
        assert org.generation("last") == 1
    settled(org, revision=2, bound=3)
    assert restarted(org, "first", "hangs", "last") == {"first": 1, "hangs": 1, "last": 1}


def test_pods_that_crash_tell_what_no_deadline_does(org: Org) -> None:
    pinned = {**env_from("app"), **node_of(org)}
    workload(org, "StatefulSet", "data", pinned, {"serviceName": "data"})
    workload(org, "StatefulSet", "more", env_from("app"), {"serviceName": "more"})
    org.source()
    org.secret_set(restart={"maxConcurrent": 1})
    settled(org, revision=1, bound=2)
    with no_node(org):
        change(org, "a")
        eventually(lambda: "secretset.dev/restarted-for" in notes(org, "data-0"), "the new pod")
        assert states(org) == {"data": "restarting", "more": "restarting"}
        crashes(org, "data-0")
        eventually(lambda: states(org) == {"data": "stalled", "more": "held"}, "the stall")
        assert rolled_out(org) == STALLED
        assert why(org) == "StatefulSet 'data' does not get on: pod 'data-0': CrashLoopBackOff."
        assert org.restarts("more", "statefulset") == 0
    settled(org, revision=2, bound=2)
    assert [org.restarts(name, "statefulset") for name in ("data", "more")] == [1, 1]


def test_a_restart_that_mends_it_is_not_taken_for_the_one_that_hung(org: Org) -> None:
    workload(org, "Deployment", "web", {**env_from("app"), **node_of(org)})
    org.source()
    org.secret_set()
    settled(org, revision=1, bound=1)
    with no_node(org):
        change(org, "a")
        (pod,) = eventually(lambda: waiting_pods(org), "the new pod")
        crashes(org, pod)
        eventually(lambda: states(org) == {"web": "stalled"}, "the stall")
        change(org, "a")
        eventually(lambda: org.restarts("web") == 2, "the next restart")
        eventually(lambda: states(org) == {"web": "restarting"}, "the news", seconds=2.5)
    settled(org, revision=3, bound=1)
    assert org.restarts("web") == 2


def crashes(org: Org, pod: str) -> None:
    """Say of a pod that nobody runs, so that nobody but us says how it is, that it crashes again and again."""
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    container = {"name": "app", "image": "app:1", "imageID": "", "ready": False, "restartCount": 3}
    body = {"status": {"containerStatuses": [{**container, "state": waiting}]}}
    org.there("patch", "pod", pod, "--subresource=status", "-p", json.dumps(body))


def waiting_pods(org: Org) -> list[str]:
    """The pods that have no node."""
    found = json.loads(org.there("get", "pods", "--field-selector=spec.nodeName=", "-o", "json").stdout)["items"]
    return [pod["metadata"]["name"] for pod in found]


def notes(org: Org, pod: str) -> dict[str, str]:
    found = org.get("pod", pod, namespace=org.regional) or {"metadata": {}}
    return dict(found["metadata"].get("annotations") or {})
