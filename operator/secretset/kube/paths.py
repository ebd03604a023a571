"""Where the resources that we use are in the API."""

from __future__ import annotations

from secretset.domain import names
from secretset.domain.names import Key
from secretset.domain.workloads import WorkloadKind

NAMESPACES = "/api/v1/namespaces"
REGIONS = f"/apis/{names.API_VERSION}/regions"
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def core(plural: str, namespace: str | None = None, name: str | None = None) -> str:
    """A resource of the core group: over all namespaces, of one namespace, or one object."""
    scope = f"/api/v1/namespaces/{namespace}/{plural}" if namespace else f"/api/v1/{plural}"
    return f"{scope}/{name}" if name else scope


def secrets(namespace: str | None = None, name: str | None = None) -> str:
    """Secrets."""
    return core("secrets", namespace, name)


def workloads(kind: WorkloadKind, namespace: str | None = None, name: str | None = None) -> str:
    """Workloads of one kind."""
    scope = f"/{kind.api}/namespaces/{namespace}/{kind.plural}" if namespace else f"/{kind.api}/{kind.plural}"
    return f"{scope}/{name}" if name else scope


def custom(key: Key) -> str:
    """One custom resource."""
    return f"/apis/{names.API_VERSION}/namespaces/{key.namespace}/{key.kind.plural}/{key.name}"


def events(namespace: str) -> str:
    """Events (events.k8s.io/v1)."""
    return f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"
