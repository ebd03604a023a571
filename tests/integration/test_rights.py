"""What the chart grants, looked at from outside: by default nothing on Secrets everywhere, and the parts are apart.

That it grants no more than is used is compared at the end of the whole suite (harness/rights_session.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

import rights_page
from deploy_files import NAMESPACE, ROOT, objects, template
from harness.gated import install_webhook
from harness.rights import Refusal, granted, qualified
from harness.rights_log import Collected
from harness.rights_session import HUB, chart_grants, known, verdict
from kubelab.plane import ControlPlane

SECRETS = {"secrets", "serviceaccounts/token", "pods/exec", "*"}


def rules_of_cluster_roles(manifests: list[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for each in manifests:
        if each and each["kind"] == "ClusterRole":
            yield from ((each["metadata"]["name"], rule) for rule in each["rules"])


@pytest.mark.parametrize("values", [{}, HUB, {"mode": "region", "regionalNamespaces": [{"name": "shop"}]}])
def test_no_cluster_role_of_the_chart_touches_secrets_unless_told(values: dict[str, Any]) -> None:
    found = list(rules_of_cluster_roles(list(objects(template(values)).values())))
    assert found
    for name, rule in found:
        # The role of users who give others access makes tokens of accounts; it is bound in their namespace.
        assert name == "secretset-admin" or not SECRETS.intersection(rule["resources"]), name
        assert "*" not in {*rule["verbs"], *rule["apiGroups"]}, name


def test_no_cluster_role_of_deploy_touches_secrets() -> None:
    for path in (ROOT / "deploy").glob("*.yaml"):
        for name, rule in rules_of_cluster_roles(list(yaml.safe_load_all(path.read_text()))):
            assert "secrets" not in rule["resources"], (path.name, name)


@pytest.mark.parametrize(
    ("switch", "role"),
    [("organizations", "secretset-organization"), ("regionalNamespaces", "secretset-regional-namespace")],
)
def test_what_is_opted_in_grants_the_same_everywhere(switch: str, role: str) -> None:
    where = {"organizations": [{"name": "shop"}], "regionalNamespaces": [{"name": "shop-us-west"}]}
    apart = granted(objects(template(where)).values())
    wide = granted(objects(template({"clusterWide": {switch: True}})).values())
    everywhere = {right._replace(role="") for right in wide.everywhere if right.role == f"ClusterRole {role}"}
    assert everywhere == {right._replace(role="") for right in apart.rights if right.role == f"Role {role}"} != set()
    assert not [right for right in apart.everywhere if right.resource == "secrets"]


def test_exceptions_are_about_what_is_granted() -> None:
    rights = chart_grants().rights
    for entry in (*known().unused, *known().sometimes):
        assert any(entry.covers(right) for right in rights), entry
    accounts = {right.account for right in rights}
    assert {entry.account for entry in known().refused} <= accounts


def test_the_end_of_the_suite_tells_of_what_is_too_much_and_of_what_is_tried() -> None:
    rights, idle = chart_grants().rights, Collected()
    said = verdict(whole=True, collected=idle)
    assert len([line for line in said if line.startswith("rights: granted, and never used: ")]) > len(rights) / 2
    assert verdict(whole=False, collected=idle) == []
    idle.uses.update(right for right in rights if not any(entry.covers(right) for entry in known().unused))
    assert not [line for line in verdict(whole=True, collected=idle) if line.startswith("rights: ")]
    refusal = Refusal("secretset-webhook", True, "", "secrets", "list", "")
    idle.refusals[refusal], idle.examples[refusal] = 1, "/api/v1/namespaces/shop/secrets"
    for whole in (True, False):
        (line,) = (line for line in verdict(whole=whole, collected=idle) if line.startswith("rights: "))
        assert line == (
            "rights: tried, and never granted: secretset-webhook: list secrets in a namespace"
            " (/api/v1/namespaces/shop/secrets)"
        )


def test_the_page_tells_of_each_right() -> None:
    text = rights_page.table()
    for right in chart_grants().rights:
        line = rf"^\| .*\b{right.verb}\b.*\| .*{re.escape(qualified(right.group, right.resource))}.*`{right.role}`"
        assert re.search(line, text, re.MULTILINE), right


# --- on an API server


def listed(plane: ControlPlane, account: str, namespace: str) -> dict[tuple[str, str], set[str]]:
    """(resource, name) to verbs: what an account may do in a namespace, as the API server sees it."""
    who = f"--as=system:serviceaccount:{NAMESPACE}:{account}"
    groups = [f"--as-group={each}" for each in ("system:serviceaccounts", "system:authenticated")]
    lines = plane.kubectl("auth", "can-i", "--list", "-n", namespace, who, *groups).stdout.splitlines()[1:]
    found: dict[tuple[str, str], set[str]] = {}
    for line in lines:
        resource, paths, names, verbs = re.fullmatch(r"(\S*)\s+\[(.*?)\]\s+\[(.*?)\]\s+\[(.*?)\]", line).groups()  # type: ignore[union-attr]
        if not paths and not resource.startswith("selfsubject"):
            found.setdefault((resource, names), set()).update(verbs.split())
    return found


@pytest.fixture(scope="module")
def installed(hub: ControlPlane) -> ControlPlane:
    install_webhook(hub, hub)
    (account, *_) = yaml.safe_load_all((ROOT / "deploy/api.yaml").read_text())
    assert account["kind"] == "ServiceAccount"
    hub.kubectl("apply", "-f", "-", input=json.dumps(account))
    return hub


PUBLIC = {("configmaps", "secretset-public-keys"): {"get"}}


def test_the_webhook_reads_no_secret_but_its_certificate(installed: ControlPlane) -> None:
    found = listed(installed, "secretset-webhook", NAMESPACE)
    about_secrets = {key: verbs for key, verbs in found.items() if key[0] == "secrets"}
    assert about_secrets == {("secrets", "secretset-webhook-tls"): {"get", "update"}}
    configmaps = {key: verbs for key, verbs in found.items() if key[0] == "configmaps"}
    assert configmaps == PUBLIC
    elsewhere = listed(installed, "secretset-webhook", "default")
    assert not [key for key in elsewhere if key[0] in {"secrets", "configmaps", "pods"}]
    # What it may change is its certificate, and who trusts that.
    changes = {key[0]: verbs - {"get", "list", "watch"} for key, verbs in found.items()}
    assert {resource for resource, verbs in changes.items() if verbs} == {
        "secrets",
        "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        "validatingwebhookconfigurations.admissionregistration.k8s.io",
    }


def test_the_api_may_do_what_everybody_may(installed: ControlPlane) -> None:
    nobody = listed(installed, "no-such-account", NAMESPACE)
    assert listed(installed, "secretset-api", NAMESPACE) == nobody
    assert nobody.keys() <= {*PUBLIC, ("regions.secretset.dev", "")}
    assert not listed(installed, "secretset-api", "default").keys() - {("regions.secretset.dev", "")}
