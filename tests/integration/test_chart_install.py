"""The chart on a cluster: what its release does there, and what its accounts may."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from deploy_files import Key, Manifest, objects, template
from harness import ROOT, OperatorProcess, decoded, described, writes
from harness.helm import (
    NAMESPACE,
    RELEASE,
    Helm,
    apply_examples,
    delivered,
    found,
    hook_pods,
    installed,
)
from kubelab.plane import ControlPlane
from kubelab.pytest_plugin import ControlPlanes

PARTS = ("operator", "webhook", "api")
# Each mode, with all that adds a pod or changes one.
MODES: dict[str, Manifest] = {
    "defaults": {},
    "all": {
        "priorityClass": {"create": True, "name": "secretset"},
        "webhook": {"gate": {"enabled": True}, "certificate": {"mode": "cert-manager"}},
        "api": {"tls": {"secretName": "api-tls"}},
        "operator": {
            "extraVolumes": [{"name": "kek", "secret": {"secretName": "kek"}}],
            "extraVolumeMounts": [{"name": "kek", "mountPath": "/kek"}],
        },
    },
    "openshift": {"podSecurity": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}},
    "region": {
        "mode": "region",
        "agent": {"region": "eu-bank"},
        "webhook": {"gate": {"enabled": True}, "hubKubeconfigSecret": "hub"},
    },
}


@pytest.fixture(scope="module")
def plane(control_planes: ControlPlanes) -> ControlPlane:
    """An empty cluster, but for the namespace, which takes restricted pods only."""
    (plane,) = control_planes(["chart"], nodes=1, audit=True)
    plane.kubectl("apply", "-f", str(ROOT / "deploy/namespace.yaml"))
    return plane


@pytest.fixture(scope="module")
def helm(plane: ControlPlane) -> Helm:
    return Helm(plane)


@pytest.fixture(scope="module", autouse=True)
def process(helm: Helm) -> Iterator[OperatorProcess]:
    with installed(helm) as process:
        yield process


def test_a_new_set_costs_two_writes(plane: ControlPlane) -> None:
    plane.kubectl("apply", "-f", str(ROOT / "examples/source.yaml"))  # or its sets say that it is missing, and wait
    before = len(writes(plane))
    apply_examples(plane)
    made = described(writes(plane)[before:])
    for name, plural in (("checkout", "secretsets"), ("checkout-eu", "secretsets"), ("docker-hub", "imagepullsecrets")):
        of_it = [each for each in made if each.endswith(f" {name}") and "deployments" not in each]
        assert of_it[:2] == [f"create secrets {name}", f"update {plural}/status {name}"]
        assert f"patch {plural} {name}" not in of_it
    values = decoded(found(plane, "secret", "checkout", "-n", "shop-us-west"))
    assert values == {
        "API_KEY": b"change-me",
        "DATABASE_URL": b"postgresql://checkout:change-me@db.internal:5432/checkout",
    }
    assert delivered(plane) == {
        ("shop-us-west", "checkout"),
        ("shop-eu-central", "checkout-eu"),
        ("shop-us-west", "docker-hub"),
    }


def test_a_set_of_no_region_is_let_go_of_too_though_the_api_server_gave_it_the_finalizer(plane: ControlPlane) -> None:
    spec = {
        "region": "nowhere",
        "data": {"A": {"valueFrom": {"secretKeyRef": {"name": "checkout-values", "key": "a"}}}},
    }
    meta = {"name": "lost", "namespace": "shop"}
    obj = {"apiVersion": "secretset.dev/v1alpha1", "kind": "SecretSet", "metadata": meta, "spec": spec}
    plane.kubectl("apply", "-f", "-", input=json.dumps(obj))
    assert found(plane, "secretset", "lost", "-n", "shop")["metadata"]["finalizers"] == ["secretset.dev/cleanup"]
    plane.kubectl("delete", "secretset", "lost", "-n", "shop", "--timeout=30s")


def test_helm_test_says_that_all_is_well(helm: Helm) -> None:
    with hook_pods(helm.plane) as printed:
        assert "Phase:          Succeeded" in helm.run("test", RELEASE, "--timeout=60s")
    (said,) = printed
    assert " fail" not in said
    unknown = [line for line in said.splitlines() if line.startswith("unknown")]
    assert [line.split()[1] for line in unknown] == ["encryption"]


# --- rights


@pytest.mark.parametrize("part", ["api", "webhook"])
def test_what_users_reach_reads_no_secret_and_no_sealing_key(plane: ControlPlane, part: str) -> None:
    def may(verb: str, *what: str) -> bool:
        account = f"system:serviceaccount:{NAMESPACE}:secretset-{part}"
        said = plane.kubectl("auth", "can-i", verb, *what, "--as", account, check=False).stdout.strip()
        assert said in {"yes", "no"}
        return said == "yes"

    for verb in ("get", "list", "watch", "create", "update", "patch", "delete"):
        assert not may(verb, "secrets", "--all-namespaces")
        for namespace in (NAMESPACE, "shop", "shop-us-west", "kube-system"):
            assert not may(verb, "secrets", "-n", namespace)
    for name in ("secretset-sealing-keys", "secretset-installation"):
        assert not may("get", f"secrets/{name}", "-n", NAMESPACE)
    # Its own certificate, which is its only one.
    assert may("get", "secrets/secretset-webhook-tls", "-n", NAMESPACE) == (part == "webhook")
    # Nor by a detour.
    for verb, what in (
        ("create", "serviceaccounts/token"),
        ("create", "pods"),
        ("create", "pods/exec"),
        ("impersonate", "serviceaccounts"),
        ("bind", "clusterroles"),
        ("escalate", "clusterroles"),
    ):
        assert not may(verb, what, "--all-namespaces")


# --- pods


def pods(mode: str) -> dict[str, Manifest]:
    """Templates of pods by the name of what has them, hooks and all."""
    found = objects(template(MODES[mode]))
    templates = {key[2]: each["spec"]["template"] for key, each in found.items() if key[0] in {"Deployment", "Job"}}
    return templates | {key[2]: each for key, each in found.items() if key[0] == "Pod"}


def accounts(mode: str) -> dict[Key, Manifest]:
    """What pods refer to."""
    wanted = {"ServiceAccount", "PriorityClass"}
    return {key: each for key, each in objects(template(MODES[mode])).items() if key[0] in wanted}


@pytest.mark.parametrize("mode", MODES)
def test_all_pods_are_restricted(plane: ControlPlane, mode: str) -> None:
    for each in accounts(mode).values():
        plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=json.dumps(each))
    found = pods(mode)
    assert found.keys() == (
        {"secretset-agent", "secretset-webhook"}
        if mode == "region"
        else {f"secretset-{part}" for part in PARTS} | {"secretset-delete-sets-first", "secretset-test"}
    )
    for name, each in found.items():
        meta = {"name": f"try-{name}", "namespace": NAMESPACE, "labels": each["metadata"]["labels"]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": each["spec"]}
        made = plane.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", input=json.dumps(pod))
        assert made.stderr == ""
        as_it_runs(name, json.loads(made.stdout)["spec"], mode)


def as_it_runs(name: str, spec: Any, mode: str) -> None:
    """What else is asserted of a pod, as the API server would keep it."""
    (container,) = spec["containers"]
    assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
    assert "memory" in container["resources"]["limits"], name
    assert spec["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"].keys() == {"app.kubernetes.io/name"}
    assert spec.get("priorityClassName") == ("secretset" if mode == "all" else None)
    if spec["restartPolicy"] == "Always":
        assert {"livenessProbe", "readinessProbe"} <= container.keys(), name
    secrets = {
        source["secret"]["secretName" if "secretName" in source["secret"] else "name"]
        for volume in spec["volumes"]
        for source in (volume, *volume.get("projected", {}).get("sources", ()))
        if "secret" in source
    }
    token = any("serviceAccountToken" in s for v in spec["volumes"] for s in v.get("projected", {}).get("sources", ()))
    assert token == (name != "secretset-api")
    allowed = {
        "secretset-operator": {"kek"} if mode == "all" else set(),
        "secretset-webhook": {"secretset-webhook-certificate" if mode == "all" else "secretset-webhook-tls"}
        | ({"hub"} if mode == "region" else set()),
        "secretset-api": {"api-tls"} if mode == "all" else set(),
        "secretset-agent": {"secretset-hub"},
    }
    assert secrets == allowed.get(name, set()), name
    assert not [each for each in container.get("env", ()) if "secretKeyRef" in each.get("valueFrom", {})]
