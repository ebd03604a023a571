"""What a user may see of sets and regions, kept up to date by watches with the user's own token.

A list of ten thousand sets takes the hub a second or more; a page must not. So the first page of a user starts
watches, and they end some minutes after the last one.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

from secretset.actions import organizations
from secretset.actions.session import RegionView, Session
from secretset.domain.names import Key, Kind
from secretset.domain.regions import RegionRecord
from secretset.domain.set_view import SetView
from secretset.kube import errors, paths, supervise
from secretset.kube.callers import Callers
from secretset.kube.client import Client
from secretset.kube.watch import Watch

_IDLE_SECONDS = 300.0
_RIGHTS_SECONDS = 60.0  # for how long what a user may see is believed, as whose a token is (api.auth)
_MOST_VIEWS = 20  # users at a time; the one who looked longest ago makes room
_MOST_PLACES = 100  # organizations of a user who may not list the sets of all
_DENIED = (errors.Forbidden, errors.Unauthorized)


class View:
    """What one user sees.

    Args:
        client: with the user's token; the view closes it.
        places: the organizations whose sets the user may list, or None alone for all.

    Attributes:
        sets: by key.
        regions: by name; empty if the user may not see them.
        used: when it was asked for last.
        checked: when the user's rights were looked at last.
    """

    def __init__(self, client: Client, places: tuple[str | None, ...]) -> None:
        self.sets: dict[Key, SetView] = {}
        self.regions: dict[str, RegionView] = {}
        self.used = self.checked = time.monotonic()
        self.places = places
        self._client = client
        self._watches = [self._regions(), *(self._sets(kind, place) for place in places for kind in Kind)]
        self._tasks = [supervise.start(f"dashboard {number}", each.run) for number, each in enumerate(self._watches)]

    async def settled(self, seconds: float) -> bool:
        """Wait until everything was read once; whether that is so."""
        try:
            async with asyncio.timeout(seconds):
                for watch in self._watches:
                    await watch.tried.wait()
        except TimeoutError:
            return False
        return all(watch.synced.is_set() or isinstance(watch.failing, _DENIED) for watch in self._watches)

    async def close(self) -> None:
        """End the watches."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.close()

    def _sets(self, kind: Kind, place: str | None) -> Watch:
        def upsert(obj: dict[str, Any]) -> None:
            view = SetView.parse(kind, obj, keep=False)
            self.sets[view.key] = view

        def delete(namespace: str, name: str, _: dict[str, Any] | None) -> None:
            self.sets.pop(Key(kind, namespace, name), None)

        def link() -> None:
            if isinstance(watch.failing, _DENIED):  # what the user may not see any more is not shown any more
                for key in [key for key in self.sets if key.kind is kind and place in {None, key.namespace}]:
                    del self.sets[key]

        watch = Watch(self._client, paths.custom_list(kind, place), on_upsert=upsert, on_delete=delete, on_link=link)
        return watch

    def _regions(self) -> Watch:
        def upsert(obj: dict[str, Any]) -> None:
            record = RegionRecord.parse(obj)
            if record is not None:
                self.regions[record.name] = RegionView(record=record, status=obj.get("status") or {}, obj=obj)

        def delete(_: str, name: str, __: dict[str, Any] | None) -> None:
            self.regions.pop(name, None)

        def link() -> None:
            if isinstance(watch.failing, _DENIED):
                self.regions.clear()

        watch = Watch(self._client, paths.REGIONS, on_upsert=upsert, on_delete=delete, on_link=link)
        return watch


class Views:
    """The views of all users who look now.

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

    async def of(self, digest: str, token: str, session: Session, own: str | None) -> View:
        """The view of a user.

        Args:
            digest: what the token is known by.
            token: the user's.
            session: the user's.
            own: the namespace that a service account lives in.

        Raises:
            KubeError: the hub refused or did not answer.
        """
        opening = self._opening.setdefault(digest, asyncio.Lock())  # one at a time, and none of another user's
        async with opening:
            view = self._found.get(digest)
            now = self._clock()
            if view is None or now - view.checked > _RIGHTS_SECONDS:
                places = await _places(session, own)
                if view is not None and view.places == places:
                    view.checked = now
                else:
                    self._drop(digest)
                    view = self._found[digest] = View(self._callers.client(token), places)
            view.used = now
            self._found.move_to_end(digest)
        if len(self._found) > _MOST_VIEWS:
            self._drop(next(iter(self._found)))
        if self._reaper is None or self._reaper.done():
            self._reaper = asyncio.create_task(self._reap())
        return view

    async def close(self) -> None:
        """End all."""
        if self._reaper is not None:
            self._reaper.cancel()
        for digest in list(self._found):
            self._drop(digest)
        await asyncio.gather(*self._ending, return_exceptions=True)

    async def _reap(self) -> None:
        """Drop who has not looked for long, as long as there is anybody."""
        while self._found:
            await asyncio.sleep(_IDLE_SECONDS / 10)
            for digest, view in list(self._found.items()):
                if self._clock() - view.used > _IDLE_SECONDS:
                    self._drop(digest)

    def _drop(self, digest: str) -> None:
        view = self._found.pop(digest, None)
        if view is not None:
            task = asyncio.create_task(view.close())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)


async def _places(session: Session, own: str | None) -> tuple[str | None, ...]:
    if await organizations.sees(session, None):
        return (None,)
    return tuple((await organizations.visible(session, own=own))[:_MOST_PLACES])
