"""That something on a page changed, as server-sent events: the page is then read again, with the rights of then.

A stream tells no more than that, so nothing has to be rendered for who does not look.
"""

from __future__ import annotations

import asyncio
import operator
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from secretset.api.limits import REST
from secretset.domain.names import Key, Kind
from secretset.domain.set_view import SetView
from secretset.web.boards import TheView
from secretset.web.live import View

router = APIRouter()

_TOGETHER = 1.0  # seconds in which changes are told as one
_LONGEST = 600.0  # seconds of one stream: the browser begins another one, for which rights are asked again
_FULL_MS = 60_000  # until a browser tries again that found no room, or had to make some


@router.get("/live", response_class=EventSourceResponse)
async def follow(request: Request, view: TheView, since: str = "", of: str = "") -> AsyncIterator[ServerSentEvent]:
    """Tell of each change, at most once a second."""
    getattr(request.state, REST)()
    with view.stream() as room:
        if not room:
            yield _full("too many pages")
            return
        begun = asyncio.get_running_loop().time()
        told = request.headers.get("last-event-id") or since
        shown = _shown(view, of)
        count = view.pulse.count
        if told != str(count):
            yield _changed(count)
        while (left := begun + _LONGEST - asyncio.get_running_loop().time()) > 0:
            try:
                async with asyncio.timeout(left):
                    count = await view.pulse.after(count)
            except TimeoutError:
                return
            if view.closed:
                yield _full("the view ended")
                return
            if of and all(map(operator.is_, _shown(view, of), shown)):
                continue
            await asyncio.sleep(_TOGETHER)
            count, shown = view.pulse.count, _shown(view, of)
            yield _changed(count)


def _full(comment: str) -> ServerSentEvent:
    return ServerSentEvent(comment=comment, retry=_FULL_MS)


def _changed(count: int) -> ServerSentEvent:
    return ServerSentEvent(event="changed", data=count, id=str(count))


def _shown(view: View, of: str) -> list[SetView | None]:
    """What a page of one set shows; each version is an object of its own."""
    organization, _, name = of.partition("/")
    return [view.sets.get(Key(kind, organization, name)) for kind in Kind]
