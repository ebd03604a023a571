"""When the content of a set changed, as far as its status tells: each key's first and last time. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from secretset.domain.set_view import SetView


@dataclass(kw_only=True, slots=True)
class Change:
    """What happened at one moment.

    Attributes:
        at: RFC 3339.
        revision: what the content was then; None: the status tells the newest one's alone.
        added: keys that were delivered for the first time.
        replaced: keys whose last change of value this was.
    """

    at: str
    revision: int | None = None
    added: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)


def history(view: SetView) -> list[Change]:
    """The changes, the newest first. Keys that are gone, and values that were replaced again, are in none of them."""
    found: dict[str, Change] = {}

    def at(moment: str) -> Change:
        return found.setdefault(moment, Change(at=moment))

    for key in view.keys:
        if key.created_at:
            at(key.created_at).added.append(key.name)
        if key.updated_at and key.updated_at != key.created_at:
            at(key.updated_at).replaced.append(key.name)
    if view.updated_at:
        at(view.updated_at).revision = view.revision
    return sorted(found.values(), key=lambda change: change.at, reverse=True)
