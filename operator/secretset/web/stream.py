"""That something on a page changed, as server-sent events: the page is then read again, with the rights of then.

A stream tells no more than that, so nothing has to be rendered for who does not look.
"""

from __future__ import annotations

import asyncio
import operator
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from secretset.actions.session import RegionView
from secretset.api.limits import REST
from secretset.domain.names import Key, Kind
from secretset.domain.set_view import SetView
from secretset.web.boards import TheView
from secretset.web.live import View

router = APIRouter()

_TOGETHER = 1.0  # seconds in which changes are told as one
_LONGEST = 600.0  # seconds of one stream: the browser begins another one, for which rights are asked again
_SOON_MS, _LATER_MS = 2_000, 60_000  # until it does; and until it does where there was no room


@router.get("/live", response_class=EventSourceResponse)
async def follow(request: Request, view: TheView, since: str = "", of: str = "") -> AsyncIterator[ServerSentEvent]:
    """Tell of each change, at most once a second."""
    getattr(request.state, REST)()
    with view.stream() as room:
        if not room:
            yield ServerSentEvent(comment="too many pages", retry=_LATER_MS)
            return
        yield ServerSentEvent(comment="followed", retry=_SOON_MS)
        ends = asyncio.get_running_loop().time() + _LONGEST
        count, shown = view.pulse.count, _shown(view, of)
        if (request.headers.get("last-event-id") or since) != view.moment:
            yield _changed(view)
        while not view.closed:
            try:
                async with asyncio.timeout_at(ends):
                    count = await view.pulse.after(count)
            except TimeoutError:
                return
            if of and view.complete and all(map(operator.is_, _shown(view, of), shown)):
                continue
            await asyncio.sleep(_TOGETHER)
            count, shown = view.pulse.count, _shown(view, of)
            if not view.closed:
                yield _changed(view)


def _changed(view: View) -> ServerSentEvent:
    return ServerSentEvent(event="changed", data="", id=view.moment)


def _shown(view: View, of: str) -> list[SetView | RegionView | None]:
    """What a page of one set shows, its region with it; each version is an object of its own."""
    organization, _, name = of.partition("/")
    sets = [view.sets.get(Key(kind, organization, name)) for kind in Kind]
    return [*sets, *(view.regions.get(each.region or "") for each in sets if each is not None)]
