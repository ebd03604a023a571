"""What Regions tell: their status, written when it differs, soon but never in a storm."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import structlog

from secretset import telemetry
from secretset.controller.context import Context
from secretset.controller.membership import Membership
from secretset.controller.runner import RegionRunner
from secretset.domain import reasons, regions
from secretset.domain.record import SetRecord
from secretset.domain.region_status import LinkState, phase_of, region_status, verdict
from secretset.domain.regions import RegionRecord
from secretset.domain.restarts import State
from secretset.kube import errors, paths

log = structlog.get_logger(__name__)

# Counts are written once the sets have been quiet, or have not been for long, and never in a hurry.
QUIET_SECONDS, LONG_SECONDS, GAP_SECONDS = 1.0, 10.0, 3.0
# A link that comes and goes may say so a few times at once, then only this often.
FLIPS, FLIP_SECONDS = 3, 6.0
# Of two replicas that both believe that a region is theirs, one learns better within a Lease's time. Until then neither
# writes over what the other told, and each time it did, it waits twice as long before it does so again.
CONTEST_SECONDS, CONTEST_LIMIT = 10.0, 600.0


class RegionReport:
    """Writes the status of the regions that are ours, and, while we lead, of those that nobody serves.

    Args:
        context: of the passes.
        membership: tells what is ours.
        runners: by region; kept by the manager.
    """

    def __init__(self, context: Context, membership: Membership, runners: Mapping[str, RegionRunner]) -> None:
        self._context = context
        self._membership = membership
        self._runners = runners
        self._dirty: set[str] = set()
        self._held: dict[str, float] = {}
        self._claimed: dict[str, float] = {}  # regions that are ours to when we said so last
        self._patience: dict[str, float] = {}  # those that another replica claimed too, to the seconds we wait now
        self._flips: defaultdict[str, list[float]] = defaultdict(list)
        self._unserved: set[str] = set()  # regions of which the metric tells for us that nobody serves them

    def due(self, name: str) -> None:
        """Something changed that a Region's status tells."""
        self._dirty.add(name)

    def stranger(self, runner: RegionRunner) -> None:
        """Another cluster answers for a region."""
        region = self._context.store.regions.get(runner.name or "")
        if region is not None:
            self._context.events.emit_region(
                region,
                reason="ClusterChanged",
                note="Another cluster answers for this region. The Secrets in the one before are left there; delete "
                "them by their label app.kubernetes.io/managed-by=secretset-operator if it still exists.",
                action="Connect",
                warning=True,
            )
            self.due(region.name)

    async def run(self) -> None:
        """Write until cancelled: at once when a link changed, soon but seldom when only counts did."""
        store = self._context.store
        loop = asyncio.get_running_loop()
        since, changed, written, last = 0.0, 0.0, -math.inf, store.pulse.count
        while True:
            await asyncio.sleep(0.2)
            now = loop.time()
            if store.pulse.count != last:
                last, changed = store.pulse.count, now
                since = now if since == math.inf else since
            quiet = now - changed > QUIET_SECONDS or now - since > LONG_SECONDS
            if since != math.inf and quiet and now - written > GAP_SECONDS:
                since = math.inf
                self._dirty.update(store.regions)
                self._measure()
            self._forget_lost()
            dirty = [name for name in self._dirty if name in store.regions and self._held.get(name, 0.0) <= now]
            sets = store.by_region() if dirty else {}
            for name in dirty:
                self._dirty.discard(name)
                try:
                    if name in store.regions and await self._write(store.regions[name], sets.get(name, []), now):
                        written = now
                except errors.KubeError as error:
                    self._dirty.add(name)
                    log.debug("status of a region not written", region=name, error=str(error))
                    await asyncio.sleep(1.0)

    def _forget_lost(self) -> None:
        """Forget what kept us from telling of regions that are no longer ours."""
        for name in self._claimed.keys() - self._runners.keys():
            del self._claimed[name]
            self._patience.pop(name, None)
            self._held.pop(name, None)
        if self._unserved:
            known = self._context.store.regions if self._membership.leads else {}
            for name in self._unserved - known.keys():
                self._measure_unserved(name, unserved=False)

    async def _write(self, region: RegionRecord, sets: list[SetRecord], now: float) -> bool:
        """Write a Region's status if it differs; return whether only its counts did."""
        store = self._context.store
        state = self._state(region)
        if state is None:
            return False
        known = store.region_statuses.get(region.name) or {}
        wanted = region_status(
            region,
            link=state,
            sets=sets,
            defaults=regions.defaults(store.regions.values()),
            previous=known,
            timestamp=self._context.timestamp(),
        )
        if wanted == known:
            return False
        # The last contact of a link that came and went, although that was not told, moves too.
        flipped = verdict(known) != verdict(wanted) or known.get("lastContact") != wanted.get("lastContact")
        until = max(self._contested_until(region.name, known), self._held_until(region.name, now) if flipped else 0.0)
        if until > now:
            self._held[region.name] = until
            self._dirty.add(region.name)
            return False
        path = paths.region(region.name)
        try:
            obj = await self._context.hub.get(path)
            if obj["metadata"]["uid"] == region.uid and obj.get("status") != wanted:
                await self._context.hub.replace(f"{path}/status", {**obj, "status": wanted})
                if state.replica is not None:
                    self._claim(region.name, known, now)
                if flipped:
                    self._flips[region.name].append(now)
                    self._tell(region, known, wanted)
            store.region_statuses[region.name] = wanted
        except errors.Absent:
            return False
        return {**known, "sets": None} == {**wanted, "sets": None}

    def _state(self, region: RegionRecord) -> LinkState | None:
        """What is known of a region's link; None if that is not ours to tell, or not known yet."""
        runner = self._runners.get(region.name)
        if runner is not None:
            self._unserved.discard(region.name)  # its link tells now
            link = runner.link
            if not link.known:
                return None
            return LinkState(
                problem=link.problem,
                answered=link.answered,
                refused=link.refused,
                missing=runner.rights.missing if link.problem is None else None,
                bind=runner.features.bind if link.problem is None else None,
                last_contact=_rfc3339(link.last_contact),
                server_version=link.server_version,
                cluster_id=link.cluster_id,
                replica=self._membership.me.name,
            )
        unserved = self._membership.leads and self._membership.owner(region) is None
        self._measure_unserved(region.name, unserved=unserved and not region.spec.decommissioned)
        if unserved:
            return LinkState(problem=reasons.region_not_served(region.name))
        return None

    def _contested_until(self, name: str, known: Mapping[str, Any]) -> float:
        """From when on we may write over what another replica told of a region after we did."""
        if not self._contested(name, known):
            return 0.0
        return self._claimed[name] + self._patience.get(name, CONTEST_SECONDS)

    def _contested(self, name: str, known: Mapping[str, Any]) -> bool:
        """Whether another replica told of a region after we did, while it is ours."""
        return name in self._claimed and known.get("replica") not in {None, self._membership.me.name}

    def _claim(self, name: str, known: Mapping[str, Any], now: float) -> None:
        """Remember that we told of a region, over what ``known`` said."""
        if self._contested(name, known):
            patience = self._patience.get(name, CONTEST_SECONDS)
            # Who let more than twice that time pass before it contradicted does not quarrel: that was another time.
            again = now - self._claimed[name] <= 2 * patience
            self._patience[name] = min(2 * patience, CONTEST_LIMIT) if again else CONTEST_SECONDS
        self._claimed[name] = now

    def _held_until(self, name: str, now: float) -> float:
        """From when on another change of verdict may be told."""
        recent = self._flips[name] = [at for at in self._flips[name] if now - at < FLIPS * FLIP_SECONDS]
        return now if len(recent) < FLIPS else recent[0] + FLIPS * FLIP_SECONDS

    def _tell(self, region: RegionRecord, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """An event when a link is lost or back."""
        old, new = verdict(before)[0], verdict(after)[0]
        if old != new and (old or new == "False"):
            note = after.get("message") or "The region's API server answers."
            reason = "Reachable" if new == "True" else "Unreachable"
            self._context.events.emit_region(region, reason=reason, note=note, action="Connect", warning=new != "True")

    def _measure_unserved(self, name: str, *, unserved: bool) -> None:
        """Tell that a region is down because no replica serves it: nobody else would."""
        if unserved:
            self._unserved.add(name)
            telemetry.REGION_UP.labels(name).set(0)
        elif name in self._unserved:
            self._unserved.discard(name)
            if name not in self._runners:
                with contextlib.suppress(KeyError):
                    telemetry.REGION_UP.remove(name)

    def _measure(self) -> None:
        telemetry.SETS.clear()
        telemetry.WORKLOADS.clear()
        store = self._context.store
        left = {region.name for region in store.regions.values() if region.spec.decommissioned}
        for record in store.sets.values():
            region = store.region_of(record) or ""
            if region not in left:  # they are failed, as was asked for, and nobody is to be woken for it
                telemetry.SETS.labels(region, phase_of(record).value).inc()
            for state, number in zip(State, record.counts, strict=False):
                telemetry.WORKLOADS.labels(region, state.value).inc(number)


def _rfc3339(at: float) -> str | None:
    """Seconds since the epoch as the API writes times; None for never."""
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else None
