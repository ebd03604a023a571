"""What a user may see of sets and regions, kept up to date by watches with the user's own token.

A list of ten thousand sets takes the hub a second or more; a page must not. So the first page of a user starts
watches, and they end some minutes after the last one.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from secretset.actions.session import RegionView
from secretset.domain.names import Key, Kind
from secretset.domain.regions import RegionRecord
from secretset.domain.set_view import SetView
from secretset.kube import errors, paths, supervise
from secretset.kube.client import Client
from secretset.kube.watch import Watch
from secretset.pulse import Pulse
from secretset.web.scope import Scope
from secretset.web.templates import address

STREAMS = 4
"""Pages that may follow one view at a time."""

_DENIED = (errors.Forbidden, errors.Unauthorized)


class View:
    """What one user sees.

    Args:
        client: with the user's token; the view closes it.
        scope: what of the hub the user may follow.
        name: the user's.
        now: a monotonic time.

    Attributes:
        sets: by key, without what no table shows.
        regions: by name; empty if the user may not see them.
        used: when it was asked for last.
        checked: when the user's rights were looked at last.
        pulse: beats with every change of what is seen, and when the view ends.
        closed: it has ended.
    """

    def __init__(self, client: Client, scope: Scope, *, name: str, now: float) -> None:
        self.sets: dict[Key, SetView] = {}
        self.regions: dict[str, RegionView] = {}
        self.used = self.checked = now
        self.scope = scope
        self.name = name
        self.pulse = Pulse()
        self._nonce = secrets.token_hex(4)
        self.closed = False
        self._streams = 0
        self._client = client
        self._watches = list(self._all(scope))
        self._tasks = [supervise.start(f"dashboard {number}", each.run) for number, each in enumerate(self._watches)]

    async def settled(self, seconds: float) -> bool:
        """Wait until everything was tried once; whether all of it is known, and followed now."""
        try:
            async with asyncio.timeout(seconds):
                for watch in self._watches:
                    await watch.tried.wait()
        except TimeoutError:
            return False
        return self.complete

    @property
    def complete(self) -> bool:
        """Whether all of it is known, and followed now."""
        return all(watch.synced.is_set() and watch.failing is None for watch in self._watches)

    def address(self, *, of: str = "", organization: str = "") -> str:
        """The address of the stream for a page that is made of it now.

        Args:
            of: ``ORGANIZATION/NAME``, for a page of one set.
            organization: that the page asks for by name.
        """
        given = {"since": self.moment, "of": of, "organization": organization or of.partition("/")[0]}
        return address("/live", {name: each for name, each in given.items() if each})

    @property
    def moment(self) -> str:
        """What is seen now, as one word: another one after each change, and of each view."""
        return f"{self._nonce}.{self.pulse.count}"

    @contextlib.contextmanager
    def stream(self) -> Iterator[bool]:
        """Somebody follows the view; whether there was room for that."""
        self._streams += 1
        try:
            yield self._streams <= STREAMS
        finally:
            self._streams -= 1

    @property
    def followed(self) -> bool:
        """Whether somebody follows it."""
        return self._streams > 0

    async def close(self) -> None:
        """End the watches, and who follows them."""
        self.closed = True
        self.pulse.beat()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.close()

    def _all(self, scope: Scope) -> Iterator[Watch]:
        if scope.regions:
            yield self._regions()
        for kind, place in sorted(scope.sets, key=str):
            yield self._sets(kind, place)

    def _sets(self, kind: Kind, place: str | None) -> Watch:
        def upsert(obj: dict[str, Any]) -> None:
            view = slim(SetView.parse(kind, obj, keep=False))
            self.sets[view.key] = view
            self.pulse.beat()

        def delete(namespace: str, name: str, _: dict[str, Any] | None) -> None:
            self.sets.pop(Key(kind, namespace, name), None)
            self.pulse.beat()

        def forget() -> None:
            for key in [key for key in self.sets if key.kind is kind and place in {None, key.namespace}]:
                del self.sets[key]

        return self._watch(paths.custom_list(kind, place), upsert, delete, forget)

    def _regions(self) -> Watch:
        def upsert(obj: dict[str, Any]) -> None:
            record = RegionRecord.parse(obj)
            if record is not None:
                self.regions[record.name] = RegionView(record=record, status=obj.get("status") or {}, obj={})
                self.pulse.beat()

        def delete(_: str, name: str, __: dict[str, Any] | None) -> None:
            self.regions.pop(name, None)
            self.pulse.beat()

        return self._watch(paths.REGIONS, upsert, delete, self.regions.clear)

    def _watch(
        self,
        path: str,
        upsert: Callable[[dict[str, Any]], None],
        delete: Callable[[str, str, dict[str, Any] | None], None],
        forget: Callable[[], None],
    ) -> Watch:
        def link() -> None:
            if isinstance(watch.failing, _DENIED):  # what the user may not see any more is not shown any more
                forget()
            self.pulse.beat()  # a page says whether it is complete

        watch = Watch(self._client, path, on_upsert=upsert, on_delete=delete, on_link=link)
        return watch


def slim(view: SetView) -> SetView:
    """A view of a set without what no table shows: there may be ten thousand of them, for each user."""
    counts = {name: number for name, number in view.workloads.items() if isinstance(number, int)}
    return replace(view, conditions=(), metadata={}, secret_ref=None, workloads=counts)
