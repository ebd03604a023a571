"""What is measured with: organizations, one region on the hub, sources, sets and Deployments."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, NamedTuple

from bench.api import Api, side_by_side
from kubelab import ControlPlane

GROUP = "/apis/secretset.dev/v1alpha1"
REGION = "bench"
OPERATOR_NAMESPACE = "secretset-system"
ORGANIZATIONS = tuple(f"org-{number}" for number in range(10))
CRDS = Path(__file__).resolve().parents[1] / "crds"


class Name(NamedTuple):
    """One set."""

    organization: str
    name: str

    @property
    def target(self) -> str:
        """The namespace of its managed Secret, by the default rule for a region on the hub."""
        return f"{self.organization}-{REGION}"

    @property
    def path(self) -> str:
        """The set's own address."""
        return f"{sets(self.organization)}/{self.name}"

    @property
    def secret_path(self) -> str:
        """Its managed Secret's address."""
        return f"{secrets(self.target)}/{self.name}"


def sets(organization: str) -> str:
    """The sets of an organization."""
    return f"{GROUP}/namespaces/{organization}/secretsets"


def secrets(namespace: str) -> str:
    """The Secrets of a namespace."""
    return f"/api/v1/namespaces/{namespace}/secrets"


def deployments(namespace: str) -> str:
    """The Deployments of a namespace."""
    return f"/apis/apps/v1/namespaces/{namespace}/deployments"


def names(prefix: str, count: int) -> list[Name]:
    """Names of sets, dealt out to the organizations in turn."""
    return [Name(ORGANIZATIONS[i % len(ORGANIZATIONS)], f"{prefix}-{i:05}") for i in range(count)]


def source_data(turn: int) -> dict[str, str]:
    """What a source holds; another for every turn."""
    return {
        "api-key": base64.b64encode(f"key-of-turn-{turn:08}".encode()).decode(),
        "url": base64.b64encode(b"postgres://app@db.internal:5432/app").decode(),
    }


def source(namespace: str, name: str = "source") -> dict[str, Any]:
    """A labelled Secret that sets read from."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": namespace, "name": name, "labels": {"secretset.dev/source": "true"}},
        "data": source_data(0),
    }


def secret_set(name: Name, reads: str = "source") -> dict[str, Any]:
    """A set of two keys, both read from one source."""
    data = {
        key: {"valueFrom": {"secretKeyRef": {"name": reads, "key": of}}}
        for key, of in (("API_KEY", "api-key"), ("DATABASE_URL", "url"))
    }
    return {
        "apiVersion": "secretset.dev/v1alpha1",
        "kind": "SecretSet",
        "metadata": {"namespace": name.organization, "name": name.name},
        "spec": {"region": REGION, "data": data},
    }


def deployment(namespace: str, name: str, secret: str, *, replicas: int = 2) -> dict[str, Any]:
    """A Deployment that uses a Secret; its pods count after two seconds, so that a rollout takes a few."""
    labels = {"app": name}
    container = {"name": "main", "image": "example.invalid/app", "envFrom": [{"secretRef": {"name": secret}}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "replicas": replicas,
            "minReadySeconds": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def ready(obj: dict[str, Any]) -> bool:
    """Whether a set is ready, read as every reader has to."""
    status = obj.get("status") or {}
    return status.get("phase") == "ready" and status.get("observedGeneration") == obj["metadata"]["generation"]


async def furnish(plane: ControlPlane, api: Api) -> None:
    """Make everything that must be there before the operator starts."""
    files = [str(file) for file in sorted(CRDS.glob("*.yaml")) if file.name != "kustomization.yaml"]
    plane.kubectl("apply", "--server-side", "-f", ",".join(files))
    plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    spaces = [OPERATOR_NAMESPACE, *ORGANIZATIONS, *(Name(name, "").target for name in ORGANIZATIONS)]
    for space in spaces:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}}
        await api.send("POST", "/api/v1/namespaces", body)
    for organization in ORGANIZATIONS:
        await api.send("POST", secrets(organization), source(organization))
    region = {"apiVersion": "secretset.dev/v1alpha1", "kind": "Region", "metadata": {"name": REGION}, "spec": {}}
    await api.send("POST", f"{GROUP}/regions", region)


async def create_sets(api: Api, wanted: list[Name]) -> float:
    """Create sets as a pipeline would, eight at a time; return the seconds."""
    return await side_by_side(wanted, lambda name: api.send("POST", sets(name.organization), secret_set(name)))


async def wipe(api: Api, wanted: list[Name]) -> None:
    """Take sets and their Secrets away without the operator, which must not run."""

    async def one(name: Name) -> None:
        await api.send("DELETE", name.path)
        await api.send("PATCH", name.path, {"metadata": {"finalizers": []}}, "application/merge-patch+json")

    await side_by_side(wanted, one)
    for organization in ORGANIZATIONS:
        await api.send("DELETE", secrets(Name(organization, "").target))
