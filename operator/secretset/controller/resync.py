"""Load all objects at the start, and later compare what is known with what there is. Reads only; writes nothing."""

from __future__ import annotations

import structlog

from secretset.controller.store import HubStore
from secretset.domain import record
from secretset.domain.names import Key, Kind
from secretset.domain.regions import RegionRecord
from secretset.kube import errors, paths
from secretset.kube.client import METADATA_ONLY, Client
from secretset.kube.pages import items

log = structlog.get_logger(__name__)


async def load(hub: Client, store: HubStore) -> None:
    """Take in all objects before the first pass: objects share names, and those that do must know of each other.

    Raises:
        KubeError: the hub could not be asked.
    """
    async for item in items(hub, paths.REGIONS):
        store.apply_region(RegionRecord.parse(item), item.get("status") or {})
    for kind in Kind:
        async for item in items(hub, paths.custom_list(kind)):
            store.apply_set(record.parse(kind, item))


async def resync(hub: Client, store: HubStore) -> None:
    """List the names of all objects; take in those that are missing here, drop those that are gone.

    kopf emits no DELETED after a relist, and a watch that ended may have lost any event.

    Raises:
        KubeError: the hub could not be asked; nothing was dropped then.
    """
    for kind in Kind:
        there = await _names(hub, paths.custom_list(kind))
        for key, known in [(key, known) for key, known in store.sets.items() if key.kind is kind]:
            if there.get((key.namespace, key.name)) != (known.uid, known.resource_version):
                # It may have been created, or re-created, after the list was read: ask for itself.
                await _take_in(hub, store, key, known.uid)
        for namespace, name in there:
            key = Key(kind, namespace, name)
            if key not in store.sets:
                await _take_in(hub, store, key, None)
    there = await _names(hub, paths.REGIONS)
    seen = {name: (region.uid, region.resource_version) for name, region in store.regions.items()}
    for name in {*seen, *(name for _, name in there)}:
        if seen.get(name) == there.get(("", name)):
            continue
        try:  # it may have been created, or deleted, after the list was read: ask for itself
            obj = await hub.get(paths.region(name))
        except errors.Absent:
            log.info("a region's deletion was missed", region=name)
            store.forget_region(name)
        else:
            store.apply_region(RegionRecord.parse(obj), obj.get("status") or {})


async def _take_in(hub: Client, store: HubStore, key: Key, known_uid: str | None) -> None:
    try:
        obj = await hub.get(paths.custom(key))
    except errors.Absent:
        if known_uid is not None:
            log.info("a deletion was missed", key=str(key))
            store.forget_set(key, known_uid)
        return
    store.apply_set(record.parse(key.kind, obj))


async def _names(hub: Client, path: str) -> dict[tuple[str, str], tuple[str, str]]:
    """(namespace, name) to (uid, resourceVersion) of all objects of a list, metadata only."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    async for item in items(hub, path, accept=METADATA_ONLY):
        meta = item["metadata"]
        found[meta.get("namespace", ""), meta["name"]] = (meta["uid"], meta["resourceVersion"])
    return found
