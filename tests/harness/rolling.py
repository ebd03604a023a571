"""What tests of restarts do in an organization, and what they see of the workloads that use its sets."""

from __future__ import annotations

import datetime
import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from harness.manifests import env_key, value_from
from harness.org import Org
from harness.process import OperatorProcess, writes
from harness.waiting import SOON, eventually

READY_DELAY = "pod-ready.stage.kwok.x-k8s.io/delay"
# Seconds; the most of a rollout is not the operator's: controllers, scheduler and kwok share two cores with all tests.
_THROUGH = 2 * SOON
COMPLETE, OFF = ("True", "RolloutComplete"), ("True", "RestartsOff")
HELD, STALLED = ("False", "RolloutHeld"), ("False", "RolloutStalled")
DATA = {"A": value_from("src", "a"), "B": value_from("src", "b")}


# --- do


def one_user(org: Org, *, off: bool = False, **spec: Any) -> None:
    """A set with keys `A` and `B`, whose key `A` one Deployment, `web`, reads."""
    org.source("src", a=org.canary(), b=org.canary())
    org.deployment("web", env_key("app", "A"))
    org.secret_set(**{"data": DATA, **spec})
    settled(org, revision=1, bound=1, off=off)


def change(org: Org, *keys: str) -> None:
    """New values for keys of the source."""
    put(org, **{key: org.canary() for key in keys})


def put(org: Org, **values: str) -> None:
    """These values for keys of the source."""
    org.kubectl("patch", "secret", "src", "-p", json.dumps({"stringData": values}))


def workload(
    org: Org,
    kind: str,
    name: str,
    pod: Mapping[str, Any],
    spec: Mapping[str, Any] | None = None,
    *,
    notes: Mapping[str, str] | None = None,
    pod_notes: Mapping[str, str] | None = None,
) -> None:
    """Apply a workload with this pod spec, more of its own spec, and annotations on it and on its pods."""
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels, "annotations": dict(pod_notes or {})},
        "spec": {"containers": [{"name": "app", "image": "app:1"}], **pod},
    }
    org.apply(
        {
            "apiVersion": "apps/v1",
            "kind": kind,
            "metadata": {"name": name, "namespace": org.regional, "annotations": dict(notes or {})},
            "spec": {"selector": {"matchLabels": labels}, "template": template, **(spec or {})},
        }
    )


def node_of(org: Org) -> dict[str, dict[str, str]]:
    """For a pod spec: it needs a node that is there, until `no_node`."""
    org.plane.kubectl("label", "--overwrite", "node", "node-0", f"{org.name}=here")
    return {"nodeSelector": {org.name: "here"}}


@contextmanager
def no_node(org: Org) -> Iterator[None]:
    """Such pods that run stay; new ones wait until the end."""
    org.plane.kubectl("label", "node", "node-0", f"{org.name}-")
    try:
        yield
    finally:
        node_of(org)


# --- look


def counts(org: Org, name: str = "app") -> dict[str, int]:
    """How many workloads stand how; which ones is left out."""
    return _counts(org.status(name))


def items(org: Org, name: str = "app") -> dict[str, dict[str, Any]]:
    """The workloads that the status lists, by their names."""
    return {item["name"]: item for item in (org.status(name).get("workloads") or {}).get("items") or ()}


def states(org: Org, name: str = "app") -> dict[str, str]:
    """Name to state of each workload that the status lists."""
    return {each: item["state"] for each, item in items(org, name).items()}


def condition(status: Mapping[str, Any]) -> tuple[str, str, str]:
    """Status, reason and message of the condition RolledOut in a status."""
    found = (c for c in status.get("conditions") or () if c["type"] == "RolledOut")
    return next(((c["status"], c["reason"], c["message"]) for c in found), ("", "", ""))


def rolled_out(org: Org, name: str = "app") -> tuple[str, str]:
    """Its status and reason now."""
    return condition(org.status(name))[:2]


def why(org: Org, name: str = "app") -> str:
    """Its message now."""
    return condition(org.status(name))[2]


def settled(org: Org, *, revision: int, bound: int, name: str = "app", off: bool = False) -> dict[str, Any]:
    """Wait until a revision is in place and all workloads that use it run with it; return the status.

    Args:
        off: changes restart nothing, and nobody knows what the workloads run with.
    """
    everybody = {"bound": bound, "current": bound, "restarting": 0, "stalled": 0, "held": 0}

    def check() -> dict[str, Any] | None:
        status = org.status(name)
        there = status.get("revision") == revision and _counts(status) == everybody
        return status if there and condition(status)[:2] == (OFF if off else COMPLETE) else None

    try:
        found: dict[str, Any] = eventually(check, f"revision {revision} everywhere", seconds=_THROUGH)
    except AssertionError as error:
        status = (org.get("secretset", name) or {}).get("status")
        there = org.there("get", "deployments,statefulsets,daemonsets,replicasets,pods", "-o", "wide").stdout
        raise AssertionError(f"{error}; status: {json.dumps(status)}; there:\n{there}") from None
    return found


def restarted(org: Org, *names: str) -> dict[str, int]:
    """How often the operator restarted each of these Deployments."""
    return {name: org.restarts(name) for name in names}


def metric(operator: OperatorProcess, name: str, **labels: str) -> float:
    """What the operator counts of the region us-west; 0 if it does not know of it."""
    told = ",".join(f'{label}="{value}"' for label, value in {"region": "us-west", **labels}.items())
    found = re.findall(rf"^{name}{{{told}}} (\S+)$", operator.fetch("/metrics")[1], re.MULTILINE)
    return float(found[0]) if found else 0.0


def restart_times(org: Org) -> list[tuple[float, str]]:
    """When (seconds since the epoch) the operator restarted which Deployment, oldest first."""
    return sorted(
        (datetime.datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp(), event["objectRef"]["name"])
        for event in writes(org.plane)
        if (event["objectRef"]["resource"], event["objectRef"].get("namespace")) == ("deployments", org.regional)
        and event["responseStatus"]["code"] < 300
    )


def assert_restarted(org: Org, times: int, *, generation: int | None = None) -> None:
    """So often was `web` restarted by now, and still a moment later."""
    wanted = times, times + 1 if generation is None else generation
    assert org.restarts("web") == times, f"{org.restarts('web')} restarts, not {times}"
    time.sleep(1.0)
    found = org.restarts("web"), org.generation("web")
    assert found == wanted, f"(restarts, generation) {found}, not {wanted}"


def _counts(status: Mapping[str, Any]) -> dict[str, int]:
    found: dict[str, int] = status.get("workloads") or {}
    return {state: number for state, number in found.items() if state != "items"}
