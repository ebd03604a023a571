"""What somebody who looks at a set, or at a Region, can do now: a sentence for each reason (docs/reasons.md). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from secretset.domain import names
from secretset.domain.reasons import Reason
from secretset.domain.set_view import SetView

_TO_DO: dict[Reason, str] = {
    Reason.ACCEPTED: "Wait a moment. If it stays so, `secretset doctor` tells whether the operator runs.",
    Reason.REGION_UNREACHABLE: "Nothing: it goes on as soon as the region answers. `secretset regions show` tells "
    "since when it does not.",
    Reason.REGION_NOT_READY: "The platform team mends the region's credentials, or starts the replica that serves it; "
    "`secretset regions show` tells which.",
    Reason.SOURCE_MISSING: f"Create that Secret, with the label {names.LABEL_SOURCE}=true, or set the value itself: "
    "`secretset set`.",
    Reason.NAMESPACE_MISSING: "The platform team creates that namespace, and grants the operator its role there "
    "(deploy/regional-namespace.yaml).",
    Reason.RETRYING: "Usually nothing: it is tried again by itself. Read the message if it stays so.",
    Reason.DELETION_BRAKED: "If it was a mistake: set spec.deletionPolicy to Retain. If not: wait, or ask the platform "
    "team to raise --deletions-per-minute.",
    Reason.REGION_UNKNOWN: "Make the set anew in one of `secretset regions list`, or have the platform team mark a "
    "default.",
    Reason.REGION_FORBIDDEN: "Ask the platform team, or make the set in another region: `secretset regions list`.",
    Reason.SOURCE_FORBIDDEN: f"The owner of that Secret labels it {names.LABEL_SOURCE}=true.",
    Reason.NAME_CONFLICT: "Make the set under another name, or remove what has the name; it is looked at every minute.",
    Reason.UNSEAL_FAILED: "Set the value again: `secretset set`. If a sealing key is missing, the platform team "
    "restores it (docs/sealing.md).",
    Reason.TOO_LARGE: "Make the value smaller, or split the set.",
    Reason.INVALID_SPEC: "Change what the message names.",
    Reason.PERMISSION_DENIED: "The platform team grants the operator what the message names; it is looked at every "
    "minute.",
    Reason.QUOTA_EXCEEDED: "Raise the quota of that namespace, or remove Secrets there; it is looked at every minute.",
    Reason.SYNCED: "",
}

_BLOCKED = "DeletionBlocked"


def of_reason(reason: str) -> str:
    """What to do about a reason; empty if there is nothing to do, or it is of another version."""
    return _TO_DO[Reason(reason)] if reason in set(Reason) else ""


def of_set(view: SetView) -> str:
    """What to do about a set as it stands; empty if it is ready."""
    if not view.going:
        return of_reason(view.reason)
    blocked = view.condition(_BLOCKED)
    if blocked is None or blocked.get("status") != "True":
        return "Wait: it is being deleted, and its Secret with it."
    return str(blocked.get("message") or "") or "Wait: its deletion is tried again by itself."


def of_region(status: Mapping[str, Any]) -> str:
    """What a Region's own status adds to that of its sets: they stay ready while it is away (design.md, "Status").

    Args:
        status: of the Region; empty if nobody has looked.

    Returns:
        A sentence; empty if the region is well.
    """
    return str(region_trouble(status).get("message") or "")


def region_trouble(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """The condition that says what is wrong with a region; empty if it is well."""
    for condition in status.get("conditions") or ():
        if condition.get("type") in {"Reachable", "Authorized"} and condition.get("status") == "False":
            return dict(condition)
    return {}
