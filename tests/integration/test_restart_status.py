"""What a set tells of its workloads: which, how they stand, what would restart, and whose pods read wrong values."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Any

from harness import OperatorProcess, Org, env_from, env_key, eventually, holds
from harness.rolling import DATA, assert_restarted, change, counts, items, one_user, restarted, rolled_out, settled

ASK = "secretset.dev/explain-restart"


def explanation(org: Org) -> dict[str, str] | None:
    """Name of each workload to why it would restart, or, after a dash, why not; None if nobody asked."""
    found: dict[str, Any] | None = org.status().get("explanation")
    if found is None:
        return None
    workloads = found.get("workloads") or []
    assert found["restarts"] == sum(each["restarts"] for each in workloads)
    return {each["name"]: ("" if each["restarts"] else "- ") + each["why"] for each in workloads}


def explained(org: Org, expected: dict[str, str] | None) -> None:
    eventually(lambda: explanation(org) == expected, f"the explanation {expected}")


def test_what_would_restart(org: Org) -> None:
    one_user(org)
    org.deployment("all", env_from("app"))
    settled(org, revision=1, bound=2)
    ask = ("annotate", "--overwrite", "secretset", "app")
    org.kubectl(*ask, f"{ASK}=B")
    explained(org, {"all": "It uses every key.", "web": "- It reads only 'A'."})
    org.deployment("late", env_key("app", "B"))
    explained(org, {"all": "It uses every key.", "late": "It reads 'B'.", "web": "- It reads only 'A'."})
    org.kubectl(*ask, f"{ASK}=A, B")
    org.there("delete", "deployment", "all")
    org.there("annotate", "deployment", "late", "secretset.dev/paused=true")
    waits = "It reads 'B', but has to wait: it is annotated secretset.dev/paused=true."
    explained(org, {"late": waits, "web": "It reads 'A'."})
    assert (org.status().get("explanation") or {})["keys"] == ["A", "B"]
    org.secret_set(data=DATA, restart={"policy": "Never"})
    never = "but the set's restart policy is Never."
    explained(org, {"late": f"- It reads 'B', {never}", "web": f"- It reads 'A', {never}"})
    org.kubectl(*ask, f"{ASK}-")
    explained(org, None)
    assert restarted(org, "web", "late") == {"web": 0, "late": 0}
    assert (org.status()["revision"], org.generation("web")) == (1, 1)


def test_the_list_holds_fifty_at_the_most_the_worst_first(org: Org) -> None:
    names = [f"w{number:02}" for number in range(53)]
    deployments = []
    for name in names:
        template = {"metadata": {"labels": {"app": name}}, "spec": env_from("app")}
        spec = {"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": template}
        meta = {"name": name, "namespace": org.regional}
        deployments.append({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec})
    org.apply(*deployments)
    org.source()
    org.secret_set()
    settled(org, revision=1, bound=53)
    org.there("annotate", "deployment", "w52", "secretset.dev/paused=true")
    change(org, "a")
    eventually(lambda: counts(org) == {"bound": 53, "current": 52, "restarting": 0, "stalled": 0, "held": 1})
    found = list(items(org).values())
    assert [each["name"] for each in found] == ["w52", *names[:49]]
    message = "It is annotated secretset.dev/paused=true."
    assert found[0] == {"kind": "Deployment", "name": "w52", "state": "held", "revision": 1, "message": message}
    assert found[1] == {"kind": "Deployment", "name": "w00", "state": "current", "revision": 2}
    patched = Counter(write for write in org.writes() if write.startswith("patch deployments"))
    assert patched == Counter({f"patch deployments {name}": 1 for name in names[:52]})


def test_pods_that_started_while_the_secret_was_changed_are_named(org: Org, operator: OperatorProcess) -> None:
    one_user(org)
    org.deployment("bystander", env_from("somebody-elses"))
    time.sleep(2.0)  # the API has full seconds
    operator.pause()
    try:
        org.there("patch", "secret", "app", "--type=merge", "-p", '{"data":{"A":"aGFja2Vk"}}')
        org.deployment("misled", env_from("app"))
        org.there("rollout", "restart", "deployment/bystander")
        (pod,) = eventually(lambda: pods(org, "misled"), "its pod")
        eventually(lambda: (org.get("pod", pod, namespace=org.regional) or {})["status"].get("startTime"), "its start")
    finally:
        operator.resume()
    note = (
        f"Pods that started while the Secret was changed may hold what it had then: {pod}. They are not restarted; "
        "delete them, or restart their workloads."
    )
    eventually(lambda: ("PodsMisled", note) in org.events(), "the event")
    settled(org, revision=1, bound=2)
    assert_restarted(org, 0)
    assert org.generation("misled") == 1
    # An edit without any such pod names nobody.
    time.sleep(1.0)
    org.there("patch", "secret", "app", "--type=merge", "-p", '{"data":{"A":"aGFja2Vk"}}')
    eventually(lambda: [reason for reason, _ in org.events()].count("DriftRepaired") == 2, "the repair")
    holds(lambda: [reason for reason, _ in org.events()].count("PodsMisled") == 1, seconds=0.5)


def test_nobody_uses_it(org: Org) -> None:
    org.source()
    org.secret_set()
    org.reaches("ready", "Synced")
    assert rolled_out(org) == ("True", "NothingBound")
    change(org, "a")
    eventually(lambda: org.status().get("revision") == 2)
    assert (rolled_out(org), counts(org)["bound"]) == (("True", "NothingBound"), 0)


def pods(org: Org, name: str) -> list[str]:
    """The pods of a Deployment."""
    found = json.loads(org.there("get", "pods", "-l", f"app={name}", "-o", "json").stdout)["items"]
    return [pod["metadata"]["name"] for pod in found]
