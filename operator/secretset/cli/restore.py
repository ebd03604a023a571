"""What `secretset keys restore` does on the hub. Imported when it runs, not for its help."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from secretset.cli.hub import CommandError
from secretset.cli.key_changes import check_wrapping, published_too
from secretset.controller import installation, kek, key_store
from secretset.domain import names
from secretset.domain.backup import Backup
from secretset.domain.observed import decode_data, encode_data
from secretset.domain.sealing_keys import newest_kid
from secretset.kube import errors, leases, paths
from secretset.kube.client import Client

LIVING_SECONDS = 10.0
"""For how long Leases are looked at: a living replica renews its own every two seconds (`controller.membership`)."""


async def restored(hub: Client, namespace: str, backup: Backup, *, kek_files: Sequence[Path], replace: bool) -> str:
    """Bring a backup into a hub; returns what was done, in words.

    Raises:
        CommandError: the hub is another installation, or one of its keys is of no use still.
        KubeError: the hub refused or did not answer.
    """
    keks = kek.load(kek_files)
    wanted = installation.parse(backup.installation)
    there = await key_store.read(hub, namespace) or {}
    # Those that the backup has may be wrapped with a key that is lost: they are wrapped anew.
    check_wrapping({kid: raw for kid, raw in there.items() if not keks or kid not in backup.keys}, keks)
    before = await _installed(hub, namespace, backup.installation, wanted.id, replace=replace)
    entries = {kid: (await kek.wrapped(entry, keks)).render() for kid, entry in backup.keys.items()}
    there = await key_store.read(hub, namespace) or {}
    broken = {kid: there[kid] for kid in (await key_store.unlocked(there, keks)).unusable}
    after = await key_store.add(hub, namespace, entries, broken=broken)
    held = await key_store.unlocked(after, keks)
    await published_too(hub, namespace, wanted, held)
    told = (
        f"The hub is installation {wanted.id}, with {len(after)} sealing keys, {len(after.keys() - there.keys())} of "
        "which were missing"
    )
    mended = broken.keys() & entries.keys()
    told += f", and {len(mended)} could not be used and were replaced." if mended else "."
    current = newest_kid(after)
    if current is not None and current not in backup.keys:
        told += f" The key to seal with now, {current}, is not in this backup: make a new one."
    if before is not None and before != wanted.id:
        told += " It was another one: start the operator now."
    for kid, why in held.unusable.items():
        raise CommandError(f"{told} But the key {kid} cannot be used still, and is not in this backup: {why}")
    return told


async def _installed(
    hub: Client, namespace: str, content: Mapping[str, bytes], wanted: str, *, replace: bool
) -> str | None:
    """Make the hub this installation; returns the id that it had, if it had one."""
    path = paths.secrets(namespace, installation.SECRET_NAME)
    try:
        obj: dict[str, Any] = await hub.get(path)
    except errors.NotFound:
        try:
            await hub.create(paths.secrets(namespace), installation.manifest(namespace, content))
        except errors.NotFound:
            raise CommandError(f"there is no namespace '{namespace}' on the hub: create it first") from None
        except errors.AlreadyExists:
            raise CommandError(
                "the operator made an installation of its own just now: stop it, and try again"
            ) from None
        return None
    here = decode_data(obj)
    found: str | None = None
    with contextlib.suppress(errors.ConfigError):  # damaged: to be replaced
        found = installation.parse(here).id
    if found == wanted:
        missing = {name: value for name, value in content.items() if name not in here}
        if missing:
            await hub.replace(path, {**obj, "data": {**obj["data"], **encode_data(missing)}})
        return found
    if not replace:
        what = f"installation {found}" if found else "a damaged installation"
        raise CommandError(
            f"the hub is {what}, the backup is of {wanted}. The hub becomes the latter with --replace: Secrets that "
            "it delivered under its present id look foreign then, are left alone and have to be removed by hand, and "
            "values that were sealed for it do not open any more"
        )
    await _check_stopped(hub, namespace)
    await hub.replace(path, {**obj, "data": encode_data(content)})
    return found or ""


async def _check_stopped(hub: Client, namespace: str) -> None:
    """See to it that no replica lives: it would go on as the former installation, and publish that one's keys.

    Clocks need not agree: a Lease that changes while it is looked at is a living replica's.
    """
    before = await _versions(hub, namespace)
    if not before:
        return
    await asyncio.sleep(LIVING_SECONDS)
    living = [name for name, version in (await _versions(hub, namespace)).items() if before.get(name) != version]
    if living:
        raise CommandError(
            f"the operator runs ({', '.join(sorted(living))}), and would go on as the present installation: stop it, "
            "and agents too (kubectl scale --replicas 0), and try again"
        )


async def _versions(hub: Client, namespace: str) -> dict[str, str]:
    """The Leases of replicas that somebody holds, and their versions."""
    found = await leases.listed(hub, namespace, f"{names.LABEL_REPLICA}=true")
    return {lease.name: lease.resource_version for lease in found if lease.holder}
