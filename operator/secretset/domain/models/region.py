"""Region: a target cluster and the rule for the namespace there. Cluster-scoped, owned by the platform team."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from secretset.domain.models.common import FORBIDDEN, REGION_MAX, REQUIRED, Model, cel, rules
from secretset.domain.models.status import Condition
from secretset.domain.reasons import Phase


class KubeconfigSecretRef(Model):
    """The key of a Secret of the hub that holds a kubeconfig."""

    namespace: str = Field(
        description="Namespace of the Secret on the hub.", max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
    )
    name: str = Field(description="Name of the Secret.", max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    key: str = Field(description="Key that holds the kubeconfig.", min_length=1, max_length=253)


class ClusterSpec(Model):
    """How to reach the region's cluster."""

    kubeconfig_secret_ref: KubeconfigSecretRef = Field(description="The kubeconfig to use, in a Secret of the hub.")


class LabelSelectorRequirement(Model):
    """One expression of a label selector, as in `metav1.LabelSelector`."""

    # The API server's own rules and texts for selectors. A NotIn without values would admit every organization.
    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "!(self.operator in ['In', 'NotIn']) || (has(self.values) && self.values.size() > 0)",
                "must be specified when `operator` is 'In' or 'NotIn'",
                field=".values",
                reason=REQUIRED,
            ),
            cel(
                "self.operator in ['In', 'NotIn'] || !has(self.values) || self.values.size() == 0",
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                field=".values",
                reason=FORBIDDEN,
            ),
        )
    )

    key: str = Field(description="The label.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="How it is compared.")
    values: list[str] | None = Field(default=None, description="What it is compared with, for In and NotIn.")


class LabelSelector(Model):
    """Selects namespaces of the hub by their labels, as `metav1.LabelSelector` does."""

    match_labels: dict[str, str] | None = Field(default=None, description="Labels that must be there with that value.")
    match_expressions: list[LabelSelectorRequirement] | None = Field(
        default=None, description="Expressions that must hold, all of them."
    )


class RegionSpec(Model):
    """What a Region is."""

    display_name: str | None = Field(default=None, max_length=128, description="Name for people.")
    default: bool | None = Field(default=None, description="Sets that name no region live here.")
    cluster: ClusterSpec | None = Field(default=None, description="The cluster. Absent: the hub itself.")
    namespace: str | None = Field(
        default=None,
        min_length=1,
        max_length=128,
        description="Template of the namespace there; {namespace} stands for the organization and {region} for this "
        "region. Absent: {namespace} on another cluster, {namespace}-{region} on the hub.",
        json_schema_extra=rules(
            cel(
                "!self.replace('{namespace}', '').replace('{region}', '').contains('{')"
                " && !self.replace('{namespace}', '').replace('{region}', '').contains('}')",
                "the template knows {namespace} and {region} only",
            )
        ),
    )
    create_namespaces: bool | None = Field(
        default=None, description="Create the namespace there if it is missing. Absent: no."
    )
    organizations: LabelSelector | None = Field(
        default=None, description="Namespaces of the hub that may use the region. Absent: all."
    )
    decommissioned: bool | None = Field(
        default=None, description="The cluster is gone for good: nothing is delivered, deletions do not wait for it."
    )


class PhaseCounts(Model):
    """Sets of a region, counted by phase."""

    ready: int = Field(description="Sets that are ready.")
    pending: int = Field(description="Sets that are pending.")
    failed: int = Field(description="Sets that failed.")


class RegionStatus(Model):
    """What the operator reports of a Region."""

    phase: Phase = Field(description="pending, ready or failed.")
    reason: str | None = Field(default=None, description="Why, as one word.")
    message: str | None = Field(default=None, description="Why, and what to do.")
    observed_generation: int = Field(description="Generation of the spec that this speaks of.")
    server_version: str | None = Field(default=None, description="Version of the region's API server.")
    sets: PhaseCounts | None = Field(default=None, description="Sets of the region by phase.")
    conditions: list[Condition] | None = Field(
        default=None,
        description="Reachable: whether the API server of its cluster answers.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )


class Region(Model):
    """A target cluster, or a namespace of the hub, that sets can be delivered to."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                f"self.metadata.name.size() <= {REGION_MAX}",
                f"must be at most {REGION_MAX} characters long",
                field=".metadata.name",
            )
        )
    )

    metadata: dict[str, Any]
    spec: RegionSpec = Field(description="What the region is.")
    status: RegionStatus | None = Field(default=None, description="What it is found to be. Written by the operator.")
