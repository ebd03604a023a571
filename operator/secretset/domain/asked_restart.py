"""A restart that somebody asks for: which workloads it would restart, and how far it is, from a set's object. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from secretset.domain import record, windows
from secretset.domain.restarts import State
from secretset.domain.set_view import SetView

UNLESS_HELD = "now, unless held"
"""Nothing is known that would hold it; what its own object says, a set's status does not tell before it is its turn."""
LATER = "later"


class Stage(StrEnum):
    """How far a restart is that was asked for."""

    GOING = "going"
    """Workloads are being restarted, or the operator has not begun."""
    DONE = "done"
    """All are through."""
    HELD = "held"
    """All are through, but those that wait for something that only a person, or a window, ends."""
    STALLED = "stalled"
    """Nothing goes on, because a rollout does not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Foreseen:
    """What a restart would mean to one workload.

    Attributes:
        workload: ``deployment/web``.
        state: of `restarts.State`.
        restarts: `UNLESS_HELD`, or `LATER` for one that is known to be held.
        why: it would be held, or what is wrong with it already; empty if there is nothing to say.
    """

    workload: str
    state: str
    restarts: str
    why: str

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        found = {"workload": self.workload, "state": self.state, "restarts": self.restarts, "why": self.why}
        return {name: value for name, value in found.items() if value}


def foresee(view: SetView, now: float) -> list[Foreseen]:
    """What a restart would do, for those workloads that the status lists; `unlisted` counts the others.

    The status knows of a pause, of a key that is missing, or of a refusal only while a restart is due: the operator
    heeds them in any case.

    Args:
        view: of the set.
        now: seconds since the epoch, for its restart window.
    """
    closed = _opens_at(view, now)
    return [_foreseen(item, closed) for item in items(view)]


def unlisted(view: SetView) -> int:
    """How many bound workloads the status does not list."""
    return max(0, int(view.workloads.get("bound") or 0) - len(items(view)))


def stage(view: SetView, before: SetView) -> Stage:
    """How far the restart is that the set's annotation asks for.

    Args:
        view: of the set, as it is.
        before: as it was when the annotation was set.
    """
    counts, seen = view.workloads, record.parse(view.key.kind, view.obj)
    if counts.get("restarting") or view.going:
        return Stage.GOING
    made = bool(seen.ask) and seen.asked == seen.ask
    # Who is held counts, whatever revision it shows: where a change came meanwhile, its wave is one with that which was
    # asked for, and all are of the last revision again (`waves.next_wave`).
    if not made and (counts == before.workloads or not counts.get("held")):
        return Stage.GOING
    if counts.get("stalled"):
        return Stage.STALLED
    return Stage.HELD if counts.get("held") else Stage.DONE


def items(view: SetView) -> list[Mapping[str, Any]]:
    """The bound workloads that the status lists, the worst first."""
    return [item for item in view.workloads.get("items") or () if isinstance(item, Mapping)]


def named(item: Mapping[str, Any]) -> str:
    """A workload of the status as kubectl names it."""
    return f"{str(item.get('kind') or '').lower()}/{item.get('name')}"


def _foreseen(item: Mapping[str, Any], closed: str) -> Foreseen:
    state, why = str(item.get("state") or ""), str(item.get("message") or "")
    held = state == State.HELD or bool(closed)
    if state == State.RESTARTING and not held:
        why = why or "It is being restarted already, and begins anew."
    return Foreseen(workload=named(item), state=state, restarts=LATER if held else UNLESS_HELD, why=why or closed)


def _opens_at(view: SetView, now: float) -> str:
    """When the set's restart window opens, as a sentence; empty if it is open, or there is none."""
    rule = record.parse(view.key.kind, view.obj).restart
    wait = windows.parse(rule.window).opens_in(now) if rule is not None and rule.window is not None else 0.0
    if wait <= 0:
        return ""
    return f"Its restart window opens at {datetime.fromtimestamp(now + wait, UTC):%Y-%m-%dT%H:%MZ}."
