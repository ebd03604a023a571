"""What was told of a set lately: the Events that the operator, or anybody else, wrote about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from secretset.actions.session import Session
from secretset.domain.set_view import SetView
from secretset.kube import errors, pages, paths


@dataclass(frozen=True, kw_only=True, slots=True)
class EventView:
    """One Event (events.k8s.io/v1).

    Attributes:
        at: when it was told last, RFC 3339.
        warning: whether it is a warning.
        note: its text, which anybody may have written who may create events.
    """

    at: str
    warning: bool
    reason: str
    note: str

    @classmethod
    def parse(cls, obj: Mapping[str, Any]) -> EventView:
        """Read an object of the API."""
        last = (obj.get("series") or {}).get("lastObservedTime") or obj.get("eventTime")
        return cls(
            at=str(last or obj.get("deprecatedLastTimestamp") or obj["metadata"].get("creationTimestamp") or ""),
            warning=obj.get("type") == "Warning",
            reason=str(obj.get("reason") or ""),
            note=str(obj.get("note") or ""),
        )

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        kind = "Warning" if self.warning else "Normal"
        return {"at": self.at, "type": kind, "reason": self.reason, "note": self.note}


async def recent(session: Session, view: SetView, *, most: int = 10) -> list[EventView] | None:
    """The last events about a set, the oldest first; None if the user may not see events there.

    Raises:
        KubeError: the hub did not answer.
    """
    # Those of an earlier set of this name are not about this one.
    query = {"fieldSelector": f"regarding.uid={view.uid}"}
    try:
        found = [
            EventView.parse(obj) async for obj in pages.items(session.client, paths.events(view.organization), query)
        ]
    except errors.Forbidden:
        return None
    return sorted(found, key=lambda event: event.at)[-most:]
