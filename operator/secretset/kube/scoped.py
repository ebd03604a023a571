"""One watch over all namespaces where the installer allowed it, else one for each namespace in use.

RBAC ignores label selectors: who may watch Secrets of all namespaces may read them all. So the default installation
grants single namespaces, and this class hides the difference.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

import structlog

from secretset.kube import access, errors, supervise
from secretset.kube.client import Client
from secretset.kube.watch import Delete, Upsert, Watch

log = structlog.get_logger(__name__)

_ALL = ""


class ScopedWatch:
    """Follows one resource in the namespaces that are needed.

    Args:
        on_link: called with its namespace (empty for all) when a watch begins to fail, or is back.
        on_relist: called with a namespace (empty for all) before each list of everything in it; see `Watch`.
        remembered: (namespace, name) of all objects that were handed over before, by this or an earlier instance.
    """

    def __init__(
        self,
        client: Client,
        *,
        resource: str,
        group: str,
        path: Callable[[str | None], str],
        on_upsert: Upsert,
        on_delete: Delete,
        label_selector: str | None = None,
        on_link: Callable[[str], None] | None = None,
        on_relist: Callable[[str], None] | None = None,
        remembered: Callable[[], Iterable[tuple[str, str]]] = tuple,
    ) -> None:
        self._client = client
        self._resource = resource
        self._group = group
        self._path = path
        self._on_upsert = on_upsert
        self._on_delete = on_delete
        self._selector = label_selector
        self._on_link = on_link or (lambda _: None)
        self._on_relist = on_relist or (lambda _: None)
        self._remembered = remembered
        self._everywhere: bool | None = None
        self._needed: set[str] = set()
        self._watches: dict[str, Watch] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Find out which scope is allowed, and begin.

        Raises:
            KubeError: the cluster could not be asked.
        """
        try:
            verdicts = [
                await access.may(self._client, verb, self._resource, group=self._group) for verb in ("list", "watch")
            ]
        except errors.Forbidden:
            verdicts = [False]  # who may not even ask is not allowed everywhere
        self._everywhere = all(verdicts)
        for namespace in self._needed:
            self._follow(namespace)

    async def stop(self) -> None:
        """End all watches."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        self._watches.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def renew(self, *, relist: bool) -> None:
        """The cluster answers again: have no watch wait for its next attempt."""
        for watch in self._watches.values():
            watch.renew(relist=relist)

    def need(self, namespace: str) -> None:
        """Follow this namespace from now on."""
        if namespace not in self._needed:
            self._needed.add(namespace)
            if self._everywhere is not None:
                self._follow(namespace)

    def release(self, namespace: str) -> bool:
        """Nothing in this namespace is needed any more; return whether it is not followed any more either."""
        self._needed.discard(namespace)
        if self._everywhere is False and (task := self._tasks.pop(namespace, None)):
            del self._watches[namespace]
            task.cancel()
        return self._everywhere is False

    async def tried(self, namespace: str) -> None:
        """Wait until the first list of a needed namespace was handed over, or has failed."""
        watch = self._of(namespace)
        if watch is not None:
            await watch.tried.wait()

    def synced(self, namespace: str) -> bool:
        """Whether the objects of this namespace have been handed over and are being followed."""
        watch = self._of(namespace)
        return watch is not None and watch.synced.is_set() and watch.failing is None

    def failing(self, namespace: str) -> errors.KubeError | None:
        """What keeps us from following this namespace, or None."""
        watch = self._of(namespace)
        return None if watch is None else watch.failing

    def _of(self, namespace: str) -> Watch | None:
        return self._watches.get(_ALL if self._everywhere else namespace)

    def _follow(self, namespace: str) -> None:
        scope = _ALL if self._everywhere else namespace
        if scope not in self._watches:
            self._begin(scope)

    def _begin(self, namespace: str) -> None:
        watch = Watch(
            self._client,
            self._path(namespace or None),
            on_upsert=self._on_upsert,
            on_delete=self._on_delete,
            label_selector=self._selector,
            on_link=lambda: self._link(namespace),
            on_relist=partial(self._on_relist, namespace),
            remembered=[place for place in self._remembered() if namespace in {_ALL, place[0]}],
        )
        self._watches[namespace] = watch
        self._tasks[namespace] = supervise.start(f"watch {self._resource} {namespace}", watch.run)

    def _link(self, namespace: str) -> None:
        watch = self._watches.get(namespace)
        if namespace == _ALL and watch is not None and isinstance(watch.failing, errors.Forbidden):
            log.warning("lost the cluster-wide watch, falling back to namespaces", resource=self._resource)
            self._everywhere = False
            del self._watches[_ALL]
            self._tasks.pop(_ALL).cancel()
            for needed in self._needed:
                self._follow(needed)
        self._on_link(namespace)
