"""Resync: compare what is known with what there is, for whatever events were lost. Reads only; writes nothing."""

from __future__ import annotations

from typing import Any

import structlog

from secretset.controller.store import HubStore
from secretset.domain import names, record
from secretset.domain.names import Key, Kind
from secretset.domain.regions import RegionRecord
from secretset.kube import errors, paths
from secretset.kube.client import METADATA_ONLY, Client

log = structlog.get_logger(__name__)

_PAGE = "1000"


async def resync(hub: Client, store: HubStore) -> None:
    """List the names of all objects; take in those that are missing here, drop those that are gone.

    kopf emits no DELETED after a relist, and a watch that ended may have lost any event.

    Raises:
        KubeError: the hub could not be asked; nothing was dropped then.
    """
    for kind in Kind:
        there = await _names(hub, f"/apis/{names.API_VERSION}/{kind.plural}")
        for key, known in [(key, known) for key, known in store.sets.items() if key.kind is kind]:
            if there.get((key.namespace, key.name)) != known.uid:
                # It may have been created, or re-created, after the list was read: ask for itself.
                await _take_in(hub, store, key, known.uid)
        for namespace, name in there:
            key = Key(kind, namespace, name)
            if key not in store.sets:
                await _take_in(hub, store, key, None)
    there = await _names(hub, paths.REGIONS)
    for name in [name for name in store.regions if ("", name) not in there]:
        log.info("a region's deletion was missed", region=name)
        store.forget_region(name)
    for _, name in there:
        if name not in store.regions:
            obj = await hub.get(paths.region(name))
            store.apply_region(RegionRecord.parse(obj), obj.get("status") or {})


async def _take_in(hub: Client, store: HubStore, key: Key, known_uid: str | None) -> None:
    try:
        obj = await hub.get(paths.custom(key))
    except errors.NotFound:
        if known_uid is not None:
            log.info("a deletion was missed", key=str(key))
            store.forget_set(key, known_uid)
        return
    store.apply_set(record.parse(key.kind, obj))


async def _names(hub: Client, path: str) -> dict[tuple[str, str], str]:
    """(namespace, name) to uid of all objects of a list, metadata only, from a quorum."""
    found: dict[tuple[str, str], str] = {}
    token = ""
    while True:
        params = {"limit": _PAGE} | ({"continue": token} if token else {})
        page: dict[str, Any] = await hub.get(path, params, accept=METADATA_ONLY)
        for item in page.get("items") or ():
            meta = item["metadata"]
            found[meta.get("namespace", ""), meta["name"]] = meta["uid"]
        token = page["metadata"].get("continue") or ""
        if not token:
            return found
