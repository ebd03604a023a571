"""Every kind of workload is restarted in its own way, and judged by how its own rollouts go."""

from __future__ import annotations

import json
from typing import Any

from harness import Org, env_from, eventually
from harness.rolling import change, items, rolled_out, settled, states, workload

ON_DELETE: dict[str, Any] = {"updateStrategy": {"type": "OnDelete"}}
PARTITION: dict[str, Any] = {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}}
EVERYONE = {
    "web": "Deployment",
    "data": "StatefulSet",
    "split": "StatefulSet",
    "byhand": "StatefulSet",
    "agent": "DaemonSet",
    "agent-byhand": "DaemonSet",
}


def told(org: Org, kind: str) -> list[tuple[str, bool]]:
    """(name, whether it has our annotation) of the pods of a workload, by name."""
    pods = json.loads(org.there("get", "pods", "-l", f"app={kind}", "-o", "json").stdout)["items"]
    notes = {pod["metadata"]["name"]: pod["metadata"].get("annotations") or {} for pod in pods}
    return sorted((name, "secretset.dev/restarted-for" in found) for name, found in notes.items())


def test_every_kind(org: Org) -> None:
    org.source()
    pod = env_from("app")
    workload(org, "Deployment", "web", pod)
    workload(org, "StatefulSet", "data", pod, {"replicas": 2, "serviceName": "data"})
    workload(org, "StatefulSet", "split", pod, {"replicas": 2, "serviceName": "split", **PARTITION})
    workload(org, "StatefulSet", "byhand", pod, {"serviceName": "byhand", **ON_DELETE})
    workload(org, "DaemonSet", "agent", pod)
    workload(org, "DaemonSet", "agent-byhand", pod, ON_DELETE)
    org.secret_set()
    settled(org, revision=1, bound=6)

    change(org, "a")
    expected = dict.fromkeys(EVERYONE, "current") | {"byhand": "held", "agent-byhand": "held"}
    eventually(lambda: states(org) == expected, "the rollouts of those that roll")
    assert rolled_out(org) == ("False", "RolloutHeld")
    assert items(org)["byhand"] == {
        "kind": "StatefulSet",
        "name": "byhand",
        "state": "held",
        "revision": 2,
        "message": "Its newest pod template waits for its pods to be deleted, to be promoted, or for a pause to end.",
    }
    assert items(org)["agent"] == {"kind": "DaemonSet", "name": "agent", "state": "current", "revision": 2}
    assert told(org, "data") == [("data-0", True), ("data-1", True)]
    assert told(org, "split") == [("split-0", False), ("split-1", True)]
    assert [new for _, new in told(org, "agent")] == [True]
    assert told(org, "byhand") == [("byhand-0", False)]

    org.there("delete", "pods", "-l", "app in (byhand, agent-byhand)")
    settled(org, revision=2, bound=6)
    assert told(org, "byhand") == [("byhand-0", True)]
    assert {name: org.restarts(name, kind) for name, kind in EVERYONE.items()} == dict.fromkeys(EVERYONE, 1)
    assert {org.generation(name, kind) for name, kind in EVERYONE.items()} == {2}
