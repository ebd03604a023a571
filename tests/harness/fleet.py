"""Several replicas of the operator on one hub, and an organization that has a set in each of their regions.

Each replica is a user of its own, so that the audit log tells them apart.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import yaml

from harness.manifests import decoded, env_from, namespace, organization_role, regional_role, value_from
from harness.org import Org
from harness.process import OperatorProcess, described
from harness.rights_log import STAND_INS
from harness.waiting import eventually
from kubelab.plane import ControlPlane
from secretset.domain.replicas import Replica, owner

SYSTEM = "secretset-system"
GROUP = "secretset-replicas"
ALL = ("a", "b", "c")
# Namespaces of the hub, and another cluster; of any two or three replicas each has some of them.
ON_HUB = ("north", "south", "east", "west")
REGIONS = (*ON_HUB, "far")
LONG = 30.0  # seconds; a dead replica's Lease lasts 10


def shares(*names: str) -> dict[str, str | None]:
    """Which of these replicas serves which region."""
    return {region: owner(region, [Replica(name=name) for name in names]) for region in REGIONS}


def user(replica: str) -> str:
    return f"replica-{replica}"


class Fleet:
    """Replicas of the operator on one hub."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.processes: dict[str, OperatorProcess] = {}

    def make(self, name: str, *flags: str, code: str | None = None) -> OperatorProcess:
        config = self.plane.kubeconfig_for(user(name), [GROUP, STAND_INS])
        flags = ("--replica", name, "--quiet-seconds", "0.4", "--max-wait-seconds", "6", *flags)
        return OperatorProcess(self.plane, *flags, kubeconfig=config, code=code)

    def run(self, *names: str, code: str | None = None) -> None:
        """Have these run, and no others."""
        self.stop(*(name for name in self.processes if name not in names))
        missing = [name for name in names if name not in self.processes]
        for name in missing:
            self.processes[name] = self.make(name, code=code)
            self.processes[name].start(wait=False)
        eventually(
            lambda: all('"event": "ready"' in self.told(name) for name in missing), f"{missing} ready", seconds=LONG
        )

    def settle(self, *names: str) -> None:
        """Have these run, and no others, and wait until each serves what it should."""
        self.run(*names)
        self.serves(shares(*names))

    def serves(self, wanted: dict[str, str | None], *, seconds: float = LONG) -> None:
        """Wait until the Regions say that they are served so."""

        def wrong() -> dict[str, Any]:
            return {each: name for each, name in self.serving().items() if name != wanted[each]}

        until_empty(wrong, seconds=seconds)

    def stop(self, *names: str) -> None:
        for name in names:
            process = self.processes.pop(name)
            if process.running:
                assert process.stop() == 0

    def kill(self, name: str) -> None:
        self.processes.pop(name).kill()

    def status(self, name: str) -> dict[str, Any]:
        found = json.loads(self.plane.kubectl("get", "region", name, "-o", "json").stdout)
        return dict(found.get("status") or {})

    def serving(self) -> dict[str, str | None]:
        """What the Regions say of who serves them."""
        items = json.loads(self.plane.kubectl("get", "regions", "-o", "json").stdout)["items"]
        return {
            item["metadata"]["name"]: (item.get("status") or {}).get("replica")
            for item in items
            if item["metadata"]["name"] in REGIONS
        }

    def leases(self) -> dict[str, str]:
        items = json.loads(self.plane.kubectl("get", "leases", "-n", SYSTEM, "-o", "json").stdout)["items"]
        return {item["metadata"]["name"]: item["spec"]["holderIdentity"] for item in items}

    def leader(self) -> str:
        return str(eventually(lambda: self.leases().get("secretset-leader"), "a leader", seconds=LONG))

    def audit(self, *names: str) -> list[dict[str, Any]]:
        """All that these replicas wrote to the hub, or tried to, oldest first; access reviews are questions."""
        users = {user(name) for name in names}
        events = [event for event in self.plane.audit_events() if event["user"].get("username") in users]
        events = [event for event in events if not event["objectRef"]["resource"].startswith("selfsubject")]
        return sorted(events, key=lambda event: event["requestReceivedTimestamp"])

    def told(self, name: str) -> str:
        return self.processes[name].log.read_text()


class Spread(Org):
    """An organization with a set and a Deployment that uses it in every region."""

    def __init__(self, fleet: Fleet, name: str, abroad: ControlPlane) -> None:
        super().__init__(fleet.plane, name, [])
        self.abroad = abroad
        objects = [namespace(name), *map(for_group, organization_role(name))]
        for each in ON_HUB:
            objects += [namespace(f"{name}-{each}"), *map(for_group, regional_role(f"{name}-{each}"))]
        self.apply(*objects)
        abroad.kubectl("apply", "-f", "-", input=yaml.safe_dump_all([namespace(name), *regional_role(name)]))
        self.source()

    def deliver(self, restart: dict[str, Any] | None = None) -> None:
        """A set and a Deployment in each region; waits until all is delivered."""
        labels = {"app": "web"}
        sets: list[dict[str, Any]] = []
        deployments: dict[str, list[dict[str, Any]]] = {"hub": [], "far": []}
        for each in REGIONS:
            sets.append(
                {
                    "apiVersion": "secretset.dev/v1alpha1",
                    "kind": "SecretSet",
                    "metadata": {"name": each, "namespace": self.name},
                    "spec": {"region": each, "data": {"A": value_from("src", "a")}, "restart": restart or {}},
                }
            )
            template = {"metadata": {"labels": labels}, "spec": env_from(each)}
            deployments["far" if each == "far" else "hub"].append(
                {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "metadata": {"name": "web", "namespace": self.where(each)[1]},
                    "spec": {"selector": {"matchLabels": labels}, "template": template},
                }
            )
        self.apply(*sets, *deployments["hub"])
        self.abroad.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(deployments["far"]))
        eventually(
            lambda: all(
                status.get("phase") == "ready" and status["workloads"]["bound"] == 1 for status in self.sets().values()
            ),
            "the first delivery",
            seconds=LONG,
        )

    def where(self, each: str) -> tuple[ControlPlane, str]:
        return (self.abroad, self.name) if each == "far" else (self.plane, f"{self.name}-{each}")

    def change(self) -> str:
        """Change the source that all sets read."""
        value = self.canary()
        self.source(a=value)
        return value

    def sets(self) -> dict[str, dict[str, Any]]:
        """The status of each set, if it speaks of the present generation."""
        items = json.loads(self.kubectl("get", "secretsets", "-o", "json").stdout)["items"]
        found = {item["metadata"]["name"]: (item.get("status") or {}, item["metadata"]["generation"]) for item in items}
        return {
            name: status if status.get("observedGeneration") == generation else {}
            for name, (status, generation) in found.items()
        }

    def secrets(self) -> dict[str, dict[str, Any]]:
        """The managed Secret of each set."""
        mine = ("get", "secrets", "-A", "-o", "json", "-l", f"secretset.dev/organization={self.name}")
        items = [
            item for plane in (self.plane, self.abroad) for item in json.loads(plane.kubectl(*mine).stdout)["items"]
        ]
        assert len({item["metadata"]["name"] for item in items}) == len(items)
        return {item["metadata"]["name"]: item for item in items}

    def has(self, value: str, *regions: str) -> bool:
        secrets = self.secrets()
        return all(decoded(secrets.get(each)) == {"A": value.encode()} for each in regions or REGIONS)

    def restarted(self) -> dict[str, int]:
        """How often the Deployment of each region was restarted, whoever did it."""
        found: dict[str, int] = {}
        for each in REGIONS:
            plane, place = self.where(each)
            events = [e for e in plane.audit_events() if e["objectRef"].get("namespace") == place]
            found[each] = described([e for e in events if e["responseStatus"]["code"] < 300]).count(
                "patch deployments web"
            )
        return found

    def restarted_once_more_than(self, before: dict[str, int]) -> bool:
        return self.restarted() == {each: count + 1 for each, count in before.items()}

    def lacking(self, value: str, revision: int, *, rolled_out: bool = True) -> dict[str, Any]:
        """What keeps each set from telling that this is delivered, and, if asked, its rollout over."""
        sets, secrets = self.sets(), self.secrets()
        found: dict[str, Any] = {}
        for each in REGIONS:
            status = sets[each]
            told = (status.get("phase"), status.get("revision"), status.get("workloads", {}).get("current"))
            if told not in {("ready", revision, 1), *([] if rolled_out else [("ready", revision, 0)])}:
                found[each] = told, status.get("message")
            elif decoded(secrets.get(each)) != {"A": value.encode()}:
                found[each] = "another value"
        return found

    def gets(self, value: str, revision: int, *, seconds: float = LONG) -> None:
        """Wait until this is delivered everywhere."""
        until_empty(lambda: self.lacking(value, revision), seconds=seconds)


def for_group(obj: dict[str, Any]) -> dict[str, Any]:
    """What is bound to an account, bound to the replicas too; other objects as they are."""
    subject = {"kind": "Group", "name": GROUP, "apiGroup": "rbac.authorization.k8s.io"}
    return {**obj, "subjects": [*obj["subjects"], subject]} if "subjects" in obj else obj


def until_empty(wrong: Callable[[], dict[str, Any]], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while found := wrong():
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
