"""Reads and writes of custom resources on the hub: fetch, finalizer, status. Each write names the version it is for."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import Any

from secretset.controller.context import Context
from secretset.domain import json_patch, names, record
from secretset.domain.names import Key, Kind
from secretset.domain.record import SetRecord
from secretset.kube import errors, paths
from secretset.kube.client import JSON_PATCH

# At most one status write per set and second while only its rollout moves on.
ROLLOUT_STATUS_SECONDS = 1.0
_ROLLOUT_FIELDS = frozenset({"workloads", "conditions", "restartedFor", "restartRequest"})


async def fetch(context: Context, seen: SetRecord) -> tuple[SetRecord, dict[str, Any]] | None:
    """Read an object from a quorum; None if it is gone, which the store then knows."""
    try:
        obj: dict[str, Any] = await context.hub.get(paths.custom(seen.key))
    except errors.Absent:
        context.store.forget_set(seen.key, seen.uid)
        return None
    fresh = record.parse(seen.key.kind, obj)
    context.store.apply_set(fresh)
    return fresh, obj


async def add_finalizer(context: Context, seen: SetRecord) -> tuple[SetRecord, dict[str, Any]]:
    """Put our finalizer on an object, before anything of it is in a region; returns the object as it is then.

    The patch names the version that was seen, so its answer is as good as a read.

    Raises:
        Conflict: the object changed meanwhile.
        Absent: it is gone.
    """
    finalizers = [*seen.finalizers, names.FINALIZER]
    with context.store.writing(seen.key):
        answer = await _set_finalizers(context, seen.key, seen.uid, seen.resource_version, finalizers)
        fresh = record.parse(seen.key.kind, answer)
        context.store.apply_set(fresh, look=False)  # the pass under way goes on from it
    return fresh, answer


async def remove_finalizer(context: Context, fresh: SetRecord) -> None:
    """Take our finalizer off: nothing of the object is left in a region."""
    left = [name for name in fresh.finalizers if name != names.FINALIZER]
    with contextlib.suppress(errors.Absent):
        answer = await _set_finalizers(context, fresh.key, fresh.uid, fresh.resource_version, left)
        if answer.get("kind") != "Status":
            context.store.apply_set(record.parse(fresh.key.kind, answer))
    if not left:
        context.store.forget_set(fresh.key, fresh.uid)


async def write_status(context: Context, obj: dict[str, Any], status: Mapping[str, Any]) -> float | None:
    """Write a status if it differs from the one that the object has.

    Returns:
        Seconds after which to come back, if the write was put off because only the rollout moved on; else None.

    Raises:
        Conflict: the object changed since it was read; the pass starts over.
    """
    key = _key(obj)
    before: Mapping[str, Any] = obj.get("status") or {}
    if before == status:
        return None
    now = time.monotonic()
    differs = {name for name in before.keys() | status.keys() if before.get(name) != status.get(name)}
    last = context.status_writes.get(key, float("-inf"))
    if differs <= _ROLLOUT_FIELDS and now - last < ROLLOUT_STATUS_SECONDS:
        return ROLLOUT_STATUS_SECONDS - (now - last)
    with context.store.writing(key):
        try:
            answer = await context.hub.replace(f"{paths.custom(key)}/status", {**obj, "status": status})
        except errors.Absent:
            context.store.forget_set(key, obj["metadata"]["uid"])
            return None
        context.store.apply_set(record.parse(key.kind, answer))
    context.status_writes[key] = now
    return None


async def _set_finalizers(context: Context, key: Key, uid: str, version: str, finalizers: list[str]) -> dict[str, Any]:
    patch = [
        json_patch.test("/metadata/uid", uid),
        json_patch.test("/metadata/resourceVersion", version),
        json_patch.add("/metadata/finalizers", finalizers),
    ]
    try:
        answer: dict[str, Any] = await context.hub.patch(paths.custom(key), patch, JSON_PATCH)
    except errors.Invalid:
        # RFC 6902: a failed test fails the patch; the API server calls that 422.
        raise errors.Conflict(409, "Conflict") from None
    return answer


def _key(obj: Mapping[str, Any]) -> Key:
    return Key(Kind(obj["kind"]), obj["metadata"]["namespace"], obj["metadata"]["name"])
