"""What a workload uses of which Secret, and how its rollout stands: read from its object, kept as a small record."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from secretset.domain import names

# The whole Secret is used, not single keys of it.
ALL_KEYS: frozenset[str] | None = None

Uses = Mapping[str, frozenset[str] | None]


@dataclass(frozen=True, kw_only=True)
class WorkloadKind:
    """A kind of workload that can be restarted; the table is open for more."""

    kind: str
    plural: str
    api: str = "apis/apps/v1"


DEPLOYMENT = WorkloadKind(kind="Deployment", plural="deployments")
WORKLOAD_KINDS = (DEPLOYMENT,)


class Rollout(StrEnum):
    """How the rollout of a workload stands."""

    CURRENT = "current"
    RESTARTING = "restarting"
    STALLED = "stalled"
    PAUSED = "paused"


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """What is kept of a workload that uses Secrets.

    Attributes:
        uses: Secret name to the keys that the pod template reads by name, or ``ALL_KEYS``.
        marks: Secret name to the id of the wave that the workload was last restarted for.
    """

    kind: str
    namespace: str
    name: str
    uid: str
    resource_version: str
    uses: Uses
    marks: Mapping[str, str]
    rollout: Rollout

    @property
    def path_kind(self) -> WorkloadKind:
        """The entry of the kind table."""
        return next(entry for entry in WORKLOAD_KINDS if entry.kind == self.kind)

    def looks_like(self, other: Workload | None) -> bool:
        """Whether nothing differs that a set depends on."""
        return other is not None and (self.uid, self.uses, self.marks, self.rollout) == (
            other.uid,
            other.uses,
            other.marks,
            other.rollout,
        )

    def uses_any(self, secret: str, keys: Iterable[str]) -> bool:
        """Whether the pod template uses one of these keys of a Secret."""
        if secret not in self.uses:
            return False
        used = self.uses[secret]
        return used is None or not used.isdisjoint(keys)


def parse(kind: WorkloadKind, obj: Mapping[str, Any]) -> Workload | None:
    """The record of a workload; None if its pod template uses no Secret."""
    uses = secret_uses(obj["spec"].get("template", {}).get("spec") or {})
    if not uses:
        return None
    meta = obj["metadata"]
    prefix = names.WAVE_MARK_PREFIX
    return Workload(
        kind=kind.kind,
        namespace=sys.intern(meta["namespace"]),
        name=meta["name"],
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        uses=uses,
        marks={k[len(prefix) :]: v for k, v in (meta.get("annotations") or {}).items() if k.startswith(prefix)},
        rollout=_deployment_rollout(obj),
    )


def secret_uses(pod: Mapping[str, Any]) -> dict[str, frozenset[str] | None]:
    """Every Secret that a pod spec reads into environment or files, with the keys it names.

    Covers envFrom, env, secret volumes and projected volumes of all containers and init containers. Pod templates
    cannot hold ephemeral containers, and pull secrets are used by kubelet, not by the pod.
    """
    uses: dict[str, set[str] | None] = {}
    for name, keys in _references(pod):
        known = uses.get(name, set())
        uses[sys.intern(name)] = None if keys is None or known is None else known | keys
    return {name: None if keys is None else frozenset(keys) for name, keys in uses.items()}


def _references(pod: Mapping[str, Any]) -> Iterator[tuple[str, set[str] | None]]:
    for container in (*(pod.get("containers") or ()), *(pod.get("initContainers") or ())):
        for source in container.get("envFrom") or ():
            if name := (source.get("secretRef") or {}).get("name"):
                yield name, None
        for variable in container.get("env") or ():
            ref = (variable.get("valueFrom") or {}).get("secretKeyRef") or {}
            if ref.get("name"):
                yield ref["name"], {ref["key"]}
    for volume in pod.get("volumes") or ():
        secret = volume.get("secret") or {}
        if name := secret.get("secretName"):
            yield name, _items(secret)
        for source in (volume.get("projected") or {}).get("sources") or ():
            secret = source.get("secret") or {}
            if name := secret.get("name"):
                yield name, _items(secret)


def _items(secret: Mapping[str, Any]) -> set[str] | None:
    """The keys that a volume takes from a Secret: those it lists, or all."""
    items = secret.get("items")
    return {item["key"] for item in items} if items else None


def _deployment_rollout(obj: Mapping[str, Any]) -> Rollout:
    """What `kubectl rollout status` would say (kubectl's `DeploymentStatusViewer`)."""
    spec, status = obj["spec"], obj.get("status") or {}
    if spec.get("paused"):
        return Rollout.PAUSED
    if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 0):
        return Rollout.RESTARTING
    for condition in status.get("conditions") or ():
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return Rollout.STALLED
    wanted = spec.get("replicas", 1)
    updated = status.get("updatedReplicas", 0)
    done = updated >= wanted and status.get("replicas", 0) <= updated and status.get("availableReplicas", 0) >= updated
    return Rollout.CURRENT if done else Rollout.RESTARTING
