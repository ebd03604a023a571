"""Services as Deployments: what is asked for gets in, the rest stays, and what is told is what Pipecat's CLI reads."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from secretset.domain import services
from secretset.domain.services import Service, changed, created, is_ours, told

FULL = Service(
    name="agent",
    organization="shop",
    image="app:1",
    secret_set="app",
    pull_secret="registry",
    replicas=2,
    architecture="arm64",
    resources={"cpu": "1"},
    restarted_at="2026-01-01T00:00:00Z",
)


def stored(**status: Any) -> dict[str, Any]:
    """The Deployment as a cluster has it."""
    obj = created(FULL, "shop-us-west")
    obj["metadata"] |= {"uid": "u1", "generation": 3, "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {**obj, "status": {"observedGeneration": 3, **status}}


def up(replicas: int) -> dict[str, int]:
    return dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), replicas)


def pod(obj: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = obj["spec"]["template"]["spec"]
    return found


def test_all_of_it() -> None:
    obj = created(FULL, "shop-us-west")
    assert obj["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "secretset-api",
        "secretset.dev/service": "agent",
        "secretset.dev/organization": "shop",
    }
    assert obj["spec"]["replicas"] == 2
    assert obj["spec"]["selector"]["matchLabels"] == obj["spec"]["template"]["metadata"]["labels"]
    assert obj["spec"]["template"]["metadata"]["annotations"] == {services.RESTARTED_AT: "2026-01-01T00:00:00Z"}
    assert pod(obj) == {
        "automountServiceAccountToken": False,
        "containers": [
            {
                "name": "service",
                "image": "app:1",
                "envFrom": [{"secretRef": {"name": "app"}}],
                "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "1"}},
            }
        ],
        "imagePullSecrets": [{"name": "registry"}],
        "nodeSelector": {"kubernetes.io/arch": "arm64"},
    }


def test_as_little_as_can_be() -> None:
    obj = created(Service(name="agent", organization="shop", image="app:1", replicas=0), "shop-us-west")
    assert obj["spec"]["replicas"] == 1
    assert pod(obj) == {
        "automountServiceAccountToken": False,
        "containers": [{"name": "service", "image": "app:1"}],
    }


def test_what_is_not_named_stays() -> None:
    obj = stored()
    obj["spec"]["replicas"] = 7
    pod(obj)["containers"].insert(0, {"name": "proxy", "image": "proxy:1"})
    pod(obj)["nodeSelector"]["disk"] = "ssd"
    before = copy.deepcopy(obj)
    assert changed(obj, Service(name="agent", organization="shop")) == before
    after = changed(obj, Service(name="agent", organization="shop", image="app:2", architecture="amd64"))
    assert obj == before
    assert [each["image"] for each in pod(after)["containers"]] == ["proxy:1", "app:2"]
    assert pod(after)["containers"][1]["envFrom"] == [{"secretRef": {"name": "app"}}]
    assert pod(after)["nodeSelector"] == {"disk": "ssd", "kubernetes.io/arch": "amd64"}
    assert after["spec"]["replicas"] == 7


def test_only_the_sets_of_the_service_are_exchanged() -> None:
    theirs: list[dict[str, Any]] = [
        {"configMapRef": {"name": "config"}},
        {"secretRef": {"name": "app"}, "prefix": "APP_"},
        {"secretRef": {"name": "theirs"}},
    ]
    obj = stored()
    container = pod(obj)["containers"][0]
    container["envFrom"] = [theirs[0], *container["envFrom"], *theirs[1:]]
    pod(obj)["imagePullSecrets"].insert(0, {"name": "mirror"})
    assert changed(obj, FULL) == obj

    def bound(obj: dict[str, Any], secret_set: str, pull_secret: str) -> dict[str, Any]:
        return changed(obj, Service(name="agent", organization="shop", secret_set=secret_set, pull_secret=pull_secret))

    after = bound(obj, "other", "registry2")
    expected = [theirs[0], {"secretRef": {"name": "other"}}, *theirs[1:]]
    assert pod(after)["containers"][0]["envFrom"] == expected
    assert pod(after)["imagePullSecrets"] == [{"name": "mirror"}, {"name": "registry2"}]
    assert (told(after, "r")["secretSet"], told(after, "r")["imagePullSecretSet"]) == ("other", "registry2")
    assert after["metadata"]["annotations"] == {
        "secretset.dev/service-set": "other",
        "secretset.dev/service-pull-secret": "registry2",
    }
    # What is among theirs already does not stand there twice, and is ours from then on.
    after = bound(after, "theirs", "mirror")
    assert pod(after)["containers"][0]["envFrom"] == [theirs[0], theirs[2], theirs[1]]
    assert pod(after)["imagePullSecrets"] == [{"name": "mirror"}]


def test_a_set_beside_what_was_there() -> None:
    obj = created(Service(name="agent", organization="shop", image="app:1"), "shop-us-west")
    assert "annotations" not in obj["metadata"]
    config = {"configMapRef": {"name": "config"}}
    pod(obj)["containers"][0]["envFrom"] = [config]
    after = changed(obj, FULL)
    assert pod(after)["containers"][0]["envFrom"] == [config, {"secretRef": {"name": "app"}}]
    # One that somebody took out is put at the end again; one that somebody put in is left where it is.
    pod(after)["containers"][0]["envFrom"] = [config]
    assert pod(changed(after, FULL))["containers"][0]["envFrom"] == [config, {"secretRef": {"name": "app"}}]
    pod(obj)["containers"][0]["envFrom"] = [{"secretRef": {"name": "app"}}, config]
    assert pod(changed(obj, FULL))["containers"][0]["envFrom"] == [{"secretRef": {"name": "app"}}, config]


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"app.kubernetes.io/managed-by": "Helm"},
        {"secretset.dev/service": "other"},
        {"secretset.dev/organization": "other"},
    ],
)
def test_whose_it_is(labels: dict[str, str]) -> None:
    obj = stored()
    assert is_ours(obj, "shop")
    assert not is_ours(obj, "other")
    obj["metadata"]["labels"] = obj["metadata"]["labels"] | labels if labels else None
    assert not is_ours(obj, "shop")


def test_what_is_told_of_one_that_is_up() -> None:
    found = told(stored(**up(2)), "us-west")
    assert (found["name"], found["region"], found["id"]) == ("agent", "us-west", "u1")
    assert found["desiredDeploymentId"] == found["activeDeploymentId"] == found["reconciledDeploymentId"] == "u1-3"
    assert (found["ready"], found["available"], found["activeDeploymentReady"]) == (True, True, True)
    assert (found["secretSet"], found["imagePullSecretSet"]) == ("app", "registry")
    assert found["deployment"] == {"manifest": {"spec": {"image": "app:1"}}}
    assert found["autoScaling"] == {"minReplicas": 2, "maxReplicas": 2}
    assert (found["conditions"], found["errors"]) == ([], [])


def test_what_is_told_of_one_that_rolls() -> None:
    obj = stored(**up(2) | {"updatedReplicas": 1})
    found = told(obj, "us-west")
    assert (found["ready"], found["available"]) == (False, True)
    obj["metadata"]["generation"] = 4
    found = told(obj, "us-west")
    assert (found["desiredDeploymentId"], found["reconciledDeploymentId"]) == ("u1-4", "u1-3")
    assert not told(stored(), "us-west")["available"]


@pytest.mark.parametrize(
    ("condition", "reason", "ends"),
    [
        ({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}, None, True),
        ({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"}, "ReplicaFailure", False),
    ],
)
def test_what_is_told_of_one_that_does_not_start(condition: dict[str, str], reason: str | None, ends: bool) -> None:
    found = told(stored(conditions=[{**condition, "message": "text of the cluster"}]), "us-west")
    assert "text of the cluster" not in str(found)
    where = "See `kubectl describe deployment agent -n shop-us-west`."
    degraded = next(each for each in found["conditions"] if each["type"] == "Degraded")
    assert (degraded["reason"], degraded["message"]) == (reason or condition["reason"], where)
    assert [each["code"] for each in found["errors"]] == (["ProgressDeadlineExceeded"] if ends else [])


def test_one_that_somebody_has_changed() -> None:
    obj = stored(**up(1))
    pod(obj).pop("imagePullSecrets")
    pod(obj)["containers"] = [{"name": "other", "image": "x", "envFrom": [{"configMapRef": {"name": "c"}}]}]
    found = told(obj, "us-west")
    assert (found["secretSet"], found["imagePullSecretSet"]) == (None, None)
    assert found["deployment"]["manifest"]["spec"]["image"] == ""
    assert [each["name"] for each in pod(obj)["containers"]] == ["other"]
