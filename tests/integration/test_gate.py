"""The ready gate: what would begin to use a set that is not ready is held back by the API server, and nothing else."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import ROOT, OperatorProcess, Org, env_from, env_key, eventually, guarded, holds
from harness.away import Away
from harness.gated import WEBHOOK_ACCOUNT, Gated, gated
from kubelab.plane import ControlPlane
from secretset.kube import credentials

PENDING = "Secret set 'app' is not yet ready. Retry once it has been provisioned."
# Stands in the environment of workloads that are refused; must turn up nowhere.
PLAIN = f"canary-{secrets.token_urlsafe(24)}"
IMAGE: dict[str, Any] = {"name": "app", "image": "app:1", "env": [{"name": "PLAIN", "value": PLAIN}]}
NOTHING: dict[str, Any] = {"containers": [IMAGE]}

USES: dict[str, dict[str, Any]] = {
    "envFrom": {"containers": [{**IMAGE, "envFrom": env_from("app")["containers"][0]["envFrom"]}]},
    "key": env_key("app", "A"),
    "volume": {**NOTHING, "volumes": [{"name": "v", "secret": {"secretName": "app", "optional": True}}]},
    "pull": {**NOTHING, "imagePullSecrets": [{"name": "app"}]},
}


@pytest.fixture(scope="module")
def gate(hub: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gated]:
    with gated(hub, hub, tmp_path_factory.mktemp("gate")) as gate:
        yield gate
        metrics = gate.process.fetch("/metrics")[1]
    for text in (metrics, gate.process.log.read_text()):
        assert PLAIN not in text


@pytest.fixture
def team(org: Org, gate: Gated) -> Org:
    """An organization with the pending set `app`, whose regional namespace is under the gate."""
    gate.guard(org.regional)
    org.secret_set()
    org.reaches("pending", "SourceMissing")
    # The API server follows configurations and labels by watches of its own.
    eventually(lambda: not attempt(org, "probe", USES["envFrom"], "--dry-run=server")[0], "the gate")
    return org


def body(
    name: str, pod: dict[str, Any], *, kind: str = "Deployment", notes: dict[str, str] | None = None
) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels, "annotations": notes or {}}, "spec": pod}
    spec: dict[str, Any] = {"selector": {"matchLabels": labels}, "template": template}
    if kind == "StatefulSet":
        spec["serviceName"] = name
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def attempt(org: Org, name: str, pod: dict[str, Any], *flags: str, **options: Any) -> tuple[bool, str]:
    """Apply a workload in the regional namespace: whether that went well, and what kubectl said."""
    done = org.there("apply", "-f", "-", *flags, input=json.dumps(body(name, pod, **options)), check=False)
    assert PLAIN not in done.stderr.partition("denied the request")[2]  # before it kubectl tells what it sent
    return done.returncode == 0, done.stderr


def refused(org: Org, name: str, pod: dict[str, Any], says: str = PENDING, **options: Any) -> None:
    well, said = attempt(org, name, pod, **options)
    assert not well
    assert says in said
    assert "gate.secretset.dev" in said


def accepted(org: Org, name: str, pod: dict[str, Any], **options: Any) -> None:
    assert attempt(org, name, pod, **options) == (True, "")


def ready(org: Org) -> None:
    org.source()
    org.reaches("ready", "Synced")


def fail(org: Org) -> None:
    """Make the set fail: its source is not offered any more, and it wants another key of it."""
    org.source("closed", labelled=False)
    org.secret_set(data={"A": {"valueFrom": {"secretKeyRef": {"name": "closed", "key": "a"}}}})
    org.reaches("failed", "SourceForbidden")


def patch(org: Org, kind: str, name: str, change: dict[str, Any]) -> None:
    org.there("patch", kind, name, "-p", json.dumps(change))


def test_any_use_of_a_pending_set_is_refused_until_it_is_ready(team: Org) -> None:
    for name, pod in USES.items():
        refused(team, name.lower(), pod)
    refused(team, "bind", NOTHING, notes={"secretset.dev/bind": "other,app"})
    refused(team, "init", {**NOTHING, "initContainers": [{**env_from("app")["containers"][0], "name": "init"}]})
    for kind in ("StatefulSet", "DaemonSet"):
        refused(team, "kind", USES["envFrom"], kind=kind)
    accepted(team, "nothing", NOTHING)
    accepted(team, "foreign", env_from("somebody-elses"))
    ready(team)
    for name, pod in USES.items():
        accepted(team, name.lower(), pod)
    for kind in ("StatefulSet", "DaemonSet"):
        accepted(team, "kind", USES["envFrom"], kind=kind)


def test_a_refusal_is_code_409_by_the_raw_api(team: Org) -> None:
    async def create() -> tuple[int, dict[str, Any]]:
        login = await credentials.load(str(team.plane.kubeconfig))
        path = f"/apis/apps/v1/namespaces/{team.regional}/deployments"
        async with (
            login.session() as session,
            session.post(login.server + path, json=body("web", USES["envFrom"])) as response,
        ):
            return response.status, await response.json()

    code, status = asyncio.run(create())
    assert code == 409
    assert (status["kind"], status["code"], status["reason"]) == ("Status", 409, "Forbidden")
    assert status["message"] == f'admission webhook "gate.secretset.dev" denied the request: {PENDING}'


def test_a_failed_set_is_named_with_its_reason(team: Org) -> None:
    fail(team)
    well, said = attempt(team, "web", USES["key"])
    assert not well
    message = team.status()["message"]
    assert f"Secret set 'app' has failed: SourceForbidden. {message} Its status tells more: " in said
    done = team.plane.kubectl("get", "secretset", "app", "-n", team.name)
    assert f"kubectl get secretset app -n {team.name}" in said
    assert "SourceForbidden" in done.stdout


def test_what_runs_is_not_held_up(team: Org, gate: Gated) -> None:
    """Updates to use it are refused; scaling, status, annotations, and what used it before go on."""
    accepted(team, "web", NOTHING)
    for flags in ((), ("--force",), ("--server-side", "--force-conflicts")):
        well, said = attempt(team, "web", USES["envFrom"], *flags)
        assert not well
        assert said.endswith(f"denied the request: {PENDING}\n")  # kubectl has no advice of its own to add
    assert team.generation("web") == 1
    ready(team)
    accepted(team, "web", USES["envFrom"])
    fail(team)
    before = gate.outcomes()
    team.there("scale", "deployment", "web", "--replicas=3")
    team.there("annotate", "deployment", "web", "note=1")
    team.there("label", "deployment", "web", "note=1")
    patch(team, "deployment", "web", {"spec": {"revisionHistoryLimit": 7, "paused": True}})
    patch(team, "deployment", "web", {"spec": {"paused": False}})
    condition = {"type": "Note", "status": "True"}
    team.there(
        "patch", "deployment", "web", "--subresource=status", "-p", json.dumps({"status": {"conditions": [condition]}})
    )
    assert gate.outcomes() == before  # the API server did not even ask
    patch(team, "deployment", "web", {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 5}}}})
    team.there("rollout", "restart", "deployment", "web")
    team.there("delete", "deployment", "web")
    refused(team, "web", USES["envFrom"], "has failed: SourceForbidden")


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_back_to_a_template_that_ran_before(team: Org, kind: str) -> None:
    ready(team)
    accepted(team, "web", USES["envFrom"], kind=kind)
    history = "replicasets" if kind == "Deployment" else "controllerrevisions"
    eventually(lambda: "web" in team.there("get", history, "-o", "name").stdout, "the first revision")
    accepted(team, "web", NOTHING, kind=kind)
    eventually(lambda: team.there("get", history, "-o", "name").stdout.count("web") == 2, "the second revision")
    fail(team)
    refused(team, "web", USES["key"], "has failed", kind=kind)
    undo = team.there("rollout", "undo", f"{kind.lower()}/web")
    assert "rolled back" in undo.stdout
    found = team.get(kind, "web", namespace=team.regional)
    assert found is not None
    assert found["spec"]["template"]["spec"]["containers"][0]["envFrom"]
    # So does a manifest of then, whatever put it back.
    accepted(team, "web", NOTHING, kind=kind)
    accepted(team, "web", USES["envFrom"], kind=kind)


def test_a_set_that_is_being_deleted_is_refused(team: Org) -> None:
    ready(team)
    team.kubectl("patch", "secretset", "app", "--type=merge", "-p", '{"metadata":{"finalizers":["test.example/hold"]}}')
    team.kubectl("delete", "secretset", "app", "--wait=false")
    refused(team, "web", USES["envFrom"], "Secret set 'app' is being deleted.")
    team.kubectl("patch", "secretset", "app", "--type=merge", "-p", '{"metadata":{"finalizers":[]}}')
    eventually(lambda: team.get("secretset", "app") is None, "the deletion")
    accepted(team, "web", USES["envFrom"])


def test_it_is_asked_only_where_it_is_on_and_only_of_whose_namespace_it_is(team: Org, gate: Gated) -> None:
    team.plane.kubectl("label", "namespace", team.regional, "secretset.dev/gate-")
    eventually(lambda: attempt(team, "probe", USES["envFrom"], "--dry-run=server")[0], "the label's effect")
    before = gate.outcomes()
    accepted(team, "web", USES["envFrom"])
    assert gate.outcomes() == before
    # The organization's own namespace on the hub is not that of its region.
    gate.guard(team.name)
    done = team.kubectl("apply", "-f", "-", input=json.dumps(body("web", USES["envFrom"])))
    assert done.returncode == 0


def test_another_cluster_is_served_by_a_webhook_of_its_own(org: Org, abroad: ControlPlane, tmp_path: Path) -> None:
    with guarded(Away(org, abroad)) as away, gated(org.plane, abroad, tmp_path) as gate:
        assert isinstance(away, Away)
        eventually(lambda: away.region_status().get("clusterId"), "the identity of the cluster")
        gate.guard(away.name)
        away.secret_set(region=away.region_name, data={"A": {"valueFrom": {"secretKeyRef": {"name": "x", "key": "a"}}}})
        # A set of this name in another region is none of its business.
        org.secret_set("elsewhere", data={"A": {"valueFrom": {"secretKeyRef": {"name": "x", "key": "a"}}}})

        def create(name: str, secret: str) -> str:
            text = json.dumps(body(name, env_from(secret)))
            return abroad.kubectl("apply", "-n", away.name, "-f", "-", input=text, check=False).stderr

        eventually(lambda: PENDING in create("web", "app"), "the gate abroad")
        assert create("other", "elsewhere") == ""
        org.source("x")
        away.reaches("ready")
        assert create("web", "app") == ""


def test_without_the_webhook_everything_is_let_through_or_nothing(team: Org, gate: Gated) -> None:
    gate.process.kill()
    accepted(team, "web", USES["envFrom"])
    gate.register(failurePolicy="Fail")
    eventually(lambda: not attempt(team, "late", USES["envFrom"])[0], "the failure policy")
    gate.process.start()
    gate.register()
    eventually(lambda: PENDING in attempt(team, "late", USES["envFrom"])[1], "the gate again")
    holds(lambda: gate.process.running, seconds=0.2)


def test_deploy_applies_and_grants_no_secrets(gate: Gated, hub: ControlPlane) -> None:
    deploy = ROOT / "deploy"
    files = [flag for name in ("webhook", "webhook-hub", "gate") for flag in ("-f", str(deploy / f"{name}.yaml"))]
    applied = hub.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", *files).stdout
    assert "validatingwebhookconfiguration.admissionregistration.k8s.io/secretset-gate" in applied
    documents = yaml.safe_load_all((deploy / "webhook.yaml").read_text())
    spec = next(each for each in documents if each["kind"] == "Deployment")["spec"]["template"]["spec"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "namespace": "secretset-system"}}
    hub.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps({**pod, "spec": spec}))
    account = hub.service_account_kubeconfig(*WEBHOOK_ACCOUNT)
    done = hub.kubectl("auth", "can-i", "get", "secrets", "-n", "secretset-system", kubeconfig=account, check=False)
    assert done.stdout.strip() == "no"


def test_a_start_that_cannot_succeed_says_why(gate: Gated, tmp_path: Path) -> None:
    missing = OperatorProcess(
        gate.process.plane,
        *("--tls-cert", str(tmp_path / "tls.crt"), "--tls-key", str(tmp_path / "tls.key"), "--health-port", "0"),
        command="webhook",
    )
    missing.start(wait=False)
    assert missing.ends() == 2
    assert "are no certificate with its key" in missing.log.read_text()
