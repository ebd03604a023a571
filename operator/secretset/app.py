"""The operator put together: hub, store, regions, kopf. Starts, runs until it is told to stop, and lets go in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket

import structlog

from secretset.config import Config
from secretset.controller import http
from secretset.controller.context import Context
from secretset.controller.events import EventRecorder
from secretset.controller.installation import Installation, load_or_create
from secretset.controller.region_manager import RegionManager
from secretset.controller.resync import load, resync
from secretset.controller.store import HubStore
from secretset.domain import names
from secretset.domain.names import Key
from secretset.handlers.hub import KopfThread
from secretset.kube import credentials, errors, paths
from secretset.kube.client import Client
from secretset.kube.scoped import ScopedWatch
from secretset.kube.watch import Watch

log = structlog.get_logger(__name__)

_HUB_RETRY_SECONDS = 2.0
_FIRST_RESYNC_SECONDS = 20.0  # for what was deleted between our list and that of kopf
_SOURCES_SECONDS = 10.0  # to wait at the start for the sources of all organizations


class Operator:
    """One operator process."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._ready = False
        self._manager: RegionManager | None = None
        self._pending: set[Key] = set()
        self._kopf: KopfThread | None = None

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT.

        Raises:
            ConfigError: there is no usable kubeconfig, or the installation Secret is damaged.
        """
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, stopping.set)
        login = await credentials.load(self._config.kubeconfig, self._config.context)
        async with Client(login, name="hub", timeout=self._config.request_timeout) as hub:
            server = await http.serve(
                host=self._config.host, port=self._config.port, healthy=self._healthy, ready=lambda: self._ready
            )
            work = asyncio.create_task(self._work(hub, login))
            ended = asyncio.create_task(stopping.wait())
            try:
                await asyncio.wait({work, ended}, return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    work.result()
                log.info("stopping")
            finally:
                self._ready = False
                work.cancel()
                ended.cancel()
                await asyncio.gather(work, ended, return_exceptions=True)
                await server.cleanup()

    async def _work(self, hub: Client, login: credentials.Credentials) -> None:
        installation = await self._installation(hub)
        events = EventRecorder(hub, instance=f"{socket.gethostname()}-{os.getpid()}")
        store = HubStore(self._dispatch, self._region_changed)
        context = Context(hub=hub, store=store, installation=installation, events=events, config=self._config)
        manager = RegionManager(context, login)

        sources = ScopedWatch(
            hub,
            resource="secrets",
            group="",
            path=paths.secrets,
            on_upsert=store.apply_source,
            on_delete=lambda namespace, name, _: store.forget_source(namespace, name),
            label_selector=names.SOURCE_SELECTOR,
            remembered=lambda: list(store.sources),
        )
        organizations = Watch(
            hub,
            paths.NAMESPACES,
            on_upsert=store.apply_organization,
            on_delete=lambda _, name, __: store.forget_organization(name),
            metadata_only=True,
        )
        missed = asyncio.Event()
        kopf = KopfThread(login, store, asyncio.get_running_loop(), restarted=missed.set)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(organizations.run())
                tasks.create_task(events.run())
                await organizations.synced.wait()
                await self._start_sources(sources)
                tasks.create_task(self._follow_sources(store, sources))
                await self._load(hub, store)
                await self._sources_seen(store, sources)
                self._manager = manager
                tasks.create_task(manager.run())
                for name in store.regions:
                    manager.region_changed(name)
                for key in self._pending | set(store.sets):
                    self._dispatch(key)
                self._pending.clear()
                kopf.start()
                self._kopf = kopf
                self._ready = True
                log.info("ready", sets=len(store.sets), regions=len(store.regions), installation=installation.id)
                await self._resync(hub, store, missed)
        finally:
            kopf.stop()
            await sources.stop()

    def _healthy(self) -> bool:
        """Whether nothing is lost that only a restart would bring back."""
        return self._kopf is None or self._kopf.alive

    def _dispatch(self, key: Key) -> None:
        """Queue a key with the runner of its region; before all is known, only note it."""
        manager = self._manager
        if manager is None:
            self._pending.add(key)
            return
        manager.dispatch(key)

    def _region_changed(self, name: str) -> None:
        if self._manager is not None:
            self._manager.region_changed(name)

    async def _installation(self, hub: Client) -> Installation:
        """Wait for the hub, then learn who we are."""
        while True:
            try:
                return await load_or_create(hub, self._config.namespace)
            except errors.ConfigError:
                raise
            except errors.KubeError as error:
                log.warning("the hub does not let us begin", namespace=self._config.namespace, error=str(error))
                await asyncio.sleep(_HUB_RETRY_SECONDS)

    async def _start_sources(self, sources: ScopedWatch) -> None:
        while True:
            try:
                return await sources.start()
            except errors.KubeError as error:
                log.warning("cannot watch source Secrets yet", error=str(error))
                await asyncio.sleep(_HUB_RETRY_SECONDS)

    async def _follow_sources(self, store: HubStore, sources: ScopedWatch) -> None:
        """Watch for sources in the organizations that have sets."""
        followed: set[str] = set()
        changes = -1
        while True:
            if store.changes != changes:
                changes = store.changes
                wanted = store.namespaces_with_sets()
                for namespace in wanted - followed:
                    sources.need(namespace)
                for namespace in followed - wanted:
                    sources.release(namespace)
                followed = wanted
            await asyncio.sleep(0.05)

    async def _sources_seen(self, store: HubStore, sources: ScopedWatch) -> None:
        """Wait until the sources of all organizations were listed, so that settled sets are recognised as such."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SOURCES_SECONDS):
                for namespace in store.namespaces_with_sets():
                    sources.need(namespace)
                    await sources.tried(namespace)

    async def _load(self, hub: Client, store: HubStore) -> None:
        while True:
            try:
                return await load(hub, store)
            except errors.KubeError as error:
                log.warning("the custom resources cannot be listed yet", error=str(error))
                await asyncio.sleep(_HUB_RETRY_SECONDS)

    async def _resync(self, hub: Client, store: HubStore, missed: asyncio.Event) -> None:
        """Compare everything: once kopf has begun, every few minutes, and whenever kopf had to begin anew."""
        wait = min(_FIRST_RESYNC_SECONDS, self._config.resync_seconds)
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait * random.uniform(0.9, 1.1)):  # noqa: S311
                    await missed.wait()
            wait = self._config.resync_seconds
            missed.clear()
            try:
                await resync(hub, store)
            except errors.KubeError as error:
                log.warning("resync not finished", error=str(error))
            for key in tuple(store.sets):
                self._dispatch(key)
