"""kstatus (Helm, Flux) and Argo CD's health checks on objects as a hub has them, and on every status there can be."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest

from harness import ROOT, OperatorProcess, Org, eventually, guarded, kubeconfig_ref, value_from
from harness.argo_lua import CONFIG, ArgoCD
from harness.gitops import kstatus
from kubelab.plane import ControlPlane
from unit.told import every

pytestmark = pytest.mark.timeout(900)  # lab/tools/gitops may have to be built

Obj = dict[str, Any]
NEW, FAILED, CURRENT = ("InProgress", "Progressing"), ("Failed", "Degraded"), ("Current", "Healthy")


@pytest.fixture(scope="module")
def argo(hub: ControlPlane) -> ArgoCD:
    """With what `kubectl patch` makes of an argocd-cm that has something in it."""
    hub.kubectl("create", "namespace", "argocd")
    hub.kubectl("create", "configmap", "argocd-cm", "-n", "argocd", "--from-literal=url=https://argo.example.com")
    command = next(line[1:].split()[1:] for line in CONFIG.read_text().splitlines() if "kubectl patch" in line)
    hub.kubectl(*(str(ROOT / part) if part.startswith("deploy/") else part for part in command))
    data = json.loads(hub.kubectl("get", "configmap", "argocd-cm", "-n", "argocd", "-o", "json").stdout)["data"]
    assert data.pop("url") == "https://argo.example.com"
    assert len(data) == 5
    return ArgoCD(data)


def words(argo: ArgoCD, obj: Obj) -> tuple[str, str]:
    return kstatus([obj])[0], argo.health(obj)[0]


def written(org: Org, kind: str, name: str, spec: Obj, *how: str) -> Obj:
    """An object as the API server answers a write of it: before the operator has seen that."""
    place = {} if kind == "Region" else {"namespace": org.name}
    body = {"apiVersion": "secretset.dev/v1alpha1", "kind": kind, "metadata": {"name": name, **place}, "spec": spec}
    done = org.plane.kubectl("apply", *how, "-o", "json", "-f", "-", input=json.dumps(body))
    return dict(json.loads(done.stdout))


def found(org: Org, kind: str, name: str) -> Obj:
    obj = org.get(kind, name)
    assert obj is not None
    return obj


def test_every_status_is_read_as_it_is_meant() -> None:
    cases = every()
    read = kstatus([case.obj for case in cases.values()])
    assert dict(zip(cases, read, strict=True)) == {name: case.kstatus for name, case in cases.items()}


@pytest.mark.parametrize("kind", ["SecretSet", "ImagePullSecret"])
def test_the_life_of_a_set(kind: str, org: Org, argo: ArgoCD) -> None:
    def spec(key: str) -> Obj:
        if kind == "SecretSet":
            return {"data": {"A": value_from("src", key)}}
        return {"host": "ghcr.io", "username": "robot", "password": value_from("src", key)}

    def is_read_as(phase: str, reason: str) -> tuple[str, str]:
        org.reaches(phase, reason, name="app", kind=kind)
        return words(argo, found(org, kind, "app"))

    assert words(argo, written(org, kind, "app", spec("a"))) == NEW
    assert is_read_as("pending", "SourceMissing") == NEW
    org.source(labelled=False)
    org.poke("app", kind)  # sources are watched by their label
    assert is_read_as("failed", "SourceForbidden") == FAILED
    org.source(a=org.canary(), b=org.canary())
    assert is_read_as("ready", "Synced") == CURRENT
    assert words(argo, written(org, kind, "app", spec("b"))) == NEW
    assert is_read_as("ready", "Synced") == CURRENT
    org.kubectl("patch", kind, "app", "--type=json", "-p", json.dumps([_HOLD]))
    org.kubectl("delete", kind, "app", "--wait=false")
    assert words(argo, found(org, kind, "app")) == ("Terminating", "Progressing")
    org.kubectl("patch", kind, "app", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')


_HOLD = {"op": "add", "path": "/metadata/finalizers/-", "value": "example.com/hold"}


def test_regions(org: Org, argo: ArgoCD) -> None:
    cases: dict[str, tuple[Obj, tuple[str, str]]] = {
        "up": ({}, CURRENT),
        "unserved": ({"cluster": {"inCluster": True}}, NEW),
        "broken": ({"cluster": kubeconfig_ref("none")}, FAILED),
        "retired": ({"cluster": kubeconfig_ref("none"), "decommissioned": True}, CURRENT),
    }
    with guarded(org):
        for name, (spec, expected) in cases.items():
            region = f"{org.name}-{name}"
            assert words(argo, written(org, "Region", region, spec, "--dry-run=server")) == NEW
            org.region(region, **spec)
            # Each is asked first, which takes a moment.
            how = functools.partial(has_become, org, argo, region, expected)
            eventually(how, f"{name}: {expected}")


def has_become(org: Org, argo: ArgoCD, region: str, expected: tuple[str, str]) -> bool:
    return words(argo, found(org, "Region", region)) == expected


def test_actions_do_what_they_say(org: Org, argo: ArgoCD, operator: OperatorProcess) -> None:
    """Argo CD sends the difference that an action makes as a merge patch."""
    org.source()
    org.secret_set()
    org.reaches("ready")
    for action, annotation in (("restart", "restart-now"), ("reconcile", "reconcile")):
        before = found(org, "SecretSet", "app")
        assert argo.actions(before)[action]
        after = argo.act(action, before)["metadata"]["annotations"]
        word = after[f"secretset.dev/{annotation}"]
        patch = {"metadata": {"annotations": {f"secretset.dev/{annotation}": word}}}
        org.kubectl(
            "patch", "secretset", "app", "--type=merge", "--field-manager=argocd-server", "-p", json.dumps(patch)
        )
    eventually(lambda: org.status().get("restartRequest"))
