"""How long ago something was, for people."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(text: str | None) -> datetime | None:
    """A time in RFC 3339; None if it is none. Without a zone it is UTC, as Kubernetes writes times."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def age(text: str | None, now: datetime) -> str:
    """How long ago a time was, as kubectl has it: 12s, 5m, 3h, 4d; ``-`` for none.

    Args:
        text: RFC 3339.
        now: the time, with its zone.
    """
    then = moment(text)
    if then is None:
        return "-"
    seconds = max(0, int((now - then).total_seconds()))
    for unit, length, least in (("d", 86_400, 2), ("h", 3_600, 2), ("m", 60, 2)):
        if seconds >= least * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
