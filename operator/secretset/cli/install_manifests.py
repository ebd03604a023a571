"""What `secretset install` applies: the files of deploy/, which come in the wheel, and a region to begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from secretset.cli.hub import CommandError
from secretset.domain import names
from secretset.domain.crd import DEFINITIONS, render

Manifest = dict[str, Any]

_PACKAGE = Path(__file__).resolve().parents[1]
# A wheel carries them in the package; an editable install finds them in the tree.
_FOLDERS = (_PACKAGE / "deploy", _PACKAGE.parents[1] / "deploy")

BASE = ("namespace.yaml", "rbac.yaml", "operator.yaml", "user-roles.yaml", "regions-viewer.yaml")
POLICIES = ("finalizer-policy.yaml", "bind-policy.yaml")
"""What a cluster before Kubernetes 1.36 does not serve, and does without."""
WEBHOOK = ("webhook.yaml", "webhook-self-signed.yaml", "webhook-hub.yaml", "seal.yaml")
API = ("api.yaml",)
NETWORK = ("network-policies.yaml",)
GATE = ("gate.yaml",)
"""Applied by those who want it, and of no use without the webhook, or worse: workloads may wait for its answer."""
IMAGE = "secretset-operator"
"""The image in the files, which stands for the one that is chosen."""


def crds() -> list[Manifest]:
    """The CustomResourceDefinitions of this version."""
    return [render(definition) for definition in DEFINITIONS]


def of_files(files: tuple[str, ...], image: str) -> list[Manifest]:
    """What stands in files of deploy/, with an image chosen; no NetworkPolicy of pods that are not among it."""
    found = [obj for name in files for obj in yaml.safe_load_all(_read(name)) if obj]
    pods = {obj["metadata"]["name"] for obj in found if obj["kind"] == "Deployment"}
    found = [obj for obj in found if obj["kind"] != "NetworkPolicy" or obj["metadata"]["name"] in pods]
    for obj in found:
        for container in ((obj.get("spec") or {}).get("template") or {}).get("spec", {}).get("containers", ()):
            if str(container.get("image")).partition(":")[0] == IMAGE:
                container["image"] = image
    return found


def removable() -> list[Manifest]:
    """What goes with the operator, in the order in which it was applied: not the namespace, where its keys are."""
    found = [
        obj for name in (*BASE, *POLICIES, *WEBHOOK, *API, *NETWORK, *GATE) for obj in yaml.safe_load_all(_read(name))
    ]
    return [obj for obj in found if obj["kind"] != "Namespace"]


def region(name: str, organization: str) -> list[Manifest]:
    """A default Region that is a namespace of the hub, and what the operator needs there for one organization.

    Raises:
        CommandError: its namespace could have no such name.
    """
    namespace = f"{organization}-{name}"
    if not (names.NAMESPACE_PATTERN.fullmatch(name) and names.NAMESPACE_PATTERN.fullmatch(namespace)):
        raise CommandError(f"the region '{name}' would be in a namespace whose name is none: take a shorter, plain one")
    return [
        {
            "apiVersion": names.API_VERSION,
            "kind": "Region",
            "metadata": {"name": name},
            "spec": {"default": True},
        },
        *({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": each}} for each in (organization, namespace)),
        *_granted("organization.yaml", organization),
        *_granted("regional-namespace.yaml", namespace),
    ]


def _granted(file: str, namespace: str) -> Iterator[Manifest]:
    """A file of deploy/ that is meant to be applied once for each namespace."""
    for obj in yaml.safe_load_all(_read(file)):
        yield {**obj, "metadata": {**obj["metadata"], "namespace": namespace}}


def _read(name: str) -> str:
    for folder in _FOLDERS:
        if (folder / name).is_file():
            return (folder / name).read_text()
    raise CommandError(f"this installation lacks '{name}'; install the package anew")
