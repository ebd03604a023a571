"""Argo CD's own comparison: nothing that we write makes an Application OutOfSync, however it applies and compares."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from harness import ROOT, OperatorProcess, Org, env_from, env_key, eventually, start_hub, value_from
from harness.argo_lua import ArgoCD
from harness.gitops import TRACKING, WAYS, ArgoApplication, Manifest
from harness.sealed import sealed, secretset
from harness.sealing import sealing
from kubelab.plane import ControlPlane
from kubelab.pytest_plugin import ControlPlanes

pytestmark = pytest.mark.timeout(900)  # lab/tools/gitops may have to be built

INSTANCE = "app.kubernetes.io/instance"
FINALIZER = "secretset.dev/cleanup"
FOR = "secretset.dev/restarted-for"


@pytest.fixture(scope="module")
def plane(module_control_planes: ControlPlanes) -> Iterator[ControlPlane]:
    """A hub with the operator, and the policies that put in finalizers and bind pods."""
    plane = start_hub(module_control_planes, "argo")
    operator = OperatorProcess(plane, "--quiet-seconds", "0.2", "--max-wait-seconds", "1")
    operator.start()
    for name in ("bind-policy", "finalizer-policy"):
        plane.kubectl("apply", "-f", str(ROOT / f"deploy/{name}.yaml"))
    yield plane
    assert operator.stop() == 0


@pytest.fixture(params=["client-side", "server-side"])
def app(request: pytest.FixtureRequest, plane: ControlPlane) -> ArgoApplication:
    return ArgoApplication(plane, server_side=request.param == "server-side")


@pytest.fixture
def team(app: ArgoApplication, plane: ControlPlane, canaries: list[str], request: pytest.FixtureRequest) -> Org:
    test = request.node.originalname.split("_")[1]
    return Org(plane, f"{test}-{'server' if app.server_side else 'client'}", canaries).create()


def of_kind(kind: str, org: Org, name: str, **spec: Any) -> Manifest:
    """What stands in Git; Argo CD may track by this label."""
    meta = {"name": name, "namespace": org.name, "labels": {INSTANCE: "shop", "team": "shop"}}
    return {"apiVersion": "secretset.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}


def workload(kind: str, org: Org, name: str, pod: dict[str, Any], **notes: str) -> Manifest:
    """A workload in Git: no annotations in its template but those that are given."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels, **({"annotations": notes} if notes else {})}, "spec": pod}
    spec: dict[str, Any] = {"selector": {"matchLabels": labels}, "template": template}
    if kind != "DaemonSet":
        spec["replicas"] = 1
    if kind == "StatefulSet":
        spec["serviceName"] = name
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": org.regional, "labels": {INSTANCE: "shop"}},
        "spec": spec,
    }


def in_git(org: Org) -> dict[str, Manifest]:
    """Sets in every form, a Region, and workloads that come to their values in every way."""
    several = {"containers": [{"name": "app", "image": "app:1"}, {"name": "side", "image": "side:1"}]}
    region = {"apiVersion": "secretset.dev/v1alpha1", "kind": "Region", "metadata": {"name": f"{org.name}-east"}}
    return {
        "region": {**region, "spec": {"displayName": "East"}},
        "app": of_kind(
            *("SecretSet", org, "app"),
            data={"A": value_from("src", "a"), "B": value_from("src", "b")},
            restart={"quietSeconds": 0, "maxConcurrent": 5},
            metadata={"owner": "shop"},
        ),
        "sealed": of_kind("SecretSet", org, "sealed", data={"A": sealed(org, org.canary(), name="sealed")}),
        "pull": of_kind(
            *("ImagePullSecret", org, "pull"),
            host="ghcr.io",
            username="robot",
            password=value_from("src", "a"),
            serviceAccounts=["default"],
        ),
        "web": workload("Deployment", org, "web", env_from("app")),
        "noted": workload("Deployment", org, "noted", several, **{"secretset.dev/bind": "app", "mine": "1"}),
        "bound": workload("Deployment", org, "bound", several),
        "db": workload("StatefulSet", org, "db", env_key("app", "A")),
        "agent": workload("DaemonSet", org, "agent", env_from("app")),
    }


def test_nothing_that_we_write_is_out_of_sync(app: ArgoApplication, team: Org, canaries: list[str]) -> None:
    team.source("src", a=team.canary(), b=team.canary())
    git = in_git(team)
    app.sync(*git.values())
    for kind, name in (("SecretSet", "app"), ("SecretSet", "sealed"), ("ImagePullSecret", "pull")):
        team.reaches("ready", kind=kind, name=name)
    eventually(lambda: app.live(git["region"])["status"]["phase"] == "ready")
    done = secretset(team.plane, "bind", "bound", "app", "-n", team.name)
    assert done.exit_code == 0, done.output
    eventually(lambda: team.status()["workloads"]["current"] == 5)
    # What others than the Application wrote, on each of them.
    assert FINALIZER in app.live(git["app"])["metadata"]["finalizers"]
    assert app.live(git["bound"])["spec"]["template"]["spec"]["containers"][1]["envFrom"]
    (pod,) = json.loads(team.there("get", "pods", "-l", "app=noted", "-o", "json").stdout)["items"]
    assert [each["envFrom"][0]["secretRef"]["name"] for each in pod["spec"]["containers"]] == ["app", "app"]
    assert app.out_of_sync() == {}

    team.source("src", a=team.canary(), b=team.canary())
    users = [git[name] for name in ("web", "noted", "bound", "db", "agent")]
    eventually(lambda: all(FOR in template_notes(app.live(each)) for each in users))
    eventually(lambda: team.status()["workloads"]["current"] == 5)
    assert app.out_of_sync() == {}

    # What the actions of deploy/argo-cd set.
    for note in ("restart-now", "reconcile"):
        team.kubectl("annotate", "secretset", "app", f"secretset.dev/{note}=2026-03-01T00:00:00Z")
    eventually(lambda: team.status().get("restartRequest"))
    eventually(lambda: team.status()["workloads"]["current"] == 5)
    assert app.out_of_sync() == {}

    # A sync writes nothing that rolls pods, and takes nothing of it away.
    before = [generation(app, each) for each in git.values()]
    app.sync(*git.values())
    assert [generation(app, each) for each in git.values()] == before
    assert all(FOR in template_notes(app.live(each)) for each in users)
    assert app.out_of_sync() == {}


def template_notes(obj: Manifest) -> dict[str, str]:
    return dict(obj["spec"]["template"]["metadata"].get("annotations") or {})


def generation(app: ArgoApplication, manifest: Manifest) -> int:
    return int(app.live(manifest)["metadata"]["generation"])


def test_managed_secrets_are_no_part_of_an_application(app: ArgoApplication, team: Org) -> None:
    """Argo CD prunes what carries its marks and is not in Git."""
    team.source()
    body = of_kind("SecretSet", team, "app", data={"A": value_from("src", "a")})
    noted = {**body["metadata"], "annotations": {"mine": "1", "argocd.argoproj.io/sync-wave": "1"}}
    app.sync({**body, "metadata": noted})
    team.reaches("ready")
    assert app.live(body)["metadata"]["annotations"][TRACKING]
    secret = team.managed()
    assert secret is not None
    meta = secret["metadata"]
    assert set(meta["labels"]) == {"app.kubernetes.io/managed-by", "secretset.dev/organization", "secretset.dev/set"}
    assert all(note.startswith("secretset.dev/") for note in meta["annotations"])
    assert "ownerReferences" not in meta


def test_a_difference_is_found_in_whatever_way(app: ArgoApplication, team: Org) -> None:
    """Without this, what the test before finds would mean nothing."""
    team.source("src", a=team.canary(), b=team.canary())
    body = of_kind("SecretSet", team, "app", data={"A": value_from("src", "a")})
    app.sync(body)
    team.reaches("ready")
    patch = json.dumps({"spec": {"data": {"A": value_from("src", "b")}}})
    team.kubectl("patch", "secretset", "app", "--type=merge", "-p", patch)
    found = app.out_of_sync()
    assert found.keys() == {f"{way} SecretSet/app" for way in WAYS}
    assert all(".spec.data.A.valueFrom.secretKeyRef.key" in fields for fields in found.values())


def test_plain_values_that_are_sealed_at_admission(
    app: ArgoApplication, team: Org, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """They are not for Git: there always is a difference, and who is told to overlook it overlooks changes too."""
    plain = of_kind("SecretSet", team, "app", data={"A": {"value": team.canary()}})
    with sealing(team.plane, tmp_path_factory.mktemp("seal")) as webhook:
        webhook.guard(team.name)
        app.sync(plain)
        team.reaches("ready")
        assert list(app.live(plain)["spec"]["data"]["A"]) == ["sealed"]
        overlooks = {"server SecretSet/app"}
        always = {f"{way} SecretSet/app" for way in WAYS} - overlooks
        assert app.out_of_sync().keys() == always
        # Another value in Git.
        app.wants(of_kind("SecretSet", team, "app", data={"A": {"value": team.canary()}}))
        assert app.out_of_sync().keys() == always


def test_the_example_comes_up_wave_by_wave(plane: ControlPlane, canaries: list[str]) -> None:
    team = Org(plane, "shop", canaries).create()
    team.source_of({"api-key": team.canary(), "database-url": team.canary()}, name="checkout-values")
    app, argo = ArgoApplication(plane, server_side=True), ArgoCD.of_file()
    for folder in ("regions", "sets", "workloads"):
        for path in (ROOT / "examples/gitops/repository" / folder).iterdir():
            body = yaml.safe_load(path.read_text())
            app.sync(body)
            if folder != "workloads":
                eventually(lambda body=body: argo.health(app.live(body))[0] == "Healthy")  # type: ignore[misc]
    eventually(lambda: (team.status("checkout").get("workloads") or {}).get("current") == 1)
    assert app.out_of_sync() == {}
