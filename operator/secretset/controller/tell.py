"""Tell users, by events on their objects, what was done and what is wrong. Once each: the status remembers the rest."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from secretset import telemetry
from secretset.controller.context import Context
from secretset.controller.deliver import Delivery
from secretset.controller.scene import Scene
from secretset.domain import rollout_status
from secretset.domain.reasons import Phase, Problem, Reason
from secretset.domain.record import SetRecord
from secretset.domain.waves import Wave
from secretset.domain.workloads import Workload

_LISTED = 20  # names in one event at the most


def delivered(context: Context, fresh: SetRecord, previous: Mapping[str, Any] | None, delivery: Delivery) -> None:
    """Events about a delivery. A first `Synced` is told by the status alone."""
    emit, key = context.events.emit, fresh.key
    if delivery.first:
        age = context.now() - datetime.datetime.fromisoformat(fresh.created).timestamp()
        telemetry.TIME_TO_READY.labels(context.store.region_of(fresh) or "").observe(max(0.0, age))
    elif delivery.content_changed or (previous or {}).get("phase") == Phase.FAILED:
        note = f"Revision {delivery.marks.revision} is in place."
        emit(key, fresh.uid, reason="Synced", note=note, action="Sync")
    if delivery.repaired_from is not None:
        note = f"The Secret was {delivery.repaired_from} and has been put right."
        emit(key, fresh.uid, reason="DriftRepaired", note=note, action="Repair", warning=True)


def misled(context: Context, fresh: SetRecord, pods: list[str]) -> None:
    """An event about pods that started while the Secret had other values."""
    note = (
        f"Pods that started while the Secret was changed may hold what it had then: {_listed(pods)}. They are not "
        "restarted; delete them, or restart their workloads."
    )
    context.events.emit(fresh.key, fresh.uid, reason="PodsMisled", note=note, action="Repair", warning=True)


def rollout(
    scene: Scene,
    previous: Mapping[str, Any] | None,
    status: Mapping[str, Any],
    *,
    restarted: list[Workload],
    over: Wave | None,
) -> None:
    """Events about restarts: when those of a wave begin, if they are not all made at once; when they are; when not."""
    emit, key, uid = scene.context.events.emit, scene.seen.key, scene.seen.uid
    users, revision = scene.users, status["revision"]
    if over is not None:
        made = [w for w in users if w.marks.get(key.name) == over.id]
        if made:
            note = f"Restarted for revision {revision}: {_named(made)}"
            emit(key, uid, reason="Restarted", note=note, action="Restart")
    elif restarted and (wave := scene.wave) is not None:
        done = {w.uid for w in restarted}
        if not any(w.marks.get(key.name) == wave.id and w.uid not in done for w in users):
            note = f"Restarting {len(wave.targets)} workloads for revision {revision}, first: {_named(restarted)}"
            emit(key, uid, reason="Restarting", note=note, action="Restart")
    now, then = _condition(status), _condition(previous)
    if now[0] in {rollout_status.STALLED, rollout_status.HELD} and now != then:
        emit(key, uid, reason=now[0], note=now[1], action="Restart", warning=True)


def _condition(status: Mapping[str, Any] | None) -> tuple[str, str]:
    """Reason and message of the condition RolledOut."""
    for condition in (status or {}).get("conditions") or ():
        if condition["type"] == rollout_status.ROLLED_OUT:
            return condition["reason"], condition["message"]
    return "", ""


def _named(workloads: list[Workload]) -> str:
    return _listed([f"{w.kind.lower()}/{w.name}" for w in workloads])


def _listed(names: list[str]) -> str:
    return ", ".join(sorted(names)[:_LISTED]) + (" …" if len(names) > _LISTED else "")


def problem(context: Context, fresh: SetRecord, previous: Mapping[str, Any] | None, found: Problem | None) -> None:
    """An event when a problem is new; the status remembers what was told before."""
    if found is None:
        return
    before = previous or {}
    if (before.get("reason"), before.get("message")) == (found.reason.value, found.message):
        return
    reason: str = f"Failed{found.reason}" if found.reason.phase is Phase.FAILED else Reason(found.reason).value
    context.events.emit(fresh.key, fresh.uid, reason=reason, note=found.message, action="Sync", warning=True)
