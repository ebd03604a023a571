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
from secretset.controller.installation import Installation
from secretset.controller.queue import WorkQueue
from secretset.controller.view import RegionView
from secretset.domain import names, reasons
from secretset.domain.names import Key
from secretset.domain.workloads import WORKLOAD_KINDS, WorkloadKind
from secretset.kube import errors, paths, supervise
from secretset.kube.client import Client
from secretset.kube.scoped import ScopedWatch

log = structlog.get_logger(__name__)

PROBE_SECONDS = 5.0
_ACCOUNTS = "serviceaccounts"
_FREE_REPAIRS, _REPAIR_MEMORY = 3, 60.0

Reconcile = Callable[["RegionRunner", Key], Awaitable[None]]


class RegionRunner:
    """Everything that belongs to one region.

    Attributes:
        name: of the Region; None for the runner of sets without a usable region.
        client: of the region's cluster; None while there are no usable credentials.
        problem: why nothing can be done here now, or None.
        credentials: where those of the client are from, for messages.
        seen: what was seen in the region.
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
        self.credentials = "the operator's own credentials"
        self.queue: WorkQueue[Key] = WorkQueue(name or "unresolved")
        self.placed: dict[Key, str] = {}
        self.seen = RegionView(installation=installation, enqueue=self.queue.add, placed=self.placed)
        self._reconcile = reconcile
        self._on_link = on_link
        self._worker_count = workers
        self._namespaces: Counter[str] = Counter()
        self._repairs: dict[Key, tuple[int, float]] = {}
        self._tried = asyncio.Event()
        if name is None:
            self._tried.set()
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
        self._tried.clear()
        self._watches = self._make_watches(client)
        self._link = supervise.start(f"link {self.name}", partial(self._keep_link, client))

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
            telemetry.REGION_UP.labels(self.name or "").set(0)
            self._tried.set()
            self._on_link(self)

    @property
    def tried(self) -> bool:
        """Whether it was tried once whether the region can be used."""
        return self._tried.is_set()

    async def link_known(self) -> None:
        """Wait until it was tried once whether the region can be used."""
        await self._tried.wait()

    async def usable(self) -> Client:
        """The client, once it is known whether the region can be used.

        Raises:
            Problem: it cannot be, now.
        """
        await self.link_known()
        if self.problem is not None or self.client is None:
            raise self.problem or reasons.region_unknown(self.name)
        return self.client

    def place(self, key: Key, namespace: str, *, pull: bool) -> None:
        """The managed Secret of a key belongs into this namespace: follow it."""
        before = self.placed.get(key)
        if before != namespace:
            self.displace(key)
            self.placed[key] = namespace
            self._namespaces[namespace] += 1
        for resource, watch in self._watches.items():
            if resource != _ACCOUNTS or pull:
                watch.need(namespace)

    def displace(self, key: Key) -> None:
        """Nothing of a key is in this region any more."""
        namespace = self.placed.pop(key, None)
        self._repairs.pop(key, None)
        if namespace is None:
            return
        self.seen.forget_lost((namespace, key.name))
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
        for resource in resources:
            watch = self._watches.get(resource)
            if watch is None:
                raise self.problem or reasons.region_unreachable(self.name or "")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await watch.tried(namespace)
            failing = watch.failing(namespace)
            if isinstance(failing, errors.Forbidden):
                raise reasons.permission_denied(self.name or "", "list and watch", resource, namespace)
            if self.problem is not None:
                raise self.problem
            if not watch.synced(namespace):
                raise reasons.region_unreachable(self.name or "")

    def watching(self, namespace: str) -> bool:
        """Whether the managed Secrets of a namespace are being followed, so that an absent record means absent."""
        watch = self._watches.get("secrets")
        return watch is not None and watch.synced(namespace)

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
                with contextlib.suppress(errors.Forbidden):  # who hides the version is reachable all the same
                    version = await client.request("GET", "/version", timeout=PROBE_SECONDS)
                    self.server_version = str(version.get("gitVersion", ""))
            except errors.Unauthorized:
                problem = reasons.region_not_ready(self.name or "", f"{self.credentials} are not accepted.")
            except errors.KubeError:
                problem = reasons.region_unreachable(self.name or "")
            except Exception as error:  # noqa: BLE001  (whatever it is, the workers wait for a verdict)
                log.error("no API server", region=self.name, error=supervise.where(error))  # noqa: TRY400
                problem = reasons.region_not_ready(self.name or "", "what answers there is no Kubernetes API server.")
            before, self.problem = self.problem, problem
            first = not self._tried.is_set()
            self._tried.set()
            if first or (before and before.reason) is not (problem and problem.reason):
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
                on_upsert=self.seen.see_secret,
                on_delete=self.seen.miss_secret,
                on_link=self._look_again,
                remembered=self.seen.known_secrets,
                label_selector=names.MANAGED_SELECTOR,
            ),
            _ACCOUNTS: ScopedWatch(
                client,
                resource=_ACCOUNTS,
                group="",
                path=lambda namespace: paths.core(_ACCOUNTS, namespace),
                on_upsert=self.seen.see_account,
                on_delete=self.seen.miss_account,
                on_link=self._look_again,
                remembered=self.seen.known_accounts,
            ),
            **{kind.plural: self._watch_workloads(client, kind) for kind in WORKLOAD_KINDS},
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
        return ScopedWatch(
            client,
            resource=kind.plural,
            group=kind.api.split("/")[1],
            path=partial(paths.workloads, kind),
            on_upsert=partial(self.seen.see_workload, kind),
            on_delete=partial(self.seen.miss_workload, kind),
            on_link=self._look_again,
            remembered=partial(self.seen.known_workloads, kind),
        )

    def _look_again(self, namespace: str) -> None:
        """A watch began to fail, or is back, perhaps because a right was granted: records tell who is concerned."""
        for key, place in self.placed.items():
            if namespace in {"", place}:
                self.queue.add(key)
