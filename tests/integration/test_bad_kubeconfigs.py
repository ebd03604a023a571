"""A Region whose kubeconfig cannot be used says so, shows nothing of it, and is mended without a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from harness import (
    OPERATOR_ACCOUNT,
    OperatorProcess,
    Org,
    eventually,
    guarded,
    kubeconfig_ref,
    kubeconfig_secret,
    namespace,
    regional_role,
)
from kubelab.plane import ControlPlane


class Kubeconfig(NamedTuple):
    """A Secret that cannot be used: what is in it, given the good kubeconfig; None for no Secret at all."""

    name: str
    says: str
    spoil: Callable[[dict[str, Any]], dict[str, str]] | None


def user(**fields: Any) -> Callable[[dict[str, Any]], dict[str, str]]:
    return lambda good: {"config": yaml.safe_dump({**good, "users": [{**good["users"][0], "user": fields}]})}


def cluster(**fields: Any) -> Callable[[dict[str, Any]], dict[str, str]]:
    def spoil(good: dict[str, Any]) -> dict[str, str]:
        entry = {"server": good["clusters"][0]["cluster"]["server"], **fields}
        return {"config": yaml.safe_dump({**good, "clusters": [{**good["clusters"][0], "cluster": entry}]})}

    return spoil


TOUCHED = Path("/tmp/secretset-exec-was-run")
EXEC = {"apiVersion": "client.authentication.k8s.io/v1", "command": "touch", "args": [str(TOUCHED)]}
KUBECONFIGS = [
    Kubeconfig("missing", "does not exist", None),
    Kubeconfig("no-key", "cannot be used: it lacks the key 'config'", lambda good: {"other": yaml.safe_dump(good)}),
    Kubeconfig("garbled", "cannot be used: it is not YAML", lambda _: {"config": "{CANARY: ["}),
    Kubeconfig("text", "cannot be used: it is not a kubeconfig with", lambda _: {"config": "CANARY"}),
    Kubeconfig("exec", "cannot be used: it uses the exec plugin 'touch'", user(token="CANARY", exec=EXEC)),
    Kubeconfig("token-file", "it names a file ('tokenFile')", user(tokenFile="/CANARY")),
    Kubeconfig("key-file", "it names a file ('client-certificate')", user(**{"client-certificate": "/CANARY"})),
    Kubeconfig("ca-file", "it names a file ('certificate-authority')", cluster(**{"certificate-authority": "/CANARY"})),
    Kubeconfig("token", "not accepted", user(token="CANARY")),
    Kubeconfig("revoked", "not accepted", user(token="REVOKED")),
]
EACH_KUBECONFIG = pytest.mark.parametrize("case", KUBECONFIGS, ids=[case.name for case in KUBECONFIGS])


@pytest.fixture(scope="module")
def away(hub: ControlPlane, operator: OperatorProcess, canaries: list[str], abroad: ControlPlane) -> Iterator[Org]:
    """One organization with a Region for each bad kubeconfig, and a set in each; its sets could all be abroad."""
    assert operator.running
    abroad.kubectl("apply", "-f", "-", input=yaml.safe_dump_all([namespace("badkube"), *regional_role("badkube")]))
    good = yaml.safe_load(abroad.service_account_kubeconfig(*OPERATOR_ACCOUNT).read_text())
    abroad.kubectl("create", "serviceaccount", "revoked")
    revoked = abroad.service_account_kubeconfig("default", "revoked").read_text()
    abroad.kubectl("delete", "serviceaccount", "revoked")
    token = yaml.safe_load(revoked)["users"][0]["user"]["token"]
    canaries.append(token)
    TOUCHED.unlink(missing_ok=True)
    org = Org(hub, "badkube", canaries).create()
    org.source()
    with guarded(org):
        for case in KUBECONFIGS:
            canary = org.canary()
            content = case.spoil(good) if case.spoil else None
            filled = {k: v.replace("CANARY", canary).replace("REVOKED", token) for k, v in (content or {}).items()}
            ref = kubeconfig_secret(org, case.name, **filled) if content else kubeconfig_ref(case.name)
            org.secret_set(case.name, region=org.region(f"badkube-{case.name}", cluster=ref))
        yield org


@EACH_KUBECONFIG
def test_a_kubeconfig_that_cannot_be_used(case: Kubeconfig, away: Org) -> None:
    status = away.stumbles("pending/RegionNotReady", case.says, name=case.name)
    assert f"Secret 'secretset-system/kubeconfig-{case.name}'" in status["message"]
    found = eventually(lambda: region_status(away, f"badkube-{case.name}"))
    assert (found["phase"], found["reason"], found["message"]) == ("failed", "RegionNotReady", status["message"])
    # Nobody was asked, or whoever was asked does not know us: neither says that the cluster is away.
    said = {c["type"]: c["status"] for c in found["conditions"]}
    failed = {"Ready": "False", "Stalled": "True", "BindPolicy": "Unknown"}
    assert said in (
        {**failed, "Reachable": "Unknown", "Authorized": "Unknown"},
        {**failed, "Reachable": "True", "Authorized": "False"},
    )
    assert not TOUCHED.exists()


@EACH_KUBECONFIG
def test_a_mended_kubeconfig_needs_no_restart(case: Kubeconfig, away: Org, abroad: ControlPlane) -> None:
    good = abroad.service_account_kubeconfig(*OPERATOR_ACCOUNT).read_text()
    kubeconfig_secret(away, case.name, good)
    away.reaches("ready", "Synced", name=case.name)
    eventually(lambda: region_status(away, f"badkube-{case.name}").get("phase") == "ready")
    assert abroad.kubectl("get", "secret", case.name, "-n", "badkube", check=False).returncode == 0
    # What was wrong was told, once; what is right is told by the status.
    assert [reason for reason, _ in away.events(case.name)] == ["RegionNotReady"]


def region_status(org: Org, name: str) -> dict[str, Any]:
    return ((org.get("region", name) or {}).get("status")) or {}
