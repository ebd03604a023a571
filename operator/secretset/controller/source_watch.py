"""The watch for source Secrets, in the organizations that have sets which are ours to carry out."""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from secretset.controller.store import HubStore
from secretset.domain import names
from secretset.kube import errors, paths
from secretset.kube.client import Client
from secretset.kube.scoped import ScopedWatch

log = structlog.get_logger(__name__)

_RETRY_SECONDS = 2.0
_FIRST_SECONDS = 10.0  # to wait at the start for the sources of all organizations
_MOMENT = 0.05  # in which changes are looked at as one


class SourceWatch:
    """Tells the store of source Secrets, their versions alone.

    Args:
        hub: where they are.
        store: told of them; knows which organizations have sets.
        regions: ``--regions``: only sets of these are ours; None for all.
    """

    def __init__(self, hub: Client, store: HubStore, regions: frozenset[str] | None) -> None:
        self._store = store
        self._regions = regions
        self._watch = ScopedWatch(
            hub,
            resource="secrets",
            group="",
            path=paths.secrets,
            on_upsert=store.apply_source,
            on_delete=lambda namespace, name, _: store.forget_source(namespace, name),
            label_selector=names.SOURCE_SELECTOR,
            remembered=lambda: list(store.sources),
        )

    async def start(self) -> None:
        """Find out what may be watched; waits for the hub if it must."""
        while True:
            try:
                return await self._watch.start()
            except errors.KubeError as error:
                log.warning("cannot watch source Secrets yet", error=str(error))
                await asyncio.sleep(_RETRY_SECONDS)

    async def seen(self) -> None:
        """Wait until the sources of all organizations were listed, so that settled sets are recognised as such."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_SECONDS):
                for namespace in self._wanted():
                    self._watch.need(namespace)
                    await self._watch.tried(namespace)

    async def run(self) -> None:
        """Follow organizations as they get their first set, and lose their last, until cancelled."""
        followed: set[str] = set()
        changes = -1
        while True:
            changes = await self._store.pulse.after(changes)
            wanted = self._wanted()
            for namespace in wanted - followed:
                self._watch.need(namespace)
            for namespace in followed - wanted:
                self._watch.release(namespace)
            followed = wanted
            await asyncio.sleep(_MOMENT)

    def renew(self, *, relist: bool) -> None:
        """The hub answers again: have no watch wait for its next attempt; with ``relist`` read the lists anew, too."""
        self._watch.renew(relist=relist)

    async def stop(self) -> None:
        """End the watches."""
        await self._watch.stop()

    def _wanted(self) -> set[str]:
        if self._regions is None:
            return self._store.namespaces_with_sets()
        return {record.key.namespace for name in self._regions for record in self._store.in_region(name)}
