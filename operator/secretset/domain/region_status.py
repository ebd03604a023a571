"""The status of a Region, from what is known of its link."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from secretset.domain import policies, rights
from secretset.domain.models.region import PhaseCounts, RegionStatus
from secretset.domain.models.status import Condition
from secretset.domain.policies import BindPolicy
from secretset.domain.reasons import Phase, Problem, Reason
from secretset.domain.record import SetRecord
from secretset.domain.regions import RegionRecord
from secretset.domain.rights import Missing

_Truth = Literal["True", "False", "Unknown"]
_PHASES: dict[str | None, Phase] = {phase.value: phase for phase in Phase}


@dataclass(frozen=True, kw_only=True)
class LinkState:
    """What is known of a region's cluster.

    Attributes:
        problem: why it cannot be used now; None if it can.
        answered: whether its API server answered last; None if nobody was asked.
        refused: it answered, but does not accept our credentials.
        missing: rights that its sets need and we do not have; None while that is not known.
        bind: how the policy stands there that binds pods by their annotation; None while that is not known.
        last_contact: when it answered last, in RFC 3339; None for never.
        server_version: of its API server, if that is known.
        cluster_id: its identity, empty if not known.
        replica: which one serves it, if one does.
    """

    problem: Problem | None
    answered: bool | None = None
    refused: bool = False
    missing: tuple[Missing, ...] | None = None
    bind: BindPolicy | None = None
    last_contact: str | None = None
    server_version: str | None = None
    cluster_id: str = ""
    replica: str | None = None


def region_status(
    region: RegionRecord,
    *,
    link: LinkState,
    sets: Iterable[SetRecord],
    defaults: Sequence[str],
    previous: Mapping[str, Any] | None,
    timestamp: str,
) -> dict[str, Any]:
    """What to report of a Region.

    Args:
        region: the object.
        link: what is known of its cluster.
        sets: that live in it.
        defaults: names of the Regions that are marked as the default, the one that counts first.
        previous: the status that the object has.
        timestamp: now, in RFC 3339.
    """
    previous = previous or {}
    phase, reason, message = _summary(link)
    conditions = [
        *_progress(region, phase, reason, message),
        *(_reachable(link), _authorized(link), _bind_policy(link)),
        *_default(region, defaults),
    ]
    status = RegionStatus(
        phase=phase,
        reason=reason,
        message=message,
        observed_generation=region.generation,
        server_version=link.server_version or previous.get("serverVersion"),
        cluster_id=link.cluster_id or previous.get("clusterId"),
        replica=link.replica,
        # Only while it does not answer: a time that moved with every answer would be a write for each of them.
        last_contact=None if link.answered else link.last_contact or previous.get("lastContact"),
        sets=_count(sets),
        conditions=[
            _since(kind, value, why, text, region=region, previous=previous, timestamp=timestamp)
            for kind, value, why, text in conditions
        ],
    )
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def verdict(status: Mapping[str, Any]) -> tuple[str, str]:
    """What a status says of the link, for those who count how often that changes: Reachable, and the reason."""
    values = {c.get("type"): c.get("status") for c in status.get("conditions") or ()}
    return str(values.get("Reachable") or ""), str(status.get("reason") or "")


def _summary(link: LinkState) -> tuple[Phase, str, str | None]:
    if link.problem is not None:
        away = link.problem.reason is Reason.REGION_UNREACHABLE or link.replica is None
        return (Phase.PENDING if away else Phase.FAILED), link.problem.reason.value, link.problem.message
    if link.missing:
        return Phase.READY, Reason.PERMISSION_DENIED.value, f"The operator {rights.tell(link.missing)}."
    return Phase.READY, "Reachable", None


def _progress(
    region: RegionRecord, phase: Phase, reason: str, message: str | None
) -> list[tuple[str, _Truth, str, str]]:
    """The phase as kstatus (Helm, Flux) reads it, which Reconciling has wait, and Stalled fail.

    Not of a decommissioned Region: it is as was asked for, and must not fail each release that it is part of.
    """
    if region.spec.decommissioned:
        return []
    if phase is Phase.READY:
        return [("Ready", "True", reason, message or "Sets can be delivered there.")]
    kind = "Stalled" if phase is Phase.FAILED else "Reconciling"
    return [("Ready", "False", reason, message or ""), (kind, "True", reason, message or "")]


def _reachable(link: LinkState) -> tuple[str, _Truth, str, str]:
    if link.answered and (link.problem is None or link.refused):
        return "Reachable", "True", "Reachable", "The region's API server answers."
    problem = link.problem
    if problem is None:
        return "Reachable", "Unknown", "NotAsked", "The region's API server was not asked yet."
    return "Reachable", ("Unknown" if link.answered is None else "False"), problem.reason.value, problem.message


def _authorized(link: LinkState) -> tuple[str, _Truth, str, str]:
    if link.refused and link.problem is not None:
        return "Authorized", "False", "CredentialsRefused", link.problem.message
    if link.missing is None:
        return "Authorized", "Unknown", "NotAsked", "What the operator may do there is not known."
    if link.missing:
        return "Authorized", "False", Reason.PERMISSION_DENIED.value, f"The operator {rights.tell(link.missing)}."
    return "Authorized", "True", "Granted", "The operator may do all that the sets of the region need."


def _bind_policy(link: LinkState) -> tuple[str, _Truth, str, str]:
    bind = link.bind
    if bind is None:
        return "BindPolicy", "Unknown", "NotAsked", f"Whether the policy {policies.NAME} is there is not known."
    truths: dict[BindPolicy, _Truth] = {BindPolicy.INSTALLED: "True", BindPolicy.NOT_ALLOWED: "Unknown"}
    return "BindPolicy", truths.get(bind, "False"), bind.value, policies.describe(bind, link.server_version)


def _default(region: RegionRecord, defaults: Sequence[str]) -> list[tuple[str, _Truth, str, str]]:
    """Of a Region that is marked as the default: whether it is the one that counts."""
    if region.name not in defaults:
        return []
    others = ", ".join(f"'{name}'" for name in defaults if name != region.name)
    if not others:
        return [("Default", "True", "OnlyDefault", "Sets that name no region live here.")]
    if defaults[0] == region.name:
        text = f"Region {others} is marked as the default too; this one is the oldest of them, and counts."
        return [("Default", "True", "SeveralDefaults", text)]
    text = f"Region '{defaults[0]}' is marked as the default too, is older, and counts: unmark one of them."
    return [("Default", "False", "SeveralDefaults", text)]


def phase_of(record: SetRecord) -> Phase:
    """The phase that a set counts with: it is pending while its status is that of an earlier generation."""
    if record.observed_generation < record.generation:
        return Phase.PENDING
    return _PHASES.get(record.phase, Phase.PENDING)


def _count(sets: Iterable[SetRecord]) -> PhaseCounts:
    tally = dict.fromkeys(Phase, 0)
    for record in sets:
        tally[phase_of(record)] += 1
    return PhaseCounts(ready=tally[Phase.READY], pending=tally[Phase.PENDING], failed=tally[Phase.FAILED])


def _since(
    kind: str,
    value: _Truth,
    reason: str,
    message: str,
    *,
    region: RegionRecord,
    previous: Mapping[str, Any],
    timestamp: str,
) -> Condition:
    """A condition that keeps the time of its last transition while its status stays (API conventions)."""
    for old in previous.get("conditions") or ():
        if old.get("type") == kind and old.get("status") == value:
            timestamp = old.get("lastTransitionTime") or timestamp
    return Condition.model_validate(
        {
            "type": kind,
            "status": value,
            "reason": reason,
            "message": message,
            "observedGeneration": region.generation,
            "lastTransitionTime": timestamp,
        }
    )
