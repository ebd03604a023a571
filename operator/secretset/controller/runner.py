"""One region: its client, what was seen there, its queue and its workers. A dead region holds up only itself."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import structlog

from secretset import telemetry
from secretset.controller.installation import Installation
from secretset.controller.queue import WorkQueue
from secretset.controller.store import older
from secretset.domain import accounts, names, reasons, workloads
from secretset.domain.accounts import Account
from secretset.domain.names import Key
from secretset.domain.observed import SecretRecord
from secretset.domain.workloads import WORKLOAD_KINDS, Workload, WorkloadKind
from secretset.kube import errors, paths
from secretset.kube.client import Client
from secretset.kube.scoped import ScopedWatch

log = structlog.get_logger(__name__)

PROBE_SECONDS = 5.0
_FREE_REPAIRS, _REPAIR_MEMORY = 3, 60.0

Reconcile = Callable[["RegionRunner", Key], Awaitable[None]]


class RegionRunner:
    """Everything that belongs to one region.

    Attributes:
        name: of the Region; None for the runner of sets without a usable region.
        client: of the region's cluster; None while there are no usable credentials.
        problem: why nothing can be done here now, or None.
        secrets: (namespace, name) to what was seen of the managed Secret, or is remembered of a lost one.
        workloads: namespace to uid to workload.
        service_accounts: namespace to name to ServiceAccount; only of namespaces where pull secrets want some.
        placed: key to the namespace that its managed Secret belongs to.
    """

    def __init__(
        self,
        name: str | None,
        *,
        installation: Installation,
        reconcile: Reconcile,
        on_link: Callable[[RegionRunner], None],
        workers: int,
    ) -> None:
        self.name = name
        self.client: Client | None = None
        self.problem: reasons.Problem | None = None
        self.server_version: str | None = None
        self.queue: WorkQueue[Key] = WorkQueue(name or "unresolved")
        self.secrets: dict[tuple[str, str], SecretRecord] = {}
        self.workloads: defaultdict[str, dict[str, Workload]] = defaultdict(dict)
        self.service_accounts: defaultdict[str, dict[str, Account]] = defaultdict(dict)
        self.placed: dict[Key, str] = {}
        self._installation = installation
        self._reconcile = reconcile
        self._on_link = on_link
        self._worker_count = workers
        self._namespaces: Counter[str] = Counter()
        self._repairs: dict[Key, tuple[int, float]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._link: asyncio.Task[None] | None = None
        self._watches: dict[str, ScopedWatch] = {}

    def start(self) -> None:
        """Begin to work on the queue."""
        for number in range(self._worker_count):
            self._tasks.append(asyncio.create_task(self._work(), name=f"worker {self.name} {number}"))

    async def stop(self) -> None:
        """End everything of this region."""
        self.queue.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.disconnect(None)

    async def connect(self, client: Client) -> None:
        """Use these credentials from now on; what was seen before stays remembered."""
        await self.disconnect(None)
        self.client = client
        self.problem = reasons.region_unreachable(self.name or "")
        self._watches = self._make_watches(client)
        self._link = asyncio.create_task(self._keep_link(client), name=f"link {self.name}")

    async def disconnect(self, problem: reasons.Problem | None) -> None:
        """Close the connection, if there is one, and say why there is none."""
        if self._link is not None:
            self._link.cancel()
            await asyncio.gather(self._link, return_exceptions=True)
            self._link = None
        for watch in self._watches.values():
            await watch.stop()
        self._watches = {}
        if self.client is not None:
            await self.client.close()
            self.client = None
        self.problem = problem
        if problem is not None:
            self._on_link(self)

    def place(self, key: Key, namespace: str, *, pull: bool) -> None:
        """The managed Secret of a key belongs into this namespace: follow it."""
        before = self.placed.get(key)
        if before != namespace:
            self.displace(key)
            self.placed[key] = namespace
            self._namespaces[namespace] += 1
        for resource, watch in self._watches.items():
            if resource != "serviceaccounts" or pull:
                watch.need(namespace)

    def displace(self, key: Key) -> None:
        """Nothing of a key is in this region any more."""
        namespace = self.placed.pop(key, None)
        self._repairs.pop(key, None)
        if namespace is None:
            return
        self._namespaces[namespace] -= 1
        if self._namespaces[namespace] <= 0:
            del self._namespaces[namespace]
            for watch in self._watches.values():
                watch.release(namespace)

    async def await_watches(self, namespace: str, resources: Iterable[str], *, seconds: float) -> None:
        """Wait until a namespace is followed.

        Raises:
            Problem: it cannot be followed: not allowed, or not reachable.
        """
        deadline = time.monotonic() + seconds
        for resource in resources:
            watch = self._watches.get(resource)
            while watch is None or not watch.synced(namespace):
                failing = None if watch is None else watch.failing(namespace)
                if isinstance(failing, errors.Forbidden):
                    raise reasons.permission_denied(self.name or "", "list and watch", resource, namespace)
                if self.problem is not None:
                    raise self.problem
                if failing is not None or time.monotonic() > deadline:
                    raise reasons.region_unreachable(self.name or "")
                await asyncio.sleep(0.005)

    def watching(self, namespace: str) -> bool:
        """Whether the managed Secrets of a namespace are being followed, so that an absent record means absent."""
        watch = self._watches.get("secrets")
        return watch is not None and watch.synced(namespace)

    def open_watches(self) -> int:
        """How many watches are open in the region."""
        return sum(watch.count() for watch in self._watches.values())

    def remember_secret(self, obj: dict[str, Any]) -> SecretRecord | None:
        """Take over a Secret as a request of ours returned it."""
        record = SecretRecord.of(obj, installation=self._installation.id, keyring=self._installation.keyring)
        meta = obj["metadata"]
        if record is not None:
            self.secrets[meta["namespace"], meta["name"]] = record
        return record

    def remember_workload(self, kind: WorkloadKind, obj: dict[str, Any]) -> None:
        """Take over a workload as a request of ours returned it."""
        self._see_workload(kind, obj)

    def repair_delay(self, key: Key) -> float:
        """Seconds to wait before somebody else's change is put right again.

        At once, unless it keeps coming back: two controllers that fight over a Secret must not burn the API server.
        """
        count, last = self._repairs.get(key, (0, 0.0))
        age = time.monotonic() - last
        if count < _FREE_REPAIRS or age > _REPAIR_MEMORY:
            return 0.0
        return max(0.0, min(2.0 ** (count - _FREE_REPAIRS), _REPAIR_MEMORY) - age)

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

    async def _keep_link(self, client: Client) -> None:
        """Begin the watches once the cluster answers, then ask it every few seconds whether it still does."""
        started = False
        while True:
            problem: reasons.Problem | None = None
            try:
                if not started:
                    for watch in self._watches.values():
                        await watch.start()
                    started = True
                version = await client.request("GET", "/version", timeout=PROBE_SECONDS)
                self.server_version = str(version.get("gitVersion", ""))
            except errors.Unauthorized:
                problem = reasons.region_not_ready(self.name or "", "its credentials are not accepted.")
            except errors.Forbidden:
                started = True  # an API server that hides its version is reachable all the same
            except errors.KubeError:
                problem = reasons.region_unreachable(self.name or "")
            before, self.problem = self.problem, problem
            if (before is None) != (problem is None) or (before and problem and before.reason is not problem.reason):
                log.info("region", region=self.name, state="up" if problem is None else problem.reason)
                self._on_link(self)
            telemetry.REGION_UP.labels(self.name or "").set(problem is None)
            await asyncio.sleep(PROBE_SECONDS if started else PROBE_SECONDS / 5)

    def _make_watches(self, client: Client) -> dict[str, ScopedWatch]:
        made = {
            "secrets": ScopedWatch(
                client,
                resource="secrets",
                group="",
                path=paths.secrets,
                on_upsert=self._see_secret,
                on_delete=self._miss_secret,
                label_selector=names.MANAGED_SELECTOR,
            ),
            "serviceaccounts": ScopedWatch(
                client,
                resource="serviceaccounts",
                group="",
                path=lambda namespace: paths.core("serviceaccounts", namespace),
                on_upsert=self._see_account,
                on_delete=self._miss_account,
            ),
        }
        for kind in WORKLOAD_KINDS:
            made[kind.plural] = ScopedWatch(
                client,
                resource=kind.plural,
                group=kind.api.split("/")[1],
                path=lambda namespace, kind=kind: paths.workloads(kind, namespace),  # type: ignore[misc]
                on_upsert=lambda obj, kind=kind: self._see_workload(kind, obj),  # type: ignore[misc]
                on_delete=self._miss_workload,
            )
        for namespace in self._namespaces:
            for resource, watch in made.items():
                if resource != "serviceaccounts":
                    watch.need(namespace)
        return made

    def _see_secret(self, obj: dict[str, Any]) -> None:
        meta = obj["metadata"]
        place = meta["namespace"], meta["name"]
        known = self.secrets.get(place)
        version = meta["resourceVersion"]
        if (
            known
            and known.uid == meta["uid"]
            and (version == known.resource_version or older(version, known.resource_version))
        ):
            return  # our own write, or an event from before it
        record = SecretRecord.of(obj, installation=self._installation.id, keyring=self._installation.keyring)
        if record is not None:
            self.secrets[place] = record
            self.queue.add(record.owner)
        elif known is not None:
            self._lose(known, manager=None)

    def _miss_secret(self, namespace: str, name: str, obj: dict[str, Any] | None) -> None:
        known = self.secrets.get((namespace, name))
        if known is not None and (obj is None or obj["metadata"]["uid"] == known.uid):
            self._lose(known, manager=None)

    def _lose(self, record: SecretRecord, manager: str | None) -> None:
        """Keep what a lost Secret was meant to do: an unfinished wave goes on with the Secret that replaces it."""
        record.deleted, record.intact, record.last_manager = True, False, manager
        self.queue.add(record.owner)

    def _see_workload(self, kind: WorkloadKind, obj: dict[str, Any]) -> None:
        meta = obj["metadata"]
        slots = self.workloads[meta["namespace"]]
        known = slots.get(meta["uid"])
        if known is not None and older(meta["resourceVersion"], known.resource_version):
            return
        seen = workloads.parse(kind, obj)
        if seen is None:
            slots.pop(meta["uid"], None)
        else:
            slots[seen.uid] = seen
        if (seen is None) != (known is None) or (seen is not None and not seen.looks_like(known)):
            self._workload_changed(meta["namespace"], known, seen)

    def _miss_workload(self, namespace: str, name: str, obj: dict[str, Any] | None) -> None:
        slots = self.workloads[namespace]
        uid = obj["metadata"]["uid"] if obj else None
        for slot in [slot for slot in slots.values() if slot.name == name and uid in {None, slot.uid}]:
            del slots[slot.uid]
            self._workload_changed(namespace, slot, None)

    def _workload_changed(self, namespace: str, *states: Workload | None) -> None:
        used = {secret for state in states if state is not None for secret in state.uses}
        for secret in used:
            if record := self.secrets.get((namespace, secret)):
                self.queue.add(record.owner)

    def _see_account(self, obj: dict[str, Any]) -> None:
        account = accounts.parse(obj)
        if self.service_accounts[account.namespace].get(account.name) != account:
            self.service_accounts[account.namespace][account.name] = account
            self._account_changed(account.namespace)

    def _miss_account(self, namespace: str, name: str, _: dict[str, Any] | None) -> None:
        if self.service_accounts[namespace].pop(name, None) is not None:
            self._account_changed(namespace)

    def _account_changed(self, namespace: str) -> None:
        for key, place in self.placed.items():
            if place == namespace and key.kind is names.Kind.IMAGE_PULL_SECRET:
                self.queue.add(key)
