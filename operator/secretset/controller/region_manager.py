"""Regions: a runner for each, credentials from their kubeconfig Secrets, and their status.

A region without credentials, or with wrong ones, has a runner all the same: it tells the sets why they wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from functools import partial
from typing import Any

import structlog

from secretset import telemetry
from secretset.controller.context import Context
from secretset.controller.reconcile import Reconciler
from secretset.controller.runner import RegionRunner
from secretset.domain import reasons
from secretset.domain.models.region import KubeconfigSecretRef
from secretset.domain.names import Key
from secretset.domain.observed import decode_data
from secretset.domain.record import SetRecord
from secretset.domain.region_status import region_status
from secretset.domain.regions import RegionRecord
from secretset.kube import errors, paths, supervise
from secretset.kube.client import Client
from secretset.kube.credentials import Credentials, from_kubeconfig
from secretset.kube.watch import Watch

log = structlog.get_logger(__name__)

# The counts of Regions are written once the sets have been quiet, or have not been for long, and never in a hurry.
QUIET_SECONDS, LONG_SECONDS, GAP_SECONDS = 1.0, 10.0, 3.0


class RegionManager:
    """Makes, connects and ends runners as Regions come, change and go."""

    def __init__(self, context: Context, hub_credentials: Credentials) -> None:
        self._context = context
        self._hub_credentials = hub_credentials
        self._reconcile = Reconciler(context, self.responsible)
        self.unresolved = self._make_runner(None)
        self.runners: dict[str, RegionRunner] = {}
        self._links: dict[str, asyncio.Task[None]] = {}
        self._connected_as: dict[str, tuple[str, KubeconfigSecretRef | None]] = {}
        self._changed: asyncio.Queue[str] = asyncio.Queue()
        self._dirty: set[str] = set()
        self._last: dict[Key, RegionRunner] = {}

    def runner_for(self, name: str | None) -> RegionRunner:
        """The runner that works on the sets of a region; an unknown region has none of its own."""
        return self.runners.get(name, self.unresolved) if name else self.unresolved

    def dispatch(self, key: Key) -> None:
        """Queue a key with the runner that is responsible for it."""
        self.responsible(key).queue.add(key)

    def responsible(self, key: Key) -> RegionRunner:
        """The runner of a key: that of its region, or, of an object that is gone, the one it had."""
        seen = self._context.store.sets.get(key)
        if seen is None:
            return self._last.pop(key, self.unresolved)
        runner = self._last[key] = self.runner_for(self._context.store.region_of(seen))
        return runner

    def region_changed(self, name: str) -> None:
        """A Region came, changed or went; called from the store."""
        self._changed.put_nowait(name)

    def link_changed(self, runner: RegionRunner) -> None:
        """A region became reachable, or stopped being so: its sets that wait are looked at, its status is written."""
        if runner.name is not None:
            self._dirty.add(runner.name)
        for record in list(self._context.store.in_region(runner.name)):
            waiting = not record.settled_status or record.deleting
            if waiting or runner.problem is None:
                runner.queue.add(record.key)

    async def run(self) -> None:
        """Follow the Regions until cancelled."""
        self.unresolved.start()
        try:
            await asyncio.gather(self._follow(), self._report())
        finally:
            for link in self._links.values():
                link.cancel()
            await asyncio.gather(*(runner.stop() for runner in (*self.runners.values(), self.unresolved)))

    async def _follow(self) -> None:
        while True:
            name = await self._changed.get()
            region = self._context.store.regions.get(name)
            if region is None:
                await self._end(name)
            else:
                await self._apply(region)

    async def _apply(self, region: RegionRecord) -> None:
        self._dirty.add(region.name)
        wanted = (region.uid, region.kubeconfig)
        if self._connected_as.get(region.name) == wanted:
            return
        if region.name in self.runners:
            await self._end(region.name)
        runner = self.runners[region.name] = self._make_runner(region.name)
        runner.start()
        self._connected_as[region.name] = wanted
        if region.kubeconfig is None:
            await runner.connect(self._client(self._hub_credentials, region.name))
        else:
            self._links[region.name] = supervise.start(
                f"kubeconfig {region.name}", partial(self._follow_kubeconfig, runner, region.kubeconfig)
            )
        self._requeue(region.name)

    async def _end(self, name: str) -> None:
        if link := self._links.pop(name, None):
            link.cancel()
        self._connected_as.pop(name, None)
        if runner := self.runners.pop(name, None):
            await runner.stop()
            with contextlib.suppress(KeyError):
                telemetry.REGION_UP.remove(name)
        self._requeue(name)

    def _requeue(self, name: str) -> None:
        """Hand the sets of a region to the runner that is responsible now."""
        for record in list(self._context.store.in_region(name)):
            self.dispatch(record.key)

    def _make_runner(self, name: str | None) -> RegionRunner:
        return RegionRunner(
            name,
            installation=self._context.installation,
            reconcile=self._reconcile,
            on_link=self.link_changed,
            workers=self._context.config.workers,
        )

    def _client(self, credentials: Credentials, name: str) -> Client:
        return Client(credentials, name=name, timeout=self._context.config.request_timeout)

    async def _follow_kubeconfig(self, runner: RegionRunner, ref: KubeconfigSecretRef) -> None:
        """Connect with what the Secret holds, and again whenever it changes."""
        contents: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        watch = Watch(
            self._context.hub,
            paths.secrets(ref.namespace),
            field_selector=f"metadata.name={ref.name}",
            on_upsert=contents.put_nowait,
            on_delete=lambda *_: contents.put_nowait(None),
            on_link=lambda: None,
        )
        following = supervise.start(f"watch kubeconfig {runner.name}", watch.run)
        used: bytes | None = None
        seen = False
        try:
            while True:
                try:
                    obj = await asyncio.wait_for(contents.get(), 1.0)
                except TimeoutError:
                    if not seen:
                        await self._explain_missing(runner, ref, watch)
                    continue
                seen = True
                text = None if obj is None else decode_data(obj).get(ref.key)
                if text == used and text is not None:
                    continue
                used = text
                await self._use(runner, ref, text)
        finally:
            following.cancel()

    async def _explain_missing(self, runner: RegionRunner, ref: KubeconfigSecretRef, watch: Watch) -> None:
        why = f"Secret '{ref.namespace}/{ref.name}' with its kubeconfig does not exist."
        if isinstance(watch.failing, errors.Forbidden):
            why = f"the operator may not read Secret '{ref.namespace}/{ref.name}' with its kubeconfig."
        elif not watch.synced.is_set():
            return
        await self._refuse(runner, why)

    async def _use(self, runner: RegionRunner, ref: KubeconfigSecretRef, text: bytes | None) -> None:
        where = f"Secret '{ref.namespace}/{ref.name}'"
        if text is None:
            await self._refuse(runner, f"{where} with its kubeconfig does not exist, or lacks the key '{ref.key}'.")
            return
        try:
            credentials = await from_kubeconfig(text)
        except errors.ConfigError as error:
            await self._refuse(runner, f"the kubeconfig in {where} cannot be used: {error}.")
            return
        log.info("region credentials", region=runner.name, secret=f"{ref.namespace}/{ref.name}")
        runner.credentials = f"the credentials in {where}"
        await runner.connect(self._client(credentials, runner.name or ""))

    async def _refuse(self, runner: RegionRunner, why: str) -> None:
        problem = reasons.region_not_ready(runner.name or "", why)
        if runner.problem is None or runner.problem.message != problem.message or runner.client is not None:
            await runner.disconnect(problem)

    async def _report(self) -> None:
        """Write the status of Regions: at once when a link changed, soon but seldom when only counts did."""
        store = self._context.store
        loop = asyncio.get_running_loop()
        since, changed, written, last = 0.0, 0.0, -math.inf, store.changes
        while True:
            await asyncio.sleep(0.2)
            now = loop.time()
            if store.changes != last:
                last, changed = store.changes, now
                since = now if since == math.inf else since
            quiet = now - changed > QUIET_SECONDS or now - since > LONG_SECONDS
            if since != math.inf and quiet and now - written > GAP_SECONDS:
                since = math.inf
                self._dirty.update(store.regions)
                self._measure()
            dirty = [name for name in self._dirty if name in store.regions]
            sets = store.by_region() if dirty else {}
            for name in dirty:
                self._dirty.discard(name)
                try:
                    if name in store.regions and await self._write(store.regions[name], sets.get(name, [])):
                        written = now
                except errors.KubeError as error:
                    self._dirty.add(name)
                    log.debug("status of a region not written", region=name, error=str(error))
                    await asyncio.sleep(1.0)

    async def _write(self, region: RegionRecord, sets: list[SetRecord]) -> bool:
        """Write a Region's status if it differs; return whether only its counts did."""
        store = self._context.store
        runner = self.runners.get(region.name)
        if runner is None or not runner.tried:
            return False
        known = store.region_statuses.get(region.name) or {}
        wanted = region_status(
            region,
            problem=runner.problem,
            server_version=runner.server_version,
            sets=sets,
            previous=known,
            timestamp=self._context.timestamp(),
        )
        if wanted == known:
            return False
        path = paths.region(region.name)
        try:
            obj = await self._context.hub.get(path)
            if obj["metadata"]["uid"] == region.uid and obj.get("status") != wanted:
                await self._context.hub.replace(f"{path}/status", {**obj, "status": wanted})
            store.region_statuses[region.name] = wanted
        except errors.NotFound:
            return False
        return {**known, "sets": None} == {**wanted, "sets": None}

    def _measure(self) -> None:
        telemetry.SETS.clear()
        for record in self._context.store.sets.values():
            telemetry.SETS.labels(self._context.store.region_of(record) or "", record.phase or "pending").inc()
