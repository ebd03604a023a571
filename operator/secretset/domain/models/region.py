"""Region: a target cluster and the rule for the namespace there. Cluster-scoped, owned by the platform team."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from secretset.domain.models.common import FORBIDDEN, REGION_MAX, REQUIRED, Model, cel, rules
from secretset.domain.models.status import Condition
from secretset.domain.reasons import Phase

# The key that Cluster API writes the kubeconfig of a cluster into (Secret `<cluster>-kubeconfig`).
CLUSTER_API_KEY = "value"


class SecretRef(Model):
    """A Secret of the hub."""

    namespace: str = Field(
        description="Namespace of the Secret on the hub.", max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
    )
    name: str = Field(description="Name of the Secret.", max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")


class KubeconfigSecretRef(SecretRef):
    """The key of a Secret of the hub that holds a kubeconfig."""

    key: str | None = Field(
        default=None,
        description="Key that holds the kubeconfig. Absent: value, which is what Cluster API writes.",
        min_length=1,
        max_length=253,
    )

    @property
    def data_key(self) -> str:
        """The key, with the default filled in."""
        return self.key or CLUSTER_API_KEY


class ArgoCDSecretRef(SecretRef):
    """A cluster Secret of Argo CD."""


class ClusterSpec(Model):
    """How to reach the region's cluster: exactly one of its fields."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "[has(self.kubeconfigSecretRef), has(self.argoCDSecretRef), has(self.inCluster)]"
                ".filter(x, x).size() == 1",
                "needs exactly one of kubeconfigSecretRef, argoCDSecretRef and inCluster",
            )
        )
    )

    kubeconfig_secret_ref: KubeconfigSecretRef | None = Field(
        default=None, description="The kubeconfig to use, in a Secret of the hub."
    )
    argo_cd_secret_ref: ArgoCDSecretRef | None = Field(
        default=None,
        alias="argoCDSecretRef",
        description="A cluster Secret of Argo CD on the hub, labelled argocd.argoproj.io/secret-type=cluster.",
    )
    in_cluster: Literal[True] | None = Field(
        default=None,
        description="The hub holds no credentials: only a replica that runs in that cluster, with --regions naming "
        "this region, serves it, with its own account there. Only true.",
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        # The rule again, for an object that was stored under other CRDs: nothing at all would read as the hub.
        if [self.kubeconfig_secret_ref, self.argo_cd_secret_ref, self.in_cluster].count(None) != 2:
            raise ValueError("needs exactly one way to the cluster")
        return self


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
    server_version: str | None = Field(default=None, max_length=64, description="Version of the region's API server.")
    cluster_id: str | None = Field(
        default=None,
        max_length=64,
        description="Identity of the cluster: the uid of its namespace kube-system, if that may be read.",
    )
    replica: str | None = Field(default=None, description="The replica of the operator that serves the region.")
    last_contact: str | None = Field(
        default=None,
        description="When its API server answered last. Absent while it answers: it is asked every few seconds.",
        json_schema_extra={"format": "date-time"},
    )
    sets: PhaseCounts | None = Field(default=None, description="Sets of the region by phase.")
    conditions: list[Condition] | None = Field(
        default=None,
        description="Ready, and Reconciling or Stalled while they hold: the phase, for tools that wait; none of them "
        "where the Region is decommissioned. Reachable: whether the API server of its cluster answers. Authorized: "
        "whether the operator may do all that its sets need there. BindPolicy: whether pods there are bound by the "
        "annotation secretset.dev/bind. Default, where the Region is marked so: whether it is the one that counts.",
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
