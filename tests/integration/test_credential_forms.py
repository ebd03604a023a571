"""Every form of credentials that a Region may name, on a real cluster: a set is delivered with each."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import OPERATOR_ACCOUNT, Away, OperatorProcess, Org, eventually, guarded, holds
from kubelab.plane import ControlPlane
from secretset.config import replica_name
from secretset.domain.replicas import Replica, owner

SYSTEM = "secretset-system"
Document = dict[str, Any]


@pytest.fixture
def away(org: Org, abroad: ControlPlane) -> Iterator[Away]:
    """A region whose operator is a user of its own, who comes with a certificate."""
    org.source()
    with guarded(Away(org, abroad, user=f"forms-{org.name}")) as away:
        assert isinstance(away, Away)
        yield away


def store(away: Away, name: str, data: dict[str, str], **meta: Any) -> dict[str, str]:
    """Apply a Secret with credentials; return how a Region refers to it."""
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": SYSTEM, **meta}}
    away.apply({**body, "data": encoded})
    return {"namespace": SYSTEM, "name": name}


def parts(kubeconfig: Path) -> tuple[Document, Document]:
    """The cluster and the user of a kubeconfig."""
    document = yaml.safe_load(kubeconfig.read_text())
    return document["clusters"][0]["cluster"], document["users"][0]["user"]


def by_kubeconfig(kubeconfig: Path, away: Away) -> Document:
    ref = store(away, f"{away.name}-own", {"config": kubeconfig.read_text()})
    return {"kubeconfigSecretRef": {**ref, "key": "config"}}


def by_cluster_api(kubeconfig: Path, away: Away) -> Document:
    """As Cluster API writes it; nobody names the key."""
    labels = {"cluster.x-k8s.io/cluster-name": away.name}
    ref = store(away, f"{away.name}-kubeconfig", {"value": kubeconfig.read_text()}, labels=labels)
    return {"kubeconfigSecretRef": ref}


def by_argo_cd(kubeconfig: Path, away: Away) -> Document:
    cluster, user = parts(kubeconfig)
    tls = {
        "caData": cluster["certificate-authority-data"],
        "certData": user.get("client-certificate-data"),
        "keyData": user.get("client-key-data"),
    }
    config = {"bearerToken": user.get("token"), "tlsClientConfig": {k: v for k, v in tls.items() if v}}
    data = {"name": away.name, "server": cluster["server"], "config": json.dumps(config)}
    labels = {"argocd.argoproj.io/secret-type": "cluster"}
    return {"argoCDSecretRef": store(away, f"argo-{away.name}", data, labels=labels)}


def certificate(away: Away) -> Path:
    return away.cluster.kubeconfig_for(away.user)


def token(away: Away) -> Path:
    return away.cluster.service_account_kubeconfig(*OPERATOR_ACCOUNT)


@pytest.mark.parametrize("who", [token, certificate])
@pytest.mark.parametrize("form", [by_kubeconfig, by_cluster_api, by_argo_cd])
def test_a_set_is_delivered_with(
    form: Callable[[Path, Away], Document], who: Callable[[Away], Path], away: Away
) -> None:
    away.make_region(cluster=form(who(away), away))
    away.deliver()
    assert away.found() != {}
    # The right credentials were used: the audit log knows who wrote.
    wrote = away.writes_there()
    assert wrote == (["create secrets app"] if who is certificate else [])
    eventually(lambda: away.conditions() == {"Reachable": "True", "Authorized": "True"}, "the conditions")


def test_an_exec_plugin_that_the_installer_allows(away: Away, hub: ControlPlane, tmp_path: Path) -> None:
    """A replica that may run it serves the region; one that may not says so, and runs nothing."""
    cluster, user = parts(token(away))
    secret, runs = tmp_path / "token", tmp_path / "runs"
    secret.write_text(user["token"])
    script = tmp_path / "give-token"
    script.write_text(
        "#!/bin/sh\n"
        f"echo run >> {runs}\n"
        """printf '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1",'\n"""
        f"""printf '"status":{{"token":"%s"}}}}' "$(cat {secret})"\n"""
    )
    script.chmod(0o700)
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": str(script),
        "interactiveMode": "Never",
    }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "there", "cluster": cluster}],
        "users": [{"name": "me", "user": {"exec": plugin}}],
        "contexts": [{"name": "it", "context": {"cluster": "there", "user": "me"}}],
        "current-context": "it",
    }
    ref = store(away, f"{away.name}-exec", {"config": yaml.safe_dump(document)})
    away.make_region(cluster={"kubeconfigSecretRef": {**ref, "key": "config"}})
    away.secret_set(region=away.region_name)
    refused = "which the operator is not allowed to run (--exec-plugins)"
    assert refused in away.reaches("pending", "RegionNotReady")["message"]
    eventually(lambda: away.region_status().get("reason") == "RegionNotReady")
    assert not runs.exists()
    name = _winner(away.region_name)
    able = OperatorProcess(hub, "--replica", name, "--exec-plugins", str(script))
    able.start()
    assert away.reaches("ready", "Synced")["revision"] == 1
    eventually(lambda: away.region_status().get("replica") == name)
    assert away.found() != {}
    assert runs.read_text().count("run") == 1
    status = away.status()
    assert able.stop() == 0
    assert user["token"] not in able.log.read_text()
    # What was delivered keeps its word when the other replica is back.
    eventually(lambda: refused in str(away.region_status().get("message")), "the refusal", seconds=20)
    holds(lambda: away.status() == status, seconds=1)
    away.make_region()  # so that the set can be deleted


def _winner(region: str) -> str:
    """A name of a replica that is preferred to the session's for this region."""
    names = (f"able-{number}" for number in range(100))
    present = Replica(name=replica_name())
    return next(name for name in names if owner(region, [present, Replica(name=name)]) == name)
