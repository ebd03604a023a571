"""`pipecat cloud deploy` against the API: Deployments with sets bound, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import Org, eventually, holds, kubeconfig_ref
from harness.api import Api, served, token_of
from harness.pipecat import Pipecat, may_deploy
from harness.sealed import secretset


@pytest.fixture
def pending(org: Org) -> Iterator[str]:
    """A set that stays pending: its region is of a replica that is not there."""
    name = org.region(f"{org.name}-inside", cluster={"inCluster": True})
    yield name
    org.kubectl("annotate", "secretset", "--all", "secretset.dev/abandon=true")
    org.kubectl("delete", "secretset", "--all", "--timeout=20s")
    org.forget_regions()


def deployment(org: Org, name: str = "agent") -> dict[str, Any]:
    found = org.get("deployment", name, namespace=org.regional)
    assert found is not None
    return found


def pod(org: Org, name: str = "agent") -> dict[str, Any]:
    """The pod spec of a Deployment."""
    spec: dict[str, Any] = deployment(org, name)["spec"]["template"]["spec"]
    return spec


def ready(org: Org, pipecat: Pipecat, *values: str, name: str = "app") -> None:
    pipecat("secrets", "set", name, *values, "--skip")
    org.reaches("ready", "Synced", name=name)


def test_from_nothing_to_a_deployment_with_secrets_in_its_environment(org: Org, api: Api, tmp_path: Path) -> None:
    # What the platform team gives Ann, once: a token, and the right to deploy in the region.
    may_deploy(org, "ann")
    make = ("tokens", "create", "ann", "--role", "editor", "--pipecat", "--namespace", org.name)
    token = secretset(org.plane, *make).stdout.strip()
    assert token.startswith("pcc_pat_")
    # What Ann does with Pipecat's CLI.
    ann = Pipecat(api.url, token, org.name, tmp_path)
    key, url = org.canary(), f"postgresql://ann:{org.canary()}@db:5432/app"
    ann("secrets", "set", "my-secrets", f"API_KEY={key}", f"DATABASE_URL={url}", "--skip")
    eventually(lambda: ann("secrets", "list", "my-secrets").json["status"] == "ready", "a set that is ready")
    said = ann("deploy", "my-agent", "registry.example.com/agent:1", "--secrets", "my-secrets", "--yes")
    assert said.json["ready"] is True
    # What came of it: the pods run, with both in their environment.
    pods = json.loads(org.there("get", "pods", "-l", "secretset.dev/service=my-agent", "-o", "json").stdout)["items"]
    assert [each["status"]["phase"] for each in pods] == ["Running"]
    (container,) = pods[0]["spec"]["containers"]
    assert container["image"] == "registry.example.com/agent:1"
    assert container["envFrom"] == [{"secretRef": {"name": "my-secrets"}}]
    assert org.values("my-secrets") == {"API_KEY": key.encode(), "DATABASE_URL": url.encode()}
    # And when a value changes, its pods get it, once.
    ann("secrets", "set", "my-secrets", f"API_KEY={org.canary()}", "--skip")
    eventually(lambda: org.restarts("my-agent") == 1, "the restart")
    holds(lambda: org.restarts("my-agent") == 1, seconds=1)


def test_all_that_can_be_said_of_a_service(org: Org, pipecat: Pipecat, tmp_path: Path) -> None:
    org.plane.kubectl("label", "nodes", "--all", "--overwrite", "kubernetes.io/arch=amd64")
    ready(org, pipecat, f"A={org.canary()}")
    pipecat("secrets", "image-pull-secret", "registry", "ghcr.io", f"ann:{org.canary()}", "--skip")
    org.reaches("ready", "Synced", name="registry", kind="imagepullsecret")
    (tmp_path / "pcc-deploy.toml").write_text(
        'agent_name = "agent"\nimage = "ghcr.io/acme/agent:1"\nsecret_set = "app"\nimage_credentials = "registry"\n'
        'region = "us-west"\narchitecture = "amd64"\n[scaling]\nmin_agents = 2\n'
        '[resources]\ncpu = "500m"\nmemory = "64Mi"\n'
    )
    said = pipecat("deploy", "--yes", PIPECAT_OUTPUT="plain")
    assert "Agent deployment 'agent' is ready" in said.text
    assert "Warning" not in said.text
    found, spec = deployment(org), pod(org)
    assert found["spec"]["replicas"] == 2
    assert found["metadata"]["labels"]["secretset.dev/organization"] == org.name
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert spec["nodeSelector"] == {"kubernetes.io/arch": "amd64"}
    assert spec["automountServiceAccountToken"] is False
    (container,) = spec["containers"]
    quantities = {"cpu": "500m", "memory": "64Mi"}
    assert container["resources"] == {"requests": quantities, "limits": quantities}
    status = pipecat("agent", "status", "agent").json
    assert (status["region"], status["ready"], status["secretSet"]) == ("us-west", True, "app")
    assert status["deployment"]["manifest"]["spec"]["image"] == "ghcr.io/acme/agent:1"


def test_an_update_leaves_what_it_does_not_name(org: Org, pipecat: Pipecat) -> None:
    ready(org, pipecat, f"A={org.canary()}")
    pipecat("deploy", "agent", "app:1", "--secrets", "app", "--min-agents", "2", "--yes")
    org.there("scale", "deployment/agent", "--replicas=3")
    org.there("set", "env", "deployment/agent", "MINE=1")
    mine = {"configMapRef": {"name": "mine", "optional": True}}
    added = [{"op": "add", "path": "/spec/template/spec/containers/0/envFrom/0", "value": mine}]
    org.there("patch", "deployment", "agent", "--type=json", "-p", json.dumps(added))
    pipecat("deploy", "agent", "app:2", "--yes")
    found = deployment(org)
    assert found["spec"]["replicas"] == 3
    (container,) = found["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "app:2"
    assert container["envFrom"] == [mine, {"secretRef": {"name": "app"}}]
    assert container["env"] == [{"name": "MINE", "value": "1"}]

    ready(org, pipecat, f"B={org.canary()}", name="other")
    said = pipecat("deploy", "agent", "app:2", "--secrets", "other", "--max-agents", "5", "--yes")
    assert "Nothing here reads autoScaling.maxAgents." in said.text
    assert pod(org)["containers"][0]["envFrom"] == [mine, {"secretRef": {"name": "other"}}]
    before = deployment(org)["metadata"]["generation"]
    said = pipecat("deploy", "agent", "app:2", "--secrets", "other", "--yes")
    assert "Nothing was changed" in said.text
    assert deployment(org)["metadata"]["generation"] == before
    pipecat("deploy", "agent", "app:2", "--secrets", "other", "--force")
    assert deployment(org)["metadata"]["generation"] == before + 1


def test_a_set_that_is_pending(org: Org, pipecat: Pipecat, pending: str) -> None:
    pipecat("secrets", "set", "app", f"A={org.canary()}", "--skip", "--region", pending)
    assert pipecat("secrets", "list", "app").json["status"] == "pending"
    org.source()
    # In the service's own region, one whose source is missing.
    org.secret_set("waits", region="us-west", data={"A": {"valueFrom": {"secretKeyRef": {"name": "src", "key": "z"}}}})
    org.reaches("pending", "SourceMissing", name="waits")
    said = pipecat("deploy", "agent", "app:1", "--secrets", "waits", "--yes", code=1)
    expected = "Secret set 'waits' is not yet ready. Retry once it has been provisioned."
    assert said.error == {"error": expected, "code": "NOT_READY"}
    said = pipecat("deploy", "agent", "app:1", "--secrets", "app", "--yes", code=1)
    assert f"Secret set 'app' is in region '{pending}', and the service in 'us-west'" in said.error["error"]
    assert org.get("deployment", "agent", namespace=org.regional) is None


def test_a_set_that_failed(org: Org, pipecat: Pipecat) -> None:
    org.source("hidden", labelled=False)
    org.secret_set("app", data={"A": {"valueFrom": {"secretKeyRef": {"name": "hidden", "key": "a"}}}})
    org.reaches("failed", "SourceForbidden")
    said = pipecat("deploy", "agent", "app:1", "--secrets", "app", "--yes", code=1)
    assert said.error["code"] == "NOT_READY"
    assert said.error["error"].startswith("Secret set 'app' has failed: SourceForbidden.")
    # One that runs already is not given it either, and stays as it is.
    pipecat("deploy", "agent", "app:1", "--yes")
    before = deployment(org)["metadata"]["generation"]
    assert pipecat("deploy", "agent", "app:2", "--secrets", "app", "--yes", code=1).error["code"] == "NOT_READY"
    assert deployment(org)["metadata"]["generation"] == before


def test_a_set_that_is_not_there(pipecat: Pipecat) -> None:
    said = pipecat("deploy", "agent", "app:1", "--secrets", "nothing", "--yes", code=1)
    assert "Secret set 'nothing' not found" in said.text
    said = pipecat("deploy", "agent", "app:1", "--credentials", "nothing", "--yes", code=1)
    assert "Image pull secret with name 'nothing' not found" in said.text


def test_another_cluster(org: Org, pipecat: Pipecat) -> None:
    region = org.region(f"{org.name}-far", cluster=kubeconfig_ref("nowhere"))
    try:
        said = pipecat("deploy", "agent", "app:1", "--region", region, "--yes", code=1)
        assert said.error["code"] == "GENERIC_BAD_REQUEST"
        assert f"Region '{region}' is another cluster" in said.error["error"]
    finally:
        org.forget_regions()


def test_a_deployment_that_is_not_ours(org: Org, pipecat: Pipecat) -> None:
    org.deployment("agent", {})
    before = deployment(org)
    said = pipecat("deploy", "agent", "app:2", "--yes", code=1)
    assert said.error["code"] == "TAKEN"
    assert "was not made here" in said.error["error"]
    # Nor one of another organization that shares the namespace.
    org.there("label", "deployment/agent", "app.kubernetes.io/managed-by=secretset-api")
    org.there("label", "deployment/agent", "secretset.dev/service=agent", "secretset.dev/organization=another")
    assert pipecat("deploy", "agent", "app:2", "--yes", code=1).error["code"] == "TAKEN"
    assert deployment(org)["spec"] == before["spec"]


def test_who_may_not_deploy(org: Org, api: Api, tmp_path: Path) -> None:
    ann = Pipecat(api.url, token_of(org, "ann", "editor"), org.name, tmp_path)
    assert ann("deploy", "agent", "app:1", "--yes", code=1).error["code"] == "FORBIDDEN"
    assert org.get("deployment", "agent", namespace=org.regional) is None


def test_nothing_is_built(pipecat: Pipecat) -> None:
    said = pipecat("deploy", "agent", "--build-id", "b-1", "--yes", code=1)
    assert said.error == {"error": "Nothing is built here: name an image", "code": "GENERIC_BAD_REQUEST"}


def test_without_the_flag_there_are_no_services(org: Org, canaries: list[str], tmp_path: Path) -> None:
    with served(org.plane, canaries) as plain:
        user = Pipecat(plain.url, token_of(org, "ann", "editor"), org.name, tmp_path)
        assert user("deploy", "agent", "app:1", "--yes", "--region", "us-west", code=1).error["code"] == "NOT_FOUND"
