"""One region: its client, what was seen there, its queue and its workers. A dead region holds up only itself."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

import structlog

from secretset import telemetry
from secretset.controller import region_metrics, watches
from secretset.controller.budget import RolloutBudget
from secretset.controller.features import Features, Kinds
from secretset.controller.installation import Installation
from secretset.controller.link import Link
from secretset.controller.queue import WorkQueue
from secretset.controller.refusals import Refusals
from secretset.controller.rights import Rights
from secretset.controller.translate import problem_of
from secretset.controller.view import RegionView
from secretset.domain import names, reasons
from secretset.domain.names import Key
from secretset.domain.rollouts import Rollout
from secretset.domain.workloads import WORKLOAD_KINDS, WorkloadKind
from secretset.kube import errors, supervise
from secretset.kube.client import Client
from secretset.kube.scoped import ScopedWatch

log = structlog.get_logger(__name__)

_ACCOUNTS = "serviceaccounts"
_FREE_REPAIRS, _REPAIR_MEMORY = 3, 60.0
# Seconds; who answered more recently may go on from where we were. To put a store back takes longer, and its versions
# may have caught up by the time we look.
_LONG_AWAY = 3.0

Reconcile = Callable[["RegionRunner", Key], Awaitable[None]]
Told = Callable[["RegionRunner"], None]


class RegionRunner:
    """Everything that belongs to one region.

    Args:
        name: of the Region; None for the runner of sets without a usable region.
        installation: who we are.
        reconcile: makes one pass.
        creates: whether the Region lets us create namespaces there.
        on_link: called when the region became usable, or stopped being so.
        on_report: called when something else changed that the Region's status tells.
        on_stranger: called when another cluster than before answers.
        workers: passes at a time.
        max_rollouts: workloads that may roll at a time because of us; 0 for no limit.

    Attributes:
        link: its client, and whether it can be used.
        rights: what is missing there.
        features: what not every cluster has, and whether this one does.
        seen: what was seen in the region.
        placed: key to the namespace that its managed Secret belongs to.
        held: key to a namespace that its Secret cannot be taken out of, because a right is missing there.
        budget: how many rollouts there may be.
        refusals: workloads that we were not let restart.
        looks: key of each set with workloads that roll, to the monotonic time when their pods are to be looked at,
            the seconds until the time after that, and the uid of the one that was looked at last.
        vouched: key to the inputs that its status was found true for, while the region could not be asked.
    """

    def __init__(
        self,
        name: str | None,
        *,
        installation: Installation,
        reconcile: Reconcile,
        creates: Callable[[], bool],
        on_link: Told,
        on_report: Told,
        on_stranger: Told,
        workers: int,
        max_rollouts: int,
    ) -> None:
        self.name = name
        self.link = Link(
            name,
            on_begin=self._begin,
            on_end=self._unwatch,
            on_return=self._returned,
            on_verdict=lambda: on_link(self),
        )
        self.rights = Rights(
            self._rights_wanted,
            creates,
            kinds=lambda: self.kinds,
            well=lambda: self.link.problem is None,
            on_change=lambda: on_report(self),
        )
        self.features = Features(
            well=lambda: self.link.problem is None, on_kinds=self._follow_kinds, on_change=lambda: on_report(self)
        )
        self.queue: WorkQueue[Key] = WorkQueue(name or names.AT_NONE)
        self.placed: dict[Key, str] = {}
        self.held: dict[Key, str] = {}
        self.vouched: dict[Key, str] = {}
        self.budget = RolloutBudget[Key](max_rollouts, self.queue.add)
        self.seen = RegionView(
            installation=installation, enqueue=self.queue.add, placed=self.placed, on_rollout=self._rollout_seen
        )
        self.refusals = Refusals()
        self.looks: dict[Key, tuple[float, float, str]] = {}
        self._reconcile = reconcile
        self._on_stranger = on_stranger
        self._worker_count = workers
        self._namespaces: Counter[str] = Counter()
        self._repairs: dict[Key, tuple[int, float]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._stranger = False  # another cluster answers, and that was not told yet
        self._lookouts: list[asyncio.Task[None]] = []  # at rights and features, again and again
        self._watches: dict[str, ScopedWatch] = {}
        self._patience: set[asyncio.Timeout] = set()  # of passes that wait for watches

    def start(self) -> None:
        """Begin to work on the queue."""
        if self.name is not None:
            region_metrics.begin(self.name)
        for number in range(self._worker_count):
            self._tasks.append(asyncio.create_task(self._work(), name=f"worker {self.name} {number}"))
        self._tell_workers(len(self._tasks))

    async def stop(self) -> None:
        """End everything of this region."""
        self.queue.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tell_workers(-len(self._tasks))
        self._tasks.clear()
        await self.disconnect(None)

    def _tell_workers(self, more: int) -> None:
        for kind in names.Kind:
            telemetry.MAX_WORKERS.labels(kind).inc(more)

    async def connect(self, client: Client) -> None:
        """Use these credentials from now on; what was seen before stays remembered."""
        await self.link.connect(client)

    async def disconnect(self, problem: reasons.Problem | None) -> None:
        """Close the connection, if there is one, and say why there is none."""
        await self.link.disconnect(problem)

    async def _unwatch(self) -> None:
        looks, self._lookouts = self._lookouts, []
        for task in looks:
            task.cancel()
        await asyncio.gather(*looks, return_exceptions=True)
        while self._watches:  # one by one: whoever is cancelled here leaves the rest to the next
            _, watch = self._watches.popitem()
            await watch.stop()
        for patience in self._patience:  # what they wait for will not be
            if not patience.expired():
                patience.reschedule(asyncio.get_running_loop().time())

    async def _begin(self, client: Client, other: bool) -> None:
        """A cluster answers that was not there before: follow what is in it."""
        self._stranger |= other
        await self._unwatch()
        if self._stranger:
            self._stranger = False
            log.warning("another cluster answers for the region", region=self.name)
            self.seen.forget()
            self._on_stranger(self)
        await self.features.begin(client)
        for kind in WORKLOAD_KINDS:
            if kind not in self.kinds:
                self._forget(kind)
        self._watches = self._make_watches(client)
        for watch in self._watches.values():
            await watch.start()
        self._lookouts = [
            supervise.start(f"rights {self.name}", partial(self.rights.run, client)),
            supervise.start(f"features {self.name}", partial(self.features.run, client)),
        ]

    def _returned(self, away: float) -> None:
        """The cluster answers again: verify what is there, at once."""
        self.renew(relist=away > _LONG_AWAY)

    def renew(self, *, relist: bool) -> None:
        """Have no watch wait for its next attempt; with ``relist``, read all lists anew."""
        for watch in self._watches.values():
            watch.renew(relist=relist)

    @property
    def kinds(self) -> Kinds:
        """The kinds of workloads that can be there."""
        return self.features.kinds

    @property
    def client(self) -> Client | None:
        """Of the region's cluster; None while there are no usable credentials."""
        return self.link.client

    @property
    def problem(self) -> reasons.Problem | None:
        """Why nothing can be done here now, or None."""
        return self.link.problem

    @property
    def credentials(self) -> str:
        """Where those of the client are from, for messages."""
        return self.link.credentials

    @property
    def cluster_id(self) -> str:
        """The identity of the cluster, if it is known."""
        return self.link.cluster_id

    async def usable(self, region: str) -> Client:
        """The client, once it is known whether the region can be used.

        Raises:
            Problem: it cannot be, now.
            Retired: the credentials are just being replaced.
        """
        if self.name is None:
            raise reasons.region_not_served(region)
        return await self.link.usable()

    def place(self, key: Key, namespace: str, *, pull: bool) -> None:
        """The managed Secret of a key belongs into this namespace: follow it."""
        before = self.placed.get(key)
        if before != namespace:
            self.displace(key)
            self.placed[key] = namespace
            self._namespaces[namespace] += 1
            if self._namespaces[namespace] == 1 or pull:
                self.rights.due()
        for resource, watch in self._watches.items():
            if resource != _ACCOUNTS or pull:
                watch.need(namespace)

    def displace(self, key: Key) -> None:
        """Nothing of a key is in this region any more."""
        namespace = self.placed.pop(key, None)
        self.held.pop(key, None)
        self._repairs.pop(key, None)
        self.looks.pop(key, None)
        self.budget.forget(key)
        self.vouched.pop(key, None)
        if namespace is None:
            return
        self.seen.forget_lost((namespace, key.name))
        self._namespaces[namespace] -= 1
        if self._namespaces[namespace] <= 0:
            del self._namespaces[namespace]
            released = [watch.release(namespace) for watch in self._watches.values()]
            if released and all(released):
                self.seen.drop(namespace)

    async def await_watches(self, namespace: str, resources: Iterable[str], *, seconds: float) -> None:
        """Wait until a namespace is followed.

        Raises:
            Problem: it cannot be followed: not allowed, not reachable, or asked to wait.
            Retired: the credentials are being replaced.
        """
        for resource in resources:
            watch = self._watches.get(resource)
            if watch is None or not self.link.known:
                self.link.check()
                raise errors.Retired("the credentials are being replaced")
            if not watch.synced(namespace):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds) as patience:
                        self._patience.add(patience)
                        try:
                            await watch.tried(namespace)
                        finally:
                            self._patience.discard(patience)
            if self._watches.get(resource) is not watch and self.link.problem is None:
                raise errors.Retired("the credentials were replaced")
            failing = watch.failing(namespace)
            if isinstance(failing, errors.Forbidden):
                self.rights.doubt()
                raise reasons.permission_denied(self.name or "", "list and watch", resource, namespace)
            self.link.check()
            if not watch.synced(namespace):
                # The error is the watch's: to raise it here again would lengthen its traceback with each pass.
                problem = failing and problem_of(failing, self.name or "", namespace, self.credentials)
                raise problem or reasons.region_unreachable(self.name or "")

    def watching(self, namespace: str) -> bool:
        """Whether the managed Secrets of a namespace are being followed, so that an absent record means absent."""
        watch = self._watches.get("secrets")
        return watch is not None and watch.synced(namespace)

    def _rollout_seen(self, uid: str, rollout: Rollout | None) -> None:
        self.budget.see(uid, rollout)
        if rollout is None:
            self.refusals.forget(uid)

    def repair_delay(self, key: Key) -> float:
        """Seconds to wait before somebody else's change is put right again.

        At once, unless it keeps coming back: two controllers that fight over a Secret must not burn the API server.
        """
        count, last = self._repairs.get(key, (0, 0.0))
        age = time.monotonic() - last
        if count < _FREE_REPAIRS or age > _REPAIR_MEMORY:
            return 0.0
        return max(0.0, min(2.0 ** min(count - _FREE_REPAIRS, 16), _REPAIR_MEMORY) - age)

    def repaired(self, key: Key) -> None:
        """A repair was made."""
        count, last = self._repairs.get(key, (0, 0.0))
        now = time.monotonic()
        self._repairs[key] = (1 if now - last > 2 * _REPAIR_MEMORY else count + 1, now)
        telemetry.DRIFT.labels(self.name or "").inc()

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                await self._reconcile(self, key)
            finally:
                self.queue.done(key)
            await asyncio.sleep(0)  # a pass without a request gives no other task a turn

    def _rights_wanted(self) -> dict[str, bool]:
        wanted = dict.fromkeys((*self._namespaces, *self.held.values()), False)
        for key, namespace in (*self.placed.items(), *self.held.items()):
            if key.kind is names.Kind.IMAGE_PULL_SECRET:
                wanted[namespace] = True
        return wanted

    def _make_watches(self, client: Client) -> dict[str, ScopedWatch]:
        made = {
            "secrets": watches.secrets(client, self.seen, self._look_again),
            _ACCOUNTS: watches.accounts(client, self.seen, self._look_again),
            **{kind.plural: self._watch_workloads(client, kind) for kind in self.kinds},
        }
        for namespace in self._namespaces:
            for resource, watch in made.items():
                if resource != _ACCOUNTS:
                    watch.need(namespace)
        for key, namespace in self.placed.items():
            if key.kind is names.Kind.IMAGE_PULL_SECRET:
                made[_ACCOUNTS].need(namespace)
        return made

    def _watch_workloads(self, client: Client, kind: WorkloadKind) -> ScopedWatch:
        return watches.workloads(client, kind, self.seen, partial(self._workloads_link, kind))

    async def _follow_kinds(self, client: Client, kinds: Kinds) -> None:
        """The cluster serves other kinds of workloads than before: follow those, and no more the others.

        Raises:
            KubeError: the cluster could not be asked, and nothing changed.
        """
        for kind in kinds:
            if kind.plural not in self._watches:
                watch = self._watches[kind.plural] = self._watch_workloads(client, kind)
                for namespace in self._namespaces:
                    watch.need(namespace)
                try:
                    await watch.start()
                except errors.KubeError:
                    del self._watches[kind.plural]
                    raise
        for kind in self.kinds:
            if kind not in kinds:
                await self._watches.pop(kind.plural).stop()
                self._forget(kind)
        self.rights.doubt()  # others are needed now

    def _forget(self, kind: WorkloadKind) -> None:
        """The cluster serves no such workloads, so that none can be there."""
        for place in self.seen.known_workloads(kind):
            self.seen.miss_workload(kind, *place, None)

    def _workloads_link(self, kind: WorkloadKind, namespace: str) -> None:
        """A watch of workloads began to fail, or is back."""
        watch = self._watches.get(kind.plural)
        if kind.optional and watch is not None and isinstance(watch.failing(namespace), errors.NotFound):
            self.features.due()  # perhaps its CRD is gone
        self._look_again(namespace)

    def _look_again(self, namespace: str) -> None:
        """A watch began to fail, or is back, perhaps because a right was granted: records tell who is concerned."""
        self.rights.regained()
        for key, place in self.placed.items():
            if namespace in {"", place}:
                self.queue.add(key)
