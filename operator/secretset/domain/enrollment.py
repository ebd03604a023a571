"""Regions that an organization registers for itself: served from inside of their cluster, for that organization alone.

The object, and what is told of it in the words of Pipecat's `regions` commands. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from secretset.domain import names
from secretset.domain.models.region import LabelSelector
from secretset.domain.reasons import Phase
from secretset.domain.regions import RegionRecord

# Every namespace has it, with its name, from the API server (kubernetes.io, "Well-Known Labels").
NAME_LABEL = "kubernetes.io/metadata.name"
# deploy/agent-hub.yaml: the account of the replica inside of a region.
ACCOUNT_PREFIX = "secretset-agent-"
_STANDING = {Phase.PENDING: "pending", Phase.READY: "enrolled", Phase.FAILED: "failed"}


def account(region: str) -> str:
    """The ServiceAccount, in the operator's namespace, of the replica that serves a region from inside."""
    return ACCOUNT_PREFIX + region


def created(name: str, organization: str, *, display_name: str | None, namespace: str | None) -> dict[str, Any]:
    """The Region that is served from inside, and admits one organization."""
    spec = {
        "displayName": display_name,
        "namespace": namespace,
        "cluster": {"inCluster": True},
        "organizations": {"matchLabels": {NAME_LABEL: organization}},
    }
    return {
        "apiVersion": names.API_VERSION,
        "kind": "Region",
        "metadata": {"name": name},
        "spec": {field: value for field, value in spec.items() if value is not None},
    }


def belongs_to(record: RegionRecord, organization: str) -> bool:
    """Whether a Region was registered for this organization alone."""
    alone = LabelSelector(match_labels={NAME_LABEL: organization})
    chosen = record.spec.organizations
    return (
        record.in_cluster
        and chosen is not None
        and (chosen.match_labels or {}, chosen.match_expressions or []) == (alone.match_labels, [])
    )


def told(record: RegionRecord, status: Mapping[str, Any]) -> dict[str, Any]:
    """A Region in Pipecat's words, its fields those that `regions show` reads; what is not kept here is null."""
    current = status.get("observedGeneration", -1) >= record.generation
    phase = status.get("phase") if current else None
    return {
        "region_key": record.name,
        "display_name": record.spec.display_name or record.name,
        "enrollment_status": _STANDING[Phase(phase)] if phase in set(Phase) else _STANDING[Phase.PENDING],
        "reason": status.get("reason") if current else None,
        "message": status.get("message") if current else None,
        "workloads_namespace": record.spec.namespace,
        "decommissioned": record.spec.decommissioned or False,
        "intermediate_expires_at": None,
        "ws_public_endpoint": None,
        "supported_architectures": None,
        "default_architecture": None,
    }
