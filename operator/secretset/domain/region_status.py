"""The status of a Region, from what its runner found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from secretset.domain.models.region import PhaseCounts, RegionStatus
from secretset.domain.models.status import Condition
from secretset.domain.reasons import Phase, Problem, Reason
from secretset.domain.record import SetRecord
from secretset.domain.regions import RegionRecord


def region_status(
    region: RegionRecord,
    *,
    problem: Problem | None,
    server_version: str | None,
    sets: Iterable[SetRecord],
    previous: Mapping[str, Any] | None,
    timestamp: str,
) -> dict[str, Any]:
    """What to report of a Region.

    Args:
        region: the object.
        problem: why its cluster cannot be used now; None if it can.
        server_version: of its API server, if it answered once.
        sets: that live in it.
        previous: the status that the object has.
        timestamp: now, in RFC 3339.
    """
    if problem is None:
        phase, reason, message, reachable = Phase.READY, "Reachable", None, "True"
    else:
        away = problem.reason is Reason.REGION_UNREACHABLE
        phase = Phase.PENDING if away else Phase.FAILED
        reason, message, reachable = problem.reason.value, problem.message, "False"
    since = timestamp
    for old in (previous or {}).get("conditions") or ():
        if old.get("type") == "Reachable" and old.get("status") == reachable:
            since = old.get("lastTransitionTime") or timestamp
    condition = Condition.model_validate(
        {
            "type": "Reachable",
            "status": reachable,
            "reason": reason,
            "message": message or "The region's API server answers.",
            "observedGeneration": region.generation,
            "lastTransitionTime": since,
        }
    )
    tally = dict.fromkeys(Phase, 0)
    for record in sets:
        current = record.observed_generation >= record.generation and record.phase in set(Phase)
        tally[Phase(record.phase) if current else Phase.PENDING] += 1
    status = RegionStatus(
        phase=phase,
        reason=reason,
        message=message,
        observed_generation=region.generation,
        server_version=server_version or (previous or {}).get("serverVersion"),
        sets=PhaseCounts(ready=tally[Phase.READY], pending=tally[Phase.PENDING], failed=tally[Phase.FAILED]),
        conditions=[condition],
    )
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)
