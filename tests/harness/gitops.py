"""What GitOps tools make of objects, by lab/tools/gitops: kstatus (Helm, Flux), and Argo CD's own comparison."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from go_tools import tool
from kubelab.plane import ControlPlane

Manifest = Mapping[str, Any]
Way = Literal["client", "structured-merge", "server", "server-with-mutations"]
"""How Argo CD compares; lab/tools/gitops/main.go tells which option brings each."""

WAYS: tuple[Way, ...] = ("client", "structured-merge", "server", "server-with-mutations")
MANAGER = "argocd-controller"
TRACKING = "argocd.argoproj.io/tracking-id"


def kstatus(objects: Iterable[Manifest]) -> list[str]:
    """Current, InProgress, Failed or Terminating, for each object."""
    return [said["status"] for said in _asked("kstatus", list(objects))]


@dataclass
class ArgoApplication:
    """Objects that an Application of Argo CD applies to a cluster, as it applies and compares them.

    Attributes:
        plane: the cluster.
        server_side: whether the Application has the sync option ServerSideApply=true.
        name: of the Application.
    """

    plane: ControlPlane
    server_side: bool
    name: str = "shop"
    _targets: dict[tuple[str, str, str], Manifest] = field(default_factory=dict)

    def wants(self, manifest: Manifest) -> Manifest:
        """Have this in Git; returns it with the mark by which Argo CD knows what it applied."""
        meta = manifest["metadata"]
        key = (manifest["kind"], meta.get("namespace", ""), meta["name"])
        notes = {**meta.get("annotations", {}), TRACKING: f"{self.name}:{key[0]}:{key[1]}/{key[2]}"}
        self._targets[key] = {**manifest, "metadata": {**meta, "annotations": notes}}
        return self._targets[key]

    def sync(self, *manifests: Manifest) -> None:
        """Have this in Git, and apply it."""
        how = ("--server-side", "--force-conflicts") if self.server_side else ()
        targets = [self.wants(manifest) for manifest in manifests]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": targets})
        self.plane.kubectl("apply", f"--field-manager={MANAGER}", *how, "-f", "-", input=text)

    def live(self, manifest: Manifest) -> dict[str, Any]:
        """The object in the cluster."""
        meta = manifest["metadata"]
        at = ("-n", meta["namespace"]) if "namespace" in meta else ()
        done = self.plane.kubectl("get", manifest["kind"], meta["name"], *at, "-o", "json", "--show-managed-fields")
        return dict(json.loads(done.stdout))

    def out_of_sync(self) -> dict[str, str]:
        """What Argo CD would call OutOfSync, in whatever way it compares: the way and the object, and the fields."""
        targets = list(self._targets.values())
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": targets})
        shown = ("--show-managed-fields", "-o", "json", "-f", "-")
        how = ("--server-side", "--force-conflicts", "--dry-run=server", f"--field-manager={MANAGER}")
        live = _items(self.plane.kubectl("get", *shown, input=text).stdout)
        predicted = _items(self.plane.kubectl("apply", *how, *shown, input=text).stdout)
        cases: list[dict[str, Any]] = [
            {"way": way, "target": target, "live": found, "predicted": foreseen}
            for way in WAYS
            for target, found, foreseen in zip(targets, live, predicted, strict=True)
        ]
        openapi = json.loads(self.plane.kubectl("get", "--raw", "/openapi/v2").stdout)
        told = _asked("diff", {"openapi": openapi, "manager": MANAGER, "cases": cases})
        return {
            f"{case['way']} {case['target']['kind']}/{case['target']['metadata']['name']}": ", ".join(
                sorted(_differing(said["live"], said["predicted"]))
            )
            for case, said in zip(cases, told, strict=True)
            if said["modified"]
        }


def _items(text: str) -> list[Manifest]:
    """Of a List; kubectl prints one object alone as it is."""
    found = json.loads(text)
    return list(found["items"]) if found["kind"] == "List" else [found]


def _differing(one: Any, other: Any, path: str = "") -> Iterable[str]:
    """Paths of what differs; never what stands there."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            yield from _differing(one.get(key), other.get(key), f"{path}.{key}")
    elif one != other:
        yield path


def _asked(command: str, given: Any) -> Any:
    done = subprocess.run([tool("gitops"), command], input=json.dumps(given), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
