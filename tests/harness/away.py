"""An organization whose region is another cluster."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.manifests import decoded, env_from, grant, kubeconfig_ref, namespace, regional_role, value_from
from harness.org import Org, kubeconfig_secret
from harness.process import OPERATOR_ACCOUNT, USER, described, writes
from harness.rights_log import STAND_INS
from harness.waiting import eventually, holds
from kubelab.plane import ControlPlane


class Away(Org):
    """An organization with a Region on another cluster, where its namespace has its own name.

    Args:
        org: the organization.
        cluster: where the region is now; `move` makes it another one.
        user: name of a user of the region's cluster that the operator comes as, so that the audit log tells it from
            other operators; absent: the operator's account there.
    """

    def __init__(self, org: Org, cluster: ControlPlane, *, user: str = USER) -> None:
        super().__init__(org.plane, org.name, org._canaries)
        self.cluster = cluster
        self.user = user
        self.region_name = f"{org.name}-away"
        self.prepare(cluster)
        self.use(self.credentials(cluster))
        self.make_region()

    # --- set up

    def prepare(self, cluster: ControlPlane) -> None:
        """The organization's namespace, and the operator's role in it, in a cluster."""
        objects = [namespace(self.name), *regional_role(self.name)]
        if self.user != USER:
            objects.append(grant(self.user, "secretset-regional-namespace", self.name, kind="Role"))
            objects.append(grant(self.user, "secretset-operator-region"))
        cluster.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def credentials(self, cluster: ControlPlane) -> Path:
        """A kubeconfig of the operator in a cluster."""
        if self.user == USER:
            return cluster.service_account_kubeconfig(*OPERATOR_ACCOUNT)
        return cluster.kubeconfig_for(self.user, [STAND_INS])

    def use(self, kubeconfig: Path) -> None:
        """Have the region use this kubeconfig."""
        kubeconfig_secret(self, self.region_name, kubeconfig.read_text())

    def move(self, cluster: ControlPlane) -> None:
        """Have another cluster stand behind the region's name."""
        self.prepare(cluster)
        self.cluster = cluster
        self.use(self.credentials(cluster))

    def make_region(self, **spec: Any) -> str:
        """Apply the Region."""
        return self.region(self.region_name, **{"cluster": kubeconfig_ref(self.region_name), **spec})

    def drop_region(self) -> None:
        """Delete the Region."""
        self.plane.kubectl("delete", "region", self.region_name, "--timeout=10s")

    def deliver(self, name: str = "app", **spec: Any) -> dict[str, Any]:
        """A set of the region that is ready; its status."""
        self.secret_set(name, region=self.region_name, **spec)
        return self.reaches("ready", "Synced", name=name)

    def deploy(self, *names: str, secret: str = "") -> None:
        """Deployments in the region, each with a whole Secret, by default of its own name, in its environment."""
        items = []
        for name in names:
            labels = {"app": name}
            template = {"metadata": {"labels": labels}, "spec": env_from(secret or name)}
            spec = {"selector": {"matchLabels": labels}, "template": template}
            items.append({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec})
        body = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        self.cluster.kubectl("apply", "-n", self.name, "-f", "-", input=body)

    def used(self, name: str = "app") -> None:
        """A set of revision 2 with a source of its own, and a Deployment that uses it, which was restarted once."""
        self.source(f"of-{name}", a=self.canary())
        self.deliver(name, data={"A": value_from(f"of-{name}", "a")})
        self.deploy(name)
        eventually(lambda: self.status(name)["workloads"]["bound"] == 1, "the binding")
        self.changes(name, revision=2)

    def changes(self, name: str, *, revision: int) -> None:
        """Change the content of such a set; it is delivered, and restarts its Deployment, once."""
        value, before = self.canary(), self.generation(name)
        self.source(f"of-{name}", a=value)
        eventually(lambda: decoded(self.found(name)) == {"A": value.encode()}, "the delivery", seconds=30)
        eventually(lambda: self.generation(name) == before + 1, "the restart")
        eventually(lambda: (self.status(name).get("workloads") or {}).get("current") == 1, "the rollout")
        assert self.status(name)["revision"] == revision
        holds(lambda: self.generation(name) == before + 1, seconds=0.7)

    # --- look

    def found(self, name: str = "app", kind: str = "secret") -> dict[str, Any]:
        """An object in the region, or nothing."""
        done = self.cluster.kubectl("get", kind, name, "-n", self.name, "-o", "json", "--ignore-not-found").stdout
        return dict(json.loads(done)) if done.strip() else {}

    def generation(self, name: str, kind: str = "deployment") -> int:
        """Of a workload in the region: grows with each restart."""
        return int(self.found(name, kind)["metadata"]["generation"])

    def region_status(self) -> dict[str, Any]:
        """The status of the Region, if it speaks of the present generation; else empty."""
        obj = self.get("region", self.region_name) or {}
        status: dict[str, Any] = obj.get("status") or {}
        return status if obj and status.get("observedGeneration") == obj["metadata"]["generation"] else {}

    def conditions(self) -> Mapping[str, str]:
        """Type to status of the Region's conditions that are about the link."""
        found = self.region_status().get("conditions") or ()
        return {each["type"]: each["status"] for each in found if each["type"] in {"Reachable", "Authorized"}}

    def region_events(self) -> list[tuple[str, str]]:
        """(reason, message) of the events on the Region, oldest first."""
        fields = f"involvedObject.kind=Region,involvedObject.name={self.region_name}"
        done = self.plane.kubectl("get", "events", "-n", "default", "-o", "json", "--field-selector", fields)
        items = sorted(json.loads(done.stdout)["items"], key=lambda item: item["eventTime"] or "")
        return [(item["reason"], item["message"]) for item in items]

    def writes_there(self, cluster: ControlPlane | None = None) -> list[str]:
        """What the operator wrote into the organization's namespace of a cluster, in order; absent: the region's.

        Without what was refused: whether a Secret is there it may find out by creating it.
        """
        events = [event for event in writes(cluster or self.cluster, user=self.user) if _done(event)]
        return described([event for event in events if event["objectRef"].get("namespace") == self.name])


def _done(event: Mapping[str, Any]) -> bool:
    """Whether the request of an audit event changed anything."""
    return int(event["responseStatus"]["code"]) < 300
