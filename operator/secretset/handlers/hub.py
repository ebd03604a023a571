"""The watch of our own kinds, by kopf, in a thread and a loop of its own, started anew whenever it ends.

Only `on.event`, `on.startup` and `on.login` are used: any create, update, resume, delete or field handler would write
the whole spec into an annotation, cost two to four writes an object, and lose events (facts.md). In a shared loop
kopf's end would cancel tasks of ours and SIGKILL the process; an ERROR event from the API server is such an end.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import aiohttp
import kopf
import structlog

from secretset import telemetry
from secretset.domain import names
from secretset.domain.names import Kind
from secretset.domain.record import SetRecord, parse
from secretset.domain.regions import RegionRecord
from secretset.handlers import kopf_run, news
from secretset.kube.credentials import Credentials

log = structlog.get_logger(__name__)

_RESTART_FIRST, _RESTART_LAST = 0.5, 15.0  # seconds
_HEALTHY = 60.0  # seconds after which an end counts as the first one


class Sink(news.Memory, Protocol):
    """What takes the events over; called in the controller's loop, but for what kopf's thread asks of its memory."""

    def apply_set(self, record: SetRecord) -> None:
        """A set was seen."""

    def forget_set(self, key: names.Key, uid: str | None = None) -> None:
        """A set is gone."""

    def apply_region(self, record: RegionRecord | None, status: dict[str, Any]) -> None:
        """A Region was seen."""

    def forget_region(self, name: str) -> None:
        """A Region is gone."""


class KopfThread:
    """Runs kopf beside the controller.

    Attributes:
        restarted: called in the controller's loop after kopf had to be started anew, because deletions may be lost.
    """

    def __init__(
        self,
        credentials: Credentials,
        sink: Sink,
        loop: asyncio.AbstractEventLoop,
        *,
        restarted: Callable[[], None],
    ) -> None:
        self._credentials = credentials
        self._sink = sink
        self._loop = loop
        self._restarted = restarted
        self._stop = threading.Event()
        self._run_over = threading.Event()
        self._sessions: list[aiohttp.ClientSession] = []
        self._thread = threading.Thread(target=self._supervise, name="kopf", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        kopf_run.listen()
        self._thread.start()

    def renew(self) -> None:
        """Have kopf begin anew, from a list: of a hub that was put back it would wait for versions of the future."""
        self._run_over.set()

    def stop(self) -> None:
        """Ask kopf to end; it takes up to a few seconds and is a daemon thread, so nobody has to wait for it."""
        self._stop.set()
        self._run_over.set()
        # Its watchers meet closed loops and connections now, and would call that errors.
        logging.getLogger("kopf").setLevel(logging.CRITICAL)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _supervise(self) -> None:
        delay = _RESTART_FIRST
        while True:
            self._run_over = over = threading.Event()
            if self._stop.is_set():
                return
            began = time.monotonic()
            try:
                kopf_run.run(self._registry(), _settings(), over, self._let_go)
            except (Exception, SystemExit) as error:  # noqa: BLE001  (whatever ends kopf, the watch must go on)
                log.warning("kopf ended", error=type(error).__name__)
            if time.monotonic() - began > _HEALTHY:
                delay = _RESTART_FIRST
            if self._stop.wait(delay):
                return
            telemetry.WATCH_RESTARTS.inc()
            delay = min(delay * 2, _RESTART_LAST)
            self._loop.call_soon_threadsafe(self._restarted)

    async def _let_go(self) -> None:
        """Close the connections of a kopf that has ended."""
        while self._sessions:
            await self._sessions.pop().close()

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        async def login(**_: Any) -> Any:
            session = self._credentials.session(news.of(self._sink))
            self._sessions.append(session)
            return kopf.AiohttpSession(server=self._credentials.server, aiohttp_session=session)

        for kind in Kind:

            @kopf.on.event(names.GROUP, names.VERSION, kind.plural, id=f"watch-{kind.plural}", registry=registry)
            async def on_set(event: Any, kind: Kind = kind, **_: Any) -> None:
                self._hand_over_set(kind, event)

        @kopf.on.event(names.GROUP, names.VERSION, "regions", registry=registry)
        async def on_region(event: Any, **_: Any) -> None:
            self._hand_over_region(event)

        return registry

    def _hand_over_set(self, kind: Kind, event: Any) -> None:
        obj = event["object"]
        if event["type"] != "DELETED" and self._sink.knows(kind, obj["metadata"]):
            return  # a list of what is known already: spare the loop thousands of records at the start
        record = parse(kind, obj)
        if event["type"] == "DELETED":
            self._loop.call_soon_threadsafe(self._sink.forget_set, record.key, record.uid)
        else:
            self._loop.call_soon_threadsafe(self._sink.apply_set, record)

    def _hand_over_region(self, event: Any) -> None:
        obj = event["object"]
        if event["type"] == "DELETED":
            self._loop.call_soon_threadsafe(self._sink.forget_region, obj["metadata"]["name"])
        else:
            status = dict(obj.get("status") or {})
            self._loop.call_soon_threadsafe(self._sink.apply_region, RegionRecord.parse(obj), status)


def _settings() -> kopf.OperatorSettings:
    """Kopf's settings for watching only (facts.md, "kopf")."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.queueing.idle_timeout = 0.2
    settings.watching.chunk_size = 100  # of objects that may be large
    settings.networking.request_timeout = 30
    settings.process.ultimate_exiting_timeout = None
    settings.persistence.diffbase_storage = _NothingKept()
    return settings


class _NothingKept(kopf.DiffBaseStorage):
    """What kopf compares objects with, which no handler of ours asks for: a deep copy of each is saved."""

    def build(self, **_: Any) -> Any:
        """Nothing is taken from an object."""
        return None

    def fetch(self, **_: Any) -> None:
        """Nothing was kept of it."""

    def store(self, **_: Any) -> None:
        """Nothing is kept."""
