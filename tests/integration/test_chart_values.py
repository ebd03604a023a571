"""Values of the chart: what is refused, and where switches of a line or two end up. No cluster."""

from __future__ import annotations

import pytest

from deploy_files import CHART, NAMESPACE, Key, Manifest, helm, objects, template

OLD = ("--kube-version", "1.35.2")


def named(found: dict[Key, Manifest], kind: str) -> dict[str, Manifest]:
    """Those of one kind by their names (of any namespace)."""
    return {key[2]: each for key, each in found.items() if key[0] == kind}


@pytest.mark.parametrize(
    ("values", "at"),
    [
        ({"operator": {"replica": 1}}, "/operator"),
        ({"operator": {"replicas": 0}}, "/operator/replicas"),
        ({"operator": {"settings": {"workers": 129}}}, "/operator/settings/workers"),
        ({"mode": "spoke"}, "/mode"),
        ({"image": {"digest": "latest"}}, "/image/digest"),
        ({"policies": {"bind": "maybe"}}, "/policies/bind"),
        ({"regions": [{"nam": "us-west"}]}, "/regions/0"),
        ({"regions": [{"name": "us-west", "namespace": "{org}"}]}, "/regions/0/namespace"),
        ({"regions": [{"name": "us-west", "cluster": {}}]}, "/regions/0/cluster"),
        ({"regions": [{"name": "us-west", "cluster": {"inCluster": False}}]}, "/regions/0/cluster/inCluster"),
        ({"organizations": [{"name": "Shop"}]}, "/organizations/0/name"),
        ({"webhook": {"certificate": {"mode": "provided"}}}, "/webhook/certificate/caBundle"),
        ({"webhook": {"gate": {"failurePolicy": "Never"}}}, "/webhook/gate/failurePolicy"),
        ({"api": {"ingress": {"enabled": True, "host": "api.example.com"}}}, "/api/ingress/tlsSecretName"),
        ({"priorityClass": {"create": True}}, "/priorityClass/name"),
        ({"webhook": {"certificate": {"issuerKind": "ClusterIssuer"}}}, "/webhook/certificate/issuerName"),
        ({"webhook": {"certificate": {"secretName": "secretset-webhook-tls"}}}, "/webhook/certificate/secretName"),
        ({"regionsViewer": {"groups": []}}, "/regionsViewer/groups"),
        ({"commonLabels": {"app.kubernetes.io/name": "x"}}, "invalid propertyName 'app.kubernetes.io/name'"),
        *(
            ({part: {"podLabels": {"app.kubernetes.io/part-of": "x"}}}, "invalid propertyName")
            for part in ("operator", "webhook", "api", "agent")
        ),
        ({"unknown": 1}, "additional properties 'unknown'"),
    ],
)
def test_wrong_values_are_refused_where_they_stand(values: Manifest, at: str) -> None:
    refused = helm("template", "x", str(CHART), values=values, check=False)
    assert refused.returncode
    assert at in refused.stderr


def test_an_organization_has_no_region_that_is_not_there() -> None:
    values = {"organizations": [{"name": "shop", "regions": ["nowhere"]}]}
    refused = helm("template", "x", str(CHART), values=values, check=False)
    assert "'shop' names the region 'nowhere', which is not among regions" in refused.stderr


@pytest.mark.parametrize(
    ("values", "args", "said"),
    [
        ({"organizations": [{"name": NAMESPACE}]}, (), f"organizations: '{NAMESPACE}' is the namespace of the release"),
        ({"regionalNamespaces": [{"name": NAMESPACE}]}, (), f"'{NAMESPACE}' is the namespace of the release"),
        ({"policies": {"bind": True}}, OLD, "policies.bind: true needs Kubernetes 1.36, and this is v1.35.2"),
        ({"policies": {"finalizer": True}}, OLD, "policies.finalizer: true needs Kubernetes 1.36"),
        *(
            ({"api": {"service": {"type": kind}}}, (), f"api.service.type: {kind} would carry tokens")
            for kind in ("NodePort", "LoadBalancer")
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused_with_a_way_out(
    values: Manifest, args: tuple[str, ...], said: str
) -> None:
    refused = helm("template", "x", str(CHART), "-n", NAMESPACE, *args, values=values, check=False)
    assert refused.returncode
    assert said in refused.stderr


def test_a_load_balancer_is_given_a_certificate_or_ends_tls_itself() -> None:
    service: Manifest = {"type": "LoadBalancer"}
    for api in (
        {"service": service, "tls": {"secretName": "api-tls"}},
        {"service": service | {"plainHttp": True}},
        {"service": service, "enabled": False},
    ):
        found = named(objects(template({"api": api})), "Service")
        assert found.get("secretset-api", {"spec": service})["spec"]["type"] == "LoadBalancer"


def test_only_pods_that_are_exchanged_are_told_apart_by_their_version() -> None:
    found = objects(template()) | objects(template({"mode": "region", "agent": {"region": "eu-bank"}}))
    for name, each in named(found, "Deployment").items():
        (spread,) = each["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert spread["matchLabelKeys"] == ["pod-template-hash"], name
    job = named(found, "Job")["secretset-delete-sets-first"]["spec"]
    alone = (job["template"]["spec"], named(found, "Pod")["secretset-test"]["spec"])
    assert not [spec for spec in alone if "matchLabelKeys" in spec["topologySpreadConstraints"][0]]
    assert job["ttlSecondsAfterFinished"] == 3600


def test_pods_that_are_let_out_nowhere_else_reach_dns_also_where_openshift_has_it() -> None:
    found = objects(template({"networkPolicy": {"egress": {"enabled": True}}}))
    for name, each in named(found, "NetworkPolicy").items():
        dns, servers = (rule["ports"] for rule in each["spec"]["egress"])
        assert {(port["port"], port["protocol"]) for port in dns} == {
            (port, protocol) for port in (53, 5353) for protocol in ("UDP", "TCP")
        }, name
        assert servers == [{"port": 443}, {"port": 6443}], name


def test_regions_are_shown_to_the_groups_that_are_named() -> None:
    for values, groups in (
        ({}, ["system:authenticated"]),
        ({"groups": ["a@example.com", "b"]}, ["a@example.com", "b"]),
    ):
        binding = named(objects(template({"regionsViewer": values})), "ClusterRoleBinding")["secretset-regions-viewer"]
        assert [(each["kind"], each["name"]) for each in binding["subjects"]] == [("Group", name) for name in groups]
