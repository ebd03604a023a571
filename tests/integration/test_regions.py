"""Regions on other clusters: delivery, drift, restarts and deletion there, rotated credentials, and a region away."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import (
    OPERATOR_ACCOUNT,
    OperatorProcess,
    Org,
    decoded,
    described,
    env_from,
    eventually,
    guarded,
    holds,
    install_region_cluster,
    namespace,
    regional_role,
    value_from,
    writes,
)
from kubelab.plane import ControlPlane
from kubelab.pytest_plugin import ControlPlanes


class Away(Org):
    """An organization with a region on another cluster, where its namespace has its own name."""

    def __init__(self, org: Org, cluster: ControlPlane) -> None:
        super().__init__(org.plane, org.name, org._canaries)
        self.cluster = cluster
        self.region_name = f"{org.name}-away"
        cluster.kubectl("apply", "-f", "-", input=json.dumps(_list(namespace(org.name), regional_role(org.name))))
        self.connect(cluster.service_account_kubeconfig(*OPERATOR_ACCOUNT))
        ref = {"namespace": "secretset-system", "name": f"kubeconfig-{self.region_name}", "key": "config"}
        self.region(self.region_name, cluster={"kubeconfigSecretRef": ref})

    def connect(self, kubeconfig: Path) -> None:
        """Give the region this kubeconfig."""
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": f"kubeconfig-{self.region_name}", "namespace": "secretset-system"},
                "data": {"config": base64.b64encode(kubeconfig.read_bytes()).decode()},
            }
        )

    def found(self, kind: str = "secret", name: str = "app") -> dict[str, Any]:
        """An object in the region, or nothing."""
        done = self.cluster.kubectl("get", kind, name, "-n", self.name, "-o", "json", "--ignore-not-found").stdout
        return dict(json.loads(done)) if done.strip() else {}

    def region_status(self) -> dict[str, Any]:
        return ((self.get("region", self.region_name) or {}).get("status")) or {}

    def reachable(self) -> str:
        return str({c["type"]: c["status"] for c in self.region_status().get("conditions") or ()}.get("Reachable"))


@pytest.fixture
def away(org: Org, abroad: ControlPlane) -> Iterator[Away]:
    with guarded(Away(org, abroad)) as away:
        assert isinstance(away, Away)
        yield away


def test_a_set_lives_and_dies_on_another_cluster(away: Away, abroad: ControlPlane) -> None:
    content = away.source()
    away.secret_set(region=away.region_name)
    status = away.reaches("ready", "Synced")
    assert status["secretRef"] == {"region": away.region_name, "namespace": away.name, "name": "app"}
    assert decoded(away.found()) == {"A": str(content["a"]).encode()}
    assert away.get("secret", "app") is None
    assert away.managed() is None
    # Drift is put right, and restarts nothing.
    deployment = json.dumps(_deployment("web", env_from("app")))
    abroad.kubectl("apply", "-n", away.name, "-f", "-", input=deployment)
    eventually(lambda: away.status()["workloads"]["current"] == 1)
    abroad.kubectl("patch", "secret", "app", "-n", away.name, "--type=merge", "-p", '{"data":{"A":"aGFja2Vk"}}')
    eventually(lambda: decoded(away.found()) == {"A": str(content["a"]).encode()})
    generation = away.found("deployment", "web")["metadata"]["generation"]
    # A change restarts, once.
    changed = away.canary()
    away.source("src", a=changed)
    eventually(lambda: decoded(away.found()) == {"A": changed.encode()})
    eventually(lambda: away.found("deployment", "web")["metadata"]["generation"] == generation + 1)
    eventually(lambda: away.status()["workloads"] == {**_NONE, "bound": 1, "current": 1})
    assert away.found("deployment", "web")["metadata"]["generation"] == generation + 1
    # Deletion takes the Secret away before the set.
    away.kubectl("delete", "secretset", "app", "--timeout=10s")
    assert away.found() == {}
    mine = [event for event in writes(abroad) if event["objectRef"].get("namespace") == away.name]
    assert described(mine) == [
        "create secrets app",
        "update secrets app",
        "update secrets app",
        "patch deployments web",
        "delete secrets app",
    ]


def test_the_status_of_a_region(away: Away, abroad: ControlPlane) -> None:
    away.source()
    away.secret_set(region=away.region_name)
    away.reaches("ready")
    eventually(lambda: away.region_status().get("sets") == {"ready": 1, "pending": 0, "failed": 0})
    status = away.region_status()
    assert (status["phase"], status["reason"], status["observedGeneration"]) == ("ready", "Reachable", 1)
    assert (
        status["serverVersion"]
        == json.loads(abroad.kubectl("version", "-o", "json").stdout)["serverVersion"]["gitVersion"]
    )
    assert [(c["type"], c["status"]) for c in status["conditions"]] == [("Reachable", "True")]


def test_rotated_credentials_fail_no_set(away: Away, abroad: ControlPlane) -> None:
    away.source()
    away.secret_set(region=away.region_name)
    away.secret_set("other", region=away.region_name)
    before = away.reaches("ready"), away.reaches("ready", name="other")
    user = f"rotated-{away.name}"
    role = "--clusterrole=secretset-regional-namespace"
    abroad.kubectl("create", "rolebinding", user, "-n", away.name, role, f"--user={user}")
    secret, told = away.found(), away.writes()
    away.connect(abroad.kubeconfig_for(user))
    holds(lambda: (away.status(), away.status("other")) == before, seconds=1.5)
    assert (away.found(), away.writes()) == (secret, told)
    # Work goes on, under the new name; also while the credentials change once more.
    changed = away.canary()
    away.source("src", a=changed)
    eventually(lambda: decoded(away.found()) == decoded(away.found(name="other")) == {"A": changed.encode()})
    assert {*described(writes(abroad, user=user))} >= {"update secrets app", "update secrets other"}
    changed = away.canary()
    away.connect(abroad.service_account_kubeconfig(*OPERATOR_ACCOUNT))
    away.source("src", a=changed)
    eventually(lambda: decoded(away.found()) == decoded(away.found(name="other")) == {"A": changed.encode()})
    for name in ("app", "other"):
        assert away.reaches("ready", name=name)["revision"] == 3
        assert {reason for reason, _ in away.events(name)} <= {"Synced", "RegionUnreachable"}


def test_a_region_that_is_away_holds_up_only_what_it_must(
    org: Org, operator: OperatorProcess, control_planes: ControlPlanes
) -> None:
    (cluster,) = control_planes(["far"], controllers=False)
    install_region_cluster(cluster)
    with guarded(Away(org, cluster)) as away:
        assert isinstance(away, Away)
        away.source()
        away.source("calm")
        for name, source in (("app", "src"), ("quiet", "calm")):
            away.secret_set(name, region=away.region_name, data={"A": value_from(source, "a")})
            away.reaches("ready", name=name)
        quiet, unharmed = away.status("quiet"), away.found(name="quiet")
        cluster.kill("kube-apiserver")
        changed = away.canary()
        away.source("src", a=changed)
        away.stumbles("pending/RegionUnreachable", f"Region '{away.region_name}' cannot be reached")
        eventually(lambda: away.region_status()["phase"] == "pending")
        assert away.reachable() == "False"
        # Neither what is unchanged there nor what lives elsewhere notices.
        assert away.status("quiet") == quiet
        away.secret_set("near")
        away.reaches("ready", name="near")
        away.source("src", a=changed + "!")
        eventually(lambda: away.values("near") == {"A": f"{changed}!".encode()}, seconds=5)
        cluster.restart("kube-apiserver")
        eventually(lambda: decoded(away.found()) == {"A": f"{changed}!".encode()}, seconds=30)
        assert away.reaches("ready")["revision"] == 2
        eventually(lambda: away.region_status()["phase"] == "ready")
        assert away.reachable() == "True"
        assert (away.status("quiet"), away.found(name="quiet")) == (quiet, unharmed)
        assert away.events("quiet") == []
        for name in ("app", "quiet"):  # its plane ends before the operator does
            away.kubectl("delete", "secretset", name, "--timeout=10s")
    assert operator.running


_NONE = {"bound": 0, "current": 0, "restarting": 0, "stalled": 0, "held": 0}


def _list(*items: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": list(items)}


def _deployment(name: str, pod: dict[str, Any]) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
