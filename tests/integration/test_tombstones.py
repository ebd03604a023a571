"""Sets that are deleted while their region is lost: they wait, can be let go, and what they left is swept later."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import (
    OPERATOR_ACCOUNT,
    REGIONAL_BINDING,
    OperatorProcess,
    Org,
    Proxy,
    decoded,
    eventually,
    guarded,
    holds,
    kubeconfig_ref,
    kubeconfig_secret,
    namespace,
    regional_role,
    value_from,
)
from kubelab.plane import ControlPlane

SYSTEM = "secretset-system"
ABANDON = "secretset.dev/abandon=true"


class Lost(Org):
    """An organization with a region on another cluster, behind a link that can be broken."""

    def __init__(self, org: Org, cluster: ControlPlane, link: Proxy) -> None:
        super().__init__(org.plane, org.name, org._canaries)
        self.cluster, self.link = cluster, link
        self.region_name = f"{org.name}-lost"
        self.cluster_apply(namespace(org.name), *regional_role(org.name))
        account = cluster.service_account_kubeconfig(*OPERATOR_ACCOUNT)
        self.use(link.kubeconfig(account))
        self.region(self.region_name, cluster=kubeconfig_ref(self.region_name))

    def use(self, kubeconfig: Path) -> None:
        kubeconfig_secret(self, self.region_name, kubeconfig.read_text())

    def cluster_apply(self, *objects: dict[str, Any]) -> None:
        body = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.cluster.kubectl("apply", "-f", "-", input=json.dumps(body))

    def found(self, name: str = "app", kind: str = "secret") -> dict[str, Any]:
        """An object in the region, or nothing."""
        done = self.cluster.kubectl("get", kind, name, "-n", self.name, "-o", "json", "--ignore-not-found").stdout
        return dict(json.loads(done)) if done.strip() else {}

    def deliver(self, name: str = "app", **spec: Any) -> None:
        self.source()
        self.secret_set(name, region=self.region_name, **spec)
        self.reaches("ready", name=name)

    def delete(self, name: str = "app", kind: str = "secretset") -> None:
        self.kubectl("delete", kind, name, "--wait=false")

    def abandon(self, name: str = "app", kind: str = "secretset") -> None:
        self.kubectl("annotate", kind, name, ABANDON)

    def gone(self, name: str = "app", kind: str = "secretset") -> None:
        eventually(lambda: self.get(kind, name) is None, f"{name} let go", seconds=25)

    def blocked(self, name: str = "app") -> dict[str, Any]:
        """The condition of a set that waits; empty if it does not say so."""
        status = (self.get("secretset", name) or {}).get("status") or {}
        found = [each for each in status.get("conditions") or () if each["type"] == "DeletionBlocked"]
        return found[0] if found else {}

    def tombstones(self) -> list[dict[str, str]]:
        selector = f"secretset.dev/tombstone=true,secretset.dev/region={self.region_name}"
        done = self.plane.kubectl("get", "configmaps", "-n", SYSTEM, "-l", selector, "-o", "json").stdout
        return [item["data"] for item in json.loads(done)["items"]]

    def phase(self) -> str:
        """Of the Region."""
        return str(((self.get("region", self.region_name) or {}).get("status") or {}).get("phase"))

    def region_events(self) -> list[tuple[str, str]]:
        fields = f"involvedObject.kind=Region,involvedObject.name={self.region_name}"
        done = self.plane.kubectl("get", "events", "-n", "default", "-o", "json", "--field-selector", fields)
        return [(item["reason"], item["message"]) for item in json.loads(done.stdout)["items"]]


@pytest.fixture
def lost(org: Org, abroad: ControlPlane) -> Iterator[Lost]:
    with Proxy.to(abroad) as link, guarded(Lost(org, abroad, link)) as lost:
        assert isinstance(lost, Lost)
        yield lost


def test_a_deleted_set_waits_for_its_region_and_goes_when_it_is_back(lost: Lost) -> None:
    lost.deliver()
    lost.link.refuse()
    lost.delete()
    told = eventually(lost.blocked, "the condition", seconds=25)
    assert (told["status"], told["reason"]) == ("True", "RegionUnreachable")
    assert "secretset.dev/abandon=true" in told["message"]
    assert "spec.decommissioned" in told["message"]
    holds(lambda: lost.get("secretset", "app") is not None, seconds=1)
    lost.link.up()
    lost.gone()
    assert lost.found() == {}
    assert lost.tombstones() == []


@pytest.mark.parametrize("before", [True, False], ids=["annotated before", "annotated after"])
def test_an_abandoned_set_is_let_go_and_its_secret_swept_later(lost: Lost, before: bool) -> None:
    lost.deliver()
    uid = (lost.get("secretset", "app") or {})["metadata"]["uid"]
    if before:
        lost.abandon()
        holds(lambda: lost.found() != {}, seconds=0.5)  # to a set that nobody deletes it means nothing
    lost.link.black_hole()
    lost.delete()
    if not before:
        eventually(lost.blocked, "the condition", seconds=25)
        began = time.monotonic()
        lost.abandon()
        lost.gone()
        assert time.monotonic() - began < 5
    lost.gone()
    (stone,) = lost.tombstones()
    assert {name: stone[name] for name in ("region", "namespace", "kind", "organization", "name", "uid", "why")} == {
        "region": lost.region_name,
        "namespace": lost.name,
        "kind": "SecretSet",
        "organization": lost.name,
        "name": "app",
        "uid": uid,
        "why": "RegionUnreachable",
    }
    assert lost.found() != {}
    lost.link.up()
    eventually(lambda: lost.found() == {}, "the sweep", seconds=25)
    eventually(lambda: lost.tombstones() == [])
    events = eventually(lambda: [event for event in lost.region_events() if event[0] == "Swept"])
    assert len(events) == 1
    assert f"{lost.name}/app" in events[0][1]


def test_a_region_that_answers_is_asked_though_the_set_is_abandoned(lost: Lost) -> None:
    lost.deliver()
    lost.abandon()
    lost.delete()
    lost.gone()
    assert lost.found() == {}
    assert lost.tombstones() == []


def test_credentials_that_are_gone_and_a_region_that_is_gone(lost: Lost) -> None:
    lost.deliver()
    lost.deliver("second")
    lost.plane.kubectl("delete", "secret", "-n", SYSTEM, f"kubeconfig-{lost.region_name}")
    lost.delete()
    eventually(lambda: lost.blocked().get("reason") == "RegionNotReady", seconds=25)
    lost.abandon()
    lost.gone()
    lost.plane.kubectl("delete", "region", lost.region_name)
    lost.delete("second")
    eventually(lambda: lost.blocked("second").get("reason") == "RegionUnknown", seconds=25)
    lost.abandon("second")
    lost.gone("second")
    assert {stone["why"] for stone in lost.tombstones()} == {"RegionNotReady", "RegionUnknown"}
    # The Region comes back under its name: what was left is still known.
    lost.use(lost.link.kubeconfig(lost.cluster.service_account_kubeconfig(*OPERATOR_ACCOUNT)))
    lost.region(lost.region_name, cluster=kubeconfig_ref(lost.region_name))
    eventually(lambda: not lost.found() and not lost.found("second"), "the sweep", seconds=25)
    eventually(lambda: lost.tombstones() == [])


def test_a_right_that_was_taken_away(lost: Lost) -> None:
    lost.deliver()
    role = REGIONAL_BINDING
    lost.cluster.kubectl("delete", "rolebinding", role, "-n", lost.name)
    lost.delete()
    eventually(lambda: lost.blocked().get("reason") == "PermissionDenied", seconds=25)
    lost.abandon()
    lost.gone()
    assert [stone["why"] for stone in lost.tombstones()] == ["PermissionDenied"]
    lost.cluster_apply(*regional_role(lost.name))
    lost.link.refuse()  # and what is left is looked for when the link is back
    eventually(lambda: lost.phase() == "pending", seconds=25)
    lost.link.up()
    eventually(lambda: lost.found() == {}, "the sweep", seconds=25)


def test_a_decommissioned_region_lets_all_go_and_is_swept_when_it_is_one_again(lost: Lost) -> None:
    lost.deliver()
    lost.deliver("kept", deletionPolicy="Retain")
    lost.link.black_hole()
    lost.delete()
    lost.delete("kept")
    lost.gone("kept")
    eventually(lost.blocked, "the condition", seconds=25)
    lost.region(lost.region_name, cluster=kubeconfig_ref(lost.region_name), decommissioned=True)
    lost.gone()
    assert [(stone["name"], stone["why"]) for stone in lost.tombstones()] == [("app", "RegionDecommissioned")]
    lost.link.up()
    holds(lambda: lost.found() != {}, seconds=2)
    lost.region(lost.region_name, cluster=kubeconfig_ref(lost.region_name), decommissioned=False)
    eventually(lambda: lost.found() == {}, "the sweep", seconds=25)
    assert lost.found("kept") != {}
    eventually(lambda: lost.tombstones() == [])


def test_a_set_created_again_keeps_the_secret_that_its_predecessor_left(lost: Lost) -> None:
    lost.deliver()
    before = lost.found()["metadata"]
    lost.link.refuse()
    lost.delete()
    eventually(lost.blocked, "the condition", seconds=25)
    lost.abandon()
    lost.gone()
    content = lost.source()
    lost.secret_set(region=lost.region_name)
    lost.link.up()
    lost.reaches("ready")
    eventually(lambda: lost.tombstones() == [], seconds=25)
    holds(lambda: lost.found().get("metadata", {}).get("uid") == before["uid"], seconds=1)
    assert decoded(lost.found()) == {"A": str(content["a"]).encode()}
    assert not [event for event in lost.region_events() if event[0] == "Swept"]


def test_a_pull_secret_is_taken_off_its_accounts_by_the_sweep(lost: Lost) -> None:
    lost.cluster_apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bot", "namespace": lost.name}}
    )
    lost.source("registry", password=lost.canary())
    spec = {"region": lost.region_name, "host": "ghcr.io", "username": "bot", "serviceAccounts": ["bot"]}
    lost.apply(
        {
            "apiVersion": "secretset.dev/v1alpha1",
            "kind": "ImagePullSecret",
            "metadata": {"name": "regcred", "namespace": lost.name},
            "spec": {**spec, "password": value_from("registry", "password")},
        }
    )
    lost.reaches("ready", name="regcred", kind="imagepullsecret")
    eventually(lambda: lost.found("bot", "serviceaccount").get("imagePullSecrets") == [{"name": "regcred"}])
    lost.link.refuse()
    lost.abandon("regcred", "imagepullsecret")
    lost.delete("regcred", "imagepullsecret")
    lost.gone("regcred", "imagepullsecret")
    lost.link.up()
    eventually(lambda: lost.found("regcred") == {}, "the sweep", seconds=25)
    eventually(lambda: not lost.found("bot", "serviceaccount").get("imagePullSecrets"))
    eventually(lambda: lost.tombstones() == [])


def test_what_was_left_is_remembered_over_a_restart(lost: Lost, operator: OperatorProcess) -> None:
    lost.deliver()
    lost.link.refuse()
    lost.abandon()
    lost.delete()
    lost.gone()
    operator.restart()
    assert len(lost.tombstones()) == 1
    lost.link.up()
    eventually(lambda: lost.found() == {}, "the sweep", seconds=25)
    eventually(lambda: lost.tombstones() == [])
