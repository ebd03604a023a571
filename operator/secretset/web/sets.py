"""Pages about one set, and what can be done with it from there."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from secretset.actions import overview, restart, sets
from secretset.actions.session import Session
from secretset.api.auth import Place, ThePlace
from secretset.api.errors import bad_request, conflict
from secretset.domain.history import history
from secretset.domain.set_view import SetView
from secretset.web.boards import TheView
from secretset.web.scope import may
from secretset.web.signin import form
from secretset.web.templates import page

router = APIRouter()

_SET = "/sets/{organization}/{name}"
_VERBS = ("patch", "delete")


@router.get(_SET)
async def show(request: Request, place: ThePlace, hub: TheView, name: str) -> Response:
    """All that is to be known of a set."""
    live = hub.address(of=f"{place.organization}/{name}")
    view = await sets.find(place.session, place.organization, name)
    found, allowed = await asyncio.gather(overview.overview(place.session, view), _allowed(place.session, view))
    return page(request, "set.html", live=live, found=found, view=view, allowed=allowed, changes=history(view))


@router.post(f"{_SET}/restart")
async def restart_now(request: Request, place: ThePlace, name: str) -> Response:
    """Restart all workloads that use it."""
    view = await seen(request, place, name)
    await restart.restart(place.session, view)
    return back(view)


@router.post(f"{_SET}/unset")
async def unset(request: Request, place: ThePlace, name: str) -> Response:
    """Take a key out of it."""
    key = (await form(request)).get("key", "")
    request.state.keys = (key,)
    view = await seen(request, place, name)
    return back(await sets.unset(place.session, view.key, [key]))


@router.post(f"{_SET}/delete")
async def delete(request: Request, place: ThePlace, name: str) -> Response:
    """Delete it: its name has to be typed."""
    typed = (await form(request)).get("name", "").strip()
    view = await seen(request, place, name)
    if typed != view.name:
        raise bad_request(f"Nothing was deleted: to delete '{view.name}', type its name")
    await sets.delete(place.session, view)
    return RedirectResponse(f"/sets?organization={place.organization}", status_code=303)


async def _allowed(session: Session, view: SetView) -> dict[str, bool]:
    """Which of the verbs that change it the user may use on it."""
    answers = await asyncio.gather(*(may(session, verb, view.key.kind, view.organization) for verb in _VERBS))
    return dict(zip(_VERBS, answers, strict=True))


async def seen(request: Request, place: Place, name: str) -> SetView:
    """The set that the page showed.

    Raises:
        Answer: 409: another one has its name now.
    """
    view = await sets.find(place.session, place.organization, name)
    if (await form(request)).get("uid") != view.uid:
        raise conflict(f"Nothing was done: another set has the name '{view.name}' now. Look at it first")
    return view


def back(view: SetView) -> Response:
    """To the page of a set."""
    return RedirectResponse(f"/sets/{view.organization}/{view.name}", status_code=303)
