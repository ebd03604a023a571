"""Tombstones: written when a set is let go although its region cannot be asked, and swept when it can be again."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import structlog

from secretset import telemetry
from secretset.controller.detach import detach
from secretset.controller.events import EventRecorder
from secretset.controller.rights import Presence, presence
from secretset.controller.runner import RegionRunner
from secretset.controller.store import HubStore
from secretset.domain import names, reasons
from secretset.domain.names import Key, Kind
from secretset.domain.observed import ObservedSecret
from secretset.domain.reasons import Problem
from secretset.domain.tombstone import Tombstone, Verdict, verdict
from secretset.kube import errors, paths
from secretset.kube.client import Client
from secretset.kube.supervise import where
from secretset.kube.watch import Watch

log = structlog.get_logger(__name__)

_AT_A_TIME = 4
_ATTEMPTS = 4
_LISTED = 10  # names in one event at the most
_LIMIT = 1000  # of one organization in one region, about: sets that are made to be abandoned must not fill up the hub
_SOON = 0.1  # seconds in which changes are told as one
# Seconds between looks at a region where something waits for a set, which is mostly a matter of moments. Then it is
# left to the look at everything that is made every minute.
_LOOKS = (2.0, 5.0, 15.0, 30.0)
# These say nothing about one Secret, but about the whole region: there is no use in asking for the next one.
_REGION_AWAY = (errors.Unreachable, errors.ServerError, errors.Unauthorized, errors.Throttled)


@dataclass
class _Tally:
    """What came of a sweep; ``away`` ends it."""

    gone: int = 0
    waiting: int = 0
    deleted: list[str] = field(default_factory=list)
    away: bool = False


class Tombstones:
    """What was left behind, by region.

    Args:
        hub: where they are kept.
        namespace: the operator's own.
        installation: our id.
        store: the sets that there are.
        events: to tell what was swept.

    Attributes:
        on_change: called with the name of a region that got tombstones, or lost some, or is to be looked at again.
    """

    def __init__(
        self, hub: Client, *, namespace: str, installation: str, store: HubStore, events: EventRecorder
    ) -> None:
        self.on_change: Callable[[str], None] = lambda _: None
        self._hub = hub
        self._namespace = namespace
        self._installation = installation
        self._store = store
        self._events = events
        self._known: dict[str, tuple[Tombstone, str]] = {}  # name of the ConfigMap to what it holds, and its uid
        self._by_region: defaultdict[str, set[str]] = defaultdict(set)
        self._by_organization: defaultdict[tuple[str, str], set[str]] = defaultdict(set)  # region, and organization
        self._sweeping: set[str] = set()
        self._planned: dict[str, asyncio.TimerHandle] = {}
        self._looks: dict[str, int] = {}

    def of(self, region: str) -> list[Tombstone]:
        """What is known to be left in a region."""
        return [self._known[name][0] for name in sorted(self._by_region.get(region, ()))]

    def has(self, region: str) -> bool:
        """Whether anything is known to be left in a region."""
        return bool(self._by_region.get(region))

    async def run(self) -> None:
        """Follow the tombstones of all replicas until cancelled."""
        await Watch(
            self._hub,
            paths.core("configmaps", self._namespace),
            label_selector=names.TOMBSTONE_SELECTOR,
            on_upsert=self._see,
            on_delete=lambda _, name, __: self._forget(name),
        ).run()

    async def bury(self, tombstone: Tombstone, *, limited: bool = True) -> None:
        """Write a tombstone; it may be there already.

        Args:
            tombstone: what to remember.
            limited: whether there may be only so many of an organization in a region.

        Raises:
            Problem: the operator may not write it, or there are too many.
            KubeError: the hub refused, or did not answer.
        """
        organization = tombstone.owner.namespace
        others = self._by_organization.get((tombstone.region, organization), set()) - {tombstone.name}
        if limited and len(others) >= _LIMIT:
            raise reasons.left_too_many(tombstone.region, organization, _LIMIT)
        body = tombstone.render(self._namespace)
        try:
            self._see(await self._hub.create(paths.core("configmaps", self._namespace), body))
        except errors.AlreadyExists:
            return
        except errors.Forbidden:
            raise reasons.tombstone_denied("create", self._namespace) from None
        log.info("left behind", key=str(tombstone.owner), region=tombstone.region, why=tombstone.why)

    async def unbury(self, owner: Key, uid: str, left: Tombstone | None) -> None:
        """Take the tombstones of a set away: it keeps its Secret after all.

        Args:
            owner: the set.
            uid: of the set.
            left: what it would leave now; it may have been written although it was not seen yet.

        Raises:
            Problem: the operator may not do so.
            KubeError: the hub refused, or did not answer.
        """
        near = [found for (_, organization), found in self._by_organization.items() if organization == owner.namespace]
        stones = [self._known[name][0] for found in near for name in found]
        own = {stone.name for stone in stones if (stone.owner, stone.uid) == (owner, uid)}
        for name in own | ({left.name} if left is not None else set()):
            path = paths.core("configmaps", self._namespace, name)
            verb = "get"
            try:
                found = await self._hub.get(path)
                verb = "delete"
                await self._hub.delete(path, uid=found["metadata"]["uid"])
            except errors.Absent:
                pass
            except errors.Forbidden:
                raise reasons.tombstone_denied(verb, self._namespace) from None
            self._forget(name)

    async def sweep(self, runner: RegionRunner) -> int:
        """Take away what was left in a region that can be used now; return how many tombstones went.

        Nothing is touched in another cluster than the one that was left, nor while the Region is decommissioned.
        Whatever fails is left for the next time; nothing is raised. A second call while one is at work does nothing.
        """
        region = self._store.regions.get(runner.name or "")
        if region is None or region.spec.decommissioned:
            return 0
        if region.name in self._sweeping or not self._by_region.get(region.name):
            return 0
        self._sweeping.add(region.name)
        tally = _Tally()
        try:
            client = await runner.usable(region.name)
            here = [stone for stone in self.of(region.name) if not stone.elsewhere(runner.cluster_id)]
            rest = iter(here)
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(_AT_A_TIME, len(here))):
                    tasks.create_task(self._work(runner, client, rest, tally))
        except (Problem, errors.Retired):
            return 0
        finally:
            self._sweeping.discard(region.name)
        telemetry.SWEPT.labels(region.name).inc(tally.gone)
        if tally.waiting and not tally.away:
            self._look_again(region.name)
        if tally.deleted:
            shown = ", ".join(sorted(tally.deleted)[:_LISTED])
            more = f" and {len(tally.deleted) - _LISTED} more" if len(tally.deleted) > _LISTED else ""
            note = f"Secrets that deleted sets had left behind were taken away: {shown}{more}."
            self._events.emit_region(region, reason="Swept", note=note, action="Sweep")
        return tally.gone

    async def _work(self, runner: RegionRunner, client: Client, rest: Iterator[Tombstone], tally: _Tally) -> None:
        for stone in rest:
            if tally.away:
                return
            try:
                found = await self._sweep_one(runner, client, stone)
            except _REGION_AWAY as error:
                tally.away = True
                log.info("sweep broken off", region=runner.name, error=str(error))
            except errors.KubeError as error:
                log.debug("not swept", region=runner.name, key=str(stone.owner), error=str(error))
            except Exception as error:  # noqa: BLE001  (a defect met with one must not hold up the others)
                log.error("not swept", region=runner.name, key=str(stone.owner), error=where(error))  # noqa: TRY400
            else:
                tally.gone += found != "wait"
                tally.waiting += found == "wait"
                if found == "delete":
                    tally.deleted.append(f"{stone.namespace}/{stone.owner.name}")

    async def _sweep_one(self, runner: RegionRunner, client: Client, stone: Tombstone) -> Verdict:
        """Deal with one Secret, and take its tombstone away if that is done.

        Raises:
            KubeError: the region, or the hub, refused or did not answer.
        """
        found = await self._take_away(client, stone)
        if found == "wait":
            return found
        if found == "delete":
            runner.seen.secrets.pop((stone.namespace, stone.owner.name), None)
        await self._drop(stone)
        return found

    async def _take_away(self, client: Client, stone: Tombstone) -> Verdict:
        path = paths.secrets(stone.namespace, stone.owner.name)
        done = False
        for _ in range(_ATTEMPTS):
            try:
                secret = await _read(client, stone.namespace, path)
                found = self._judge(stone, secret)
                if found == "delete" and secret is not None:
                    await client.delete(path, uid=secret.uid, resource_version=secret.resource_version)
                    done = True
            except errors.Conflict:
                continue
            except errors.Absent:
                continue
            if found in {"delete", "gone"}:
                await self._detach(client, stone)
            return "delete" if done else found
        raise errors.Conflict(409, "Conflict")

    def _judge(self, stone: Tombstone, secret: ObservedSecret | None) -> Verdict:
        live = self._store.sets.get(stone.owner)
        name = self._store.region_of(live) if live is not None else None
        region = self._store.regions.get(name or "")
        home = None if region is None else (region.name, region.namespace_for(stone.owner.namespace))
        return verdict(stone, secret, installation=self._installation, live=live, home=home)

    async def _detach(self, client: Client, stone: Tombstone) -> None:
        """Take a pull secret off the ServiceAccounts that the operator attached it to."""
        if stone.owner.kind is not Kind.IMAGE_PULL_SECRET:
            return
        try:
            await detach(client, namespace=stone.namespace, secret=stone.owner.name, installation=self._installation)
        except errors.Forbidden:
            if await presence(client, stone.namespace) is Presence.THERE:
                raise

    async def _drop(self, stone: Tombstone) -> None:
        known = self._known.get(stone.name)
        if known is None:
            return
        with contextlib.suppress(errors.Absent, errors.Conflict):  # somebody else was faster
            await self._hub.delete(paths.core("configmaps", self._namespace, stone.name), uid=known[1])
        self._forget(stone.name)

    def _see(self, obj: dict[str, Any]) -> None:
        name = obj["metadata"]["name"]
        stone = Tombstone.parse(obj)
        if stone is None or stone.name != name:
            log.warning("a ConfigMap with the label of a tombstone is none", name=name)
            return
        self._known[name] = (stone, obj["metadata"]["uid"])
        self._by_region[stone.region].add(name)
        self._by_organization[stone.region, stone.owner.namespace].add(name)
        self._changed(stone.region)

    def _forget(self, name: str) -> None:
        known = self._known.pop(name, None)
        if known is None:
            return
        stone = known[0]
        self._by_region[stone.region].discard(name)
        place = stone.region, stone.owner.namespace
        self._by_organization[place].discard(name)
        if not self._by_organization[place]:
            del self._by_organization[place]
        self._changed(stone.region)

    def _changed(self, region: str) -> None:
        self._looks.pop(region, None)
        self._plan(region, _SOON)

    def _look_again(self, region: str) -> None:
        looks = self._looks.get(region, 0)
        if looks < len(_LOOKS):
            self._looks[region] = looks + 1
            self._plan(region, _LOOKS[looks])

    def _plan(self, region: str, seconds: float) -> None:
        """Tell of a region, once, however many tombstones come and go until then."""
        loop = asyncio.get_running_loop()
        planned = self._planned.get(region)
        if planned is not None:
            if planned.when() <= loop.time() + seconds:
                return
            planned.cancel()
        self._planned[region] = loop.call_later(seconds, self._tell, region)

    def _tell(self, region: str) -> None:
        del self._planned[region]
        telemetry.TOMBSTONES.labels(region).set(len(self._by_region[region]))
        self.on_change(region)


async def _read(client: Client, namespace: str, path: str) -> ObservedSecret | None:
    """What stands at a path; a namespace that is gone takes the right to look into it along.

    Raises:
        KubeError: the region refused, or did not answer.
    """
    try:
        return ObservedSecret.parse(await client.get(path))
    except errors.Absent:
        return None
    except errors.Forbidden:
        if await presence(client, namespace) is Presence.THERE:
            raise
        return None
