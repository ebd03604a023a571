"""deploy/ is what a cluster takes: it applies, its pods are restricted, and it grants no Secrets of all namespaces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from harness import ROOT, Org, eventually, value_from
from kubelab.plane import ControlPlane


def test_the_kustomization_applies(hub: ControlPlane) -> None:
    applied = hub.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-k", str(ROOT / "deploy"))
    assert "deployment.apps/secretset-operator" in applied.stdout
    assert applied.stdout.count("customresourcedefinition") == 3
    assert applied.stdout.count("mutatingadmissionpolicy") == 4


def test_with_the_finalizer_policy_a_new_set_costs_two_writes(hub: ControlPlane, org: Org) -> None:
    policy, binding = yaml.safe_load_all((ROOT / "deploy/finalizer-policy.yaml").read_text())
    # Other tests count what it costs without.
    binding["spec"]["matchResources"] = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": org.name}}
    }
    hub.kubectl("apply", "-f", "-", input=json.dumps(policy))
    hub.kubectl("apply", "-f", "-", input=json.dumps(binding))
    org.source()
    probe = {
        "apiVersion": "secretset.dev/v1alpha1",
        "kind": "SecretSet",
        "metadata": {"name": "probe", "namespace": org.name},
        "spec": {"data": {"A": value_from("src", "a")}},
    }

    def put_on() -> bool:
        made = hub.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", input=json.dumps(probe))
        finalizers: list[str] = json.loads(made.stdout)["metadata"].get("finalizers", [])
        return finalizers == ["secretset.dev/cleanup"]

    try:
        eventually(put_on, "the policy", seconds=20)
        org.secret_set()
        org.reaches("ready")
        assert org.writes() == ["create secrets app", "update secretsets/status app"]
        org.kubectl("delete", "secretset", "app", "--timeout=20s")
    finally:
        hub.kubectl("delete", "-f", str(ROOT / "deploy/finalizer-policy.yaml"))


def test_a_webhook_that_gets_its_certificate_has_no_right_to_change_whom_api_servers_ask() -> None:
    """All that it needs for a certificate of its own is in a file that one leaves out: no update brings it back."""
    texts = {
        path.name: path.read_text()
        for path in (ROOT / "deploy").glob("webhook*.yaml")
        if path.name != "webhook-self-signed.yaml"
    }
    assert texts.keys() == {"webhook.yaml", "webhook-hub.yaml"}
    documents = [each for text in texts.values() for each in yaml.safe_load_all(text)]
    rules = [rule for each in documents if each["kind"] in {"Role", "ClusterRole"} for rule in each["rules"]]
    assert {verb for rule in rules for verb in rule["verbs"]} <= {"get", "list", "watch"}
    assert not [rule for rule in rules if {"secrets", "mutatingwebhookconfigurations"}.intersection(rule["resources"])]
    (pod,) = (each["spec"]["template"]["spec"] for each in documents if each["kind"] == "Deployment")
    (switch,) = (each for each in pod["containers"][0]["env"] if each["name"] == "SECRETSET_SELF_SIGNED")
    optional = switch["valueFrom"]["configMapKeyRef"]
    assert optional["optional"]
    added = list(yaml.safe_load_all((ROOT / "deploy/webhook-self-signed.yaml").read_text()))
    (switched,) = (each for each in added if each["kind"] == "ConfigMap")
    assert (switched["metadata"]["name"], switched["data"]) == (optional["name"], {optional["key"]: "true"})


def test_the_pod_passes_pod_security_restricted(hub: ControlPlane) -> None:
    deployment, _ = yaml.safe_load_all((ROOT / "deploy/operator.yaml").read_text())
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


def test_the_api_has_neither_a_right_nor_a_token(hub: ControlPlane) -> None:
    documents = {each["kind"]: each for each in yaml.safe_load_all((ROOT / "deploy/api.yaml").read_text())}
    assert documents.keys() == {"ServiceAccount", "Deployment", "Service", "PodDisruptionBudget"}
    spec = documents["Deployment"]["spec"]["template"]["spec"]
    assert not spec["automountServiceAccountToken"]
    assert not documents["ServiceAccount"]["automountServiceAccountToken"]
    hub.kubectl("apply", "-f", "-", input=json.dumps(documents["ServiceAccount"]))
    meta = {"name": "probe", "namespace": "secretset-system"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
    made = json.loads(hub.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", input=json.dumps(pod)).stdout)
    assert {volume["name"] for volume in made["spec"]["volumes"]} == {"hub", "tmp"}
    (ca,) = (volume["configMap"]["name"] for volume in spec["volumes"] if "configMap" in volume)
    found = hub.kubectl("get", "configmap", ca, "-n", "secretset-system", "-o", r"jsonpath={.data.ca\.crt}").stdout
    assert found.strip() == hub.ca.decode().strip()
    account = hub.service_account_kubeconfig("secretset-system", "secretset-api")
    for resource in ("secrets", "secretsets.secretset.dev", "configmaps", "serviceaccounts/token"):
        assert not any(_may(hub, account, verb, resource, "-n", "secretset-system") for verb in ("list", "create"))


def test_no_role_of_users_touches_secrets() -> None:
    texts = [(ROOT / f"deploy/{name}.yaml").read_text() for name in ("user-roles", "regions-viewer")]
    roles = [each for text in texts for each in yaml.safe_load_all(text) if each["kind"] == "ClusterRole"]
    assert {role["metadata"]["name"].removeprefix("secretset-") for role in roles} == {
        *("viewer", "editor", "admin", "regions-viewer"),
    }
    for rule in (rule for role in roles for rule in role["rules"]):
        assert not {"secrets", "pods", "pods/exec", "*"} & {*rule["resources"], *rule["verbs"], *rule["apiGroups"]}


def test_no_secret_is_readable_everywhere(hub: ControlPlane) -> None:
    account = hub.service_account_kubeconfig("secretset-system", "secretset-operator")
    answer = hub.kubectl("auth", "can-i", "get", "secrets", "--all-namespaces", kubeconfig=account, check=False)
    assert answer.stdout.strip() == "no"
    elsewhere = hub.kubectl("auth", "can-i", "get", "secrets", "-n", "kube-system", kubeconfig=account, check=False)
    assert elsewhere.stdout.strip() == "no"


@pytest.mark.parametrize(
    ("resource", "verbs"),
    [
        ("leases.coordination.k8s.io", {"get", "list", "watch", "create", "update", "delete"}),
        ("configmaps", {"get", "list", "watch", "create", "delete"}),
    ],
)
def test_leases_and_tombstones_are_kept_in_one_namespace(hub: ControlPlane, resource: str, verbs: set[str]) -> None:
    account = hub.service_account_kubeconfig("secretset-system", "secretset-operator")

    def allowed(namespace: str) -> set[str]:
        return {
            verb
            for verb in ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
            if _may(hub, account, verb, resource, "-n", namespace)
        }

    assert allowed("secretset-system") == verbs
    assert allowed("default") == set()


def test_namespaces_are_read_but_not_made(hub: ControlPlane) -> None:
    account = hub.service_account_kubeconfig("secretset-system", "secretset-operator")
    assert _may(hub, account, "get", "namespaces")
    assert not any(_may(hub, account, verb, "namespaces") for verb in ("create", "update", "patch", "delete"))


def test_the_operator_sees_its_bind_policy_and_writes_none(hub: ControlPlane) -> None:
    account = hub.service_account_kubeconfig("secretset-system", "secretset-operator")
    for plural in ("mutatingadmissionpolicies", "mutatingadmissionpolicybindings"):
        resource = f"{plural}.admissionregistration.k8s.io"
        assert _may(hub, account, "get", f"{resource}/secretset-bind")
        assert not _may(hub, account, "get", f"{resource}/other")
        assert not any(
            _may(hub, account, verb, f"{resource}/secretset-bind") for verb in ("create", "update", "patch", "delete")
        )


def test_the_operator_changes_no_other_secret_or_config_map_than_its_keys(hub: ControlPlane) -> None:
    account = hub.service_account_kubeconfig("secretset-system", "secretset-operator")
    for allowed, other in (
        ("secrets/secretset-sealing-keys", "secrets/secretset-installation"),
        ("configmaps/secretset-public-keys", "configmaps/other"),
    ):
        assert _may(hub, account, "update", allowed, "-n", "secretset-system")
        assert not _may(hub, account, "update", other, "-n", "secretset-system")
        assert not _may(hub, account, "patch", allowed, "-n", "secretset-system")


def _may(plane: ControlPlane, account: Path, verb: str, resource: str, *scope: str) -> bool:
    answer = plane.kubectl("auth", "can-i", verb, resource, *scope, kubeconfig=account, check=False)
    assert answer.stdout.strip() in {"yes", "no"}
    return answer.stdout.strip() == "yes"
