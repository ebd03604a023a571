"""`secretset keys backup` and `restore`: what a rebuilt hub needs to be the same installation, in one file."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secretset.cli.options import (
    Context,
    Kubeconfig,
    OperatorNamespaceOption,
    Output,
    OutputFormat,
    SealingKekFiles,
    SealingKeysDir,
)

if TYPE_CHECKING:
    from secretset.cli.restore import Restored
    from secretset.domain.backup import Backup
    from secretset.kube.client import Client

PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        envvar="SECRETSET_PASSPHRASE_FILE",
        help="File whose first line is the passphrase. Absent: it is asked for.",
    ),
]


def backup(
    output: Annotated[Path, typer.Option("--output", help="File to write; only its owner may read it.")],
    passphrase_file: PassphraseFile = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    operator_namespace: OperatorNamespaceOption = "secretset-system",
    sealing_keys_dir: SealingKeysDir = None,
    sealing_kek_file: SealingKekFiles = None,
    form: Annotated[
        OutputFormat,
        typer.Option(
            "--format", "-o", help="How it is told what was done: table for people, json and yaml for machines."
        ),
    ] = OutputFormat.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Write the installation's id, its fingerprint keys and all sealing keys into an encrypted file.

    With this file and its passphrase every sealed value of the installation can be opened, wherever it turns up. Keep
    the two apart, and both off the hub. Make a new backup after each rotation: a key that is in none is lost with the
    hub. Sealing keys that are wrapped with a key-encryption key are unwrapped first: the backup does not depend on it.

    Where the operator has its keys from a folder, --sealing-keys-dir names a copy of that.

    Needs the right to read the Secrets `secretset-installation` and `secretset-sealing-keys`. With the right to update
    the ConfigMap `secretset-public-keys` it is noted there which keys are in a backup.

    Exit code 0: all is in the file; 1: nothing was written, or a key that cannot be used is not in the file; 2: the hub
    could not be asked, or the file not written.

    Example: secretset keys backup --output hub.backup
    """
    from secretset.cli.hub import NO_HUB, fail, on_hub
    from secretset.cli.set_views import counted, show_object

    if output.exists() and not force:
        fail("keys backup", f"'{output}' is there already: choose another name, or say --force", NO_HUB)

    async def gather(hub: Client) -> tuple[Backup, dict[str, str]]:
        from secretset.cli.backup import gathered

        return await gathered(hub, operator_namespace, folder=sealing_keys_dir, kek_files=sealing_kek_file or [])

    async def note(hub: Client) -> str:
        from secretset.cli.key_changes import note_backup

        return await note_backup(hub, operator_namespace, made.keys)

    made, missing = on_hub("keys backup", kubeconfig, context, gather)
    passphrase = _passphrase("keys backup", passphrase_file, new=True)
    try:
        _write(output, made.seal(passphrase), force=force)
    except OSError as error:
        fail("keys backup", f"'{output}' cannot be written: {error.strerror}", NO_HUB)
    if form is not OutputFormat.TABLE:
        show_object(form, {"file": str(output), "keys": sorted(made.keys), "unusable": missing})
    else:
        typer.echo(f"{counted(len(made.keys), 'sealing key')} and the installation are in {output}.")
    if trouble := on_hub("keys backup", kubeconfig, context, note):
        typer.echo(trouble, err=True)
    if missing:
        named = "; ".join(f"{kid}: {why}" for kid, why in missing.items())
        fail("keys backup", f"keys that cannot be used are not in the file: {named}")


def restore(
    file: Annotated[Path, typer.Argument(help="What `secretset keys backup` wrote.")],
    passphrase_file: PassphraseFile = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Make the hub this installation although it is another one: Secrets in the regions that it delivered "
            "under its present id look foreign then.",
        ),
    ] = False,
    installation_only: Annotated[
        bool,
        typer.Option(
            "--installation-only",
            help="Bring back the installation and its fingerprint keys, and no sealing key: for an operator that has "
            "them from a folder (--sealing-keys-dir).",
        ),
    ] = False,
    although_unusable: Annotated[
        bool,
        typer.Option(
            "--although-unusable",
            help="Bring back what the backup has although other keys on the hub cannot be used: the key-encryption key "
            "that wraps them was lost. They are named, and left as they are.",
        ),
    ] = False,
    operator_namespace: OperatorNamespaceOption = "secretset-system",
    sealing_kek_file: SealingKekFiles = None,
    output: Output = OutputFormat.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Bring a backup into a hub: a rebuilt one before the operator starts, or the same one that has lost keys.

    Keys that are there and can be used stay as they are; the others are replaced, and those that are missing are added.
    A hub that is another installation is left alone, unless --replace says otherwise: an operator that has started on a
    fresh hub made one of its own, which nobody misses as long as it delivered nothing. Stop that operator first.

    Exit code 0: all is there; 1: wrong passphrase, another installation, an operator that runs although --replace is
    said, a namespace that holds sets, or a key that cannot be used still; 2: the hub could not be asked.

    Example: secretset keys restore hub.backup
    """
    from secretset.cli.hub import FAILED, NO_HUB, fail, on_hub
    from secretset.cli.set_views import show_object
    from secretset.domain.backup import Backup, Unreadable

    try:
        raw = file.read_bytes()
    except OSError as error:
        fail("keys restore", f"'{file}' cannot be read: {error.strerror}", NO_HUB)
    try:
        found = Backup.open(raw, _passphrase("keys restore", passphrase_file, new=False))
    except Unreadable as error:
        fail("keys restore", f"'{file}' cannot be opened: {error}")

    async def work(hub: Client) -> Restored:
        from secretset.cli.restore import restored

        return await restored(
            hub,
            operator_namespace,
            found,
            kek_files=sealing_kek_file or [],
            replace=replace,
            installation_only=installation_only,
            although_unusable=although_unusable,
        )

    done = on_hub("keys restore", kubeconfig, context, work)
    if output is not OutputFormat.TABLE:
        show_object(output, done.to_json())
    for line in done.sentences() if output is OutputFormat.TABLE else ():
        typer.echo(line)
    for line in done.troubles():
        typer.echo(f"secretset keys restore: {line}", err=True)
    if done.unusable and not although_unusable:
        raise typer.Exit(FAILED)


def _passphrase(command: str, file: Path | None, *, new: bool) -> str:
    """The passphrase from a file or a prompt; a new one is asked for twice and must be long enough."""
    from secretset.cli.hub import NO_HUB, CommandError, fail
    from secretset.cli.prompts import hidden
    from secretset.domain.backup import PASSPHRASE_MIN

    if file is None:
        try:
            text = hidden("Passphrase of the backup", twice=new, instead="--passphrase-file")
        except CommandError as error:
            fail(command, str(error), error.code)
    else:
        try:
            text = file.read_bytes().split(b"\n", 1)[0].rstrip(b"\r").decode(errors="surrogateescape")
        except OSError as error:
            fail(command, f"'{file}' cannot be read: {error.strerror}", NO_HUB)
    if new and len(text) < PASSPHRASE_MIN:
        fail(command, f"a passphrase has at least {PASSPHRASE_MIN} characters", NO_HUB)
    return text


def _write(path: Path, raw: bytes, *, force: bool) -> None:
    """Write a file that only its owner may read; it is there as a whole or not at all.

    Raises:
        OSError: it cannot be written, or is there already.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        if force:
            part.replace(path)
        else:
            os.link(part, path)
    finally:
        part.unlink(missing_ok=True)
