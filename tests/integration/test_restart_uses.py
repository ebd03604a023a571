"""Whether a workload is restarted depends on how it uses what changed: optional references, files, annotations."""

from __future__ import annotations

import time
from typing import Any

from harness import Org, env_from, env_key, eventually, value_from
from harness.rolling import DATA, change, restarted, settled, workload

Pod = dict[str, Any]


def optional(pod: Pod) -> Pod:
    """A pod spec of `env_from` or `env_key`, whose reference is optional."""
    (container,) = pod["containers"]
    refs = [each["secretRef"] for each in container.get("envFrom", ())]
    refs += [each["valueFrom"]["secretKeyRef"] for each in container.get("env", ())]
    for ref in refs:
        ref["optional"] = True
    return pod


def test_whoever_could_not_have_it_is_restarted_by_the_first_delivery(org: Org) -> None:
    """Their pods started without it. Those of the others wait until it is there, and start with it."""
    late = {"maybe-all": optional(env_from("app")), "maybe-a": optional(env_key("app", "A"))}
    held_up = {
        "all": env_from("app"),
        "a": env_key("app", "A"),
        "a-and-maybe-all": {
            "containers": [{**env_from("app")["containers"][0], **optional(env_key("app", "A"))["containers"][0]}]
        },
    }
    never = {"maybe-c": optional(env_key("app", "C"))}
    everyone = {**late, **held_up, **never}
    for name, pod in everyone.items():
        org.deployment(name, pod)
    org.source("src", a=org.canary(), b=org.canary(), c=org.canary())
    org.secret_set(data=DATA)
    eventually(lambda: restarted(org, *late) == dict.fromkeys(late, 1), "their restart")
    settled(org, revision=1, bound=len(everyone))
    time.sleep(1.0)
    assert restarted(org, *everyone) == dict.fromkeys(late, 1) | dict.fromkeys([*held_up, *never], 0)

    # A key that comes later is a change as any other.
    org.secret_set(data={**DATA, "C": value_from("src", "c")})
    settled(org, revision=2, bound=len(everyone))
    assert restarted(org, *everyone) == {
        "maybe-all": 2,
        "maybe-a": 1,
        "all": 1,
        "a": 0,
        "a-and-maybe-all": 1,
        "maybe-c": 1,
    }


def test_on_env_change_exempts_what_kubelet_refreshes(org: Org) -> None:
    files = {"volumes": [{"name": "v", "secret": {"secretName": "app"}}]}
    projected = {"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "app"}}]}}]}
    mount = {"name": "v", "mountPath": "/a", "subPath": "A"}
    image = {"name": "app", "image": "app:1"}
    pods: dict[str, Pod] = {
        "files": files,
        "projected": projected,
        "mounted": {**files, "containers": [{**image, "volumeMounts": [{"name": "v", "mountPath": "/a"}]}]},
        "copied": {**files, "containers": [{**image, "volumeMounts": [mount]}]},
        "env": env_key("app", "A"),
        "files-and-b": {**files, **env_key("app", "B")},
    }
    for name, pod in pods.items():
        workload(org, "Deployment", name, pod, notes={"secretset.dev/restart": "on-env-change"})
    workload(org, "Deployment", "never", env_from("app"), notes={"secretset.dev/restart": "never"})
    workload(org, "Deployment", "unknown-word", files, notes={"secretset.dev/restart": "sometimes"})
    everyone = {*pods, "never", "unknown-word"}
    org.source("src", a=org.canary(), b=org.canary())
    org.secret_set(data=DATA)
    settled(org, revision=1, bound=len(everyone))

    org.kubectl("annotate", "secretset", "app", "secretset.dev/explain-restart=A")
    explained = eventually(lambda: org.status().get("explanation"), "an explanation")
    change(org, "a")
    settled(org, revision=2, bound=len(everyone))
    time.sleep(0.5)
    happened = dict.fromkeys(everyone, 0) | {"copied": 1, "env": 1, "unknown-word": 1}
    assert restarted(org, *everyone) == happened
    assert {each["name"]: int(each["restarts"]) for each in explained["workloads"]} == happened

    # Who takes the annotation off asks for the next restart, not for the last one.
    org.there("annotate", "deployment", "never", "secretset.dev/restart-")
    change(org, "b")
    settled(org, revision=3, bound=len(everyone))
    assert restarted(org, *everyone) == happened | {"copied": 2, "unknown-word": 2, "files-and-b": 1, "never": 1}
