"""Uninstalling: refused while sets are there, harmless by mistake, and by `secretset uninstall` without Helm."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from harness import OperatorProcess, eventually
from harness.helm import (
    NAMESPACE,
    RELEASE,
    Helm,
    apply_examples,
    delivered,
    found,
    hook_pods,
    installed,
    listed,
    sets_are_taken,
)
from kubelab.plane import ControlPlane
from kubelab.pytest_plugin import ControlPlanes

# helm waits for pods and regions, and there are many commands.
pytestmark = pytest.mark.timeout(600)
HELM, PART = "app.kubernetes.io/managed-by=Helm", "app.kubernetes.io/part-of=secretset-operator"
SOURCE = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "values", "namespace": "shop", "labels": {"secretset.dev/source": "true"}},
    "stringData": {"a": "change-me"},
}
SET = {
    "apiVersion": "secretset.dev/v1alpha1",
    "kind": "SecretSet",
    "metadata": {"name": "app", "namespace": "shop"},
    "spec": {"data": {"A": {"valueFrom": {"secretKeyRef": {"name": "values", "key": "a"}}}}},
}


@pytest.fixture
def plane(function_control_planes: ControlPlanes) -> ControlPlane:
    (plane,) = function_control_planes(["away"], nodes=1)
    return plane


@pytest.fixture
def helm(plane: ControlPlane) -> Helm:
    return Helm(plane)


@pytest.fixture
def process(helm: Helm) -> Iterator[OperatorProcess]:
    with installed(helm) as process:
        yield process


def secretset(plane: ControlPlane, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "secretset", *args, "--kubeconfig", str(plane.kubeconfig)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_helm_refuses_while_sets_are_there_and_goes_on_either_way(
    helm: Helm, process: OperatorProcess, plane: ControlPlane
) -> None:
    apply_examples(plane)
    before = listed(plane, HELM)
    with hook_pods(plane) as printed:
        refused = helm.ended("uninstall", RELEASE, "--wait", "--timeout=60s")
    assert refused.returncode
    # The first that a user sees; Helm also prints the pod's log, where there is one.
    assert "secretset-delete-sets-first" in refused.stderr
    (said,) = printed
    assert "sets are still there (shop/checkout, shop/checkout-eu, shop/docker-hub)" in said
    assert "kubectl delete secretsets,imagepullsecrets --all --all-namespaces" in said
    job = "job.batch/secretset-delete-sets-first"
    assert listed(plane, HELM) == before
    assert plane.kubectl("get", "jobs", "-n", NAMESPACE, "-o", "name").stdout.split() == [job]
    # Another command does not go around it.
    other = secretset(plane, "uninstall", "--keep-sets")
    assert (other.returncode, "belongs to the Helm release 'secretset-operator'" in other.stderr) == (1, True)
    again = secretset(plane, "install", "--no-wait")
    assert (again.returncode, "by the Helm release 'secretset-operator'" in again.stderr) == (1, True)
    assert listed(plane, HELM) == before
    # One way on: as it was.
    assert "uninstalling" in helm.run("status", RELEASE)
    helm.run("rollback", RELEASE, "1", "--wait", "--timeout=60s")
    helm.upgrade()
    # The other: once the sets are gone.
    with hook_pods(plane):
        assert helm.ended("uninstall", RELEASE, "--wait", "--timeout=60s").returncode
    plane.kubectl("delete", "secretsets,imagepullsecrets", "--all", "--all-namespaces", "--timeout=30s")
    assert process.stop() == 0
    done = helm.uninstall()
    assert done.returncode == 0, done.stderr
    assert listed(plane, HELM) == {
        *(f"namespace/{name}" for name in ("shop", "shop-us-west", "shop-eu-central")),
        *(f"region.secretset.dev/{name}" for name in ("us-west", "eu-central")),
    }


def test_an_uninstall_without_asking_loses_nothing(helm: Helm, process: OperatorProcess, plane: ControlPlane) -> None:
    apply_examples(plane)
    before = delivered(plane)
    assert process.stop() == 0
    done = helm.uninstall("--no-hooks")
    assert done.returncode == 0, done.stderr
    assert delivered(plane) == before
    plane.kubectl("delete", "secretset", "checkout-eu", "-n", "shop", "--wait=false")
    helm.install()
    # Its account is another one now.
    again = OperatorProcess(plane)
    again.start()
    eventually(lambda: found(plane, "secretset", "checkout-eu", "-n", "shop") is None, seconds=20)
    assert delivered(plane) == before - {("shop-eu-central", "checkout-eu")}
    assert again.stop() == 0


def test_without_helm_a_command_takes_away_what_install_made(plane: ControlPlane) -> None:
    done = secretset(plane, "install", "--api", "--region", "us-west", "--namespace", "shop", "--no-wait")
    assert done.returncode == 0, done.stderr
    process = OperatorProcess(plane)
    process.start()
    sets_are_taken(plane)
    for obj in (SOURCE, SET):
        plane.kubectl("apply", "-f", "-", input=json.dumps(obj))
    plane.kubectl("wait", "secretset/app", "-n", "shop", "--for=condition=Ready", "--timeout=30s")
    for args in (("--check",), ()):
        refused = secretset(plane, "uninstall", *args)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "secretset uninstall: sets are still there (shop/app)" in refused.stderr
    assert secretset(plane, "uninstall", "--check", "--keep-sets").returncode == 2
    assert process.stop() == 0
    kept = secretset(plane, "uninstall", "--keep-sets")
    assert (kept.returncode, "note: sets stay (shop/app)" in kept.stderr) == (0, True)
    assert delivered(plane) == {("shop-us-west", "app")}
    # As it was, with another account.
    assert secretset(plane, "install", "--no-wait").returncode == 0
    process = OperatorProcess(plane)
    process.start()
    plane.kubectl("delete", "secretset", "app", "-n", "shop", "--timeout=30s")
    assert delivered(plane) == set()
    assert secretset(plane, "uninstall", "--check").stdout == "There are no sets.\n"
    assert process.stop() == 0
    done = secretset(plane, "uninstall")
    assert done.returncode == 0, done.stderr
    assert "deployment/secretset-operator deleted" in done.stdout
    left = {each.partition("/")[0].partition(".")[0] for each in listed(plane, PART)}
    # What it says that stays; roles are in the namespaces of the organization, and of no use without the account.
    assert left - {"secret"} == {"namespace", "customresourcedefinition", "configmap", "role", "rolebinding"}
    assert not found(plane, "roles,rolebindings,serviceaccounts,services,deployments", "-n", NAMESPACE, "-l", PART)
    assert found(plane, "secret", "secretset-installation", "-n", NAMESPACE)
    assert secretset(plane, "uninstall").returncode == 0
