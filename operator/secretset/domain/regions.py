"""Where a set lives: which region, which namespace there, and whether the platform team allows it. Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from secretset.domain import names, reasons
from secretset.domain.models.region import ArgoCDSecretRef, KubeconfigSecretRef, LabelSelector, RegionSpec

HUB = "hub"


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionRecord:
    """What is kept of a Region object."""

    name: str
    uid: str
    resource_version: str
    created: str
    generation: int
    spec: RegionSpec

    @property
    def credentials_ref(self) -> KubeconfigSecretRef | ArgoCDSecretRef | None:
        """The Secret of the hub that holds the credentials; None for the hub itself and for `in_cluster`."""
        cluster = self.spec.cluster
        return (cluster.kubeconfig_secret_ref or cluster.argo_cd_secret_ref) if cluster else None

    @property
    def in_cluster(self) -> bool:
        """Whether only a replica inside of the cluster serves it, with its own account there."""
        return self.spec.cluster is not None and self.spec.cluster.in_cluster is True

    @property
    def on_hub(self) -> bool:
        """Whether the cluster is the hub itself."""
        return self.spec.cluster is None

    @property
    def cluster(self) -> str:
        """Which cluster this is, as far as the object tells.

        Regions with one Secret share a cluster. One that is served from inside shares with nobody: the object does
        not tell where its replica runs.
        """
        match self.credentials_ref:
            case KubeconfigSecretRef() as ref:
                return f"kubeconfig:{ref.namespace}/{ref.name}/{ref.data_key}"
            case ArgoCDSecretRef() as ref:
                return f"argo-cd:{ref.namespace}/{ref.name}"
            case None:
                return HUB if self.on_hub else f"in-cluster:{self.name}"

    @property
    def template(self) -> str:
        """The namespace template with the default filled in."""
        return self.spec.namespace or ("{namespace}-{region}" if self.on_hub else "{namespace}")

    def namespace_for(self, organization: str) -> str:
        """The namespace of an organization in this region."""
        return self.template.replace("{namespace}", organization).replace("{region}", self.name)

    @classmethod
    def parse(cls, obj: Mapping[str, Any]) -> RegionRecord | None:
        """Read a Region object of the API; None if it was stored by a schema that is not ours."""
        meta = obj["metadata"]
        try:
            spec = RegionSpec.model_validate(obj.get("spec") or {})
        except ValidationError:
            return None
        return cls(
            name=meta["name"],
            uid=meta["uid"],
            resource_version=meta["resourceVersion"],
            created=meta["creationTimestamp"],
            generation=meta.get("generation", 0),
            spec=spec,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Organization:
    """What is kept of a namespace of the hub."""

    name: str
    created: str
    labels: Mapping[str, str]
    default_region: str | None

    @classmethod
    def parse(cls, obj: Mapping[str, Any]) -> Organization:
        """Read a Namespace object of the API (its metadata suffices)."""
        meta = obj["metadata"]
        return cls(
            name=meta["name"],
            created=meta["creationTimestamp"],
            labels=meta.get("labels") or {},
            default_region=(meta.get("annotations") or {}).get(names.ANNOTATION_DEFAULT_REGION),
        )


def resolve(
    *,
    named: str | None,
    settled: str | None,
    organization: Organization | None,
    regions: Mapping[str, RegionRecord],
) -> str | None:
    """The name of the region that a set lives in.

    Args:
        named: ``spec.region``.
        settled: ``status.region``: once a region was chosen it stays.
        organization: the namespace of the set.
        regions: all that exist.

    Returns:
        The region's name, which need not exist; None if none is named and there is no default.
    """
    if settled or named:
        return settled or named
    if organization is not None and organization.default_region:
        return organization.default_region
    marked = defaults(regions.values())
    return marked[0] if marked else None


def defaults(regions: Iterable[RegionRecord]) -> list[str]:
    """The names of the Regions that are marked as the default; the oldest comes first, and counts."""
    return [name for _, name in sorted((r.created, r.name) for r in regions if r.spec.default)]


def target_namespace(
    region: RegionRecord,
    organization: Organization,
    *,
    regions: Mapping[str, RegionRecord],
    organizations: Mapping[str, Organization],
    operator_namespace: str,
) -> str:
    """The namespace of an organization in a region, if it may live there.

    Raises:
        Problem: ``RegionForbidden``, ``RegionNotReady`` or ``InvalidSpec``.
    """
    if region.spec.decommissioned:
        raise reasons.region_forbidden(region.name, "it is decommissioned; create a set in another region.")
    if not selects(region.spec.organizations, organization.labels):
        raise reasons.region_forbidden(
            region.name, f"it does not accept the organization '{organization.name}'; ask the platform team."
        )
    target = region.namespace_for(organization.name)
    if not names.NAMESPACE_PATTERN.fullmatch(target):
        raise reasons.invalid_spec(
            f"The namespace '{target}' of region '{region.name}' would not be a valid name (63 characters, "
            "lower case): the Region's namespace template does not fit this organization."
        )
    if target.startswith("kube-") or target == operator_namespace:
        raise reasons.region_forbidden(
            region.name, f"its template leads to the namespace '{target}', which is not for sets."
        )
    rival = _older_claim(region, organization, target, regions=regions.values(), organizations=organizations)
    if rival is not None:
        raise reasons.region_forbidden(
            region.name,
            f"the namespace '{target}' already stands for the organization '{rival[1]}' in region '{rival[0]}'.",
        )
    return target


def organizations_at(
    region: RegionRecord, namespace: str, organizations: Mapping[str, Organization]
) -> Iterable[Organization]:
    """The organizations whose namespace in a region this is by its template alone; `target_namespace` has the rules.

    One at most, but for a template without ``{namespace}``, whose one namespace is that of all.
    """
    if "{namespace}" not in region.template:
        return organizations.values() if region.namespace_for("") == namespace else ()
    found = organizations.get(_organization_of(region, namespace))
    return (found,) if found is not None and region.namespace_for(found.name) == namespace else ()


def _older_claim(
    region: RegionRecord,
    organization: Organization,
    target: str,
    *,
    regions: Iterable[RegionRecord],
    organizations: Mapping[str, Organization],
) -> tuple[str, str] | None:
    """An older pair of region and organization that resolves to the same namespace of the same cluster.

    `team` + `eu-prod` and `team-eu` + `prod` both give `team-eu-prod`. A pair is as old as the younger of its two
    halves, so that nobody can move into a namespace that already stands for somebody else. A template without
    ``{namespace}`` shares its namespace on purpose, among the organizations that the Region admits.
    """
    if "{namespace}" not in region.template:
        return None
    own = (max(region.created, organization.created), region.name, organization.name)
    claims = []
    for other in regions:
        if other.cluster != region.cluster or other.spec.decommissioned or "{namespace}" not in other.template:
            continue
        candidate = organizations.get(_organization_of(other, target))
        if candidate is None or other.namespace_for(candidate.name) != target:
            continue
        if not selects(other.spec.organizations, candidate.labels):
            continue
        claims.append((max(other.created, candidate.created), other.name, candidate.name))
    older = min(claims, default=own)
    return (older[1], older[2]) if older < own else None


def _organization_of(region: RegionRecord, target: str) -> str:
    """The organization that a namespace stands for by a region's template; empty if it stands for none."""
    found = _pattern(region.template.replace("{region}", region.name)).fullmatch(target)
    return found.group("name") if found else ""


@functools.lru_cache(maxsize=1024)
def _pattern(template: str) -> re.Pattern[str]:
    first, *others = re.escape(template).split(re.escape("{namespace}"))
    return re.compile(first + "(?P<name>.+)" + "(?P=name)".join(others))


def selects(selector: LabelSelector | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector picks these labels (`metav1.LabelSelector`); an absent one picks all."""
    if selector is None:
        return True
    if any(labels.get(name) != value for name, value in (selector.match_labels or {}).items()):
        return False
    for term in selector.match_expressions or ():
        value, values = labels.get(term.key), term.values or []
        holds = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[term.operator]
        if not holds:
            return False
    return True
