"""The views of all users who look now: who gets one, and who has to make room."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from weakref import WeakValueDictionary

from secretset.actions.session import Session
from secretset.kube.callers import Callers
from secretset.web.live import View
from secretset.web.scope import Scope, scope_of

_IDLE_SECONDS = 300.0
_RIGHTS_SECONDS = 60.0  # for how long what a user may see is believed, as whose a token is (api.auth)
_MOST = 20  # views at a time; the one that was used longest ago makes room
_MOST_SETS = 60_000  # in all views, at 4 kB each: the chart gives the API 512 MiB
_MOST_OF_ONE = 2  # of one user, whatever number of tokens they have


class Views:
    """The views of all users.

    Args:
        callers: makes their clients.
    """

    def __init__(self, callers: Callers, clock: Callable[[], float] = time.monotonic) -> None:
        self._callers = callers
        self._clock = clock
        self._found: OrderedDict[str, View] = OrderedDict()
        self._opening: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._ending: set[asyncio.Task[None]] = set()
        self._reaper: asyncio.Task[None] | None = None

    async def of(
        self, digest: str, token: str, session: Session, *, name: str, own: str | None, wanted: str = ""
    ) -> View:
        """The view of a user.

        Args:
            digest: what the token is known by.
            token: the user's.
            session: the user's.
            name: the user's.
            own: the namespace that a service account lives in.
            wanted: an organization that is to be in it, if the user may see it; empty for none.

        Raises:
            KubeError: the hub refused or did not answer.
        """
        opening = self._opening.setdefault(digest, asyncio.Lock())  # one at a time, and none of another user's
        async with opening:
            view = self._found.get(digest)
            if view is None or self._clock() - view.checked > _RIGHTS_SECONDS or not _has(view.scope, wanted):
                scope = await scope_of(session, own, _named(view, wanted))
                view = self._found.get(digest)  # it may have been dropped meanwhile
                if view is None or view.scope != scope:
                    self.drop(digest)
                    self._make_room(name)
                    client = self._callers.client(token)
                    view = self._found[digest] = View(client, scope, name=name, now=self._clock())
                view.checked = self._clock()
            view.used = self._clock()
            self._found.move_to_end(digest)
        if self._reaper is None or self._reaper.done():
            self._reaper = asyncio.create_task(self._reap())
        return view

    def drop(self, digest: str) -> None:
        """End the view of a token, if there is one."""
        view = self._found.pop(digest, None)
        if view is not None:
            task = asyncio.create_task(view.close())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """End all."""
        if self._reaper is not None:
            self._reaper.cancel()
        for digest in list(self._found):
            self.drop(digest)
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _make_room(self, name: str) -> None:
        own = [digest for digest, view in self._found.items() if view.name == name]
        for digest in own[: max(0, len(own) - _MOST_OF_ONE + 1)]:
            self.drop(digest)
        while self._found and (len(self._found) >= _MOST or self._sets() >= _MOST_SETS):
            # First who does not look, and of them, or of all, who looked longest ago.
            self.drop(
                next((digest for digest, view in self._found.items() if not view.followed), next(iter(self._found)))
            )

    def _sets(self) -> int:
        return sum(len(view.sets) for view in self._found.values())

    async def _reap(self) -> None:
        """Drop who has not looked for long, as long as there is anybody."""
        while self._found:
            await asyncio.sleep(_IDLE_SECONDS / 10)
            for digest, view in list(self._found.items()):
                if view.followed:
                    view.used = self._clock()
                if self._clock() - view.used > _IDLE_SECONDS:
                    self.drop(digest)


def _has(scope: Scope, organization: str) -> bool:
    return not organization or any(place in {None, organization} for _, place in scope.sets)


def _named(view: View | None, wanted: str) -> tuple[str, ...]:
    """What is to be followed by name: what is asked for now, and what is followed already."""
    there = {place for _, place in view.scope.sets if place is not None} if view is not None else set()
    return (*filter(None, [wanted]), *sorted(there))
