"""What `secretset keys rotate` and `retire` do on the hub. Imported when they run, not for their help."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from secretset.cli.hub import NO_HUB, CommandError
from secretset.controller import installation, kek, key_store
from secretset.controller.installation import Installation
from secretset.domain.observed import decode_data
from secretset.domain.sealing_keys import KNOWN_SECONDS, SECRET_NAME, PublicKeys, newest_kid
from secretset.kube import errors, paths
from secretset.kube.client import Client

RETIRE_SECONDS = KNOWN_SECONDS + 60
"""How long `retire` waits once another key is published: for so long a webhook may seal by what it read before, and the
API server may take to store that."""

_ELSEWHERE = (
    "keys are published, but there is no Secret '{}' in namespace '{}': if it was lost, `secretset keys restore` "
    "brings it back; if the operator has its keys from a folder (--sealing-keys-dir), they are looked after there"
)


async def rotated(hub: Client, namespace: str, kek_files: Sequence[Path]) -> str:
    """Make a new key and publish it; returns its id.

    Raises:
        CommandError: there is nothing to add it to, it could not be wrapped as the others are, or one of those is no
            use: what is published would lack it.
        KubeError: the hub refused or did not answer.
    """
    keks = kek.load(kek_files)
    here = await read_installation(hub, namespace)
    entries = await key_store.read(hub, namespace)
    public = await key_store.published(hub, namespace)
    if entries is None and public is not None:
        raise CommandError(_ELSEWHERE.format(SECRET_NAME, namespace))
    check_published(entries or {}, public, f"Secret '{SECRET_NAME}' of namespace '{namespace}'")
    check_wrapping(entries or {}, keks)
    held = await key_store.unlocked(entries or {}, keks)
    for kid, why in held.unusable.items():
        raise CommandError(f"the key {kid} cannot be used: {why}. `secretset keys restore` mends it from a backup")
    key, entry = await key_store.new_key(held.keys, keks)
    await key_store.add(hub, namespace, {key.kid: entry})
    await published_too(hub, namespace, here, held._replace(keys={**held.keys, key.kid: key}))
    return key.kid


async def check_retirable(hub: Client, namespace: str, kid: str, in_use: str) -> None:
    """See to it that a key may go.

    Raises:
        CommandError: it may not; ``in_use`` tells which values need it.
        KubeError: the hub refused or did not answer.
    """
    entries = await key_store.read(hub, namespace)
    if entries is None or kid not in entries:
        raise CommandError(f"there is no key {kid} in Secret '{SECRET_NAME}' of namespace '{namespace}'")
    public = await key_store.published(hub, namespace)
    if kid in {_current(public), newest_kid(entries)}:
        raise CommandError(f"{kid} is the key that is sealed with: make a new one first (`secretset keys rotate`)")
    check_published(entries, public, f"Secret '{SECRET_NAME}' of namespace '{namespace}'")
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
    published = await key_store.published(hub, namespace)
    if published is not None:
        await key_store.publish(hub, namespace, published.without(kid))
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


def check_published(entries: Mapping[str, bytes], public: PublicKeys | None, place: str) -> None:
    """See to it that entries are those that the operator works with. What it publishes is not trusted beyond that.

    Args:
        entries: of the Secret or a folder.
        public: what is published.
        place: where the entries are, in words.

    Raises:
        CommandError: they are not, as far as can be seen: another key than their newest is published as the newest.
    """
    current, newest = _current(public), newest_kid(entries)
    if current is not None and current != newest:
        raise CommandError(
            f"the newest key in the {place} is {newest or 'none'}, the operator has {current} sealed with: it has its "
            "keys from elsewhere (--sealing-keys-dir), where they are to be looked after; or one of them is new, then "
            "try again in a minute"
        )


def check_wrapping(entries: Mapping[str, bytes], keks: Sequence[kek.KeyEncryption]) -> None:
    """See to it that a new key is wrapped where the others are, and with one of their key-encryption keys.

    Raises:
        CommandError: it would not be.
    """
    if not kek.fits(entries, keks):
        raise CommandError(
            "the sealing keys here are wrapped with a key-encryption key: name its file (--sealing-kek-file)", NO_HUB
        )


async def published_too(hub: Client, namespace: str, here: Installation, held: key_store.Held) -> None:
    """Publish keys at once; the operator would within a minute.

    Where one cannot be used here nothing is published: the operator may be able to, and would miss it there.
    """
    if held.keys and not held.unusable:
        with contextlib.suppress(errors.Conflict):  # it is doing so
            await key_store.publish(hub, namespace, PublicKeys.of(here.id, held.keys.values()))


def _current(public: PublicKeys | None) -> str | None:
    return public.current.kid if public is not None and public.current is not None else None
