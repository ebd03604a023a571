"""Pages about many: the overview, the table of sets, the regions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from secretset.actions.errors import Refused
from secretset.actions.session import Session
from secretset.api.auth import Hub, TheCaller, TheSession, bearer
from secretset.api.errors import not_found
from secretset.domain import board, health, names
from secretset.domain.board import Order, Query
from secretset.domain.health import Finding, Level
from secretset.domain.names import Kind
from secretset.domain.reasons import Phase
from secretset.kube import errors
from secretset.web.live import View
from secretset.web.scope import may
from secretset.web.templates import page
from secretset.web.views import Views

router = APIRouter()

_FIRST_SECONDS = 0.5  # that a page waits for what it shows; then it says that it is not complete yet
_ORGANIZATIONS = 30  # of the map; the worst first
_ROLLOUTS = 10


async def view(request: Request, caller: TheCaller) -> View:
    """What the caller sees."""
    hub: Hub = request.app.state.hub
    views: Views = request.app.state.views
    token = bearer(request.headers.raw) or ""
    digest = hub.known.digest(token)
    wanted = request.query_params.get("organization", "") or request.path_params.get("organization", "")
    return await views.of(
        digest,
        token,
        caller.session,
        name=caller.name or digest,
        own=caller.own_organization,
        wanted=wanted if names.NAMESPACE_PATTERN.fullmatch(wanted) else "",
    )


TheView = Annotated[View, Depends(view)]


def asked(request: Request) -> Query:
    """The query of an address; what cannot be read is as by default."""
    given = request.query_params

    def word(name: str) -> str:
        text = given.get(name, "")
        return text if text.isprintable() and len(text) <= 253 else ""

    number = word("page")
    return Query(
        text=word("text"),
        organization=word("organization"),
        region=word("region"),
        phase=word("phase") if word("phase") in set(Phase) else "",
        reason=word("reason"),
        unused=bool(word("unused")),
        old=bool(word("old")),
        order=Order(word("order")) if word("order") in set(Order) else Order.ORGANIZATION,
        descending=bool(word("descending")),
        page=int(number) if number.isdecimal() and len(number) < 6 else 1,
    )


@router.get("/")
async def overview(request: Request, view: TheView, session: TheSession) -> Response:
    """The map of health, what needs somebody, and what is under way."""
    complete = await view.settled(_FIRST_SECONDS)
    live = view.address()  # before anything is awaited: what changes meanwhile is told
    sets = list(view.sets.values())
    regions = sorted(view.regions.values(), key=lambda each: each.name)
    keys = await _keys(session)
    map_of = board.health(sets)
    return page(
        request,
        "overview.html",
        live=live,
        complete=complete,
        unseen=view.scope.more,
        ready=sum(cell.ready for cells in map_of.values() for cell in cells.values()),
        cells=dict(list(map_of.items())[:_ORGANIZATIONS]),
        more=max(0, len(map_of) - _ORGANIZATIONS),
        columns=sorted({name for cells in map_of.values() for name in cells} | {each.name for each in regions}),
        matters=board.matters(sets, ((each.record, each.status) for each in regions), keys),
        rollouts=(under_way := board.rollouts(sets))[:_ROLLOUTS],
        more_rollouts=max(0, len(under_way) - _ROLLOUTS),
        keys=keys,
        Query=Query,
    )


@router.get("/sets")
async def sets(request: Request, view: TheView, session: TheSession) -> Response:
    """The table."""
    complete = await view.settled(_FIRST_SECONDS)
    query = asked(request)
    everything = list(view.sets.values())
    live = view.address(organization=query.organization)  # before anything is awaited, as above
    place = query.organization or view.scope.only
    return page(
        request,
        "sets.html",
        live=live,
        complete=complete,
        unseen=view.scope.more,
        query=query,
        place=place,
        creates={kind: await _creates(session, kind, place) for kind in Kind},
        listing=board.listing(everything, query, datetime.now(UTC)),
        organizations=sorted({each.organization for each in everything}),
        regions=sorted({each.region for each in everything if each.region} | view.regions.keys()),
        phases=list(Phase),
        everything=len(everything),
    )


@router.get("/regions")
async def regions(request: Request, view: TheView) -> Response:
    """All regions."""
    complete = await view.settled(_FIRST_SECONDS)
    found = sorted(view.regions.values(), key=lambda each: each.name)
    return page(
        request,
        "regions.html",
        live=view.address(),
        complete=complete,
        regions=[(each, health.region(each.record, each.status)) for each in found],
    )


@router.get("/regions/{region}")
async def region(request: Request, view: TheView, region: str) -> Response:
    """One of them: its conditions, and what is missing."""
    complete = await view.settled(_FIRST_SECONDS)
    found = view.regions.get(region)
    if found is None and not complete:
        return page(request, "wait.html", status=503, complete=complete)
    if found is None:
        shown = f"'{region}'" if names.is_valid_name(region) else "of that name"
        raise not_found(f"There is no region {shown}, or you may not see it")
    return page(
        request, "region.html", live=view.address(), region=found, finding=health.region(found.record, found.status)
    )


async def _creates(session: Session, kind: Kind, place: str) -> bool:
    """Whether the user may make sets; where no organization is meant, the form tells."""
    return not names.NAMESPACE_PATTERN.fullmatch(place) or await may(session, "create", kind, place)


async def _keys(session: Session) -> Finding | None:
    """What is to be said of the sealing keys; None if the user may not see them."""
    try:
        return health.sealing_keys(await session.public_keys(), datetime.now(UTC))
    except Refused as refused:
        return Finding(check="sealing keys", level=Level.FAIL, says=f"{refused}.")
    except errors.Forbidden:
        return None
