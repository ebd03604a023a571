"""Membership: which replicas of the operator live, and what is this one's to do.

Each replica renews a Lease of its own. Whether another one lives is judged by when its Lease was last *seen* to change,
on a clock that only runs forward, so clocks need not agree. One more Lease names the replica that leads: it does what
belongs to no region. That one is not renewed: it counts as long as its holder lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from secretset import telemetry
from secretset.domain import names
from secretset.domain.regions import RegionRecord
from secretset.domain.replicas import Replica, owner
from secretset.domain.versions import older
from secretset.kube import errors, leases, paths, supervise
from secretset.kube.client import Client
from secretset.kube.leases import Lease
from secretset.kube.watch import Watch

log = structlog.get_logger(__name__)

LEASE_SECONDS = 10  # what others wait after the last renewal they saw
# What we trust ourselves, from the moment a renewal was sent; the rest is for requests on their way.
VALID_SECONDS = 7.0
RENEW_SECONDS, _RETRY_SECONDS = 2.0, 0.5
_SILENCE_SECONDS = 3 * RENEW_SECONDS  # our own renewals are in the watch too: one that is silent for longer is dead
_REQUEST_SECONDS = 2.0
_LOOK_SECONDS = 0.25
_CONFIRM_SECONDS = 2.0
_LONG_DEAD = 60.0  # by the wall clock, which may be wrong by less; also the age at which a dead Lease is cleared away
_PREFIX, _LEADER = "secretset-replica-", "secretset-leader"
_SELECTOR = f"{names.LABEL_REPLICA}=true"


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """Another replica's Lease and when its present version was first seen, by `leases.clock`.

    Attributes:
        dead: it was asked for once more since it expired.
    """

    lease: Lease
    at: float
    dead: bool = False

    def overdue(self, now: float, since: float) -> float:
        """Seconds since when it should have been renewed; ``since`` then we have been in a position to see that."""
        return now - max(self.at, since) - self.lease.seconds

    def lives(self, now: float, since: float) -> bool:
        """Whether its holder counts as living."""
        if self.dead or not self.lease.holder:
            return False
        # A Lease that seems expired counts until it was asked for once more.
        return self.overdue(now, since) < _CONFIRM_SECONDS


class Membership:
    """One replica among its peers.

    Args:
        client: of the hub, for Leases alone: they must not wait behind anything else.
        namespace: the operator's own.
        me: this replica.
        on_change: called when the replicas that live, or what is ours, may have changed, and when we may write again.
        on_return: called when our Lease holds again: the hub was away, or we slept.
        on_rewind: called when our Lease is older than it was: the hub was put back to an earlier state. No other
            object shows that so soon, because none is written so often.

    Attributes:
        lost: set when another process took our name.
        since: when our Lease was gained, or regained, by `leases.clock`. What the others did before proves nothing:
            while the hub was away nobody could renew, and while we slept we did not see it.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        me: Replica,
        *,
        on_change: Callable[[], None],
        on_return: Callable[[], None] = lambda: None,
        on_rewind: Callable[[], None] = lambda: None,
    ) -> None:
        self.me = me
        self.lost = asyncio.Event()
        self.since = 0.0
        self._client = client
        self._namespace = namespace
        self._on_change = on_change
        self._on_return = on_return
        self._on_rewind = on_rewind
        self._identity = f"{me.name}_{uuid.uuid4().hex[:12]}"
        self._own: Lease | None = None
        self._valid_until = 0.0
        self._others: dict[str, _Seen] = {}
        self._leader: Lease | None = None
        self._news = asyncio.Event()
        if me.may_lead:
            telemetry.LEADER.labels(_LEADER).set(0)  # until the hub lets us join
        self._labels = {names.LABEL_REPLICA: "true", "app.kubernetes.io/part-of": names.FIELD_MANAGER}
        self._watch = Watch(
            client,
            paths.leases(namespace),
            on_upsert=lambda obj: self._see(Lease.parse(obj)),
            on_delete=lambda _, name, __: self._miss(name),
            label_selector=_SELECTOR,
            idle=_SILENCE_SECONDS,
        )

    # --- what others ask

    @property
    def valid(self) -> bool:
        """Whether our own Lease holds, so that we may write."""
        return leases.clock() < self._valid_until

    def fence(self) -> None:
        """Let a write pass.

        Raises:
            Fenced: our Lease does not hold.
        """
        if not self.valid:
            raise errors.Fenced("this replica's Lease has expired")

    def replicas(self) -> list[Replica]:
        """Those that live, ourselves among them while our Lease holds."""
        now = leases.clock()
        found = [
            Replica(name=name.removeprefix(_PREFIX), regions=seen.lease.regions)
            for name, seen in self._others.items()
            if seen.lives(now, self.since)
        ]
        return [*found, self.me] if self.valid else found

    def owner(self, region: RegionRecord) -> str | None:
        """The name of the replica that serves a region; None if no living one can."""
        return owner(region.name, self.replicas(), in_cluster=region.in_cluster)

    @property
    def leads(self) -> bool:
        """Whether what belongs to no region is ours."""
        holds = self._leader is not None and self._leader.holder == self.me.name
        return self.valid and self.me.may_lead and holds

    # --- life

    async def join(self) -> None:
        """Learn of the others, and take our own Lease; from then on it is known what is ours.

        A Lease of our name that is there is that of our predecessor: a container that was started again in its pod.

        Raises:
            KubeError: the hub refused or did not answer.
        """
        await self._learn()
        sent = leases.clock()
        known = await leases.read(self._client, self._namespace, self._name)
        self._own = await self._write(known)
        self._hold(sent)
        log.info("replica", name=self.me.name, lease=f"{self._namespace}/{self._name}")

    async def run(self) -> None:
        """Keep our Lease and watch those of the others, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(supervise.keep("watch leases", self._watch.run))
            tasks.create_task(supervise.keep("renew lease", self._renew))
            await self._watch.synced.wait()
            tasks.create_task(supervise.keep("membership", self._look))

    async def leave(self) -> None:
        """Let go at once, so that nobody has to wait for our Lease to expire. Best effort, within seconds."""
        self._valid_until = 0.0
        if not self.lost.is_set():  # else they are another's
            leader = [(_LEADER, self.me.name)] if self.me.may_lead else []
            await asyncio.gather(*(self._release(*each) for each in (*leader, (self._name, self._identity))))

    async def _release(self, name: str, holder: str) -> None:
        with contextlib.suppress(errors.KubeError, TimeoutError):
            async with asyncio.timeout(_REQUEST_SECONDS):
                # Read anew: the last renewal may have got no answer.
                found = await leases.read(self._client, self._namespace, name)
                if found is not None and found.holder == holder:
                    await leases.delete(self._client, self._namespace, found)

    # --- our own Lease

    @property
    def _name(self) -> str:
        return _PREFIX + self.me.name

    async def _write(self, known: Lease | None) -> Lease:
        return await leases.write(
            self._client,
            self._namespace,
            self._name,
            holder=self._identity,
            seconds=LEASE_SECONDS,
            regions=self.me.regions,
            labels=self._labels,
            known=known,
        )

    def _hold(self, sent: float) -> None:
        """Our Lease was renewed, by a request that was sent then."""
        gained, before = not self.valid, self.since
        if gained:
            self.since = leases.clock()
        self._valid_until = sent + VALID_SECONDS
        if gained and before and self.valid:
            self._watch.renew(relist=False)
            self._on_return()

    async def _renew(self) -> None:
        pause = RENEW_SECONDS
        while True:
            await asyncio.sleep(pause)
            pause = _RETRY_SECONDS
            sent = leases.clock()
            try:
                async with asyncio.timeout(_REQUEST_SECONDS):
                    await self._renew_once()
                if not self.valid:  # we slept, or the hub was away: others may have come, gone, or taken the lead
                    async with asyncio.timeout(_REQUEST_SECONDS):
                        await self._learn()
            except (errors.KubeError, TimeoutError) as error:
                log.warning("Lease not renewed", error=type(error).__name__, valid=self.valid)
                continue
            if not self.lost.is_set():
                self._hold(sent)
                pause = RENEW_SECONDS if self.valid else 0.0

    async def _renew_once(self) -> None:
        try:
            self._own = await self._write(self._own)
        except (errors.Conflict, errors.Absent, errors.AlreadyExists):
            # Our own renewal whose answer was lost, a Lease that somebody cleared away, or another process.
            found = await leases.read(self._client, self._namespace, self._name)
            known = self._own.resource_version if self._own is not None else ""
            rewound = found is not None and older(found.resource_version, known)  # the holder is one of then
            if found is not None and not rewound and found.holder not in {self._identity, ""}:
                self._valid_until = 0.0
                self.lost.set()
                return
            self._own = await self._write(found)
            if rewound or older(self._own.resource_version, known):
                log.warning("the hub was put back to an earlier state")
                self._on_rewind()

    # --- the others

    async def _learn(self) -> None:
        """Read all Leases from a quorum: what the watch told is old, or nothing yet.

        Raises:
            KubeError: the hub refused or did not answer.
        """
        found = await leases.listed(self._client, self._namespace, _SELECTOR)
        for name in {*self._others, _LEADER} - {lease.name for lease in found}:
            self._miss(name)
        for lease in found:
            self._see(lease)

    def _see(self, lease: Lease) -> None:
        if lease.name == _LEADER:
            self._leader = lease
            return
        if lease.name == self._name:
            return
        known = self._others.get(lease.name)
        if known is None or known.lease.resource_version != lease.resource_version:
            # What was not renewed for long by any clock needs no more waiting when we first see it.
            stale = known is None and time.time() - lease.renewed > _LONG_DEAD
            self._others[lease.name] = _Seen(lease=lease, at=leases.clock(), dead=stale)

    def _miss(self, name: str) -> None:
        if name == _LEADER:
            self._leader = None
        self._others.pop(name, None)
        self._news.set()

    async def _look(self) -> None:
        """Tell of every change, and see to it that somebody leads."""
        before: object = None
        while True:
            # While our own Lease does not hold nothing can be told of the others, and nothing is written anyway: what
            # is ours stays so until then.
            if self.valid:
                with contextlib.suppress(errors.KubeError, TimeoutError):
                    async with asyncio.timeout(_REQUEST_SECONDS):
                        await self._confirm()
                        if self.me.may_lead and not self._led():
                            await self._lead()
                        if self.leads:
                            await self._clear_away()
            if self.me.may_lead:
                telemetry.LEADER.labels(_LEADER).set(self.leads)
            state = (frozenset(self.replicas()), self.leads, self.since)
            telemetry.REPLICAS.set(sum(replica.may_lead for replica in state[0]) if self.valid else 0)
            if self.valid and state != before:
                before = state
                log.info("replicas", live=sorted(replica.name for replica in state[0]), leading=self.leads)
                self._on_change()
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._news.wait()

    async def _confirm(self) -> None:
        """Ask once more for a Lease that seems to have expired: our watch may be what has died."""
        for name, seen in list(self._others.items()):
            if seen.dead or seen.overdue(leases.clock(), self.since) < 0:
                continue
            found = await leases.read(self._client, self._namespace, name)
            if self._others.get(name) is not seen:
                continue  # the watch was faster
            if found is None:
                self._others.pop(name, None)
            elif found.resource_version != seen.lease.resource_version:
                self._others[name] = _Seen(lease=found, at=leases.clock())
            else:
                self._others[name] = replace(seen, dead=True)

    def _led(self) -> bool:
        able = {replica.name for replica in self.replicas() if replica.may_lead}
        return self._leader is not None and self._leader.holder in able

    async def _lead(self) -> None:
        """Take the lead from nobody, or from one that is dead; who was faster, leads."""
        try:
            self._leader = await leases.write(
                self._client,
                self._namespace,
                _LEADER,
                holder=self.me.name,
                seconds=None,
                labels=self._labels,
                known=self._leader,
            )
        except (errors.Conflict, errors.AlreadyExists, errors.Absent):
            self._leader = await leases.read(self._client, self._namespace, _LEADER)

    async def _clear_away(self) -> None:
        """Delete the Leases of replicas that died long ago."""
        now = leases.clock()
        for name, seen in list(self._others.items()):
            if seen.dead and now - seen.at > _LONG_DEAD:
                with contextlib.suppress(errors.Conflict, errors.Absent):
                    await leases.delete(self._client, self._namespace, seen.lease)
                    self._others.pop(name, None)
