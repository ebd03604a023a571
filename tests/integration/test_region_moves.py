"""Another cluster behind the name of a Region: sets are delivered there, and what was in the one before is left."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness import (
    Away,
    OperatorProcess,
    decoded,
    eventually,
    holds,
    install_region_cluster,
)
from kubelab.plane import ControlPlane
from kubelab.pytest_plugin import ControlPlanes


@pytest.fixture(scope="module")
def elsewhere(module_control_planes: ControlPlanes, abroad: ControlPlane) -> ControlPlane:
    """One more cluster, younger than `abroad`: its versions are the lower ones by far."""
    (plane,) = module_control_planes(["elsewhere"], nodes=1, audit=True)
    install_region_cluster(plane)
    items = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"age-{n}"}} for n in range(1500)]
    abroad.kubectl("create", "namespace", "aged")
    body = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    abroad.kubectl("create", "-n", "aged", "-f", "-", input=body)
    return plane


def moved(away: Away, elsewhere: ControlPlane, old: dict[str, Any], old_id: str) -> None:
    """The Secret is made in the other cluster: as it was, with nothing restarted; and the Region tells of it."""
    made = eventually(away.found, "the Secret in the new cluster")
    assert int(made["metadata"]["resourceVersion"]) < int(old["metadata"]["resourceVersion"])
    assert made["data"] == old["data"]
    assert away.reaches("ready", "Synced")["revision"] == 2
    uid = elsewhere.kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}").stdout
    eventually(lambda: away.region_status().get("clusterId") == uid != old_id, "the new cluster's id")
    eventually(lambda: "ClusterChanged" in dict(away.region_events()), "the event")
    holds(lambda: away.generation("app") == 1, seconds=1)


def test_another_cluster_behind_the_same_name(away: Away, abroad: ControlPlane, elsewhere: ControlPlane) -> None:
    away.used()
    old, wrote = away.found(), away.writes_there()
    old_id = eventually(lambda: away.region_status().get("clusterId"))
    deploy_in(away, elsewhere)
    away.move(elsewhere)
    moved(away, elsewhere, old, old_id)
    # No record of the old cluster is in the way of drift and change in the new one.
    elsewhere.kubectl("delete", "secret", "app", "-n", away.name)
    eventually(away.found, "the repair")
    assert away.generation("app") == 1
    away.changes("app", revision=3)
    assert away.writes_there(abroad) == wrote
    away.cluster = abroad
    assert away.found() == old
    # And back: what was left there is brought up to date.
    away.move(abroad)
    eventually(lambda: decoded(away.found()) != decoded(old), "the delivery")
    assert away.reaches("ready")["revision"] == 3
    assert [reason for reason, _ in away.region_events()].count("ClusterChanged") == 2


@pytest.mark.parametrize("how", ["region created again", "while nobody looked"])
def test_another_cluster_that_came(
    how: str, away: Away, abroad: ControlPlane, elsewhere: ControlPlane, operator: OperatorProcess
) -> None:
    away.used()
    old, wrote = away.found(), away.writes_there()
    old_id = eventually(lambda: away.region_status().get("clusterId"))
    deploy_in(away, elsewhere)
    if how == "while nobody looked":
        operator.kill()
        away.move(elsewhere)
        operator.start()
    else:
        away.drop_region()
        away.reaches("failed", "RegionUnknown")
        away.move(elsewhere)
        away.make_region()
    moved(away, elsewhere, old, old_id)
    assert away.writes_there(abroad) == wrote


def deploy_in(away: Away, cluster: ControlPlane) -> None:
    """What uses the set is in the new cluster before the set is."""
    before, away.cluster = away.cluster, cluster
    away.prepare(cluster)
    away.deploy("app")
    away.cluster = before
