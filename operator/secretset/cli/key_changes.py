"""What `secretset keys rotate` and `retire` do on the hub. Imported when they run, not for their help."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from secretset.cli.hub import NO_HUB, CommandError
from secretset.controller import installation, kek, key_store
from secretset.controller.installation import Installation
from secretset.domain.observed import decode_data
from secretset.domain.sealing_keys import (
    CONFIG_MAP_NAME,
    KNOWN_SECONDS,
    SECRET_NAME,
    Entry,
    PublicKeys,
    newest_kid,
    parsed,
)
from secretset.kube import errors, paths
from secretset.kube.client import Client

RETIRE_SECONDS = KNOWN_SECONDS + 60
"""How long `retire` waits once another key is published: for so long a webhook may seal by what it read before, and the
API server may take to store that."""
TAKEN_SECONDS = 90.0
"""How long `rotate` waits until the operator, which looks once a minute, publishes a key that it may not be able to
unwrap."""
_LOOK_SECONDS = 1.0

_ELSEWHERE = (
    "keys are published, but there is no Secret '{}' in namespace '{}': if it was lost, `secretset keys restore` "
    "brings it back; if the operator has its keys from a folder (--sealing-keys-dir), they are looked after there"
)


class Rotated(NamedTuple):
    """What came of a rotation.

    Attributes:
        kid: of the new key.
        kek: the id of the key-encryption key that it is wrapped with; None if it is not wrapped.
        unusable: ids of the keys that cannot be used.
    """

    kid: str
    kek: str | None
    unusable: tuple[str, ...]


async def rotated(
    hub: Client, namespace: str, kek_files: Sequence[Path], *, although_unusable: bool = False
) -> Rotated:
    """Make a new key and publish it.

    Args:
        hub: where it will be.
        namespace: the operator's own.
        kek_files: key-encryption keys, the first of which wraps it.
        although_unusable: make it also beside keys that cannot be used, which are given up.

    Raises:
        CommandError: there is nothing to add it to, it could not be wrapped as the others are, the operator does not
            take it, or one of those is no use: what is published would lack it.
        KubeError: the hub refused or did not answer.
    """
    keks = kek.load(kek_files)
    here = await read_installation(hub, namespace)
    entries = await key_store.read(hub, namespace)
    public = await key_store.published(hub, namespace)
    if entries is None and public is not None:
        raise CommandError(_ELSEWHERE.format(SECRET_NAME, namespace))
    held = await key_store.unlocked(entries or {}, keks)
    if not although_unusable:
        _check_taken(entries or {}, public, _in_secret(namespace))
        check_wrapping(entries or {}, keks)
        for kid, why in held.unusable.items():
            raise CommandError(
                f"the key {kid} cannot be used: {why}. `secretset keys restore` mends it from a backup; "
                "--although-unusable gives it up"
            )
    if not (although_unusable and _current(public) in (entries or {})):
        check_published(entries or {}, public, _in_secret(namespace))
    key, entry = await key_store.new_key(entries or {}, keks)
    await key_store.add(hub, namespace, {key.kid: entry})
    wrapped_with = Entry.parse(entry).kek
    known = {None, *(each.kek for each in parsed(entries or {}).values())}
    if entries and not held.unusable and wrapped_with not in known:
        await _until_taken(hub, namespace, key.kid)
    else:
        await published_too(hub, namespace, here, held._replace(keys={**held.keys, key.kid: key}))
    return Rotated(key.kid, wrapped_with, tuple(sorted(held.unusable)))


async def _until_taken(hub: Client, namespace: str, kid: str) -> None:
    """Wait until the operator itself publishes a key: whether it was given what unwraps this one, it alone knows.

    Raises:
        CommandError: it does not; the key is taken out again.
        KubeError: the hub refused or did not answer.
    """
    taken = False
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TAKEN_SECONDS):
                while _current(await key_store.published(hub, namespace)) != kid:  # noqa: ASYNC110  (it is the hub's)
                    await asyncio.sleep(_LOOK_SECONDS)
                taken = True
    finally:  # also when somebody does not want to wait
        if not taken:
            await key_store.remove(hub, namespace, kid)
    if not taken:
        raise CommandError(
            "the operator did not take a key that is wrapped with this key-encryption key, and it was taken out again: "
            "give it the key-encryption key first (--sealing-kek-file), and see that it runs"
        )


async def check_retirable(hub: Client, namespace: str, kid: str, in_use: str) -> None:
    """See to it that a key may go.

    Raises:
        CommandError: it may not; ``in_use`` tells which values need it.
        KubeError: the hub refused or did not answer.
    """
    entries = await key_store.read(hub, namespace)
    if entries is None or kid not in entries:
        raise CommandError(f"there is no key {kid} in {_in_secret(namespace)}")
    public = await key_store.published(hub, namespace)
    current, newest = _current(public), newest_kid(entries)
    if kid == current or (kid == newest and current is None):
        raise CommandError(f"{kid} is the key that is sealed with: make a new one first (`secretset keys rotate`)")
    known = {key.kid for key in public.keys} if public is not None else set()
    if kid != newest or kid in known or current not in entries:  # else it is one that the operator leaves aside
        check_published(entries, public, _in_secret(namespace))
    if in_use:
        raise CommandError(
            f"{kid} cannot be retired: {in_use}. Move them to the newest key with `secretset reseal --all`; "
            "--although-used gives them up"
        )


async def retired(
    hub: Client, namespace: str, kid: str, in_use: Callable[[], Awaitable[str]], *, seconds: float
) -> None:
    """Take a key away, if it may go now and still may when nobody seals with it any more: first from the public.

    That another key is the newest proves nothing about when it was published, and clocks may differ. So it is waited.

    Args:
        hub: where it is.
        namespace: the operator's own.
        kid: the key's id.
        in_use: tells which values need it, as of now; empty if none does.
        seconds: to wait; `RETIRE_SECONDS`.

    Raises:
        CommandError: it may not, or somebody else was faster.
        KubeError: the hub refused or did not answer.
    """
    await check_retirable(hub, namespace, kid, await in_use())
    await asyncio.sleep(seconds)
    await check_retirable(hub, namespace, kid, await in_use())
    await key_store.unpublish(hub, namespace, kid)
    if not await key_store.remove(hub, namespace, kid):
        raise CommandError(f"{kid} was taken away by somebody else")


async def read_installation(hub: Client, namespace: str) -> Installation:
    """The installation.

    Raises:
        CommandError: there is none.
        KubeError: the hub refused or did not answer.
    """
    try:
        return installation.parse(decode_data(await hub.get(paths.secrets(namespace, installation.SECRET_NAME))))
    except errors.NotFound:
        raise CommandError(
            f"there is no installation in namespace '{namespace}' (Secret '{installation.SECRET_NAME}'): the operator "
            "makes one when it starts; --namespace names another place",
            NO_HUB,
        ) from None


async def read_entries(hub: Client, namespace: str, folder: Path | None) -> tuple[Mapping[str, bytes], str]:
    """The private keys' entries, and where they are, in words: in the folder, if there is one, else in the Secret.

    Raises:
        CommandError: there are none, or the folder cannot be read.
        KubeError: the hub refused or did not answer.
    """
    if folder is not None:
        return entries_in(folder)
    place = _in_secret(namespace)
    entries = await key_store.read(hub, namespace)
    if not entries:
        raise CommandError(f"there are no sealing keys in the {place}")
    return entries, place


def entries_in(folder: Path) -> tuple[Mapping[str, bytes], str]:
    """The private keys' entries in a folder, and where they are, in words.

    Raises:
        CommandError: there are none, or the folder cannot be read.
    """
    place = f"folder '{folder}'"
    try:
        entries = key_store.read_folder(folder)
    except OSError:
        raise CommandError(f"the {place} cannot be read (--sealing-keys-dir)", NO_HUB) from None
    if not entries:
        raise CommandError(f"there are no sealing keys in the {place}")
    return entries, place


def check_published(entries: Mapping[str, bytes], public: PublicKeys | None, place: str) -> None:
    """See to it that entries are those that the operator works with. What it publishes is not trusted beyond that.

    Args:
        entries: of the Secret or a folder.
        public: what is published.
        place: where the entries are, in words.

    Raises:
        CommandError: they are not, as far as can be seen: another key than their newest is published as the newest. Or
            that one's entry is damaged.
    """
    current, newest = _current(public), newest_kid(entries)
    if current in entries.keys() - parsed(entries).keys():
        raise CommandError(
            f"the entry of the key {current}, which is sealed with, is damaged in the {place}: "
            "`secretset keys restore` mends it from a backup"
        )
    _check_taken(entries, public, place)
    if current is not None and current != newest:
        raise CommandError(
            f"the newest key in the {place} is {newest or 'none'}, the operator has {current} sealed with: it has its "
            "keys from elsewhere (--sealing-keys-dir), where they are to be looked after; or one of them is new, then "
            "try again in a minute"
        )


def _check_taken(entries: Mapping[str, bytes], public: PublicKeys | None, place: str) -> None:
    """See to it that the newest key is not one that the operator leaves aside, as one that it cannot unwrap.

    Raises:
        CommandError: it is: another of these keys is published, and none but the newest is wrapped in that way.
    """
    current, newest = _current(public), newest_kid(entries)
    if newest is None or current == newest or current not in entries:
        return
    keks = {kid: entry.kek for kid, entry in parsed(entries).items()}
    wrapped_with = keks.pop(newest)
    if wrapped_with not in {None, *keks.values()}:
        raise CommandError(
            f"the newest key in the {place}, {newest}, is wrapped with a key-encryption key that the operator was not "
            f"given, and it goes on with {current}: give it that one (--sealing-kek-file), or take the key away with "
            f"`secretset keys retire {newest}`. If the key is new, try again in a minute"
        )


def check_wrapping(entries: Mapping[str, bytes], keks: Sequence[kek.KeyEncryption]) -> None:
    """See to it that a new key is wrapped where the others are, and with one of their key-encryption keys.

    Raises:
        CommandError: it would not be.
    """
    if not kek.fits(entries, keks):
        raise CommandError(
            "the sealing keys here are wrapped with a key-encryption key: name its file (--sealing-kek-file). If it "
            "was lost, name a new one and give up what it alone unwraps (--although-unusable)",
            NO_HUB,
        )


async def published_too(hub: Client, namespace: str, here: Installation, held: key_store.Held) -> None:
    """Publish keys at once; the operator would within a minute.

    Where one cannot be used here nothing is published: the operator may be able to, and would miss it there. Nor where
    it has another key sealed with than one of these: it has its keys from elsewhere.
    """
    if not held.keys or held.unusable:
        return
    public = await key_store.published(hub, namespace)
    elsewhere = public is not None and public.installation == here.id and _current(public) not in {None, *held.keys}
    if not elsewhere:
        with contextlib.suppress(errors.Conflict, errors.AlreadyExists):  # it is doing so
            await key_store.publish(hub, namespace, PublicKeys.of(here.id, held.keys.values()))


async def note_backup(hub: Client, namespace: str, kids: Collection[str]) -> str:
    """Note of which keys there is a backup; returns why that was not possible, in words, or nothing."""
    try:
        await key_store.note_backup(hub, namespace, kids)
    except errors.KubeError:
        return (
            f"It could not be noted in the ConfigMap '{CONFIG_MAP_NAME}' that there is a backup: `secretset keys list` "
            "goes on asking for one."
        )
    return ""


def _in_secret(namespace: str) -> str:
    return f"Secret '{SECRET_NAME}' of namespace '{namespace}'"


def _current(public: PublicKeys | None) -> str | None:
    """The id of the newest key that is published."""
    return public.newest.kid if public is not None and public.newest is not None else None
