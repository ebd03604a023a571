"""deploy/ is what a cluster takes: it applies, its pods are restricted, and it grants no Secrets of all namespaces."""

from __future__ import annotations

import json

import yaml

from harness import ROOT
from kubelab.plane import ControlPlane


def test_the_kustomization_applies(hub: ControlPlane) -> None:
    applied = hub.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-k", str(ROOT / "deploy"))
    assert "deployment.apps/secretset-operator" in applied.stdout
    assert applied.stdout.count("customresourcedefinition") == 3


def test_the_pod_passes_pod_security_restricted(hub: ControlPlane) -> None:
    deployment = yaml.safe_load((ROOT / "deploy/operator.yaml").read_text())
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe", "namespace": "secretset-system"},
        "spec": deployment["spec"]["template"]["spec"],
    }
    hub.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(pod))
    # The check is one: the same pod with a weaker setting is refused.
    pod["spec"] = {**pod["spec"], "hostNetwork": True}
    refused = hub.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(pod), check=False)
    assert 'violates PodSecurity "restricted' in refused.stderr


def test_no_secret_is_readable_everywhere(hub: ControlPlane) -> None:
    account = hub.service_account_kubeconfig("secretset-system", "secretset-operator")
    answer = hub.kubectl("auth", "can-i", "get", "secrets", "--all-namespaces", kubeconfig=account, check=False)
    assert answer.stdout.strip() == "no"
    elsewhere = hub.kubectl("auth", "can-i", "get", "secrets", "-n", "kube-system", kubeconfig=account, check=False)
    assert elsewhere.stdout.strip() == "no"
