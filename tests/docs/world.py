"""What a page assumes: a hub with the operator on it, perhaps another cluster, and what its reader has at hand."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from docs.blocks import ROOT, files
from docs.shell import Shell
from docs.stand_in import StandIn
from harness import eventually, region
from harness.helm import sets_are_taken
from harness.manifests import namespace
from kubelab.plane import ControlPlane

# The organization that pages speak of, and its namespace in the default region.
ORGANIZATION, REGIONAL = "shop", "shop-us-west"


class World:
    """A reader's clusters and folder.

    Args:
        page: what is read.
        folder: the reader's.
        planes: by what pages call them; `hub` is one.
        stand_in: of the hub's operator.
        canaries: every value that is made here.
    """

    def __init__(
        self,
        page: str,
        folder: Path,
        planes: Mapping[str, ControlPlane],
        stand_in: StandIn,
        canaries: list[str],
    ) -> None:
        self.page = page
        self.folder = folder
        self.hub = planes["hub"]
        self.planes = planes
        self._stand_in = stand_in
        self._canaries = canaries
        self.kubeconfigs = {name: self._copied(name, plane) for name, plane in planes.items()}
        self.shell = Shell(folder, self.hub, self.kubeconfigs)

    def canary(self) -> str:
        """A value that must turn up nowhere but in Secrets."""
        value = f"canary-{secrets.token_urlsafe(24)}"
        self._canaries.append(value)
        return value

    def apply(self, *objects: Mapping[str, Any], on: str = "hub") -> None:
        """`kubectl apply`."""
        self.planes[on].kubectl("apply", "-f", "-", input=yaml.safe_dump_all(objects))

    def write(self, name: str, text: str) -> Path:
        """A file in the reader's folder."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)
        return path

    def env_file(self, *keys: str, name: str = ".env") -> None:
        """A `.env` file."""
        self.write(name, "".join(f"{key}='{self.canary()}'\n" for key in keys))

    def yaml_of_page(self, holding: str) -> str:
        """The first block of YAML of the page that holds a text."""
        return next(text for text in files(self.page) if holding in text)

    # --- on the hub

    def installed(self) -> None:
        """The operator runs, with an organization that has a namespace in the default region."""
        if self.hub.kubectl("get", "crd", "regions.secretset.dev", "--ignore-not-found").stdout:
            return
        self.hub.kubectl("apply", "--server-side", "-k", str(ROOT / "deploy"))
        for plural in ("secretsets", "imagepullsecrets", "regions"):
            self.hub.kubectl("wait", "--for=condition=Established", f"crd/{plural}.secretset.dev", "--timeout=20s")
        self.namespaces(ORGANIZATION, REGIONAL)
        for file in ("organization", "regional-namespace"):
            self.hub.kubectl("apply", "-f", str(ROOT / f"deploy/{file}.yaml"))
        self.apply(region("us-west", default=True))
        self.runs()
        sets_are_taken(self.hub)

    def runs(self) -> None:
        """Wait until the operator is ready."""
        eventually(lambda: self._stand_in.running, "the operator", seconds=60)

    def namespaces(self, *names: str, on: str = "hub") -> None:
        """Namespaces that are there."""
        self.apply(*map(namespace, names), on=on)

    def cleared(self) -> None:
        """Nothing is left of the page before."""
        self.hub.kubectl("delete", "sset,ips", "--all", "-A", "--timeout=60s")
        for each in (ORGANIZATION, REGIONAL):
            self.hub.kubectl("delete", "deployments,statefulsets,daemonsets,secrets", "--all", "-n", each)

    def a_set(self, name: str, *keys: str) -> None:
        """A set that is ready, with canaries."""
        values = {key: self.canary() for key in keys or ("API_KEY",)}
        meta = {"name": f"{name}-values", "namespace": ORGANIZATION, "labels": {"secretset.dev/source": "true"}}
        self.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": values},
            {
                "apiVersion": "secretset.dev/v1alpha1",
                "kind": "SecretSet",
                "metadata": {"name": name, "namespace": ORGANIZATION},
                "spec": {
                    "data": {
                        key: {"valueFrom": {"secretKeyRef": {"name": f"{name}-values", "key": key}}} for key in values
                    }
                },
            },
        )
        self.ready(name)

    def ready(self, name: str, kind: str = "secretset") -> None:
        """Wait until an object is ready."""
        self.hub.kubectl(
            *("wait", f"{kind}/{name}", "-n", ORGANIZATION, "--for=jsonpath={.status.phase}=ready", "--timeout=40s")
        )

    def workload(self, name: str, *, uses: str = "", kind: str = "Deployment") -> None:
        """A workload in the region, perhaps with all of a Secret in its environment."""
        container: dict[str, Any] = {"name": "app", "image": "app:1"}
        if uses:
            container["envFrom"] = [{"secretRef": {"name": uses}}]
        spec: dict[str, Any] = {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
        }
        if kind == "StatefulSet":
            spec["serviceName"] = name
        meta = {"name": name, "namespace": REGIONAL}
        self.apply({"apiVersion": "apps/v1", "kind": kind, "metadata": meta, "spec": spec})

    def owned(self, owner: Mapping[str, Any], values: Mapping[str, str]) -> None:
        """An object, and the Secret of its name that its controller would make: it goes with it."""
        self.apply(owner)
        meta = owner["metadata"]
        uid = self.get(owner["kind"], meta["name"], "-n", meta["namespace"])["metadata"]["uid"]
        reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": meta["name"], "uid": uid}
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {**meta, "ownerReferences": [{**reference, "controller": True}]},
                "stringData": dict(values),
            }
        )

    def get(self, *args: str) -> Any:
        """What `kubectl get` finds on the hub."""
        return json.loads(self.hub.kubectl("get", *args, "-o", "json").stdout)

    def _copied(self, name: str, plane: ControlPlane) -> Path:
        """An administrator's kubeconfig that commands may change; about the organization."""
        config = yaml.safe_load(plane.kubeconfig.read_text())
        for context in config["contexts"]:
            context["context"]["namespace"] = ORGANIZATION
        return self.write(f".kube/{name}", yaml.safe_dump(config))


Scene = Callable[[World], None]
