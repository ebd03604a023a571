"""The status of both kinds: everything that a reader may know, and never a value."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, JsonValue

from secretset.domain.models.common import Model
from secretset.domain.reasons import Phase, Reason

_TIME: dict[str, JsonValue] = {"format": "date-time"}


class SecretRef(Model):
    """Where the managed Secret is."""

    region: str = Field(description="Region of the managed Secret.")
    namespace: str = Field(description="Its namespace there.")
    name: str = Field(description="Its name.")


class KeyStatus(Model):
    """One key: never its value."""

    name: str = Field(description="Name of the key.")
    created_at: str = Field(description="When the key was first delivered.", json_schema_extra=_TIME)
    updated_at: str = Field(description="When its value last changed.", json_schema_extra=_TIME)


class WorkloadCounts(Model):
    """The workloads that use the Secret, counted by the state of their rollout."""

    bound: int = Field(description="Workloads whose pod template uses the Secret.")
    current: int = Field(description="Of those, all pods run with the present content.")
    restarting: int = Field(description="Of those, a rollout is due or under way.")
    stalled: int = Field(description="Of those, the rollout does not get on (progress deadline exceeded).")
    held: int = Field(description="Of those, a restart is due but held back, because the workload is paused.")


class Condition(Model):
    """A condition as `metav1.Condition` has it; kstatus (Helm, Flux, Argo CD) reads these."""

    type: str = Field(description="Ready, RolledOut, Reconciling, Stalled or DeletionBlocked.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether the condition holds.")
    reason: str = Field(description="Why, as one word.")
    message: str = Field(description="Why, as a sentence; never a value.")
    observed_generation: int | None = Field(default=None, description="Generation of the spec that this speaks of.")
    last_transition_time: str = Field(description="When the status last changed.", json_schema_extra=_TIME)


class SetStatus(Model):
    """What the operator reports of a SecretSet or an ImagePullSecret."""

    phase: Phase = Field(description="pending, ready or failed.")
    reason: Reason = Field(description="Why, as one word of a closed list.")
    message: str | None = Field(default=None, description="Why, and what to do; never a value.")
    observed_generation: int = Field(
        description="Generation of the spec that this speaks of; while it is below metadata.generation, read pending."
    )
    region: str | None = Field(default=None, description="The region that the set lives in, for ever.")
    secret_ref: SecretRef | None = Field(default=None, description="The managed Secret.")
    revision: int | None = Field(default=None, description="Grows by one with every change of the content.")
    fingerprint: str | None = Field(
        default=None,
        description="Keyed fingerprint of the delivered content: tells the operator whether a lost Secret is put back "
        "or changed. It cannot be computed, or compared between sets, without the installation's key.",
    )
    key_count: int | None = Field(default=None, description="Number of delivered keys.")
    keys: list[KeyStatus] | None = Field(default=None, description="The delivered keys, by name.")
    created_at: str | None = Field(
        default=None, description="When the content was first delivered.", json_schema_extra=_TIME
    )
    updated_at: str | None = Field(default=None, description="When the content last changed.", json_schema_extra=_TIME)
    restarted_for: str | None = Field(
        default=None, description="The change whose restarts were all made: none of them is made again."
    )
    workloads: WorkloadCounts | None = Field(default=None, description="The workloads that use the Secret.")
    conditions: list[Condition] | None = Field(
        default=None,
        description="Ready, RolledOut, and Reconciling, Stalled or DeletionBlocked while they hold.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )


# Until the operator has seen an object, this is what readers see; -1 keeps `helm --wait` from calling it deployed.
INITIAL_STATUS: dict[str, Any] = {
    "phase": Phase.PENDING.value,
    "reason": Reason.ACCEPTED.value,
    "observedGeneration": -1,
}
