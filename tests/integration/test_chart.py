"""The chart, without a cluster: what it renders, what its schema refuses, and that it is what deploy/ is."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
import yaml

from deploy_files import CHART, FILES, NAMESPACE, ROOT, Key, Manifest, helm, objects, rendered, template
from secretset.domain import names
from secretset.domain.models.region import RegionSpec

OLD = ("--kube-version", "1.35.2")


def named(found: dict[Key, Manifest], kind: str) -> dict[str, Manifest]:
    """Those of one kind by their names (of any namespace)."""
    return {key[2]: each for key, each in found.items() if key[0] == kind}


def bindings(found: dict[Key, Manifest]) -> set[tuple[str | None, str]]:
    """Where the operator's two roles for namespaces are granted to it: None is everywhere."""
    return {
        (key[1], each["roleRef"]["name"])
        for key, each in found.items()
        if key[0] in {"RoleBinding", "ClusterRoleBinding"}
        and each["roleRef"]["name"] in {"secretset-organization", "secretset-regional-namespace"}
        and {"kind": "ServiceAccount", "name": "secretset-operator", "namespace": "secretset-system"}
        in each["subjects"]
    }


def test_deploy_is_the_chart() -> None:
    assert {file: (ROOT / "deploy" / file).read_text() for file in FILES} == rendered()
    # What is no part of the chart, and what is not read by kubectl.
    others = {path.name for path in (ROOT / "deploy").glob("*.yaml")} - FILES.keys()
    assert others == {"kustomization.yaml", "audit-policy.yaml"}


def test_the_kustomization_brings_what_the_chart_does_with_default_values() -> None:
    listed = yaml.safe_load((ROOT / "deploy/kustomization.yaml").read_text())["resources"]
    files = [file for file in listed if file != "../crds"]
    brought = objects("\n---\n".join((ROOT / "deploy" / file).read_text() for file in files))
    assert brought == objects(template({"namespace": {"create": True}}, "--no-hooks"))


def test_what_the_code_makes_is_current_in_the_chart() -> None:
    assert (CHART / "files/bind-policy.yaml").read_text() == (ROOT / "deploy/bind-policy.yaml").read_text()
    found = {path.name: path.read_text() for path in (CHART / "crds").iterdir()}
    assert found == {name: (ROOT / "crds" / name).read_text() for name in found}
    assert len(found) == 3


def test_the_finalizer_policy_puts_on_the_finalizer_of_the_operator() -> None:
    policy = named(objects(template()), "MutatingAdmissionPolicy")["secretset-finalizer"]["spec"]
    (condition,), (mutation,) = policy["matchConditions"], policy["mutations"]
    assert f"'{names.FINALIZER}'" in condition["expression"]
    assert mutation["jsonPatch"]["expression"].count(f"'{names.FINALIZER}'") == 2


def test_helm_has_nothing_to_say_of_it() -> None:
    said = helm("lint", str(CHART), "--strict").stdout
    assert "0 chart(s) failed" in said
    assert "[WARNING]" not in said


def test_chart_and_program_have_one_version() -> None:
    from secretset import __version__

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__


# --- values


def leaves(values: Any, schema: Any, root: Any, path: str = "") -> list[str]:
    """Paths of values that the schema says nothing of."""
    schema = root["definitions"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if not isinstance(values, dict) or "properties" not in schema:
        return []
    assert schema["additionalProperties"] is False, path
    return [
        lost
        for key, value in values.items()
        for lost in (
            leaves(value, schema["properties"][key], root, f"{path}/{key}")
            if key in schema["properties"]
            else [f"{path}/{key}"]
        )
    ]


def unmade(values: Any, schema: Any, root: Any, path: str = "") -> list[str]:
    """Paths of the schema that values.yaml does not show."""
    schema = root["definitions"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if not isinstance(values, dict):
        return []
    return [
        lost
        for key, each in schema.get("properties", {}).items()
        for lost in (unmade(values[key], each, root, f"{path}/{key}") if key in values else [f"{path}/{key}"])
    ]


def test_each_value_is_documented_and_in_the_schema() -> None:
    text = (CHART / "values.yaml").read_text()
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load(text)
    assert leaves(values, schema, schema) == []
    assert unmade(values, schema, schema) == ["/global"]
    lines = text.splitlines()
    bare = [
        line
        for before, line in itertools.pairwise(lines)
        if re.match(r"\s*\w+: *\S", line)
        and not before.strip().startswith("#")
        # Requests and limits are Kubernetes' own.
        and not line.strip().startswith(("requests:", "limits:"))
    ]
    assert bare == []


def test_regions_of_values_have_the_fields_of_a_region() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    fields = {field.alias or name for name, field in RegionSpec.model_fields.items()}
    assert schema["definitions"]["region"]["properties"].keys() - {"name"} == fields


# --- switches


@pytest.mark.parametrize("part", ["operator", "webhook", "api"])
def test_a_part_that_is_off_leaves_nothing(part: str) -> None:
    found = objects(template({part: {"enabled": False}}, "--no-hooks"))
    assert named(found, "Deployment").keys() == {
        f"secretset-{each}" for each in ("operator", "webhook", "api") if each != part
    }
    # The bind policy is looked at by name, and the webhook's configuration says whom it does not ask about.
    assert not [key for key in found if key[2].startswith(f"secretset-{part}")]


def test_crds_are_applied_by_upgrades_and_by_nothing_else() -> None:
    found = named(objects(template({}, "--is-upgrade")), "CustomResourceDefinition")
    for path in (CHART / "crds").iterdir():
        kept = yaml.safe_load(path.read_text())["metadata"]
        assert found[kept["name"]]["metadata"]["annotations"] == {"helm.sh/hook": "pre-upgrade", **kept["annotations"]}
    specs = [yaml.safe_load(path.read_text())["spec"] for path in sorted((CHART / "crds").iterdir())]
    assert [each["spec"] for _, each in sorted(found.items())] == specs
    off: tuple[tuple[Manifest, tuple[str, ...]], ...] = (
        ({}, ()),
        ({"crds": {"upgrade": False}}, ("--is-upgrade",)),
        ({"mode": "region"}, ("--is-upgrade",)),
    )
    for values, more in off:
        assert not named(objects(template(values, *more)), "CustomResourceDefinition")


def test_an_uninstall_asks_for_sets_with_a_right_to_list_them_alone() -> None:
    found = objects(template())
    (rule,) = named(found, "ClusterRole")["secretset-uninstall"]["rules"]
    assert rule == {"apiGroups": ["secretset.dev"], "resources": ["secretsets", "imagepullsecrets"], "verbs": ["list"]}
    assert {each["metadata"]["annotations"]["helm.sh/hook"] for each in named(found, "Job").values()} == {"pre-delete"}
    values: tuple[Manifest, ...] = ({"uninstall": {"refuseWithSets": False}}, {"mode": "region"})
    for other in values:
        assert not [key for key in objects(template(other)) if key[0] == "Job" or key[2] == "secretset-uninstall"]


def test_alerts_and_a_dashboard_are_there_where_told() -> None:
    values: Manifest = {
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
        "grafanaDashboard": {"enabled": True, "annotations": {"folder": "Secrets"}},
        "podMonitor": {"enabled": True, "interval": "15s"},
    }
    found = objects(template(values))
    (rules,) = named(found, "PrometheusRule").values()
    assert rules["metadata"]["labels"]["release"] == "prometheus"
    (dashboard,) = (
        each for each in named(found, "ConfigMap").values() if "grafana_dashboard" in each["metadata"]["labels"]
    )
    assert dashboard["metadata"]["annotations"]["folder"] == "Secrets"
    assert named(found, "PodMonitor").keys() == {f"secretset-{part}" for part in ("operator", "webhook", "api")}
    assert not {key[0] for key in objects(template())} & {"PrometheusRule", "PodMonitor"}


def test_policies_are_where_clusters_are_so_new_and_nobody_says_otherwise() -> None:
    assert not named(objects(template({}, *OLD)), "MutatingAdmissionPolicy")
    told = objects(template({"policies": {"bind": True, "finalizer": False}}))
    assert named(told, "MutatingAdmissionPolicy").keys() == {"secretset-bind"}


def test_organizations_and_regions_say_where_the_operator_works() -> None:
    values: Manifest = {
        "regions": [
            {"name": "us-west", "default": True},
            {"name": "us-east", "namespace": "{region}-{namespace}"},
            {"name": "us-bank", "organizations": {"matchLabels": {"tier": "bank"}}},
            {"name": "eu-central", "cluster": {"argoCDSecretRef": {"namespace": "argocd", "name": "eu"}}},
        ],
        "organizations": [
            {"name": "shop", "create": True, "defaultRegion": "us-east"},
            {"name": "bank", "regions": ["us-bank", "eu-central"]},
        ],
        "regionalNamespaces": [{"name": "more"}],
    }
    found = objects(template(values))
    assert bindings(found) == {
        *((each, "secretset-organization") for each in ("shop", "bank")),
        *((each, "secretset-regional-namespace") for each in ("shop-us-west", "us-east-shop", "bank-us-bank", "more")),
    }
    made = named(found, "Namespace")
    assert made.keys() == {"shop", "shop-us-west", "us-east-shop"}
    assert made["shop"]["metadata"]["annotations"]["secretset.dev/default-region"] == "us-east"
    regions = named(found, "Region")
    assert [{"name": name, **each["spec"]} for name, each in regions.items()] == values["regions"]
    for kept in (*made.values(), *regions.values()):
        assert kept["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_nothing_is_granted_everywhere_unless_told() -> None:
    assert not bindings(objects(template()))
    for switch, role in (
        ("organizations", "secretset-organization"),
        ("regionalNamespaces", "secretset-regional-namespace"),
    ):
        found = objects(template({"clusterWide": {switch: True}}))
        assert bindings(found) == {(None, role)}
    made = objects(template({"clusterWide": {"createNamespaces": True}}))
    (rule,) = named(made, "ClusterRole")["secretset-operator-namespaces"]["rules"]
    assert rule == {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["create"]}


def test_settings_become_what_the_command_reads() -> None:
    values = {
        "operator": {
            "settings": {"maxRollouts": 0, "quietSeconds": 2.5, "regions": ["a", "b"], "resyncSeconds": 1200000},
        },
        "api": {"settings": {"maxBodyBytes": 2097152, "services": False, "rate": "1200/minute"}},
    }
    pods = named(objects(template(values)), "Deployment")

    def environment(part: str) -> dict[str, str]:
        (container,) = pods[f"secretset-{part}"]["spec"]["template"]["spec"]["containers"]
        return {each["name"]: each["value"] for each in container["env"] if "value" in each}

    found = environment("operator") | environment("api")
    wanted = {
        "SECRETSET_MAX_ROLLOUTS": "0",
        "SECRETSET_QUIET_SECONDS": "2.5",
        "SECRETSET_REGIONS": "a,b",
        "SECRETSET_RESYNC_SECONDS": "1200000",
        "SECRETSET_MAX_BODY_BYTES": "2097152",
        "SECRETSET_SERVICES": "false",
        "SECRETSET_RATE": "1200/minute",
    }
    assert {name: found.get(name) for name in wanted} == wanted
    assert "SECRETSET_WORKERS" not in found


def test_a_certificate_from_elsewhere_takes_the_rights_to_make_one_away() -> None:
    ca = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"
    for certificate in ({"mode": "cert-manager"}, {"mode": "provided", "caBundle": ca}):
        found = objects(template({"webhook": {"certificate": certificate, "gate": {"enabled": True}}}))
        assert not [key for key in found if key[2] == "secretset-webhook-certificate"]
        assert ("Secret", "secretset-system", "secretset-webhook-tls") not in found
        seal = named(found, "MutatingWebhookConfiguration")["secretset-seal"]
        gate = named(found, "ValidatingWebhookConfiguration")["secretset-gate"]
        for each in (seal, gate):
            injected = "cert-manager.io/inject-ca-from" in each["metadata"].get("annotations", {})
            assert injected == (certificate["mode"] == "cert-manager")
            assert ("caBundle" in each["webhooks"][0]["clientConfig"]) != injected
        assert bool(named(found, "Certificate")) == (certificate["mode"] == "cert-manager")
        webhook = named(found, "Deployment")["secretset-webhook"]["spec"]["template"]["spec"]
        (mounted,) = (each["secret"] for each in webhook["volumes"] if "secret" in each)
        assert mounted == {"secretName": "secretset-webhook-certificate", "defaultMode": 0o440}
        if certificate["mode"] == "cert-manager":
            assert named(found, "Certificate")["secretset-webhook"]["spec"]["secretName"] == mounted["secretName"]


def test_another_namespace_is_another_everywhere() -> None:
    values = {"webhook": {"gate": {"enabled": True}}, "organizations": [{"name": "shop"}]}
    text = helm("template", "x", str(CHART), "-n", "elsewhere", values=values).stdout
    said = [line for line in text.splitlines() if "secretset-system" in line and not line.lstrip().startswith("#")]
    assert said == []


def test_a_region_gets_what_a_region_needs() -> None:
    volume = {"name": "kek", "secret": {"secretName": "kek"}}
    agent: Manifest = {
        "region": "eu-bank",
        "serviceAccount": {"annotations": {"cloud": "identity"}},
        "extraEnv": [{"name": "MORE", "value": "yes"}],
        "extraVolumes": [volume],
        "extraVolumeMounts": [{"name": "kek", "mountPath": "/kek"}],
    }
    place = {"mode": "region", "namespace": {"create": True}}
    found = objects(template(place | {"regionalNamespaces": [{"name": "shop"}], "agent": agent}))
    assert named(found, "ServiceAccount")["secretset-operator"]["metadata"]["annotations"] == {"cloud": "identity"}
    spec = named(found, "Deployment")["secretset-agent"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert agent["extraEnv"][0] in container["env"]
    assert volume in spec["volumes"]
    assert agent["extraVolumeMounts"][0] in container["volumeMounts"]
    assert (
        found["Namespace", None, NAMESPACE]
        == objects(template({"namespace": {"create": True}}))["Namespace", None, NAMESPACE]
    )
    assert bindings(found) == {("shop", "secretset-regional-namespace")}
    assert named(found, "Deployment").keys() == {"secretset-agent"}
    assert not named(found, "Region")
    assert "secretset-operator" not in named(found, "ClusterRole")


def test_all_pods_are_restricted_and_none_of_users_parts_gets_sealing_keys() -> None:
    for name, each in named(objects(template()), "Deployment").items():
        spec = each["spec"]["template"]["spec"]
        assert spec["securityContext"]["runAsNonRoot"], name
        mounted = {volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume}
        assert mounted <= {"secretset-webhook-tls"}, name
