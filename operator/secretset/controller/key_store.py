"""Where sealing keys are: read, added, taken out and published. Used by the operator, and by `secretset keys`.

Every write names the version that it is for, and none changes an entry that can be used: two that write at once lose no
key.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from secretset import telemetry
from secretset.controller import kek
from secretset.controller.kek import KeyEncryption
from secretset.domain import names, sealing
from secretset.domain.observed import decode_data, encode_data
from secretset.domain.sealing_keys import (
    BACKED_UP,
    CONFIG_MAP_NAME,
    DOCUMENT,
    SECRET_NAME,
    Entry,
    PublicKeys,
    SealingKey,
    Unusable,
    created_after,
    is_kid,
    parsed,
)
from secretset.kube import errors, paths
from secretset.kube.client import Client

_ATTEMPTS = 5
_LABELS = {"app.kubernetes.io/part-of": names.FIELD_MANAGER}


class Held(NamedTuple):
    """The keys of some entries.

    Attributes:
        keys: those that can be used, by id.
        unusable: why the others cannot, by id, as closed sentence fragments.
    """

    keys: Mapping[str, SealingKey]
    unusable: Mapping[str, str]


class Kept(NamedTuple):
    """What is kept.

    Attributes:
        uid: of the Secret, which another one of its name would not have; empty of a folder.
        version: its resourceVersion, which an earlier state of the hub has a lower one of; empty of a folder.
        entries: by id.
    """

    uid: str
    version: str
    entries: Mapping[str, bytes]


async def kept(client: Client, namespace: str) -> Kept | None:
    """The Secret, from a quorum; None if there is none.

    Raises:
        KubeError: the hub refused or did not answer.
    """
    try:
        obj = await client.get(paths.secrets(namespace, SECRET_NAME))
    except errors.Absent:
        return None
    return _kept(obj)


async def read(client: Client, namespace: str) -> Mapping[str, bytes] | None:
    """The entries of the Secret, from a quorum; None if there is no such Secret.

    Raises:
        KubeError: the hub refused or did not answer.
    """
    found = await kept(client, namespace)
    return None if found is None else found.entries


def read_folder(folder: Path) -> dict[str, bytes]:
    """The entries of a folder: a file for each key, named by its id; others are passed over.

    Raises:
        OSError: it cannot be read.
    """
    return {name: (folder / name).read_bytes() for name in sorted(os.listdir(folder)) if is_kid(name)}  # noqa: PTH208


async def unlocked(
    entries: Mapping[str, bytes], keks: Sequence[KeyEncryption], known: Mapping[str, SealingKey] | None = None
) -> Held:
    """Make keys of entries.

    Args:
        entries: by id.
        keks: what they may be wrapped with.
        known: keys that are held already, and are not made, or unwrapped, again: an id stands for one key for ever.
    """
    keys: dict[str, SealingKey] = {}
    unusable: dict[str, str] = {}
    for kid, raw in entries.items():
        if known is not None and kid in known:
            keys[kid] = known[kid]
            continue
        try:
            entry = Entry.parse(raw)
            keys[kid] = SealingKey.of(kid, await kek.seed_of(entry, keks), entry.created)
        except Unusable as error:
            unusable[kid] = str(error)
    return Held(keys, unusable)


async def new_key(entries: Mapping[str, bytes], keks: Sequence[KeyEncryption]) -> tuple[SealingKey, bytes]:
    """Make a key, newer than all that are kept, whether they can be used or not; returns it and its entry."""
    created = created_after((entry.created for entry in parsed(entries).values()), datetime.now(UTC))
    seed = sealing.new_seed()
    private = sealing.PrivateKey.from_seed(seed)
    entry = await kek.wrapped(Entry(created=created, secret=seed), keks)
    return SealingKey(private=private, created=created), entry.render()


async def add(
    client: Client,
    namespace: str,
    entries: Mapping[str, bytes],
    *,
    unless_changed: Mapping[str, bytes] | None = None,
    broken: Mapping[str, bytes] | None = None,
) -> Kept:
    """Add entries to the Secret, which is made if it is missing. Those that are there stay as they are.

    Args:
        client: of the hub.
        namespace: the operator's own.
        entries: to be added, by id.
        unless_changed: what was read; if the Secret holds other ids by now, nothing is added.
        broken: entries that were read and are no use: where they still stand, they are replaced.

    Returns:
        What is in the Secret then.

    Raises:
        KubeError: the hub refused or did not answer.
    """
    path = paths.secrets(namespace, SECRET_NAME)
    for _ in range(_ATTEMPTS):
        try:
            obj: dict[str, Any] | None = await client.get(path)
        except errors.Absent:
            obj = None
        there = {} if obj is None else _entries(obj)
        missing = {
            kid: raw
            for kid, raw in entries.items()
            if kid not in there or (broken is not None and there[kid] == broken.get(kid))
        }
        if (unless_changed is not None and there.keys() != unless_changed.keys()) or not missing:
            return Kept("", "", {}) if obj is None else _kept(obj)
        try:
            if obj is None:
                return _kept(await client.create(paths.secrets(namespace), _new(namespace, missing)))
            data = {**(obj.get("data") or {}), **encode_data(missing)}
            return _kept(await client.replace(path, {**obj, "data": data}))
        except (errors.AlreadyExists, errors.Conflict):
            continue
    raise errors.Conflict(409, "Conflict")


async def remove(client: Client, namespace: str, kid: str) -> bool:
    """Take one entry out of the Secret; returns whether it was there.

    Raises:
        KubeError: the hub refused or did not answer.
    """
    path = paths.secrets(namespace, SECRET_NAME)
    for _ in range(_ATTEMPTS):
        try:
            obj = await client.get(path)
            data = obj.get("data") or {}
            if kid not in data:
                return False
            await client.replace(path, {**obj, "data": {name: raw for name, raw in data.items() if name != kid}})
        except errors.Absent:
            return False
        except errors.Conflict:
            continue
        return True
    raise errors.Conflict(409, "Conflict")


async def published(client: Client, namespace: str) -> PublicKeys | None:
    """What is published; None if nothing is, or nothing that can be read.

    Raises:
        KubeError: the hub refused or did not answer.
    """
    try:
        obj = await client.get(paths.core("configmaps", namespace, CONFIG_MAP_NAME))
        return PublicKeys.parse((obj.get("data") or {}).get(DOCUMENT, ""))
    except (errors.Absent, Unusable):
        return None


async def publish(client: Client, namespace: str, keys: PublicKeys) -> bool:
    """Publish public keys; returns whether something else stood there.

    Raises:
        Conflict: somebody else published at the same time.
        KubeError: the hub refused or did not answer.
    """
    path, data = paths.core("configmaps", namespace, CONFIG_MAP_NAME), {DOCUMENT: keys.render()}
    try:
        obj = await client.get(path)
    except errors.Absent:
        metadata = {"name": CONFIG_MAP_NAME, "namespace": namespace, "labels": _LABELS}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        await client.create(paths.core("configmaps", namespace), body)
        _measure(keys, frozenset())
        return True
    _measure(keys, _noted(obj))
    if obj.get("data") == data and not obj.get("binaryData"):
        return False
    await client.replace(path, {**{k: v for k, v in obj.items() if k != "binaryData"}, "data": data})
    return True


async def unpublish(client: Client, namespace: str, kid: str) -> None:
    """Take a key away from the public, whoever else publishes at the same time.

    Raises:
        Conflict: somebody else publishes all the time.
        KubeError: the hub refused or did not answer.
    """
    for _ in range(_ATTEMPTS):
        public = await published(client, namespace)
        if public is None or all(key.kid != kid for key in public.keys):
            return
        with contextlib.suppress(errors.Conflict, errors.AlreadyExists):
            await publish(client, namespace, public.without(kid))
            return
    raise errors.Conflict(409, "Conflict")


async def backed_up(client: Client, namespace: str) -> frozenset[str]:
    """The ids of the keys that a backup was made of, as far as that was noted (`note_backup`).

    Raises:
        KubeError: the hub refused or did not answer.
    """
    try:
        return _noted(await client.get(paths.core("configmaps", namespace, CONFIG_MAP_NAME)))
    except errors.Absent:
        return frozenset()


async def remembered(client: Client, namespace: str) -> frozenset[str]:
    """The ids of the keys that are published, or that a backup was noted of: all of them were here once.

    Raises:
        KubeError: the hub refused or did not answer.
    """
    try:
        obj = await client.get(paths.core("configmaps", namespace, CONFIG_MAP_NAME))
    except errors.Absent:
        return frozenset()
    try:
        public = PublicKeys.parse((obj.get("data") or {}).get(DOCUMENT, ""))
    except Unusable:
        return _noted(obj)
    return _noted(obj) | {key.kid for key in public.keys}


async def note_backup(client: Client, namespace: str, kids: Collection[str]) -> None:
    """Note beside the public keys, where everybody may see it, of which there is a backup; forget those that went.

    Raises:
        Conflict: somebody else writes there all the time.
        KubeError: the hub refused or did not answer.
    """
    path = paths.core("configmaps", namespace, CONFIG_MAP_NAME)
    for _ in range(_ATTEMPTS):
        try:
            obj = await client.get(path)
            known = {key.kid for key in PublicKeys.parse((obj.get("data") or {}).get(DOCUMENT, "")).keys}
        except (errors.Absent, Unusable):
            return  # nothing is published that one could lose
        wanted = (_noted(obj) | frozenset(kids)) & known
        if wanted == _noted(obj):
            return
        meta = obj["metadata"]
        notes = {**(meta.get("annotations") or {}), BACKED_UP: ",".join(sorted(wanted))}
        with contextlib.suppress(errors.Conflict):
            await client.replace(path, {**obj, "metadata": {**meta, "annotations": notes}})
            return
    raise errors.Conflict(409, "Conflict")


def _measure(keys: PublicKeys, saved: frozenset[str]) -> None:
    telemetry.SEALING_KEY_BACKED_UP.clear()
    for key in keys.keys:
        telemetry.SEALING_KEY_BACKED_UP.labels(key.kid).set(key.kid in saved)


def _noted(obj: Mapping[str, Any]) -> frozenset[str]:
    text = (obj["metadata"].get("annotations") or {}).get(BACKED_UP, "")
    return frozenset(filter(is_kid, text.split(",")))


def _kept(obj: Mapping[str, Any]) -> Kept:
    return Kept(obj["metadata"]["uid"], obj["metadata"]["resourceVersion"], _entries(obj))


def _entries(obj: Mapping[str, Any]) -> dict[str, bytes]:
    return {name: raw for name, raw in decode_data(obj).items() if is_kid(name)}


def _new(namespace: str, entries: Mapping[str, bytes]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET_NAME, "namespace": namespace, "labels": _LABELS},
        "type": names.TYPE_OPAQUE,
        "data": encode_data(entries),
    }
