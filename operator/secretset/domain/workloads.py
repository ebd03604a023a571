"""Workloads that can be restarted: the kinds, and the small record that is kept of each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from secretset.domain import names, rollouts
from secretset.domain.rollouts import Rollout
from secretset.domain.uses import Uses, secret_uses


@dataclass(frozen=True, kw_only=True)
class WorkloadKind:
    """A kind of workload with a pod template at ``spec.template``; the table is open for more.

    Attributes:
        api: path of its group and version.
        rollout: tells from an object how its rollout stands.
        optional: a cluster need not know it.
    """

    kind: str
    plural: str
    rollout: Callable[[Mapping[str, Any]], Rollout]
    api: str = "apis/apps/v1"
    optional: bool = False

    @property
    def group(self) -> str:
        """The API group: `apps` of `apis/apps/v1`."""
        return self.api.split("/")[1]


DEPLOYMENT = WorkloadKind(kind="Deployment", plural="deployments", rollout=rollouts.deployment)
STATEFUL_SET = WorkloadKind(kind="StatefulSet", plural="statefulsets", rollout=rollouts.stateful_set)
DAEMON_SET = WorkloadKind(kind="DaemonSet", plural="daemonsets", rollout=rollouts.daemon_set)
ROLLOUT = WorkloadKind(
    kind="Rollout",
    plural="rollouts",
    rollout=rollouts.argo_rollout,
    api="apis/argoproj.io/v1alpha1",
    optional=True,
)
WORKLOAD_KINDS = (DEPLOYMENT, STATEFUL_SET, DAEMON_SET, ROLLOUT)
_BY_NAME = {entry.kind: entry for entry in WORKLOAD_KINDS}


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """What is kept of a workload.

    Attributes:
        generation: counts what was changed of its spec: a template, a number of replicas.
        uses: by Secret name, what its pods use of it.
        account: name of the ServiceAccount that its pods run as; empty if its pod template stands elsewhere.
        marks: Secret name to the id of the wave that the workload was last restarted for.
        restarted_for: what our annotation in its pod template says, and so in that of its newest pods.
        selector: of its pods, as the API wants it in a query.
        paused: why its restarts are held by those who run it, as part of a sentence; empty if they are not.
        rollout: how its rollout stands.
    """

    kind: str
    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int
    uses: Uses
    account: str
    marks: Mapping[str, str]
    restarted_for: str
    selector: str
    paused: str
    rollout: Rollout

    def __str__(self) -> str:
        return f"{self.kind} '{self.name}'"

    @property
    def path_kind(self) -> WorkloadKind:
        """The entry of the kind table."""
        return _BY_NAME[self.kind]

    def restarted_by(self, secret: str) -> bool:
        """Whether its newest pods are of a restart for this Secret."""
        return any(each.startswith(f"{secret}@") for each in self.restarted_for.split(","))

    def looks_like(self, other: Workload | None) -> bool:
        """Whether nothing differs that a set depends on."""
        return other is not None and all(getattr(self, name) == getattr(other, name) for name in _LOOK)


_LOOK = ("uid", "uses", "account", "marks", "paused", "rollout")
_NOTHING: Uses = {}
_UNMARKED: Mapping[str, str] = {}


def parse(kind: WorkloadKind, obj: Mapping[str, Any]) -> Workload:
    """The record of a workload."""
    meta, spec = obj["metadata"], obj["spec"]
    notes, template = meta.get("annotations") or {}, spec.get("template") or {}
    prefix = names.WAVE_MARK_PREFIX
    return Workload(
        kind=kind.kind,
        namespace=sys.intern(meta["namespace"]),
        name=meta["name"],
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        generation=meta.get("generation", 0),
        uses=secret_uses(template, restart=notes.get(names.ANNOTATION_RESTART, "")) or _NOTHING,
        account=sys.intern((template.get("spec") or {}).get("serviceAccountName") or "default") if template else "",
        marks={k[len(prefix) :]: v for k, v in notes.items() if k.startswith(prefix)} or _UNMARKED,
        restarted_for=((template.get("metadata") or {}).get("annotations") or {}).get(
            names.ANNOTATION_RESTARTED_FOR, ""
        ),
        selector=_selector(spec.get("selector") or {}),
        paused=_paused(spec, notes),
        rollout=kind.rollout(obj),
    )


def _paused(spec: Mapping[str, Any], notes: Mapping[str, str]) -> str:
    if notes.get(names.ANNOTATION_PAUSED) == "true":
        return f"is annotated {names.ANNOTATION_PAUSED}=true"
    return "is paused (spec.paused)" if spec.get("paused") else ""


def _selector(selector: Mapping[str, Any]) -> str:
    """A label selector in the form of a query (`labels.Selector.String` in k8s.io/apimachinery)."""
    parts = [f"{name}={value}" for name, value in sorted((selector.get("matchLabels") or {}).items())]
    for entry in selector.get("matchExpressions") or ():
        name, values = entry["key"], ",".join(entry.get("values") or ())
        match entry["operator"]:
            case "Exists":
                parts.append(name)
            case "DoesNotExist":
                parts.append(f"!{name}")
            case operator:
                parts.append(f"{name} {operator.lower()} ({values})")
    return sys.intern(",".join(parts))
