"""Where sealing keys are: read, added, taken out and published. Used by the operator, and by `secretset keys`.

Every write names the version that it is for, and none changes an entry that can be used: two that write at once lose no
key.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from secretset.controller import kek
from secretset.controller.kek import KeyEncryption
from secretset.domain import names, sealing
from secretset.domain.observed import decode_data, encode_data
from secretset.domain.sealing_keys import (
    CONFIG_MAP_NAME,
    DOCUMENT,
    SECRET_NAME,
    Entry,
    PublicKeys,
    SealingKey,
    Unusable,
    created_after,
    is_kid,
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
        entries: by id.
    """

    uid: str
    entries: Mapping[str, bytes]


async def kept(client: Client, namespace: str) -> Kept | None:
    """The Secret, from a quorum; None if there is none.

    Raises:
        KubeError: the hub refused or did not answer.
    """
    try:
        obj = await client.get(paths.secrets(namespace, SECRET_NAME))
    except errors.NotFound:
        return None
    return Kept(obj["metadata"]["uid"], _entries(obj))


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


async def new_key(held: Mapping[str, SealingKey], keks: Sequence[KeyEncryption]) -> tuple[SealingKey, bytes]:
    """Make a key, newer than all that are held; returns it and its entry."""
    created = created_after((key.created for key in held.values()), datetime.now(UTC))
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
) -> dict[str, bytes]:
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
        except errors.NotFound:
            obj = None
        there = {} if obj is None else _entries(obj)
        missing = {
            kid: raw
            for kid, raw in entries.items()
            if kid not in there or (broken is not None and there[kid] == broken.get(kid))
        }
        if (unless_changed is not None and there.keys() != unless_changed.keys()) or not missing:
            return there
        try:
            if obj is None:
                return _entries(await client.create(paths.secrets(namespace), _new(namespace, missing)))
            return _entries(
                await client.replace(path, {**obj, "data": {**(obj.get("data") or {}), **encode_data(missing)}})
            )
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
        except errors.NotFound:
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
    except (errors.NotFound, Unusable):
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
    except errors.NotFound:
        metadata = {"name": CONFIG_MAP_NAME, "namespace": namespace, "labels": _LABELS}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        await client.create(paths.core("configmaps", namespace), body)
        return True
    if obj.get("data") == data and not obj.get("binaryData"):
        return False
    await client.replace(path, {**{k: v for k, v in obj.items() if k != "binaryData"}, "data": data})
    return True


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
