"""What `secretset keys restore` does on the hub. Imported when it runs, not for its help."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from secretset.cli.hub import CommandError
from secretset.cli.key_changes import check_wrapping, note_backup, published_too
from secretset.cli.set_views import counted
from secretset.controller import installation, kek, key_store
from secretset.domain import names
from secretset.domain.backup import Backup
from secretset.domain.observed import decode_data, encode_data
from secretset.domain.sealing_keys import newest_kid
from secretset.kube import errors, leases, pages, paths
from secretset.kube.client import Client

LIVING_SECONDS = 10.0
"""For how long Leases are looked at: a living replica renews its own every two seconds (`controller.membership`)."""


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What came of it.

    Attributes:
        installation: the id that the hub has now.
        formerly: the one that it had; None if none, empty if a damaged one.
        keys: ids of the sealing keys that are kept now; None: none was to be brought back.
        added: of those, which were missing.
        replaced: of those, which could not be used.
        unsaved: the id of the key to seal with, if it is not in the backup.
        unusable: why keys cannot be used still, by id.
        trouble: what else to know, in words.
    """

    installation: str
    formerly: str | None
    keys: Sequence[str] | None = None
    added: Sequence[str] = ()
    replaced: Sequence[str] = ()
    unsaved: str | None = None
    unusable: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""

    def sentences(self) -> list[str]:
        """What was done, in words."""
        if self.keys is None:
            what = ". No sealing key was brought back."
        else:
            done = f"{len(self.added)} added, {len(self.replaced)} replaced that could not be used"
            what = f", with {counted(len(self.keys), 'sealing key')}: {done}."
        told = [f"The hub is installation {self.installation}{what}"]
        if self.formerly is not None and self.formerly != self.installation:
            told.append("The hub was another installation before; start the operator now.")
        return told

    def troubles(self) -> list[str]:
        """What is left to be done, in words."""
        told = [self.trouble] if self.trouble else []
        if self.unsaved is not None:
            told.append(
                f"the key to seal with, {self.unsaved}, is not in this backup: make a new one (`secretset keys backup`)"
            )
        if self.unusable:
            left = "; ".join(f"{kid}: {why}" for kid, why in self.unusable.items())
            told.append(
                f"keys cannot be used still, and are not in this backup: {left}. Make a new key beside them: secretset "
                "keys rotate --although-unusable"
            )
        return told

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values for machines."""
        return {
            "installation": self.installation,
            "formerInstallation": self.formerly or None,
            "keys": list(self.keys or ()),
            "added": list(self.added),
            "replaced": list(self.replaced),
            "notInBackup": self.unsaved,
            "unusable": dict(self.unusable),
        }


async def restored(
    hub: Client,
    namespace: str,
    backup: Backup,
    *,
    kek_files: Sequence[Path],
    replace: bool,
    installation_only: bool = False,
    although_unusable: bool = False,
) -> Restored:
    """Bring a backup into a hub.

    Args:
        hub: to bring it into.
        namespace: the operator's own.
        backup: what to bring.
        kek_files: key-encryption keys, the first of which wraps what is added.
        replace: whether the hub may be another installation.
        installation_only: bring no sealing keys.
        although_unusable: other keys may stay behind that cannot be used; else nothing is done where a key-encryption
            key is missing.

    Raises:
        CommandError: the hub is another installation; the namespace holds sets; or a key-encryption key is missing.
        KubeError: the hub refused or did not answer.
    """
    await _check_place(hub, namespace)
    keks = kek.load(kek_files)
    wanted = installation.parse(backup.installation)
    if installation_only:
        before = await _installed(hub, namespace, backup.installation, wanted.id, replace=replace)
        return Restored(installation=wanted.id, formerly=before)
    there = await key_store.read(hub, namespace) or {}
    if not although_unusable:
        # Those that the backup has may be wrapped with a key that is lost: they are wrapped anew.
        check_wrapping({kid: raw for kid, raw in there.items() if not keks or kid not in backup.keys}, keks)
    before = await _installed(hub, namespace, backup.installation, wanted.id, replace=replace)
    entries = {kid: (await kek.wrapped(entry, keks)).render() for kid, entry in backup.keys.items()}
    there = await key_store.read(hub, namespace) or {}
    broken = {kid: there[kid] for kid in (await key_store.unlocked(there, keks)).unusable}
    after = (await key_store.add(hub, namespace, entries, broken=broken)).entries
    held = await key_store.unlocked(after, keks)
    await published_too(hub, namespace, wanted, held)
    trouble = await note_backup(hub, namespace, backup.keys)
    current = newest_kid(after)
    return Restored(
        installation=wanted.id,
        formerly=before,
        keys=sorted(after),
        added=sorted(after.keys() - there.keys()),
        replaced=sorted(broken.keys() & entries.keys()),
        unsaved=None if current in backup.keys else current,
        unusable=held.unusable,
        trouble=trouble,
    )


async def _check_place(hub: Client, namespace: str) -> None:
    """See to it that this is no organization's namespace, whose people would have the keys.

    Raises:
        CommandError: it holds sets.
        KubeError: the hub refused or did not answer.
    """
    for kind in names.Kind:
        # There are no CRDs on a hub that is rebuilt.
        with contextlib.suppress(errors.NotFound, errors.Forbidden):
            async for _ in pages.items(hub, paths.custom_list(kind, namespace)):
                raise CommandError(
                    f"the namespace '{namespace}' holds sets, so it is an organization's: private keys do not belong "
                    "there. --operator-namespace names the operator's own"
                )


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
