"""Our own list and watch: bookmarks, relists that synthesize the deletions they missed, and a liveness age.

kopf watches only our own kinds on the hub: it emits no DELETED after a relist, and ends the process on an ERROR event
(facts.md). Whatever else has to be followed, is followed here.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog

from secretset.domain.versions import older
from secretset.kube import errors
from secretset.kube.client import CONNECTED, METADATA_ONLY, METADATA_ONLY_WATCH, Client
from secretset.kube.pages import pages

log = structlog.get_logger(__name__)

Upsert = Callable[[dict[str, Any]], None]
Delete = Callable[[str, str, dict[str, Any] | None], None]  # namespace, name, and the last object if there is one

_BACKOFF_FIRST, _BACKOFF_LAST = 0.2, 15.0  # seconds between attempts
_BACKOFF_MET = 2.0  # at most, where somebody lets us in
# A watch that the server ends after such a time goes on from a list: an event that never came (no API server should
# lose one, but proxies and bugs of caches have) is made up for within twice that time.
_RELIST_SECONDS = 600.0
# Twice in a row: the API server itself is away, not just a connection. Its store may be put back meanwhile, and have
# caught up with our version before anybody can compare; so the next attempt begins with a list.
_AWAY = (errors.Unreachable, errors.ServerError)


class Watch:
    """Follows one list: every object is handed over once, then every change, and every deletion.

    Handlers run in the loop and must not block. They get objects in their order of change, but may get one again.

    Args:
        remembered: (namespace, name) of objects that an earlier watch handed over: those that are gone since are
            reported as deleted after the first list.
        on_relist: called before each list of everything. It is read from a quorum, so what it holds is newer than what
            was seen before, whatever the versions say: those of a store that was put back come a second time.
        idle: seconds without any event or bookmark after which it is begun anew: it may be deaf, or nothing changes.

    Attributes:
        synced: set once the first list was handed over.
        tried: set once that was tried, whatever came of it; not set while a link that was up is tried again.
        failing: what ended the last attempt; None while the link is up.
    """

    def __init__(
        self,
        client: Client,
        path: str,
        *,
        on_upsert: Upsert,
        on_delete: Delete,
        label_selector: str | None = None,
        field_selector: str | None = None,
        metadata_only: bool = False,
        on_link: Callable[[], None] | None = None,
        on_relist: Callable[[], None] | None = None,
        remembered: Iterable[tuple[str, str]] = (),
        idle: float = 90.0,
    ) -> None:
        self.synced = asyncio.Event()
        self.tried = asyncio.Event()
        self.failing: errors.KubeError | None = None
        self._client = client
        self._path = path
        self._on_upsert = on_upsert
        self._on_delete = on_delete
        self._on_link = on_link or (lambda: None)
        self._on_relist = on_relist or (lambda: None)
        self._metadata_only = metadata_only
        self._idle = idle
        self._params: dict[str, str] = {}
        if label_selector:
            self._params["labelSelector"] = label_selector
        if field_selector:
            self._params["fieldSelector"] = field_selector
        self._known = set(remembered)
        self._newest = ""
        self._relist = False
        self._listed_at = 0.0
        self._following: asyncio.Timeout | None = None
        self._wake = asyncio.Event()
        self._delay = _BACKOFF_FIRST

    def renew(self, *, relist: bool) -> None:
        """Try again now, if this waits for its next attempt; with ``relist`` from a list of everything, in any case.

        Should that fail it is tried again soon: an API server that has just begun may not know our rights yet.
        """
        self._relist |= relist
        self._delay = _BACKOFF_FIRST
        if relist and self._following is not None and not self._following.expired():
            self._following.reschedule(asyncio.get_running_loop().time())
        if self.failing is not None:
            self.tried.clear()
        self._wake.set()

    async def run(self) -> None:
        """Follow the list until cancelled, through every failure."""
        version: str | None = None
        self._delay = _BACKOFF_FIRST
        while True:
            try:
                if version is None or self._relist or await self._rewound(version):
                    version = None  # of a list that breaks off, nothing tells what its other pages hold
                    version = await self._list()
                    self._relist = False
                version = await self._follow_on(version)
            except errors.Gone:
                version = None
                await self._pause(self._delay)
                self._delay = min(self._delay * 2, _BACKOFF_LAST)
            except errors.KubeError as error:
                changed = type(error) is not type(self.failing)
                ended = self.failing is None and self.synced.is_set() and isinstance(error, errors.Unreachable)
                if ended or self._wake.is_set():
                    self.tried.clear()  # that proves nothing of how it is now; the next attempt does
                else:
                    self.tried.set()
                away = isinstance(error, _AWAY) and isinstance(self.failing, _AWAY)
                self.failing = error
                if changed:
                    log.warning("watch failed", cluster=self._client.name, path=self._path, error=str(error))
                    self._on_link()
                refused = isinstance(error, errors.ApiError)
                refused &= not isinstance(error, errors.ServerError | errors.Throttled)
                version = None if refused or away or version is None else self._newest
                await self._pause(max(self._delay, getattr(error, "retry_after", 0.0)))
                self._delay = min(self._delay * 2, _BACKOFF_LAST)

    async def _follow_on(self, version: str) -> str | None:
        """Hand over changes from a version on until the server ends it; the version to go on from, None for a list."""
        try:
            async with (
                asyncio.timeout(None) as self._following,
                contextlib.aclosing(self._follow(version)) as versions,
            ):
                met = False
                async for version in versions:  # noqa: B007  (the last one counts)
                    # Whoever only lets us in, and then ends it, is asked less and less often as well.
                    self._delay = _BACKOFF_FIRST if met else min(self._delay, _BACKOFF_MET)
                    met = True
        except TimeoutError:
            return None  # somebody asked for it
        finally:
            self._following = None
        await asyncio.sleep(_jittered(self._delay))
        self._delay = min(self._delay * 2, _BACKOFF_MET)
        return version if time.monotonic() - self._listed_at < _RELIST_SECONDS else None

    async def _pause(self, seconds: float) -> None:
        """Wait for the next attempt, or until somebody knows that it is worth while."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_jittered(seconds)):
                await self._wake.wait()
        self._wake.clear()

    async def _list(self) -> str:
        """Hand over the whole list, read from a quorum, and the deletions since the last one; return its version."""
        accept = METADATA_ONLY if self._metadata_only else None
        seen: set[tuple[str, str]] = set()  # what was handed over stays known, also if the list breaks off
        version = ""
        self._on_relist()
        async for page in pages(self._client, self._path, self._params, accept=accept):
            if not version:
                version = str(page["metadata"]["resourceVersion"])
                self._note(version)
            for item in page.get("items") or ():
                seen.add(_identity(item))
                self._known.add(_identity(item))
                self._hand_over(self._on_upsert, item)
        for namespace, name in self._known - seen:
            self._hand_over(self._on_delete, namespace, name, None)
        self._known = seen
        self._listed_at = time.monotonic()
        self.synced.set()
        if self.failing is None:
            self.tried.set()
        return version

    async def _rewound(self, version: str) -> bool:
        """Whether the cluster was put back to before a version that we would go on from.

        A watch from a version of the future gets no error and no events, until the numbers have caught up.
        """
        page = await self._client.get(self._path, {**self._params, "limit": "1"}, accept=METADATA_ONLY)
        return older(str(page["metadata"]["resourceVersion"]), version)

    def _note(self, listed: str) -> None:
        """Compare the version of a list from a quorum with the newest that was seen."""
        if older(listed, self._newest):
            log.warning("the cluster was put back to an earlier state", cluster=self._client.name, path=self._path)
        self._newest = listed

    async def _follow(self, version: str) -> Any:
        """Hand over changes from a version on; yield each version reached."""
        params = {
            **self._params,
            "resourceVersion": version,
            "timeoutSeconds": str(random.randint(300, 600)),  # noqa: S311  (spread the reconnects)
        }
        accept = METADATA_ONLY_WATCH if self._metadata_only else None
        async for event in self._client.watch(self._path, params, accept=accept, idle=self._idle):
            kind, item = event.get("type"), event.get("object")
            if kind == CONNECTED:
                self._alive()
                yield version
                continue
            if item is None or older(str(item["metadata"]["resourceVersion"]), self._newest):
                continue  # events come in the order of their versions: this one came before, and is over
            if kind in {"ADDED", "MODIFIED"}:
                self._known.add(_identity(item))
                self._hand_over(self._on_upsert, item)
            elif kind == "DELETED":
                namespace, name = _identity(item)
                self._known.discard((namespace, name))
                self._hand_over(self._on_delete, namespace, name, item)
            self._newest = str(item["metadata"]["resourceVersion"])
            yield self._newest

    def _hand_over(self, handler: Callable[..., None], *args: Any) -> None:
        """Call a handler; a defect in it, met with one odd object, must not end the watch of all others."""
        try:
            handler(*args)
        except Exception as error:  # noqa: BLE001  (its text may hold anything, so only its type is told)
            log.error("a handler failed", path=self._path, error=type(error).__name__)  # noqa: TRY400

    def _alive(self) -> None:
        self.tried.set()
        if self.failing is not None:
            self.failing = None
            log.info("watch is back", cluster=self._client.name, path=self._path)
            self._on_link()


def _identity(item: Mapping[str, Any]) -> tuple[str, str]:
    meta = item["metadata"]
    return meta.get("namespace", ""), meta["name"]


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311
