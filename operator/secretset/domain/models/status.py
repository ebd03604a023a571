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


class WorkloadStatus(Model):
    """One workload that uses the Secret."""

    kind: str = Field(description="Its kind.")
    name: str = Field(description="Its name, in the namespace of the Secret.")
    state: str = Field(description="current, restarting, stalled or held.")
    revision: int | None = Field(
        default=None, description="Revision of the content that its pods have, or are being restarted for."
    )
    message: str | None = Field(default=None, description="What it waits for, or what is wrong.")


class WorkloadsStatus(Model):
    """The workloads that use the Secret, counted by how they stand."""

    bound: int = Field(description="Workloads whose pod template uses the Secret.")
    current: int = Field(description="Of those, all pods run with the present content.")
    restarting: int = Field(description="Of those, a rollout is due or under way.")
    stalled: int = Field(
        description="Of those, the rollout does not get on (progress deadline exceeded, or new pods that do not start)."
    )
    held: int = Field(
        description="Of those, a restart is due but held back: by a pause, a missing key, a stalled rollout before it "
        "or a restart window."
    )
    items: list[WorkloadStatus] | None = Field(
        default=None, description="The workloads, at most 50, the worst first.", max_length=50
    )


class WouldRestart(Model):
    """What a change would mean to one workload."""

    kind: str = Field(description="Its kind.")
    name: str = Field(description="Its name, in the namespace of the Secret.")
    restarts: bool = Field(description="Whether it would be restarted.")
    why: str = Field(description="Why, or why not.")


class Explanation(Model):
    """The answer to the annotation secretset.dev/explain-restart."""

    keys: list[str] = Field(description="The keys that were asked about.")
    restarts: int = Field(description="How many workloads a change of one of them would restart.")
    workloads: list[WouldRestart] | None = Field(
        default=None, description="The workloads that use the Secret, at most 50.", max_length=50
    )


class Condition(Model):
    """A condition as `metav1.Condition` has it; kstatus (Helm, Flux, Argo CD) reads these."""

    type: str = Field(description="Ready, RolledOut, Reconciling, Stalled or DeletionBlocked.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether the condition holds.")
    reason: str = Field(description="Why, as one word.")
    message: str = Field(description="Why, as a sentence; never a value.")
    observed_generation: int | None = Field(default=None, description="Generation of the spec that this speaks of.")
    last_transition_time: str = Field(description="When the status last changed.", json_schema_extra=_TIME)


class SealingKeyUse(Model):
    """A sealing key, and how much needs it."""

    kid: str = Field(description="Its id.")
    values: int = Field(description="Number of values that were sealed for it.")


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
    sealing_keys: list[SealingKeyUse] | None = Field(
        default=None, description="The sealing keys that the sealed values of the spec need, by id.", max_length=256
    )
    created_at: str | None = Field(
        default=None, description="When the content was first delivered.", json_schema_extra=_TIME
    )
    updated_at: str | None = Field(default=None, description="When the content last changed.", json_schema_extra=_TIME)
    restarted_for: str | None = Field(
        default=None, description="The change whose restarts were all made: none of them is made again."
    )
    planned_for: str | None = Field(
        default=None, description="The change whose workloads were all found, from a list of the moment it was written."
    )
    restart_request: str | None = Field(
        default=None,
        description="Hash of the annotation secretset.dev/restart-now whose restarts were all made: it is done once.",
    )
    workloads: WorkloadsStatus | None = Field(default=None, description="The workloads that use the Secret.")
    explanation: Explanation | None = Field(
        default=None, description="What a change would restart, as the annotation secretset.dev/explain-restart asks."
    )
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
