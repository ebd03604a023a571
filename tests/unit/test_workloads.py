"""Workloads: which Secrets a pod template uses, with which keys, and what `kubectl rollout status` would say."""

from typing import Any

import pytest

from builders import DeploymentBuilder, deployment
from secretset.domain.workloads import DEPLOYMENT, Rollout, parse, secret_uses

ALL = None


@pytest.mark.parametrize(
    ("built", "uses"),
    [
        (deployment().env_from("app"), ALL),
        (deployment().env_from("app", init=True), ALL),
        (deployment().env("app", "A"), {"A"}),
        (deployment().env("app", "A", init=True), {"A"}),
        (deployment().env("app", "A", "B").env("app", "B", "C", init=True), {"A", "B", "C"}),
        (deployment().volume("app"), ALL),
        (deployment().volume("app", "A", "B"), {"A", "B"}),
        (deployment().projected("app"), ALL),
        (deployment().projected("app", "A"), {"A"}),
        (deployment().env("app", "A").volume("app", "B").projected("app", "C"), {"A", "B", "C"}),
        (deployment().env("app", "A").env_from("app"), ALL),
        (deployment().env_from("app").env("app", "A"), ALL),
        (deployment().volume("app").volume("app", "A"), ALL),
    ],
)
def test_every_way_to_use_a_secret_is_found_and_several_merge(built: DeploymentBuilder, uses: set[str] | None) -> None:
    assert built.workload().uses == {"app": uses}


def test_several_secrets_are_told_apart() -> None:
    built = deployment().env("one", "A").env_from("two").volume("three", "B")
    assert built.workload().uses == {"one": {"A"}, "two": ALL, "three": {"B"}}


@pytest.mark.parametrize(
    "pod",
    [
        {},
        {"containers": None, "volumes": None, "initContainers": None},
        {"containers": [{"envFrom": [{"configMapRef": {"name": "app"}}], "env": [{"name": "A", "value": "app"}]}]},
        {"containers": [{"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]}]},
        {"volumes": [{"configMap": {"name": "app"}}, {"projected": {"sources": [{"configMap": {"name": "app"}}]}}]},
        {"imagePullSecrets": [{"name": "app"}]},
    ],
)
def test_what_is_no_use_of_a_secret_is_none(pod: dict[str, Any]) -> None:
    assert secret_uses(pod) == {}


def test_a_workload_without_secrets_is_not_kept() -> None:
    assert parse(DEPLOYMENT, deployment().object()) is None


def test_uses_any_asks_by_key() -> None:
    keyed, whole = deployment().env("app", "A").workload(), deployment().env_from("app").workload()
    assert keyed.uses_any("app", {"A", "B"})
    assert not keyed.uses_any("app", {"B"})
    assert whole.uses_any("app", {"B"})
    assert not whole.uses_any("other", {"B"})


def test_marks_are_read_from_the_workload_s_own_annotations() -> None:
    built = deployment().env_from("app").restarted_for("app", "3-u").annotated(other="x")
    assert built.workload().marks == {"app": "3-u"}


def test_only_what_a_set_depends_on_makes_a_difference() -> None:
    one = deployment().env_from("app").workload()
    assert one.looks_like(deployment().env_from("app").with_meta(resourceVersion="9").workload())
    assert not one.looks_like(None)
    assert not one.looks_like(deployment().env_from("app").with_meta(uid="other").workload())
    assert not one.looks_like(deployment().env("app", "A").workload())
    assert not one.looks_like(deployment().env_from("app").restarted_for("app", "2-u").workload())
    assert not one.looks_like(deployment().env_from("app").rolling().workload())
    assert one.path_kind is DEPLOYMENT


C, R, S, P = Rollout.CURRENT, Rollout.RESTARTING, Rollout.STALLED, Rollout.PAUSED
PROGRESSING = [{"type": "Progressing", "reason": "NewReplicaSetAvailable"}]


@pytest.mark.parametrize(  # kubectl's DeploymentStatusViewer, in its order
    ("built", "rollout"),
    [
        (deployment(), C),
        (deployment().with_status(conditions=PROGRESSING), C),
        (deployment().with_meta(generation=2), R),
        (deployment().with_meta(generation=2).stalled(), R),
        (deployment().stalled(), S),
        (deployment().rolling().stalled(), S),
        (deployment().with_spec(replicas=3), R),
        (deployment().with_status(replicas=2), R),
        (deployment().with_status(availableReplicas=0), R),
        (deployment().with_spec(replicas=0).with_status(replicas=0, updatedReplicas=0, availableReplicas=0), C),
        (deployment().paused(), P),
        (deployment().paused().rolling(), P),
    ],
)
def test_rollout_is_what_kubectl_would_say(built: DeploymentBuilder, rollout: Rollout) -> None:
    assert built.env_from("app").workload().rollout is rollout


def test_a_deployment_that_nobody_has_looked_at_is_not_current() -> None:
    obj = deployment().env_from("app").object()
    del obj["status"]
    parsed = parse(DEPLOYMENT, obj)
    assert parsed is not None
    assert parsed.rollout is R
