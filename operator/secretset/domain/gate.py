"""The ready gate: may a workload begin to use Secrets, given how the sets of these names stand? Pure.

Only what is new is looked at: a Secret that the pod template did not use before. Whatever runs already goes on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from secretset.domain import names
from secretset.domain.names import Kind
from secretset.domain.reasons import Phase, Problem, Reason
from secretset.domain.regions import Organization, RegionRecord, organizations_at, resolve, target_namespace
from secretset.domain.uses import secret_uses

Template = Mapping[str, Any]
Claims = Mapping[str, Collection[str]]
"""Organization to the names of its Regions here whose namespace is the workload's."""

_TOLD = 5  # sets that one refusal speaks of
# What makes a template roll again, and says nothing of what its pods need: ours, and that of `kubectl rollout restart`.
_RESTARTED = frozenset({names.ANNOTATION_RESTARTED_FOR, "kubectl.kubernetes.io/restartedAt"})


def newly_used(template: Template | None, before: Template | None) -> list[str]:
    """The Secrets, sorted, that a pod template uses and the one before it did not, where a set may have that name.

    Any form of reference counts, optional ones too. What may be in a template is anything, also `../../x`.
    """
    found = secret_uses(template or {}).keys() - secret_uses(before or {}).keys()
    return sorted(filter(names.is_valid_name, found))


def regions_here(
    regions: Mapping[str, RegionRecord],
    statuses: Mapping[str, Mapping[str, Any]],
    *,
    cluster_id: str,
    on_hub: bool,
    named: Collection[str] = (),
) -> list[RegionRecord]:
    """The Regions that live in the cluster whose API server asks.

    Args:
        regions: all that exist.
        statuses: theirs, by name.
        cluster_id: of that cluster (uid of its namespace kube-system); empty if it is not known.
        on_hub: that cluster is the hub.
        named: Regions that are said to live there.
    """
    return [
        region
        for region in regions.values()
        if (on_hub and region.on_hub)
        or region.name in named
        or (cluster_id and (statuses.get(region.name) or {}).get("clusterId") == cluster_id)
    ]


def claims(
    namespace: str,
    *,
    here: Iterable[RegionRecord],
    regions: Mapping[str, RegionRecord],
    organizations: Mapping[str, Organization],
    operator_namespace: str,
) -> dict[str, set[str]]:
    """Whose namespace it is: the organizations that rightly deliver to it, each with its Regions here.

    One that its Region does not admit has no claim: else whoever may name a namespace of the hub could hold up the
    workloads of somebody else.
    """
    found: dict[str, set[str]] = {}
    for region in here:
        for organization in organizations_at(region, namespace, organizations):
            try:
                target_namespace(
                    region,
                    organization,
                    regions=regions,
                    organizations=organizations,
                    operator_namespace=operator_namespace,
                )
            except Problem:
                continue
            found.setdefault(organization.name, set()).add(region.name)
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How a set stands, as a reader sees it: what its status says counts for its generation only.

    Attributes:
        phase: None for a phase that this version does not know.
        going: it is being deleted, and its Secret with it.
    """

    kind: Kind
    namespace: str
    name: str
    created: str
    named_region: str | None
    settled_region: str | None
    phase: Phase | None
    reason: str
    message: str
    going: bool

    @classmethod
    def parse(cls, kind: Kind, obj: Mapping[str, Any]) -> Standing:
        """Read a SecretSet or ImagePullSecret of the API; nothing of its values is looked at."""
        meta, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
        told = status.get("observedGeneration", -1) >= meta.get("generation", 0)
        phase = str(status.get("phase", "")) if told else Phase.PENDING.value
        return cls(
            kind=kind,
            namespace=meta["namespace"],
            name=meta["name"],
            created=meta["creationTimestamp"],
            named_region=spec.get("region"),
            settled_region=status.get("region"),
            phase=Phase(phase) if phase in set(Phase) else None,
            reason=str(status.get("reason") or ""),
            message=str(status.get("message") or ""),
            going="deletionTimestamp" in meta and spec.get("deletionPolicy") != "Retain",
        )

    @property
    def usable(self) -> bool:
        """Whether pods that begin now get what the set says."""
        return self.phase is Phase.READY and not self.going

    @property
    def refusal(self) -> str:
        """What somebody is told who wants to use it now."""
        if self.going:
            return f"Secret set '{self.name}' is being deleted. Retry once it was created again."
        if self.phase is Phase.PENDING:
            return f"Secret set '{self.name}' is not yet ready. Retry once it has been provisioned."
        why = f"{self.reason or 'unknown reason'}. {self.message}".rstrip()
        where = f"kubectl get {self.kind.lower()} {self.name} -n {self.namespace}"
        return f"Secret set '{self.name}' has failed: {why} Its status tells more: `{where}` on the hub."


def in_the_way(
    found: Iterable[Standing],
    claims: Claims,
    *,
    regions: Mapping[str, RegionRecord],
    organizations: Mapping[str, Organization],
) -> list[Standing]:
    """Of the sets of the names in question those, one for each name and sorted, that are not ready there.

    Several objects may bear one name: both kinds do, and organizations may share a namespace. One that is ready has
    delivered the Secret, so the name is free; else the oldest speaks, unless it only lost the name to another.
    """
    by_name: dict[str, list[Standing]] = {}
    for each in found:
        region = resolve(
            named=each.named_region,
            settled=each.settled_region,
            organization=organizations.get(each.namespace),
            regions=regions,
        )
        if region in claims.get(each.namespace, ()):
            by_name.setdefault(each.name, []).append(each)
    return [
        min(standings, key=lambda each: (each.reason == Reason.NAME_CONFLICT, each.created, each.kind))
        for _, standings in sorted(by_name.items())
        if not any(each.usable for each in standings)
    ]


def refusal(unready: Sequence[Standing]) -> str:
    """What somebody is told who wants to use these sets now: all of them, so that one attempt shows what is missing."""
    more = len(unready) - _TOLD
    texts = [each.refusal for each in unready[:_TOLD]] + ([f"And {more} more."] if more > 0 else [])
    return " ".join(texts)


def earlier_templates(history: Iterable[Mapping[str, Any]], owner_uid: str) -> Iterator[Template]:
    """The pod templates that a workload had, out of the ReplicaSets or ControllerRevisions of its namespace."""
    for item in history:
        owners = item["metadata"].get("ownerReferences") or ()
        if any(owner.get("controller") and owner.get("uid") == owner_uid for owner in owners):
            yield ((item.get("spec") or item.get("data", {}).get("spec")) or {}).get("template") or {}


def ran_before(template: Template, earlier: Iterable[Template]) -> bool:
    """Whether a pod template is one of the earlier ones, but for marks of restarts.

    All that is in it has to be in the earlier one too. That may have more: the hash that a controller labels it with,
    and, as a Rollout's own template has no defaults filled in, the defaults.
    """
    wanted = _essence(template)
    return any(_within(wanted, _essence(each)) for each in earlier)


def _essence(template: Template) -> dict[str, Any]:
    meta = template.get("metadata") or {}
    notes = {name: text for name, text in (meta.get("annotations") or {}).items() if name not in _RESTARTED}
    return {"labels": meta.get("labels") or {}, "annotations": notes, "spec": template.get("spec") or {}}


def _within(part: Any, whole: Any) -> bool:
    """Whether all that JSON holds is in another; lists have to be as long, because entries have no names here."""
    if isinstance(part, Mapping) and isinstance(whole, Mapping):
        return all(value is None or (name in whole and _within(value, whole[name])) for name, value in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) == len(whole) and all(map(_within, part, whole))
    return bool(part == whole)
