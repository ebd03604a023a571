"""Regions on other clusters: delivery, drift, restarts and deletion there, rotated credentials, and a region away."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from harness import (
    OPERATOR_ACCOUNT,
    Away,
    OperatorProcess,
    Org,
    decoded,
    described,
    eventually,
    guarded,
    holds,
    install_region_cluster,
    value_from,
    writes,
)
from harness.rolling import counts
from kubelab.plane import ControlPlane
from kubelab.pytest_plugin import ControlPlanes


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
    away.deploy("web", secret="app")
    eventually(lambda: away.status()["workloads"]["current"] == 1)
    abroad.kubectl("patch", "secret", "app", "-n", away.name, "--type=merge", "-p", '{"data":{"A":"aGFja2Vk"}}')
    eventually(lambda: decoded(away.found()) == {"A": str(content["a"]).encode()})
    generation = away.generation("web")
    # A change restarts, once.
    changed = away.canary()
    away.source("src", a=changed)
    eventually(lambda: decoded(away.found()) == {"A": changed.encode()})
    eventually(lambda: away.generation("web") == generation + 1)
    eventually(lambda: counts(away) == {**_NONE, "bound": 1, "current": 1})
    assert away.generation("web") == generation + 1
    # Deletion takes the Secret away before the set.
    away.kubectl("delete", "secretset", "app", "--timeout=10s")
    assert away.found() == {}
    assert away.writes_there() == [
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
    eventually(lambda: away.conditions() == {"Reachable": "True", "Authorized": "True"})
    system = json.loads(abroad.kubectl("get", "namespace", "kube-system", "-o", "json").stdout)
    assert (status["clusterId"], "lastContact" in status) == (system["metadata"]["uid"], False)


def test_rotated_credentials_fail_no_set(away: Away, abroad: ControlPlane) -> None:
    away.source()
    away.secret_set(region=away.region_name)
    away.secret_set("other", region=away.region_name)
    before = away.reaches("ready"), away.reaches("ready", name="other")
    user = f"rotated-{away.name}"
    role = "--role=secretset-regional-namespace"
    abroad.kubectl("create", "rolebinding", user, "-n", away.name, role, f"--user={user}")
    secret, told = away.found(), away.writes()
    eventually(lambda: away.conditions() == {"Reachable": "True", "Authorized": "True"})
    away.use(abroad.kubeconfig_for(user))
    holds(lambda: (away.status(), away.status("other")) == before, seconds=1.5)
    assert (away.found(), away.writes()) == (secret, told)
    # Work goes on, under the new name; also while the credentials change once more.
    changed = away.canary()
    away.source("src", a=changed)
    eventually(lambda: decoded(away.found()) == decoded(away.found("other")) == {"A": changed.encode()})
    assert {*described(writes(abroad, user=user))} >= {"update secrets app", "update secrets other"}
    changed = away.canary()
    away.use(abroad.service_account_kubeconfig(*OPERATOR_ACCOUNT))
    away.source("src", a=changed)
    eventually(lambda: decoded(away.found()) == decoded(away.found("other")) == {"A": changed.encode()})
    # Credentials that may not ask who the cluster is make it no other one.
    assert not [event for event in away.region_events() if event[0] == "ClusterChanged"]
    for name in ("app", "other"):
        assert away.reaches("ready", name=name)["revision"] == 3
        assert {reason for reason, _ in away.events(name)} <= {"Synced", "RegionUnreachable"}


def test_a_region_that_is_away_holds_up_only_what_it_must(
    org: Org, operator: OperatorProcess, function_control_planes: ControlPlanes
) -> None:
    (cluster,) = function_control_planes(["far"], controllers=False)
    install_region_cluster(cluster)
    with guarded(Away(org, cluster)) as away:
        assert isinstance(away, Away)
        away.source()
        away.source("calm")
        for name, source in (("app", "src"), ("quiet", "calm")):
            away.secret_set(name, region=away.region_name, data={"A": value_from(source, "a")})
            away.reaches("ready", name=name)
        quiet, unharmed = away.status("quiet"), away.found("quiet")
        cluster.kill("kube-apiserver")
        changed = away.canary()
        away.source("src", a=changed)
        away.stumbles("pending/RegionUnreachable", f"Region '{away.region_name}' cannot be reached")
        eventually(lambda: away.region_status()["phase"] == "pending")
        assert away.conditions()["Reachable"] == "False"
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
        assert away.conditions()["Reachable"] == "True"
        assert (away.status("quiet"), away.found("quiet")) == (quiet, unharmed)
        assert away.events("quiet") == []
        for name in ("app", "quiet"):  # its plane ends before the operator does
            away.kubectl("delete", "secretset", name, "--timeout=10s")
    assert operator.running


_NONE = {"bound": 0, "current": 0, "restarting": 0, "stalled": 0, "held": 0}
