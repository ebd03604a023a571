"""What `secretset keys backup` reads on the hub. Imported when it runs, not for its help."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from secretset.cli.hub import CommandError
from secretset.cli.key_changes import check_published, read_entries, read_installation
from secretset.controller import installation, kek, key_store
from secretset.domain.backup import Backup
from secretset.domain.observed import decode_data
from secretset.domain.sealing_keys import Entry
from secretset.kube import paths
from secretset.kube.client import Client


async def gathered(
    hub: Client, namespace: str, *, folder: Path | None, kek_files: Sequence[Path]
) -> tuple[Backup, dict[str, str]]:
    """Read what a backup has to have.

    Args:
        hub: where it is.
        namespace: the operator's own.
        folder: where the sealing keys are instead of the Secret.
        kek_files: what they may be wrapped with.

    Returns:
        The backup, and why keys that cannot be used are not in it, by id.

    Raises:
        CommandError: there is no installation; no key can be used; or these are not the keys that the operator has.
        KubeError: the hub refused or did not answer.
    """
    keks = kek.load(kek_files)
    await read_installation(hub, namespace)
    content = decode_data(await hub.get(paths.secrets(namespace, installation.SECRET_NAME)))
    entries, place = await read_entries(hub, namespace, folder)
    held = await key_store.unlocked(entries, keks)
    public = await key_store.published(hub, namespace)
    # A key that cannot be used is not the newest here, and it is told of all the same.
    if public is None or public.newest is None or public.newest.kid not in held.unusable:
        check_published(entries, public, place)
    if not held.keys:
        kid, why = next(iter(held.unusable.items()))
        raise CommandError(f"the key {kid} cannot be backed up: {why}")
    keys = {
        kid: Entry(created=key.created, secret=await kek.seed_of(Entry.parse(entries[kid]), keks))
        for kid, key in held.keys.items()
    }
    return Backup(installation=content, keys=keys), dict(held.unusable)
