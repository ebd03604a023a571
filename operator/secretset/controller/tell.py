"""Tell users, by events on their objects, what was done and what is wrong. Once each: the status remembers the rest."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from secretset import telemetry
from secretset.controller.context import Context
from secretset.controller.deliver import Delivery
from secretset.domain.reasons import Phase, Problem, Reason
from secretset.domain.record import SetRecord

_LISTED = 20  # names in one event at the most


def done(
    context: Context, fresh: SetRecord, previous: Mapping[str, Any] | None, delivery: Delivery, restarted: list[str]
) -> None:
    """Events about what a pass did. A first `Synced` is told by the status alone."""
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
    if restarted:
        listed = ", ".join(sorted(restarted)[:_LISTED]) + (" …" if len(restarted) > _LISTED else "")
        note = f"Restarted for revision {delivery.marks.revision}: {listed}"
        emit(key, fresh.uid, reason="Restarted", note=note, action="Restart")


def problem(context: Context, fresh: SetRecord, previous: Mapping[str, Any] | None, found: Problem | None) -> None:
    """An event when a problem is new; the status remembers what was told before."""
    if found is None:
        return
    before = previous or {}
    if (before.get("reason"), before.get("message")) == (found.reason.value, found.message):
        return
    reason: str = f"Failed{found.reason}" if found.reason.phase is Phase.FAILED else Reason(found.reason).value
    context.events.emit(fresh.key, fresh.uid, reason=reason, note=found.message, action="Sync", warning=True)
