"""What is measured with: organizations, one region on the hub, sources, sets and Deployments."""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from bench.api import CONCURRENCY, MERGE_PATCH, Api, side_by_side

GROUP = "/apis/secretset.dev/v1alpha1"
REGION = "bench"
OPERATOR_NAMESPACE = "secretset-system"


def organizations(count: int) -> tuple[str, ...]:
    """So many organizations; those of a smaller number are among them."""
    return tuple(f"org-{number}" for number in range(count))


ORGANIZATIONS = organizations(10)


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


def names(prefix: str, count: int, among: Sequence[str] = ORGANIZATIONS) -> list[Name]:
    """Names of sets, dealt out to organizations in turn."""
    return [Name(among[i % len(among)], f"{prefix}-{i:05}") for i in range(count)]


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


def restarted(set_name: str, told: str) -> dict[str, Any]:
    """A patch as the operator's that restarts a Deployment: of its own marks, and of the pods' template."""
    return {
        "metadata": {"annotations": {f"wave.secretset.dev/{set_name}": told}},
        "spec": {"template": {"metadata": {"annotations": {"secretset.dev/restarted-for": told}}}},
    }


async def not_ready(api: Api, wanted: Collection[Name]) -> set[Name]:
    """Those of some sets that are not ready now."""
    missing = set(wanted)
    for organization in {name.organization for name in wanted}:
        async for page in api.pages(sets(organization)):
            done = (obj["metadata"] for obj in page if ready(obj))
            missing -= {Name(meta["namespace"], meta["name"]) for meta in done}
    return missing


async def create_sets(api: Api, wanted: Sequence[Name], width: int = CONCURRENCY) -> float:
    """Create sets as a pipeline would, so many at a time; return the seconds."""
    return await side_by_side(wanted, lambda name: api.send("POST", sets(name.organization), secret_set(name)), width)


async def wipe(api: Api, wanted: Sequence[Name]) -> None:
    """Take sets, and all Secrets of their organizations, away without the operator, which must not run."""
    free: dict[str, Any] = {"metadata": {"finalizers": []}}
    await side_by_side(wanted, lambda name: api.send("PATCH", name.path, free, MERGE_PATCH), 2 * CONCURRENCY)

    async def one(organization: str) -> None:
        await api.send("DELETE", sets(organization))
        await api.send("DELETE", secrets(Name(organization, "").target))

    await side_by_side(sorted({name.organization for name in wanted}), one)
