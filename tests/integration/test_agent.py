"""A region whose credentials the hub never gets: a replica inside of it pulls from the hub (spec.cluster.inCluster)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import (
    OPERATOR_ACCOUNT,
    ROOT,
    OperatorProcess,
    Org,
    decoded,
    described,
    env_from,
    eventually,
    guarded,
    holds,
    namespace,
    organization_role,
    regional_role,
    value_from,
    writes,
)
from harness.rolling import counts
from kubelab.plane import ControlPlane
from secretset.domain.names import API_VERSION

SYSTEM = "secretset-system"


class Inside(Org):
    """An organization with a region that is served from inside of its cluster, and the account of its agent."""

    def __init__(self, org: Org, cluster: ControlPlane) -> None:
        super().__init__(org.plane, org.name, org._canaries)
        self.cluster = cluster
        self.region_name = f"{org.name}-bank"
        self.agent = f"secretset-agent-{self.region_name}"
        self.user = f"system:serviceaccount:{SYSTEM}:{self.agent}"
        text = (ROOT / "deploy/agent-hub.yaml").read_text().replace("eu-bank", self.region_name)
        role, binding = organization_role(self.name)
        binding["metadata"] = {"name": self.agent, "namespace": self.name}
        binding["subjects"] = [{"kind": "ServiceAccount", "name": self.agent, "namespace": SYSTEM}]
        self.apply(*yaml.safe_load_all(text), role, binding)
        objects = [namespace(self.name), *regional_role(self.name)]
        cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(objects))
        self.region(self.region_name, cluster={"inCluster": True})

    @property
    def account(self) -> Path:
        """A kubeconfig of the agent on the hub."""
        return self.plane.service_account_kubeconfig(SYSTEM, self.agent)

    def make_agent(self) -> OperatorProcess:
        there = self.cluster.service_account_kubeconfig(*OPERATOR_ACCOUNT)
        flags = ("--replica", self.agent, "--regions", self.region_name, "--region-kubeconfig", str(there))
        return OperatorProcess(
            self.plane, *flags, "--quiet-seconds", "0.4", "--max-wait-seconds", "2", kubeconfig=self.account
        )

    def tells(self) -> tuple[str, str, str]:
        """Of the Region: phase, reason, and who serves it."""
        status = (self.get("region", self.region_name) or {}).get("status") or {}
        return str(status.get("phase")), str(status.get("reason")), str(status.get("replica"))

    def message(self) -> str:
        return str(((self.get("region", self.region_name) or {}).get("status") or {}).get("message"))

    def found(self, name: str = "app", kind: str = "secret") -> dict[str, Any]:
        done = self.cluster.kubectl("get", kind, name, "-n", self.name, "-o", "json", "--ignore-not-found").stdout
        return dict(json.loads(done)) if done.strip() else {}

    def restarts_there(self) -> int:
        mine = [event for event in writes(self.cluster) if event["objectRef"].get("namespace") == self.name]
        return described([event for event in mine if event["responseStatus"]["code"] < 300]).count(
            "patch deployments web"
        )

    def may(self, verb: str, what: str, *scope: str) -> bool:
        """Whether the agent may do this on the hub."""
        done = self.plane.kubectl("auth", "can-i", verb, what, *scope, kubeconfig=self.account, check=False)
        assert done.stdout.strip() in {"yes", "no"}
        return done.stdout.strip() == "yes"


@pytest.fixture
def inside(org: Org, abroad: ControlPlane) -> Iterator[Inside]:
    with guarded(Inside(org, abroad)) as made:
        assert isinstance(made, Inside)
        yield made


def test_a_region_that_is_served_from_inside(inside: Inside, operator: OperatorProcess) -> None:
    nobody, served = ("pending", "RegionNotReady", "None"), ("ready", "Reachable", inside.agent)
    # Nobody is there yet, and both the Region and the set say so.
    content = inside.source()
    inside.secret_set(region=inside.region_name)
    inside.stumbles("pending/RegionNotReady", "no replica of the operator serves it")
    eventually(lambda: inside.tells() == nobody)
    assert "start one with --regions" in inside.message()
    # An agent comes and takes it on, and nothing else.
    agent = inside.make_agent()
    agent.start()
    inside.reaches("ready", "Synced")
    eventually(lambda: inside.tells() == served)
    assert decoded(inside.found()) == {"A": str(content["a"]).encode()}
    pull = {"host": "ghcr.io", "username": "robot", "password": value_from("src", "a")}
    meta = {"name": "pull", "namespace": inside.name}
    inside.apply(
        {
            "apiVersion": API_VERSION,
            "kind": "ImagePullSecret",
            "metadata": meta,
            "spec": {"region": inside.region_name, **pull},
        }
    )
    inside.reaches("ready", "Synced", name="pull", kind="imagepullsecret")
    inside.kubectl("delete", "imagepullsecret", "pull", "--timeout=10s")
    # A change restarts, once.
    _deploy(inside)
    eventually(lambda: counts(inside) == _one_current())
    changed = inside.canary()
    inside.source("src", a=changed)
    eventually(lambda: decoded(inside.found()) == {"A": changed.encode()})
    eventually(lambda: inside.restarts_there() == 1)
    eventually(lambda: counts(inside) == _one_current())
    # When the agent has gone its region says so; what is delivered stays what it is.
    before = inside.get("secretset", "app")
    assert agent.stop() == 0
    eventually(lambda: inside.tells() == nobody)
    assert f"secretset-replica-{inside.agent}" not in inside.plane.kubectl("get", "leases", "-n", SYSTEM).stdout
    inside.poke("well")  # somebody else's business goes on
    holds(lambda: inside.get("secretset", "app") == before, seconds=2.0)
    inside.secret_set("new", region=inside.region_name)
    inside.reaches("pending", "RegionNotReady", name="new")
    changed = inside.canary()
    inside.source("src", a=changed)
    # It comes again, and makes up for what it missed.
    agent.start()
    inside.reaches("ready", name="new")
    eventually(lambda: decoded(inside.found()) == decoded(inside.found("new")) == {"A": changed.encode()})
    eventually(lambda: counts(inside) == _one_current())
    assert inside.reaches("ready")["revision"] == 3
    assert inside.restarts_there() == 2
    for name in ("app", "new"):
        inside.kubectl("delete", "secretset", name, "--timeout=10s")
        assert inside.found(name) == {}
    eventually(lambda: inside.tells() == served)
    # The hub's own replica never spoke to that cluster: it has no client of that name.
    assert f'host="{inside.region_name}"' not in operator.fetch("/metrics")[1]
    assert f'host="{inside.region_name}"' in agent.fetch("/metrics")[1]
    assert {line["region"] for line in agent.lines() if line["event"] == "serving region"} == {inside.region_name}
    assert agent.stop() == 0
    touched = {_place(event) for event in writes(inside.plane, user=inside.user)}
    kinds = ("secretsets", "imagepullsecrets")
    assert touched == {
        ("regions/status", ""),
        *((each + sub, inside.name) for each in kinds for sub in ("", "/status")),
    }
    regions = {
        event["objectRef"]["name"]
        for event in writes(inside.plane, user=inside.user)
        if event["objectRef"]["resource"] == "regions"
    }
    assert regions == {inside.region_name}
    assert [line for line in agent.lines() if line["level"] == "error" and "kopf" not in line["logger"]] == []


def test_what_an_agent_may_see_on_the_hub(inside: Inside) -> None:
    assert inside.may("get", "secrets/secretset-installation", "-n", SYSTEM)
    assert inside.may("get", "secrets/secretset-sealing-keys", "-n", SYSTEM)
    for verb in ("list", "watch", "create", "update", "patch", "delete"):
        assert not inside.may(verb, "secrets", "-n", SYSTEM), verb
    assert not inside.may("get", "secrets/kubeconfig-other", "-n", SYSTEM)
    assert not inside.may("get", "secrets", "-n", "kube-system")
    assert not inside.may("get", "secrets", "-n", inside.regional)
    # Sources, only where it was bound; the managed Secrets of no region of the hub.
    assert inside.may("list", "secrets", "-n", inside.name)
    assert not inside.may("create", "secrets", "-n", inside.name)
    assert not inside.may("list", "secrets", "--all-namespaces")
    # It is no administrator of the regions.
    for verb in ("create", "update", "patch", "delete"):
        assert not inside.may(verb, "regions.secretset.dev"), verb
    assert inside.may("update", "regions.secretset.dev", "--subresource=status")
    for verb in ("create", "update", "delete"):
        assert not inside.may(verb, "secretsets.secretset.dev", "-n", inside.name), verb
    assert not inside.may("get", "leases.coordination.k8s.io", "-n", "kube-system")
    assert not inside.may("impersonate", "serviceaccounts", "-n", SYSTEM)
    assert not inside.may("create", "serviceaccounts", "--subresource=token", "-n", SYSTEM)


def test_an_agent_needs_credentials_inside(inside: Inside) -> None:
    flags = ("--replica", inside.agent, "--regions", inside.region_name)
    agent = OperatorProcess(inside.plane, *flags, kubeconfig=inside.account)
    agent.start()
    eventually(lambda: "--region-kubeconfig" in inside.message())
    assert inside.tells()[1:] == ("RegionNotReady", inside.agent)
    assert agent.stop() == 0


def test_the_deployment_of_an_agent_is_accepted_and_restricted(hub: ControlPlane) -> None:
    text = (ROOT / "deploy/agent-region.yaml").read_text()
    hub.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", input=text)
    deployment = yaml.safe_load(text)
    operator, *_ = yaml.safe_load_all((ROOT / "deploy/operator.yaml").read_text())
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe", "namespace": SYSTEM},
        "spec": deployment["spec"]["template"]["spec"],
    }
    hub.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(pod))
    # The same program, under the same limits.
    mine, other = (each["spec"]["template"]["spec"]["containers"][0] for each in (deployment, operator))
    for field in ("args", "securityContext", "resources", "startupProbe", "livenessProbe", "readinessProbe", "ports"):
        assert mine[field] == other[field], field


def _deploy(inside: Inside) -> None:
    labels = {"app": "web"}
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": env_from("app")}}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
    inside.cluster.kubectl("apply", "-n", inside.name, "-f", "-", input=json.dumps(body))


def _one_current() -> dict[str, int]:
    return {"bound": 1, "current": 1, "restarting": 0, "stalled": 0, "held": 0}


def _place(event: dict[str, Any]) -> tuple[str, str]:
    ref = event["objectRef"]
    return "/".join(filter(None, (ref["resource"], ref.get("subresource")))), ref.get("namespace", "")
