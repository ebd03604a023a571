"""The status of a set: from the outcome of a pass to the object that is written, if it differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from secretset.domain.marks import Marks
from secretset.domain.models.status import Condition, KeyStatus, SealingKeyUse, SecretRef, SetStatus
from secretset.domain.plan import Delivered
from secretset.domain.reasons import Phase, Problem, Reason, ways_out
from secretset.domain.rollout_status import ROLLED_OUT, Told

# What a failure leaves as it was: the Secret that was delivered before is still there.
_KEPT = (
    "secretRef",
    "revision",
    "fingerprint",
    "keyCount",
    "keys",
    "createdAt",
    "updatedAt",
    "restartedFor",
    "plannedFor",
    "restartRequest",
    "workloads",
    "explanation",
)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a managed Secret is."""

    region: str
    namespace: str
    name: str


def synced(
    *,
    generation: int,
    place: Place,
    marks: Marks,
    rollout: Told,
    restarted: str = "",
    planned: str = "",
    asked: str = "",
    sealed: Iterable[tuple[str, int]] = (),
    previous: Mapping[str, Any] | None,
    timestamp: str,
) -> dict[str, Any]:
    """The status of a set whose content of this generation is in the managed Secret."""
    keys = [
        KeyStatus(name=name, created_at=mark.created, updated_at=mark.updated)
        for name, mark in sorted(marks.keys.items())
    ]
    conditions = [
        _condition("Ready", "True", Reason.SYNCED, "The Secret is in place.", generation),
        _condition(ROLLED_OUT, *rollout.condition, generation),
    ]
    status = SetStatus(
        phase=Phase.READY,
        reason=Reason.SYNCED,
        observed_generation=generation,
        region=place.region,
        secret_ref=SecretRef(region=place.region, namespace=place.namespace, name=place.name),
        revision=marks.revision,
        fingerprint=marks.fingerprint,
        key_count=len(keys),
        keys=keys,
        sealing_keys=_uses(sealed),
        created_at=min((key.created_at for key in keys), default=timestamp),
        updated_at=marks.updated or timestamp,
        restarted_for=restarted or None,
        planned_for=planned or None,
        restart_request=asked or None,
        workloads=rollout.workloads,
        explanation=rollout.explanation,
        conditions=[_since(condition, previous, timestamp) for condition in conditions],
    )
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def unsynced(
    problem: Problem,
    *,
    generation: int,
    region: str | None,
    previous: Mapping[str, Any] | None,
    timestamp: str,
    sealed: Iterable[tuple[str, int]] = (),
    delivered: Mapping[str, Any] | None = None,
    deleting: bool = False,
) -> dict[str, Any]:
    """The status of a set that could not be synced: why, beside what was delivered, by this pass or before.

    One that is being deleted tells in ``DeletionBlocked`` what it waits for, and the ways out.
    """
    delivered = delivered or previous
    reason, phase = problem.reason, problem.reason.phase
    conditions = [_condition("Ready", "False", reason, problem.message, generation)]
    kind = "Stalled" if phase is Phase.FAILED else "Reconciling"
    conditions.append(_condition(kind, "True", reason, problem.message, generation))
    if deleting:
        conditions.append(_condition("DeletionBlocked", "True", reason, ways_out(problem), generation))
    status = SetStatus(
        phase=phase,
        reason=reason,
        message=problem.message,
        observed_generation=generation,
        region=region or (previous or {}).get("region"),
        sealing_keys=_uses(sealed),
        conditions=[_since(condition, previous, timestamp) for condition in conditions],
    )
    kept = {name: delivered[name] for name in _KEPT if delivered and name in delivered}
    rolled = [c for c in (delivered or {}).get("conditions") or () if c.get("type") == ROLLED_OUT]
    out = {**status.model_dump(mode="json", by_alias=True, exclude_none=True), **kept}
    out["conditions"] += rolled
    return out


def memory(status: Mapping[str, Any] | None) -> Delivered | None:
    """What a status remembers of the last delivery; None if there was none."""
    if not status or not isinstance(status.get("revision"), int) or not status.get("fingerprint"):
        return None
    return Delivered(
        revision=status["revision"],
        fingerprint=status["fingerprint"],
        restarted=status.get("restartedFor") or "",
        planned=status.get("plannedFor") or "",
        asked=status.get("restartRequest") or "",
        keys={key["name"]: (key["createdAt"], key["updatedAt"]) for key in status.get("keys") or ()},
        updated=status.get("updatedAt") or "",
    )


def _uses(sealed: Iterable[tuple[str, int]]) -> list[SealingKeyUse] | None:
    return [SealingKeyUse(kid=kid, values=count) for kid, count in sealed] or None


def _condition(kind: str, value: str, reason: str, message: str, generation: int) -> Condition:
    return Condition.model_validate(
        {
            "type": kind,
            "status": value,
            "reason": reason,
            "message": message,
            "observedGeneration": generation,
            "lastTransitionTime": "",
        }
    )


def _since(condition: Condition, previous: Mapping[str, Any] | None, timestamp: str) -> Condition:
    """Keep the time of the last transition while the condition's status stays (API conventions)."""
    for old in (previous or {}).get("conditions") or ():
        if old.get("type") == condition.type and old.get("status") == condition.status:
            timestamp = old.get("lastTransitionTime") or timestamp
    return condition.model_copy(update={"last_transition_time": timestamp})
