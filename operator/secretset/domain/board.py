"""What the dashboard shows of many sets at once: a table, a map of health, and what needs somebody. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from secretset.domain import advice
from secretset.domain.ages import moment
from secretset.domain.health import Finding, Level, listed
from secretset.domain.health import region as region_finding
from secretset.domain.names import Kind
from secretset.domain.reasons import Phase
from secretset.domain.regions import RegionRecord
from secretset.domain.set_view import SetView

PAGE = 100
"""Rows of one page of the table."""
OLD = timedelta(days=180)
"""After which a value that was not changed counts as old: what most rules for rotation ask for at least."""

_NOWHERE = "(none yet)"
_WORST = (Phase.FAILED, Phase.PENDING, Phase.READY)
_SEVERITY = (Level.FAIL, Level.WARN, Level.UNKNOWN, Level.OK)


class Order(StrEnum):
    """What a table is sorted by."""

    NAME = "name"
    ORGANIZATION = "organization"
    REGION = "region"
    PHASE = "phase"
    KEYS = "keys"
    USED = "used"
    UPDATED = "updated"


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """Which sets are asked for, and in what order.

    Attributes:
        text: a part of the name, the organization, the description or a key; case does not count.
        reason: as `SetView.reason`.
        unused: those alone that no workload uses.
        old: those alone whose content has not changed for `OLD`.
        page: from 1 on.
    """

    text: str = ""
    organization: str = ""
    region: str = ""
    phase: str = ""
    reason: str = ""
    unused: bool = False
    old: bool = False
    order: Order = Order.ORGANIZATION
    descending: bool = False
    page: int = 1

    def parameters(self, **changed: Any) -> dict[str, str]:
        """As the parameters of an address, without what is as it is by default."""
        query = replace(self, **changed)
        default = Query()
        found = {name: getattr(query, name) for name in self.__dataclass_fields__}
        return {
            name: "1" if value is True else str(value)
            for name, value in found.items()
            if value != getattr(default, name)
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """One page of a table.

    Attributes:
        rows: of this page.
        total: of all pages.
        page: from 1 on; the last one if a later one was asked for.
        pages: at least one.
    """

    rows: Sequence[SetView]
    total: int
    page: int
    pages: int


@dataclass(slots=True)
class Cell:
    """How many sets stand how."""

    ready: int = 0
    pending: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.ready + self.pending + self.failed

    @property
    def worst(self) -> Phase:
        """The phase that is told first."""
        return next((phase for phase in _WORST if getattr(self, phase.value)), Phase.READY)

    def count(self, phase: Phase) -> None:
        """One more."""
        setattr(self, phase.value, getattr(self, phase.value) + 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Matter:
    """Something that needs somebody.

    Attributes:
        says: what it is, as a sentence.
        to_do: what to do about it.
        query: which sets it concerns; None: it is no matter of sets.
        region: that it concerns; empty for none.
        since: when it began, RFC 3339; empty if that is not known.
    """

    level: Level
    says: str
    to_do: str = ""
    query: Query | None = None
    region: str = ""
    since: str = ""


def phase(view: SetView) -> Phase:
    """How a set stands; what goes is nothing to bind to any more (seeds/001, "ready")."""
    return Phase.PENDING if view.going and view.phase is Phase.READY else view.phase


def used(view: SetView, state: str = "bound") -> int:
    """How many workloads use a set, or, of these, stand so (`WorkloadsStatus`)."""
    number = view.workloads.get(state)
    return number if isinstance(number, int) else 0


def is_unused(view: SetView) -> bool:
    """Whether it is delivered and no workload uses it; who attaches a pull secret to an account uses it unseen."""
    return view.key.kind is Kind.SECRET_SET and phase(view) is Phase.READY and not used(view)


def is_old(view: SetView, now: datetime) -> bool:
    """Whether its content has not changed for `OLD`."""
    changed = moment(view.updated_at)
    return changed is not None and now - changed > OLD


def listing(views: Iterable[SetView], query: Query, now: datetime, *, size: int = PAGE) -> Listing:
    """The page of the table that is asked for."""
    found = sorted((view for view in views if _matches(view, query, now)), key=_ORDERS[Order.ORGANIZATION])
    found.sort(key=_ORDERS[query.order], reverse=query.descending)
    pages = max(1, -(-len(found) // size))
    page = min(max(1, query.page), pages)
    return Listing(rows=found[(page - 1) * size : page * size], total=len(found), page=page, pages=pages)


def health(views: Iterable[SetView]) -> dict[str, dict[str, Cell]]:
    """Organization to region to how many sets stand how: the organizations with the worst first."""
    found: dict[str, dict[str, Cell]] = defaultdict(lambda: defaultdict(Cell))
    for view in views:
        found[view.organization][view.region or _NOWHERE].count(phase(view))

    def badness(organization: str) -> tuple[int, int, str]:
        cells = found[organization].values()
        return -sum(cell.failed for cell in cells), -sum(cell.pending for cell in cells), organization

    return {organization: dict(found[organization]) for organization in sorted(found, key=badness)}


def matters(
    views: Iterable[SetView],
    regions: Iterable[tuple[RegionRecord, Mapping[str, Any]]],
    keys: Finding | None = None,
) -> list[Matter]:
    """What needs somebody, the worst first.

    Args:
        views: of all sets that are seen.
        regions: all that are seen, each with its status.
        keys: what is to be said of the sealing keys; None if they are not seen.
    """
    found = [
        Matter(
            level=each.level,
            says=f"Region {record.name}: {each.says}",
            to_do=each.to_do,
            region=record.name,
            since=str(advice.region_trouble(status).get("lastTransitionTime") or ""),
        )
        for record, status in regions
        if (each := region_finding(record, status)).level is not Level.OK
    ]
    if keys is not None and keys.level is not Level.OK:
        found.append(Matter(level=keys.level, says=f"Sealing keys: {keys.says}", to_do=keys.to_do))
    found += _of_sets(views)
    return sorted(found, key=lambda matter: _SEVERITY.index(matter.level))


def rollouts(views: Iterable[SetView]) -> list[SetView]:
    """Sets whose rollout is under way, is held back or does not get on; those that do not get on first."""
    found = [view for view in views if any(used(view, state) for state in ("restarting", "stalled", "held"))]
    return sorted(found, key=lambda view: (-used(view, "stalled"), -used(view, "restarting"), view.key[1:]))


def _of_sets(views: Iterable[SetView]) -> list[Matter]:
    by_reason: dict[tuple[Phase, str], list[SetView]] = defaultdict(list)
    stalled: list[SetView] = []
    for view in views:
        if phase(view) is not Phase.READY and not view.going:
            by_reason[view.phase, view.reason].append(view)
        if used(view, "stalled"):
            stalled.append(view)
    found = [
        Matter(
            level=Level.FAIL if standing is Phase.FAILED else Level.WARN,
            says=f"{_count(those)} {standing.value} ({reason}): {_names(those)}.",
            to_do=advice.of_reason(reason),
            query=Query(phase=standing.value, reason=reason),
        )
        for (standing, reason), those in by_reason.items()
    ]
    if stalled:
        found.append(
            Matter(
                level=Level.FAIL,
                says=f"{_count(stalled)} with a rollout that does not get on: {_names(stalled)}.",
                to_do="Look at the workloads of the set: which pods do not start, and why.",
                query=Query(text=stalled[0].name) if len(stalled) == 1 else Query(order=Order.USED, descending=True),
            )
        )
    return found


def _count(views: Sequence[SetView]) -> str:
    return "One set" if len(views) == 1 else f"{len(views):,} sets"


def _names(views: Sequence[SetView]) -> str:
    return listed([f"{view.organization}/{view.name}" for view in views])


def _matches(view: SetView, query: Query, now: datetime) -> bool:
    text = query.text.strip().casefold()
    return (
        query.organization in {"", view.organization}
        and query.region in {"", view.region or _NOWHERE}
        and query.phase in {"", phase(view).value}
        and query.reason in {"", view.reason}
        and (not query.unused or is_unused(view))
        and (not query.old or is_old(view, now))
        and (not text or any(text in part.casefold() for part in _texts(view)))
    )


def _texts(view: SetView) -> tuple[str, ...]:
    keys = view.keys if view.key.kind is Kind.SECRET_SET else ()  # nobody chose that of a pull secret
    return view.name, view.organization, view.description or "", *(key.name for key in keys)


_ORDERS: dict[Order, Callable[[SetView], Any]] = {
    Order.NAME: lambda view: (view.name, view.organization),
    Order.ORGANIZATION: lambda view: (view.organization, view.name),
    Order.REGION: lambda view: view.region or "",
    Order.PHASE: lambda view: _WORST.index(phase(view)),
    Order.KEYS: lambda view: len(view.keys),
    Order.USED: used,
    Order.UPDATED: lambda view: view.updated_at or "",
}
