"""The operator follows a region with one watch where it may, and namespace by namespace where it may not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from harness import (
    OPERATOR_ACCOUNT,
    OperatorProcess,
    Org,
    env_from,
    eventually,
    organization_role,
    regional_role,
    start_hub,
)
from kubelab.plane import ControlPlane
from kubelab.pytest_plugin import ControlPlanes

RBAC = "rbac.authorization.k8s.io/v1"
SUBJECTS = [{"kind": "ServiceAccount", "namespace": OPERATOR_ACCOUNT[0], "name": OPERATOR_ACCOUNT[1]}]
WORKLOADS = {"deployments", "statefulsets", "daemonsets"}
FOLLOWED = {"secrets", "serviceaccounts", *WORKLOADS}


@pytest.fixture(scope="module")
def plane(module_control_planes: ControlPlanes) -> ControlPlane:
    """A plane of this module's own."""
    return start_hub(module_control_planes, "scopes")


@pytest.fixture
def wide(plane: ControlPlane) -> Iterator[None]:
    """To list and watch everything, granted once."""
    follow = [
        {"apiGroups": ["", "apps"], "resources": sorted(FOLLOWED | {"pods"}), "verbs": ["list", "watch"]},
    ]
    granted: list[dict[str, Any]] = [
        {"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": "follow"}, "rules": follow},
        {
            "apiVersion": RBAC,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "follow"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "follow"},
            "subjects": SUBJECTS,
        },
    ]
    plane.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(granted))
    yield
    plane.kubectl("delete", "clusterrole,clusterrolebinding", "follow")


@pytest.fixture
def operator(plane: ControlPlane) -> Iterator[OperatorProcess]:
    """An operator that finds out anew what it may do."""
    process = OperatorProcess(plane, "--quiet-seconds", "0.2")
    process.start()
    yield process
    assert process.stop() == 0


def test_one_watch_where_all_may_be_followed(
    plane: ControlPlane, wide: None, operator: OperatorProcess, canaries: list[str]
) -> None:
    orgs = [Org(plane, name, canaries).create() for name in ("wide-a", "wide-b")]
    for org in orgs:
        # In the namespaces there is no right left to list and watch.
        org.apply(*map(_without_watching, (organization_role(org.name)[0], regional_role(org.regional)[0])))
        _works(org)
    assert _watches(plane) == {}
    _refused_nothing(operator)
    for org in orgs:
        _all_gone(org)


def test_a_watch_for_each_namespace_where_that_is_all_it_may(
    plane: ControlPlane, operator: OperatorProcess, canaries: list[str]
) -> None:
    orgs = [Org(plane, name, canaries).create() for name in ("narrow-a", "narrow-b")]
    for org in orgs:
        _works(org)
    # Sources in each organization; managed Secrets, workloads and ServiceAccounts in each regional namespace.
    assert _watches(plane) == {"secrets": 4, "serviceaccounts": 2, **dict.fromkeys(WORKLOADS, 2)}
    _refused_nothing(operator)
    # What is needed no more is followed no more.
    _all_gone(orgs[0])
    eventually(lambda: _watches(plane) == {"secrets": 2, "serviceaccounts": 1, **dict.fromkeys(WORKLOADS, 1)})


def _works(org: Org) -> None:
    """Delivered, changed, restarted, healed, attached; and nothing else was seen for a change."""
    org.source()
    org.deployment("web", env_from("app"))
    org.secret_set()
    org.reaches("ready", "Synced")
    eventually(lambda: (org.status().get("workloads") or {}).get("current") == 1)
    changed = org.canary()
    org.source("src", a=changed)
    eventually(lambda: org.values() == {"A": changed.encode()})
    eventually(lambda: org.generation("web") == 2)
    org.there("patch", "secret", "app", "--type=merge", "-p", '{"data":{"A":"eA=="}}')
    eventually(lambda: org.values() == {"A": changed.encode()})
    org.there("delete", "secret", "app")
    eventually(lambda: org.values() == {"A": changed.encode()})
    org.apply(
        {
            "apiVersion": "secretset.dev/v1alpha1",
            "kind": "ImagePullSecret",
            "metadata": {"name": "pull", "namespace": org.name},
            "spec": {
                "host": "ghcr.io",
                "username": "robot",
                "password": {"valueFrom": {"secretKeyRef": {"name": "src", "key": "a"}}},
                "serviceAccounts": ["default"],
            },
        }
    )
    org.reaches("ready", name="pull", kind="imagepullsecret")
    assert org.restarts("web") == 1


def _all_gone(org: Org) -> None:
    org.kubectl("delete", "secretsets,imagepullsecrets", "--all", "--timeout=20s")


def _without_watching(role: dict[str, Any]) -> dict[str, Any]:
    rules = [{**rule, "verbs": [v for v in rule["verbs"] if v not in {"list", "watch"}]} for rule in role["rules"]]
    rules = [
        # A restart is decided from a list of the namespace's workloads; that is covered by the wide right.
        rule
        for rule in rules
        if rule["verbs"]
    ]
    return {**role, "rules": rules}


def _watches(plane: ControlPlane) -> dict[str, int]:
    """Open watches of single namespaces by resource, as the API server counts them."""
    found: dict[str, int] = {}
    told = plane.kubectl("get", "--raw", "/metrics").stdout
    for labels, value in re.findall(r"^apiserver_longrunning_requests\{(.*)\} (\d+)$", told, re.MULTILINE):
        label = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if label["verb"] == "WATCH" and label["scope"] == "namespace" and label["resource"] in FOLLOWED and int(value):
            found[label["resource"]] = found.get(label["resource"], 0) + int(value)
    return found


def _refused_nothing(operator: OperatorProcess) -> None:
    assert 'code="403"' not in operator.fetch("/metrics")[1]
