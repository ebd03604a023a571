"""What an agent may write on the hub: RBAC knows no fields, so an admission policy limits it to its region."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from harness import ROOT, Org, eventually, guarded, value_from
from kubelab.plane import ControlPlane
from secretset.domain.names import FINALIZER, Key, Kind
from secretset.domain.tombstone import Tombstone

SYSTEM = "secretset-system"


class Agent:
    """The account of an agent of the region `mine`, which nobody serves; `theirs` is like it, and us-west is served."""

    def __init__(self, org: Org) -> None:
        self.org = org
        self.mine, self.theirs = f"{org.name}-mine", f"{org.name}-theirs"
        text = (ROOT / "deploy/agent-hub.yaml").read_text().replace("eu-bank", self.mine)
        org.apply(*yaml.safe_load_all(text))
        self.account = org.plane.service_account_kubeconfig(SYSTEM, f"secretset-agent-{self.mine}")
        for region in (self.mine, self.theirs):
            org.region(region, cluster={"inCluster": True})
        for name, region in (("app", self.mine), ("other", self.theirs), ("near", "us-west")):
            org.secret_set(name, region=region)
        org.reaches("ready", name="near")
        org.reaches("pending", "RegionNotReady", name="app")
        org.reaches("pending", "RegionNotReady", name="other")
        # The API server takes a new policy up within a second or so.
        eventually(lambda: "denied request" in self.patch("near", {"metadata": {"labels": {"a": "b"}}}), "the policy")

    def kubectl(self, *args: str, body: Any = None) -> str:
        """What kubectl says as the agent, dry."""
        given = {} if body is None else {"input": json.dumps(body)}
        done = self.org.plane.kubectl(*args, "--dry-run=server", kubeconfig=self.account, check=False, **given)
        return done.stdout + done.stderr

    def patch(self, name: str, patch: dict[str, Any], *more: str) -> str:
        """Patch a set."""
        return self.kubectl(
            *("patch", "secretset", name, "-n", self.org.name, "--type=merge", "-p", json.dumps(patch), *more)
        )

    def status(self, kind: str, name: str, **status: Any) -> str:
        """Replace the status of an object by one that differs so."""
        obj = json.loads(self.org.kubectl("get", kind, name, "-o", "json").stdout)
        obj["status"] = {**obj.get("status", {}), **status}
        return self.kubectl("replace", "--subresource=status", "-f", "-", body=obj)


@pytest.fixture
def agent(org: Org) -> Iterator[Agent]:
    org.source()
    with guarded(org):
        yield Agent(org)
        # Nobody serves two of its regions.
        for name in ("app", "other", "near"):
            org.kubectl("annotate", "secretset", name, "secretset.dev/abandon=true")
            org.kubectl("delete", "secretset", name, "--timeout=20s")


def test_an_agent_writes_what_is_of_its_region_and_nothing_else(agent: Agent) -> None:
    own_field = "changes nothing of a set but its status and the operator's finalizer"
    own_region = "works on sets of its own region"
    finalizer = {"metadata": {"finalizers": [FINALIZER]}}
    assert "patched" in agent.patch("app", finalizer)
    assert "patched" in agent.patch("app", {"metadata": {"finalizers": None}})
    assert own_region in agent.patch("other", {"metadata": {"finalizers": None}})
    assert own_region in agent.patch("near", {"metadata": {"finalizers": None}})
    for patch in (
        {"spec": {"data": {"B": value_from("src", "a")}}},
        {"spec": {"deletionPolicy": "Retain"}},
        {"metadata": {"labels": {"a": "b"}}},
        {"metadata": {"annotations": {"secretset.dev/abandon": "true"}}},
        {"metadata": {"finalizers": [FINALIZER, "example.com/hold"]}},
        {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "x", "uid": "y"}]}},
    ):
        assert own_field in agent.patch("app", patch), patch
    assert "replaced" in agent.status("secretset", "app", message="mine")
    assert own_region in agent.status("secretset", "app", region=agent.theirs)
    assert own_region in agent.status("secretset", "other", message="not mine")
    assert own_region in agent.status("secretset", "near", phase="failed")
    assert "replaced" in agent.status("region", agent.mine, message="mine")
    assert "reports of its own region" in agent.status("region", agent.theirs, message="not mine")


def test_an_agent_leaves_tombstones_of_its_region_and_keeps_its_leases(agent: Agent) -> None:
    def tombstone(region: str) -> dict[str, Any]:
        key = Key(Kind.SECRET_SET, agent.org.name, "app")
        made = Tombstone(
            region=region, cluster="", namespace="there", owner=key, uid="x", since="2026-01-01T00:00:00Z", why="x"
        )
        return made.render(SYSTEM)

    def create(body: dict[str, Any]) -> str:
        return agent.kubectl("create", "-f", "-", body=body)

    def lease(name: str, regions: str | None) -> dict[str, Any]:
        notes = {} if regions is None else {"secretset.dev/regions": regions}
        meta = {"name": name, "namespace": SYSTEM, "annotations": notes}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": {}}

    own_region, own_leases = "writes tombstones of its own region", "keeps the Leases of replicas of its own region"
    assert "created" in create(tombstone(agent.mine))
    assert own_region in create(tombstone(agent.theirs))
    plain = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "plain", "namespace": SYSTEM}}
    assert own_region in create({**plain, "data": {"region": agent.mine}})
    assert own_region in agent.kubectl("delete", "configmap", "secretset-public-keys", "-n", SYSTEM)
    assert "created" in create(lease("secretset-replica-x", agent.mine))
    for name, regions in (
        ("secretset-replica-x", agent.theirs),
        ("secretset-replica-x", None),
        ("secretset-leader-2", agent.mine),
    ):
        assert own_leases in create(lease(name, regions))
    for taken in _leases(agent.org.plane):
        assert own_leases in agent.kubectl("delete", "lease", taken, "-n", SYSTEM)


def _leases(plane: ControlPlane) -> list[str]:
    """Of the operator on the hub: a replica's and the leader's."""
    items = json.loads(plane.kubectl("get", "leases", "-n", SYSTEM, "-o", "json").stdout)["items"]
    names = [each["metadata"]["name"] for each in items]
    assert "secretset-leader" in names
    return names
