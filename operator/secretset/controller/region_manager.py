"""Regions: a runner for each that is ours, and who works on which set.

A region without credentials, or with wrong ones, has a runner all the same: it tells the sets why they wait. What has
no region, or one that no replica serves, is worked on by the replica that leads.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Hashable
from functools import partial

import structlog

from secretset import telemetry
from secretset.controller import region_credentials, region_metrics
from secretset.controller.context import Context
from secretset.controller.membership import Membership
from secretset.controller.reconcile import Reconciler
from secretset.controller.region_report import RegionReport
from secretset.controller.runner import RegionRunner
from secretset.domain import reasons, regions
from secretset.domain.names import Key
from secretset.domain.regions import RegionRecord
from secretset.kube import supervise
from secretset.kube.client import Client
from secretset.kube.credentials import Credentials

log = structlog.get_logger(__name__)

_SWEEP_SECONDS = 60.0


class RegionManager:
    """Makes, connects and ends runners as Regions and replicas come, change and go.

    Args:
        context: of the passes.
        hub: credentials of the hub, for regions on it.
        inside: credentials of the cluster that this replica runs in, for regions that are served from inside.
        membership: tells which regions are ours.
    """

    def __init__(
        self, context: Context, *, hub: Credentials, inside: Credentials | None, membership: Membership
    ) -> None:
        self._context = context
        self._hub = hub
        self._inside = inside
        self._membership = membership
        self._reconcile = Reconciler(context, self.responsible)
        self.runners: dict[str, RegionRunner] = {}
        self.report = RegionReport(context, membership, self.runners)
        self.unresolved = self._make_runner(None)
        self._links: dict[str, asyncio.Task[None]] = {}
        self._connected_as: dict[str, Hashable] = {}
        self._changed: asyncio.Queue[str] = asyncio.Queue()
        self._last: dict[Key, RegionRunner] = {}
        self._sweeps: set[asyncio.Task[int]] = set()
        self._state = membership.since, False
        self._clusters: dict[str, str] = {}  # identities of the clusters that were ours; a Region may be created again

    def dispatch(self, key: Key) -> None:
        """Queue a key with the runner that is responsible for it, if it is one of ours."""
        runner = self.responsible(key)
        if runner is not None:
            runner.queue.add(key)

    def responsible(self, key: Key) -> RegionRunner | None:
        """The runner of a key: that of its region, or, of an object that is gone, the one it had.

        None if the region is another replica's.
        """
        store = self._context.store
        seen = store.sets.get(key)
        if seen is None:
            return self._last.pop(key, None)
        name = store.region_of(seen)
        runner = self.runners.get(name) if name else None
        if runner is None:
            region = store.regions.get(name) if name else None
            if region is not None and self._membership.owner(region) is not None:
                return None  # another replica's, or ours in a moment: a new runner is handed all its sets
            runner = self.unresolved if self._membership.leads else None
        if runner is not None:
            self._last[key] = runner
        return runner

    def region_changed(self, name: str) -> None:
        """A Region came, changed or went; called from the store."""
        self._changed.put_nowait(name)

    def rewound(self) -> None:
        """The hub was put back to an earlier state, and with it the regions that are there; which are, not all tell."""
        for runner in self.runners.values():
            runner.renew(relist=True)

    def members_changed(self) -> None:
        """Replicas came or went, the lead changed, or we may write again: every region may be another's now."""
        for name in {*self._context.store.regions, *self.runners}:
            self._changed.put_nowait(name)
        state = self._membership.since, self._membership.leads
        if state != self._state:  # there is more to do now, or passes failed because they were not allowed to write
            for key in tuple(self._context.store.sets):
                self.dispatch(key)
        self._state = state

    async def run(self) -> None:
        """Follow the Regions until cancelled."""
        self.unresolved.start()
        self._context.tombstones.on_change = self._sweep
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow())
                tasks.create_task(self.report.run())
                tasks.create_task(supervise.keep("tombstones", self._context.tombstones.run))
                tasks.create_task(self._sweep_again())
        finally:
            helpers = (*self._links.values(), *self._sweeps)
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await asyncio.gather(*(runner.stop() for runner in (*self.runners.values(), self.unresolved)))

    async def _follow(self) -> None:
        while True:
            name = await self._changed.get()
            if not self._membership.valid:
                continue  # what is ours stays so until our Lease holds again; then all are looked at
            region = self._context.store.regions.get(name)
            owner = self._membership.owner(region) if region is not None else None
            if region is not None and owner == self._membership.me.name:
                await self._apply(region)
            elif owner is None or name in self.runners:
                await self._end(name)
            await asyncio.sleep(0)  # many regions may change hands at once
            telemetry.REGIONS_OWNED.set(len(self.runners))
            # Of several defaults each tells of the others.
            for each in {name, *regions.defaults(self._context.store.regions.values())}:
                self.report.due(each)

    async def _apply(self, region: RegionRecord) -> None:
        wanted = (region.uid, region.cluster, bool(region.spec.decommissioned))
        if self._connected_as.get(region.name) == wanted:
            return
        await self._end(region.name)
        runner = self.runners[region.name] = self._make_runner(region.name)
        runner.link.expect(self._cluster_before(region.name))
        runner.start()
        self._connected_as[region.name] = wanted
        log.info("serving region", region=region.name)
        if region.spec.decommissioned:
            await runner.disconnect(reasons.region_not_ready(region.name, "it is decommissioned."))
            telemetry.REGION_UP.remove(region.name)  # nobody is to be woken for it
        elif region.on_hub:
            await runner.connect(self._client(runner, self._hub))
        elif region.credentials_ref is not None:
            self._links[region.name] = supervise.start(
                f"credentials {region.name}",
                partial(
                    region_credentials.follow,
                    self._context.hub,
                    runner,
                    region.credentials_ref,
                    partial(self._client, runner),
                    exec_plugins=self._context.config.exec_plugins,
                ),
            )
        elif self._inside is not None:
            runner.link.credentials = "the replica's own credentials in its cluster"
            await runner.connect(self._client(runner, self._inside))
        else:
            why = "this replica has no credentials in its cluster: give it some (--region-kubeconfig)."
            await runner.disconnect(reasons.region_not_ready(region.name, why))
        self._requeue(region.name)

    async def _end(self, name: str) -> None:
        if link := self._links.pop(name, None):
            link.cancel()
            await asyncio.gather(link, return_exceptions=True)  # it connects the runner
        self._connected_as.pop(name, None)
        self._context.brake.leave(name)
        if runner := self.runners.pop(name, None):
            log.info("no longer serving region", region=name)
            await runner.stop()
            self._clusters[name] = runner.cluster_id or self._clusters.get(name, "")
            self._last = {key: last for key, last in self._last.items() if last is not runner}
            with contextlib.suppress(KeyError):
                telemetry.REGION_UP.remove(name)
        if name not in self._context.store.regions:
            region_metrics.forget(name)
        self._requeue(name)

    def _cluster_before(self, name: str) -> str:
        """The identity of the cluster that a region had last: by its status, or, of one created again, as we know."""
        told = (self._context.store.region_statuses.get(name) or {}).get("clusterId")
        return str(told or self._clusters.get(name, ""))

    def _requeue(self, name: str) -> None:
        """Hand the sets of a region to the runner that is responsible now."""
        for record in list(self._context.store.in_region(name)):
            self.dispatch(record.key)

    def _link_changed(self, runner: RegionRunner) -> None:
        """A region became usable, or stopped being so: its sets that wait are looked at, its status is written."""
        if runner.name is None:
            return
        self.report.due(runner.name)
        self._sweep(runner.name)
        for record in list(self._context.store.in_region(runner.name)):
            waiting = not record.settled_status or record.deleting
            if waiting or runner.problem is None:
                runner.queue.add(record.key)

    def _rights_changed(self, runner: RegionRunner) -> None:
        """What may be done in a region changed: it is told, and what could not be swept may be swept now."""
        self.report.due(runner.name or "")
        self._sweep(runner.name or "")

    def _sweep(self, name: str) -> None:
        """Take away what was left behind in a region, if there is something and it can be used."""
        runner = self.runners.get(name)
        if runner is not None and runner.link.known and runner.problem is None and self._context.tombstones.has(name):
            task = asyncio.create_task(self._context.tombstones.sweep(runner))
            self._sweeps.add(task)
            task.add_done_callback(self._sweeps.discard)

    async def _sweep_again(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            for name in tuple(self.runners):
                self._sweep(name)

    def _make_runner(self, name: str | None) -> RegionRunner:
        return RegionRunner(
            name,
            installation=self._context.installation,
            reconcile=self._reconcile,
            creates=lambda: self._creates(name),
            on_link=self._link_changed,
            on_report=self._rights_changed,
            on_stranger=self.report.stranger,
            workers=self._context.config.workers,
            max_rollouts=self._context.config.max_rollouts,
        )

    def _creates(self, name: str | None) -> bool:
        region = self._context.store.regions.get(name or "")
        return bool(region and region.spec.create_namespaces)

    def _client(self, runner: RegionRunner, credentials: Credentials) -> Client:
        return Client(
            credentials,
            name=runner.name or "",
            timeout=self._context.config.request_timeout,
            fence=self._membership.fence,
            on_silence=runner.link.suspect,
        )
