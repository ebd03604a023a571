"""What is wrong with a region, or with a set's place in it: told in one event and one sentence, and mended in place."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import yaml

from deploy_files import Manifest, template
from harness import (
    Org,
    decoded,
    eventually,
    grant,
    guarded,
    kubeconfig_secret,
    namespace,
    regional_role,
    value_from,
)
from harness.rights_log import STAND_INS
from kubelab.plane import ControlPlane

NewOrg = Callable[[str], Org]


@pytest.fixture
def org(org: Org) -> Iterator[Org]:
    org.source()
    with guarded(org):
        yield org


# --- the namespace there


@pytest.mark.parametrize("poke", [True, False], ids=["poked", "by-itself"])
def test_a_missing_namespace(org: Org, poke: bool) -> None:
    there = f"{org.name}-there"
    org.secret_set(region=org.region(f"{org.name}-r", namespace="{namespace}-there"))
    org.stumbles("pending/NamespaceMissing", f"Namespace '{there}' does not exist in region '{org.name}-r'")
    org.apply(namespace(there), *regional_role(there))
    if poke:
        org.poke()
    org.reaches("ready", "Synced")
    assert org.get("secret", "app", namespace=there) is not None


def test_a_set_without_a_namespace_can_be_deleted(org: Org) -> None:
    org.secret_set(region=org.region(f"{org.name}-r", namespace="{namespace}-there"))
    org.reaches("pending", "NamespaceMissing")
    org.kubectl("delete", "secretset", "app", "--timeout=10s")


def test_a_namespace_that_is_being_deleted(org: Org) -> None:
    there = f"{org.name}-there"
    # What holds the namespace is the operator's own role, or it could not even look.
    held = regional_role(there)
    for each in held:
        each["metadata"]["finalizers"] = ["example.com/hold"]
    org.apply(namespace(there), *held)
    org.secret_set(region=org.region(f"{org.name}-r", namespace="{namespace}-there"))
    org.reaches("ready")
    org.plane.kubectl("delete", "namespace", there, "--wait=false")
    org.stumbles("pending/NamespaceMissing", f"Namespace '{there}' is being deleted in region '{org.name}-r'")
    for each in held:
        kept = (each["kind"], each["metadata"]["name"], "-n", there)
        org.plane.kubectl("patch", *kept, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    org.plane.kubectl("wait", "--for=delete", f"namespace/{there}", "--timeout=30s")
    org.apply(namespace(there), *regional_role(there))
    org.poke()
    assert org.reaches("ready", "Synced")["revision"] == 1


def test_a_region_that_creates_namespaces_must_be_allowed_to(org: Org) -> None:
    org.secret_set(region=org.region(f"{org.name}-r", createNamespaces=True))
    org.stumbles("failed/PermissionDenied", f"secrets in namespace '{org.name}-{org.name}-r'")


def test_a_region_that_may_create_namespaces_does(org: Org, abroad: ControlPlane) -> None:
    """With the chart's cluster-wide roles, for a user of this test alone."""
    user = f"wide-{org.name}"
    wide: Manifest = {"mode": "region", "clusterWide": {"createNamespaces": True, "regionalNamespaces": True}}
    made = yaml.safe_load_all(template(wide, "--show-only", "templates/cluster-wide.yaml"))
    roles = [each for each in made if each and each["kind"] == "ClusterRole"]
    names = ("secretset-operator-region", *(each["metadata"]["name"] for each in roles))
    assert len(names) == 3
    abroad.kubectl("apply", "-f", "-", input=yaml.safe_dump_all([*roles, *(grant(user, name) for name in names)]))
    cluster = kubeconfig_secret(org, org.name, abroad.kubeconfig_for(user, [STAND_INS]).read_text())
    org.secret_set(region=org.region(f"{org.name}-r", createNamespaces=True, cluster=cluster))
    org.reaches("ready", "Synced")
    assert abroad.kubectl("get", "secret", "app", "-n", org.name, check=False).returncode == 0


def test_a_quota(org: Org) -> None:
    def limit(secrets: str) -> None:
        spec = {"hard": {"secrets": secrets}}
        meta = {"name": "none", "namespace": org.regional}
        org.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": spec})
        eventually(
            lambda: (
                ((org.get("resourcequota", "none", namespace=org.regional) or {}).get("status") or {}).get("hard")
                == spec["hard"]
            )
        )

    limit("0")
    org.secret_set()
    org.stumbles("failed/QuotaExceeded", f"quota of namespace '{org.regional}' in region 'us-west' leaves no room")
    limit("9")
    org.poke()
    org.reaches("ready", "Synced")


def test_missing_permission(org: Org) -> None:
    there = f"{org.name}-there"
    org.apply(namespace(there))
    org.secret_set(region=org.region(f"{org.name}-r", namespace="{namespace}-there"))
    org.stumbles(
        "failed/PermissionDenied",
        f"The operator may not list and watch secrets in namespace '{there}' of region '{org.name}-r'",
    )
    time.sleep(6)  # long enough for a watch's backoff to have grown
    org.apply(*regional_role(there))
    org.poke()
    org.reaches("ready", "Synced")


# --- who may live where


@pytest.mark.parametrize("target", ["kube-system", "secretset-system"])
def test_no_region_leads_to_a_system_namespace(org: Org, target: str) -> None:
    org.secret_set(region=org.region(f"{org.name}-r", namespace=target))
    org.stumbles("failed/RegionForbidden", f"its template leads to the namespace '{target}', which is not for sets")
    assert org.get("secret", "app", namespace=target) is None


def test_a_namespace_that_cannot_be(org: Org) -> None:
    org.secret_set(region=org.region(f"{org.name}-r", namespace="{namespace}-" + "x" * 60))
    org.stumbles("failed/InvalidSpec", f"The namespace '{org.name}-{'x' * 60}' of region '{org.name}-r'")


def test_a_region_that_selects_its_organizations(org: Org) -> None:
    name = org.region(f"{org.name}-r", namespace=org.regional, organizations={"matchLabels": {"tier": "paid"}})
    org.secret_set(region=name)
    org.stumbles("failed/RegionForbidden", f"it does not accept the organization '{org.name}'")
    org.plane.kubectl("label", "namespace", org.name, "tier=paid")
    org.reaches("ready", "Synced")


def test_two_pairs_that_lead_to_one_namespace(org: Org, new_org: NewOrg) -> None:
    there = f"{org.name}-eu-{org.name}"
    org.apply(namespace(there), *regional_role(there))
    org.secret_set(region=org.region(f"eu-{org.name}"))
    org.reaches("ready", "Synced")
    before = org.get("secret", "app", namespace=there)
    time.sleep(1.0)  # ages are told in seconds
    other = new_org(f"{org.name}-eu").create()
    other.source()
    with guarded(other):
        other.secret_set(region=other.region(org.name))
        other.stumbles(
            "failed/RegionForbidden",
            f"the namespace '{there}' already stands for the organization '{org.name}' in region 'eu-{org.name}'",
        )
    assert org.get("secret", "app", namespace=there) == before
    assert org.reaches("ready")["secretRef"]["namespace"] == there


def test_a_template_without_the_organization_shares_its_namespace(org: Org, new_org: NewOrg) -> None:
    there = f"{org.name}-shared"
    org.apply(namespace(there), *regional_role(there))
    name = org.region(f"{org.name}-r", namespace=there)
    other = new_org(f"{org.name}-other").create()
    other.source()
    org.secret_set(region=name)
    org.reaches("ready")
    before = org.get("secret", "app", namespace=there)
    other.secret_set("elsewhere", region=name)
    other.reaches("ready", name="elsewhere")
    other.secret_set(region=name)
    other.stumbles("failed/NameConflict", f"Secret 'app' in namespace '{there}' of region '{name}' belongs to somebody")
    assert org.get("secret", "app", namespace=there) == before


def test_a_new_namespace_rule_moves_the_secret_and_leaves_none_behind(org: Org) -> None:
    before, after = f"{org.name}-before", f"{org.name}-after"
    org.apply(*(each for place in (before, after) for each in (namespace(place), *regional_role(place))))
    name = org.region(f"{org.name}-r", namespace=before)
    content = org.source()
    org.secret_set(region=name)
    assert org.reaches("ready")["secretRef"]["namespace"] == before
    org.region(name, namespace=after)
    eventually(lambda: org.status().get("secretRef", {}).get("namespace") == after)
    assert org.get("secret", "app", namespace=before) is None
    moved = org.get("secret", "app", namespace=after)
    assert decoded(moved) == {"A": str(content["a"]).encode()}
    assert org.reaches("ready")["revision"] == 1


def test_deleting_a_pull_secret_that_lost_its_name_detaches_nothing(org: Org, new_org: NewOrg) -> None:
    there = f"{org.name}-shared"
    org.apply(namespace(there), *regional_role(there))
    name = org.region(f"{org.name}-r", namespace=there)
    other = new_org(f"{org.name}-other").create()
    for tenant in (org, other):
        tenant.source()
        spec = {
            "host": "ghcr.io",
            "username": "bot",
            "password": value_from("src", "a"),
            "serviceAccounts": ["default"],
        }
        body = {"metadata": {"name": "regcred", "namespace": tenant.name}, "spec": {"region": name, **spec}}
        tenant.apply({"apiVersion": "secretset.dev/v1alpha1", "kind": "ImagePullSecret", **body})
        phase = "ready" if tenant is org else "failed"
        tenant.reaches(phase, name="regcred", kind="imagepullsecret")
    attached = org.get("serviceaccount", "default", namespace=there)
    assert (attached or {})["imagePullSecrets"] == [{"name": "regcred"}]
    other.kubectl("delete", "imagepullsecret", "regcred", "--timeout=20s")
    assert org.get("serviceaccount", "default", namespace=there) == attached


def test_default_regions(org: Org) -> None:
    """The organization's own comes first, then the oldest Region that is marked; what was chosen once stays."""
    late = org.region(f"{org.name}-late", namespace=org.regional, default=True)
    own = org.region(f"{org.name}-own", namespace=org.regional)
    org.secret_set("by-mark")
    assert org.reaches("ready", name="by-mark")["region"] == "us-west"
    org.plane.kubectl("annotate", "namespace", org.name, f"secretset.dev/default-region={own}")
    time.sleep(0.3)
    org.secret_set("by-note")
    assert org.reaches("ready", name="by-note")["region"] == own
    org.secret_set("by-name", region=late)
    assert org.reaches("ready", name="by-name")["region"] == late
    org.poke("by-mark")
    org.secret_set("by-mark", description="x")
    assert org.reaches("ready", name="by-mark")["region"] == "us-west"
