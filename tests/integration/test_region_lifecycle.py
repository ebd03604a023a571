"""The life of a Region: whatever the platform team does to it has one known effect on the sets in it."""

from __future__ import annotations

import json
from typing import Any

from harness import (
    REGIONAL_BINDING,
    Away,
    Org,
    decoded,
    eventually,
    guarded,
    holds,
    namespace,
    regional_role,
    value_from,
)
from kubelab.plane import ControlPlane


def test_a_region_that_is_created_after_its_sets(org: Org, abroad: ControlPlane) -> None:
    org.source()
    name = f"{org.name}-away"
    org.secret_set(region=name)
    assert f"'{name}'" in org.reaches("failed", "RegionUnknown")["message"]
    with guarded(Away(org, abroad)) as away:
        assert isinstance(away, Away)
        assert away.reaches("ready", "Synced")["revision"] == 1
        assert away.found() != {}


def test_a_new_namespace_rule_moves_the_secret(away: Away, abroad: ControlPlane) -> None:
    """It keeps its revision, restarts nothing, and a namespace that is gone holds nothing up."""
    away.used()
    there, third = f"{away.name}-there", f"{away.name}-third"
    abroad.kubectl("apply", "-f", "-", input=json.dumps(_list(*_prepared(there), *_prepared(third))))
    secret = away.found()
    away.make_region(namespace="{namespace}-there")
    eventually(lambda: away.status().get("secretRef", {}).get("namespace") == there)
    eventually(lambda: away.found() == {}, "the old one's end")
    moved = json.loads(abroad.kubectl("get", "secret", "app", "-n", there, "-o", "json").stdout)
    assert moved["data"] == secret["data"]
    assert away.reaches("ready")["revision"] == 2
    assert away.generation("app") == 2
    # The next move is out of a namespace that was deleted, and the operator's role in it too.
    abroad.kubectl("delete", "namespace", there)
    away.make_region(namespace="{namespace}-third")
    eventually(lambda: away.status().get("secretRef", {}).get("namespace") == third)
    assert away.reaches("ready", "Synced")["revision"] == 2
    assert not [event for event in away.events() if event[0].startswith("Failed")]


def test_a_pull_secret_that_moves_is_taken_off_its_accounts(away: Away, abroad: ControlPlane) -> None:
    """Also when the right to do so comes late: until then it says where it is missing."""
    there = f"{away.name}-there"
    abroad.kubectl("apply", "-f", "-", input=json.dumps(_list(*_prepared(there))))
    eventually(lambda: away.found("default", "serviceaccount"))
    spec = {"region": away.region_name, "host": "ghcr.io", "username": "bot", "serviceAccounts": ["default"]}
    meta = {"name": "regcred", "namespace": away.name}
    away.apply(
        {
            "apiVersion": "secretset.dev/v1alpha1",
            "kind": "ImagePullSecret",
            "metadata": meta,
            "spec": {**spec, "password": value_from("src", "a")},
        }
    )
    away.reaches("ready", name="regcred", kind="imagepullsecret")
    assert away.found("default", "serviceaccount")["imagePullSecrets"] == [{"name": "regcred"}]
    abroad.kubectl("delete", "rolebinding", REGIONAL_BINDING, "-n", away.name)
    away.make_region(namespace="{namespace}-there")
    told = away.reaches("failed", "PermissionDenied", name="regcred", kind="imagepullsecret")
    assert f"namespace '{away.name}'" in told["message"]
    assert away.found("regcred") != {}
    away.prepare(abroad)
    away.poke("regcred", "imagepullsecret")
    status = away.reaches("ready", "Synced", name="regcred", kind="imagepullsecret")
    assert status["secretRef"]["namespace"] == there
    assert away.found("regcred") == {}
    assert not away.found("default", "serviceaccount").get("imagePullSecrets")
    account = abroad.kubectl("get", "serviceaccount", "default", "-n", there, "-o", "json").stdout
    assert json.loads(account)["imagePullSecrets"] == [{"name": "regcred"}]


def test_a_region_that_is_closed_to_an_organization(away: Away) -> None:
    away.used()
    before, wrote = away.found(), away.writes_there()
    away.make_region(organizations={"matchLabels": {"tier": "paid"}})
    told = away.reaches("failed", "RegionForbidden")
    assert f"'{away.name}'" in told["message"]
    assert (told["revision"], told["secretRef"]["name"]) == (2, "app")
    away.source("of-app", a=away.canary())
    away.poke()
    holds(lambda: away.found() == before, seconds=1.5)
    away.source("of-app", a=decoded(before)["A"])
    away.plane.kubectl("label", "namespace", away.name, "tier=paid")
    assert away.reaches("ready", "Synced")["revision"] == 2
    assert (away.found(), away.generation("app"), away.writes_there()) == (before, 2, wrote)
    # Closed by a label that goes, opened by the Region.
    away.plane.kubectl("label", "namespace", away.name, "tier-")
    away.reaches("failed", "RegionForbidden")
    away.make_region()
    away.reaches("ready", "Synced")
    assert (away.found(), away.writes_there()) == (before, wrote)


def test_a_region_that_is_decommissioned_and_comes_back(away: Away) -> None:
    away.used()
    before, wrote = away.found(), away.writes_there()
    away.make_region(decommissioned=True)
    assert "decommissioned" in away.reaches("failed", "RegionForbidden")["message"]
    eventually(lambda: "decommissioned" in away.region_status().get("message", ""))
    away.source("of-app", a=away.canary())
    holds(lambda: away.found() == before, seconds=1.5)
    away.source("of-app", a=decoded(before)["A"])
    away.make_region()
    assert away.reaches("ready", "Synced")["revision"] == 2
    assert (away.found(), away.generation("app"), away.writes_there()) == (before, 2, wrote)
    eventually(lambda: away.conditions().get("Reachable") == "True")
    assert "ClusterChanged" not in dict(away.region_events())
    away.changes("app", revision=3)


def test_a_region_that_is_deleted_and_created_again(away: Away) -> None:
    away.used()
    before, wrote = away.found(), away.writes_there()
    away.drop_region()
    told = away.reaches("failed", "RegionUnknown")
    assert (told["region"], told["revision"]) == (away.region_name, 2)
    holds(lambda: away.found() == before, seconds=1.5)
    away.make_region()
    assert away.reaches("ready", "Synced")["revision"] == 2
    assert (away.found(), away.generation("app"), away.writes_there()) == (before, 2, wrote)
    eventually(lambda: away.conditions().get("Reachable") == "True")
    assert "ClusterChanged" not in dict(away.region_events())
    away.changes("app", revision=3)


def _prepared(name: str) -> list[dict[str, Any]]:
    return [namespace(name), *regional_role(name)]


def _list(*items: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": list(items)}
