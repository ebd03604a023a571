"""Where the resources that we use are in the API.

Names come from objects that tenants write, so no name may be more than one segment of a path: a Secret called
`../../kube-system/secrets/x` would be read in another namespace.
"""

from __future__ import annotations

import re

from secretset.domain import names
from secretset.domain.names import Key, Kind
from secretset.domain.workloads import WorkloadKind

NAMESPACES = "/api/v1/namespaces"
REGIONS = f"/apis/{names.API_VERSION}/regions"
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
RULES_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
RBAC = "rbac.authorization.k8s.io"

# RFC 1123 subdomain, the loosest rule that any name we put into a path must keep.
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


def core(plural: str, namespace: str | None = None, name: str | None = None) -> str:
    """A resource of the core group: over all namespaces, of one namespace, or one object."""
    return of("/api/v1", plural, namespace, name)


def secrets(namespace: str | None = None, name: str | None = None) -> str:
    """Secrets."""
    return core("secrets", namespace, name)


def workloads(kind: WorkloadKind, namespace: str | None = None, name: str | None = None) -> str:
    """Workloads of one kind."""
    return of(f"/{kind.api}", kind.plural, namespace, name)


def history(plural: str, namespace: str) -> str:
    """Where the earlier templates of workloads are: ReplicaSets or ControllerRevisions (apps/v1)."""
    return of("/apis/apps/v1", plural, namespace, None)


def custom(key: Key) -> str:
    """One custom resource."""
    return of(f"/apis/{names.API_VERSION}", key.kind.plural, key.namespace, key.name)


def custom_list(kind: Kind, namespace: str | None = None) -> str:
    """All custom resources of a kind, or those of one namespace."""
    return of(f"/apis/{names.API_VERSION}", kind.plural, namespace, None)


def region(name: str) -> str:
    """One Region."""
    return of(f"/apis/{names.API_VERSION}", "regions", None, name)


def leases(namespace: str, name: str | None = None) -> str:
    """Leases (coordination.k8s.io/v1)."""
    return of("/apis/coordination.k8s.io/v1", "leases", namespace, name)


def admission(plural: str, name: str) -> str:
    """A policy of admission, or the binding of one (admissionregistration.k8s.io/v1)."""
    return of("/apis/admissionregistration.k8s.io/v1", plural, None, name)


def role_bindings(namespace: str, name: str | None = None) -> str:
    """RoleBindings (rbac.authorization.k8s.io/v1)."""
    return of(f"/apis/{RBAC}/v1", "rolebindings", namespace, name)


def cluster_role(name: str) -> str:
    """One ClusterRole."""
    return of(f"/apis/{RBAC}/v1", "clusterroles", None, name)


def events(namespace: str) -> str:
    """Events (events.k8s.io/v1)."""
    return of("/apis/events.k8s.io/v1", "events", namespace, None)


def of(root: str, plural: str, namespace: str | None, name: str | None) -> str:
    """Any resource, by the root of its group and version: put a path together.

    Raises:
        ValueError: a name is none; the text does not tell which, because it may hold anything.
    """
    for part in (namespace, name):
        if part is not None and not _NAME.fullmatch(part):
            raise ValueError("not a name of Kubernetes")
    scope = f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"
    return f"{scope}/{name}" if name else scope
