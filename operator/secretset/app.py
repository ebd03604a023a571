"""The operator put together: hub, replicas, store, regions, kopf. Starts, runs until told to stop, lets go in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Awaitable, Callable
from math import inf
from typing import TypeVar

import structlog

from secretset import telemetry
from secretset.config import Config
from secretset.controller import http, kek
from secretset.controller.context import Context
from secretset.controller.events import EventRecorder
from secretset.controller.installation import load_or_create
from secretset.controller.membership import Membership
from secretset.controller.region_manager import RegionManager
from secretset.controller.resync import load, resync
from secretset.controller.sealing_keys import SealingKeys
from secretset.controller.source_watch import SourceWatch
from secretset.controller.store import HubStore
from secretset.domain import names
from secretset.domain.names import Key
from secretset.domain.replicas import Replica
from secretset.handlers.hub import KopfThread
from secretset.kube import credentials, errors, paths, supervise
from secretset.kube.client import Client
from secretset.kube.watch import Watch

log = structlog.get_logger(__name__)

_HUB_RETRY_SECONDS = 2.0
_FIRST_RESYNC_SECONDS = 20.0  # for what was deleted between our list and that of kopf

T = TypeVar("T")


class Operator:
    """One operator process."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._ready = False
        self._manager: RegionManager | None = None
        self._pending: set[Key] = set()
        self._kopf: KopfThread | None = None
        self._store: HubStore | None = None
        self._sealing: SealingKeys | None = None
        self._missed = asyncio.Event()
        self._renew: Callable[[bool], None] = lambda _: None

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT.

        Raises:
            ConfigError: there is no usable kubeconfig, the installation Secret is damaged, or another process has
                taken this replica's name.
        """
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(telemetry.nobody_waits)
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, stopping.set)
        login = await credentials.load(self._config.kubeconfig, self._config.context)
        inside = await self._inside()
        server = await http.serve(
            telemetry.Process.OPERATOR,
            host=self._config.host,
            port=self._config.port,
            healthy=self._healthy,
            ready=lambda: self._ready,
            component="" if self._config.regions is None else "agent",
        )
        work = asyncio.create_task(self._replica(login, inside))
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

    async def _inside(self) -> credentials.Credentials | None:
        """Our credentials in the cluster that we run in, if there is a region to be served from inside."""
        if self._config.region_kubeconfig:
            return await credentials.load(self._config.region_kubeconfig)
        in_pod = "KUBERNETES_SERVICE_HOST" in os.environ
        # $KUBECONFIG is no substitute: it may lead to the hub.
        return credentials.in_cluster() if self._config.regions and in_pod else None

    async def _replica(self, login: credentials.Credentials, inside: credentials.Credentials | None) -> None:
        """Take our place among the replicas, work as long as we have it, and leave it at once at the end."""
        config = self._config
        async with Client(login, name=names.AT_HUB) as for_leases:
            me = Replica(name=config.replica, regions=config.regions)
            membership = Membership(
                for_leases,
                config.namespace,
                me,
                on_change=self._members_changed,
                on_return=self._returned,
                on_rewind=self._rewound,
            )
            hub = Client(login, name=names.AT_HUB, timeout=config.request_timeout, fence=membership.fence)
            try:
                await self._insist("the hub does not let us begin", membership.join)
                async with hub, asyncio.TaskGroup() as tasks:
                    tasks.create_task(membership.run())
                    tasks.create_task(self._work(hub, membership, login, inside))
                    await membership.lost.wait()
                    raise errors.ConfigError(
                        f"another process took the name '{me.name}' of this replica: give each its own (--replica)"
                    )
            except* errors.ConfigError as group:
                raise group.exceptions[0] from None
            finally:
                await membership.leave()

    async def _work(
        self,
        hub: Client,
        membership: Membership,
        login: credentials.Credentials,
        inside: credentials.Credentials | None,
    ) -> None:
        config = self._config
        installation = await self._insist(
            "the hub does not let us begin", lambda: load_or_create(hub, config.namespace)
        )
        events = EventRecorder(hub, instance=f"{config.replica}-{os.getpid()}")
        store = self._store = HubStore(self._dispatch, self._region_changed)
        context = Context(
            hub=hub,
            store=store,
            installation=installation,
            events=events,
            config=config,
            leads=lambda: membership.leads,
            keks=kek.load(config.sealing_kek_files),
        )
        sealing = self._sealing = context.sealing
        await self._insist("the sealing keys cannot be read yet", sealing.load)
        manager = RegionManager(context, hub=login, inside=inside, membership=membership)
        sources = SourceWatch(hub, store, config.regions)
        organizations = Watch(
            hub,
            paths.NAMESPACES,
            on_upsert=store.apply_organization,
            on_delete=lambda _, name, __: store.forget_organization(name),
            metadata_only=True,
        )
        kopf = KopfThread(login, store, asyncio.get_running_loop(), restarted=self._missed.set)

        def renew(relist: bool) -> None:
            organizations.renew(relist=relist)
            sources.renew(relist=relist)

        self._renew = renew
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(organizations.run())
                tasks.create_task(events.run())
                await organizations.synced.wait()
                await sources.start()
                tasks.create_task(supervise.keep("sealing keys", sealing.run))
                await self._insist("the custom resources cannot be listed yet", lambda: load(hub, store))
                tasks.create_task(sources.run())
                await sources.seen()
                self._manager = manager
                tasks.create_task(manager.run())
                manager.members_changed()
                for key in self._pending | set(store.sets):
                    self._dispatch(key)
                self._pending.clear()
                kopf.start()
                self._kopf = kopf
                self._ready = True
                log.info("ready", sets=len(store.sets), regions=len(store.regions), installation=installation.id)
                await self._resync(hub, store)
        finally:
            kopf.stop()
            await sources.stop()

    def _healthy(self) -> bool:
        """Whether nothing is lost that only a restart would bring back."""
        return self._kopf is None or self._kopf.alive

    def _dispatch(self, key: Key) -> None:
        """Queue a key with the runner of its region; before all is known, only note it."""
        if self._manager is None:
            self._pending.add(key)
        else:
            self._manager.dispatch(key)

    def _region_changed(self, name: str) -> None:
        if self._manager is not None:
            self._manager.region_changed(name)

    def _members_changed(self) -> None:
        if self._manager is not None:
            self._manager.members_changed()
        if self._sealing is not None:
            self._sealing.members_changed()

    def _returned(self) -> None:
        """The hub was away, or we slept: no watch need wait for its next attempt, and what was missed is looked for."""
        self._renew(False)
        self._missed.set()

    def _rewound(self) -> None:
        """The hub was put back to an earlier state, and its watches may be deaf or skip what it lost: read all again.

        A watch finds out by itself only as long as the versions of the hub have not caught up with its own.
        """
        self._renew(True)
        if self._manager is not None:
            self._manager.rewound()
        if self._store is not None and self._kopf is not None:
            self._store.doubt()
            if self._sealing is not None:
                self._sealing.rewound()
            self._kopf.renew()
            self._missed.set()

    async def _insist(self, trouble: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat what the hub must let us do before anything else.

        Raises:
            ConfigError: from the attempt: no repetition would help.
        """
        while True:
            try:
                return await attempt()
            except errors.ConfigError:
                raise
            except errors.KubeError as error:
                log.warning(trouble, namespace=self._config.namespace, error=str(error))
                await asyncio.sleep(_HUB_RETRY_SECONDS)

    async def _resync(self, hub: Client, store: HubStore) -> None:
        """Compare everything: every few minutes, and whenever something may have been missed.

        Soon after kopf has begun, and after a time in which the hub did not list all that it has, only with what the
        hub has: all were looked at not long before.
        """
        every, now = self._config.resync_seconds, asyncio.get_running_loop().time
        due, again, delay = now() + every, now() + min(_FIRST_RESYNC_SECONDS, every), _HUB_RETRY_SECONDS
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(due, again) - now()):
                    await self._missed.wait()
            everything = self._missed.is_set() or now() >= due
            self._missed.clear()
            try:
                await resync(hub, store)
            except errors.KubeError as error:
                log.warning("resync not finished", error=str(error), again_in=delay)
                again, delay = now() + delay, min(delay * 2, every)
            else:
                again, delay = inf, _HUB_RETRY_SECONDS
            if everything:
                due = now() + every * random.uniform(0.9, 1.1)  # noqa: S311
                for key in tuple(store.sets):
                    self._dispatch(key)
