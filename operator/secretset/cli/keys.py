"""`secretset keys`: look after the keys that values are sealed for."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secretset.cli.keys_backup import backup, restore
from secretset.cli.options import Context, Kubeconfig, OperatorNamespaceOption, Output, OutputFormat, SealingKekFiles

if TYPE_CHECKING:
    from secretset.cli.sealed_sets import SealedSet
    from secretset.kube.client import Client

_NAMED = 10  # values that a refusal names

keys = typer.Typer(
    name="keys",
    help="Look after the keys that values are sealed for: list, rotate, retire, backup, restore.",
    no_args_is_help=True,
)


@keys.command("list")
def list_keys(
    operator_namespace: OperatorNamespaceOption = "secretset-system",
    output: Output = OutputFormat.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Show the sealing keys, how many values need which, and whether they are in a backup.

    STATE is `current` for the key that is sealed with, `opens` for older ones, and `missing` for a key that values name
    but the operator does not have: they cannot be opened until it is restored, or they are sealed anew. `not-held` is
    said of the newest key while the operator does not have its private half: nobody seals until it is restored, and of
    older ones it is `unknown` whether they open.

    BACKUP is `yes` once `secretset keys backup` has saved the key, or `restore` has brought it back.

    Needs the right to read all sets; no private key is read.

    Exit code 0: they are shown; 2: there are none, or the hub could not be asked.

    Example: secretset keys list -o json
    """
    from secretset.cli.hub import on_hub, show

    rows = on_hub("keys list", kubeconfig, context, lambda hub: _rows(hub, operator_namespace))
    columns = {
        "KID": lambda row: str(row["kid"]),
        "CREATED": lambda row: str(row["created"] or "-"),
        "STATE": lambda row: str(row["state"]),
        "VALUES": lambda row: str(row["values"]),
        "SETS": lambda row: str(row["sets"]),
        "BACKUP": lambda row: "yes" if row["backedUp"] else "no",
    }
    show(output, columns, rows)
    if any(row["state"] == "not-held" for row in rows):
        typer.echo(
            "Nobody can seal: the operator does not have the private half of the newest key. Bring it back: secretset "
            "keys restore FILE",
            err=True,
        )
    if any(row["state"] == "current" and not row["backedUp"] for row in rows):
        typer.echo(
            "The key that is sealed with is in no backup that is known of. Without it what was sealed is lost with the "
            "hub: secretset keys backup --output FILE",
            err=True,
        )


async def _rows(hub: Client, namespace: str) -> list[dict[str, Any]]:
    from secretset.cli.hub import NO_HUB, CommandError
    from secretset.cli.sealed_sets import NotInstalled
    from secretset.controller import key_store
    from secretset.domain.sealing_keys import CONFIG_MAP_NAME, text_of

    published = await key_store.published(hub, namespace)
    if published is None or not published.keys:
        raise CommandError(
            f"there are no public keys in the ConfigMap '{namespace}/{CONFIG_MAP_NAME}': does the operator run there? "
            "--operator-namespace names another place",
            NO_HUB,
        )
    known = published.keys
    newest, older = ("current", "opens") if published.held else ("not-held", "unknown")
    saved = await key_store.backed_up(hub, namespace)
    try:
        users = await _users(hub)
    except NotInstalled as error:
        typer.echo(f"There are no sets: {error}", err=True)
        users = {}
    values = Counter({kid: len(places) for kid, places in users.items()})
    sets = {kid: len({where.key for where, _ in places}) for kid, places in users.items()}
    rows: list[dict[str, Any]] = [
        {"kid": key.kid, "created": text_of(key.created), "state": older if index else newest}
        for index, key in enumerate(known)
    ]
    rows += [
        {"kid": kid, "created": None, "state": "missing"} for kid in sorted(users.keys() - {key.kid for key in known})
    ]
    return [
        {**row, "values": values[row["kid"]], "sets": sets.get(row["kid"], 0), "backedUp": row["kid"] in saved}
        for row in rows
    ]


@keys.command()
def rotate(
    operator_namespace: OperatorNamespaceOption = "secretset-system",
    sealing_kek_file: SealingKekFiles = None,
    although_unusable: Annotated[
        bool,
        typer.Option(
            "--although-unusable",
            help="Make it also beside keys that cannot be used, because they are damaged or the key-encryption key "
            "that wraps them was lost, and no backup has them: what was sealed for those stays lost.",
        ),
    ] = False,
    output: Output = OutputFormat.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Make a new sealing key now; older ones go on opening what was sealed for them.

    The operator does so by itself every 30 days (--sealing-key-days). Afterwards `secretset reseal` moves values to the
    new key, and `secretset keys retire` takes an old one away. If a key was stolen, the values that were sealed for it
    are known to the thief: change them.

    Where other keys are wrapped with a key-encryption key, or are to be, --sealing-kek-file names it, as for the
    operator. If no key is wrapped with it yet, it is waited until the operator has taken the new one, for a minute and
    a half at most; otherwise the key is taken out again. Needs the right to read and update the Secret
    `secretset-sealing-keys`.

    Exit code 0: there is a new key; 1: none was made; 2: the hub could not be asked.

    Example: secretset keys rotate
    """
    from secretset.cli.hub import on_hub
    from secretset.cli.key_changes import rotated
    from secretset.cli.set_views import show_object

    done = on_hub(
        "keys rotate",
        kubeconfig,
        context,
        lambda hub: rotated(hub, operator_namespace, sealing_kek_file or (), although_unusable=although_unusable),
    )
    wrapped = f"wrapped with {done.kek}" if done.kek else "NOT wrapped with a key-encryption key (--sealing-kek-file)"
    when = "within a minute" if done.unusable else "now"  # the operator publishes it then
    if output is not OutputFormat.TABLE:
        found = {"kid": done.kid, "kek": done.kek, "published": not done.unusable, "unusable": list(done.unusable)}
        show_object(output, found)
    else:
        typer.echo(f"{done.kid} is the key to seal with {when}, {wrapped}.")
    typer.echo("Back it up: secretset keys backup --output FILE", err=True)
    for kid in done.unusable:
        typer.echo(f"{kid} cannot be used still. Give it up for good: secretset keys retire {kid}", err=True)


@keys.command()
def retire(
    kid: Annotated[str, typer.Argument(help="Id of the key, as `secretset keys list` shows it.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    although_used: Annotated[
        bool,
        typer.Option(
            "--although-used",
            help="Retire it although values need it: those cannot be opened any more, and their sets fail "
            "(UnsealFailed) within a minute; what they delivered stays where it is. For values that nobody can reseal, "
            "because they do not open anyway or belong to somebody who holds on to them.",
        ),
    ] = False,
    operator_namespace: OperatorNamespaceOption = "secretset-system",
    output: Output = OutputFormat.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Take a sealing key away for good, if no value of any set needs it.

    It takes two and a half minutes: for so long after a rotation the webhook may still seal for an older key.

    What was sealed for it and is not on the hub (a commit in Git, a copy of etcd) will not open any more, not even for
    the operator. Only a backup brings the key back.

    Exit code 0: it is gone; 1: it is still needed, there is no such key, or you said no; 2: the hub could not be asked,
    or you, for want of a terminal.

    Example: secretset keys retire 0123456789abcdef
    """
    from secretset.cli import key_changes
    from secretset.cli.hub import on_hub
    from secretset.cli.set_views import show_object

    async def users(hub: Client) -> str:
        return _in_use((await _users(hub)).get(kid, []))

    async def check(hub: Client) -> str:
        found = await users(hub)
        await key_changes.check_retirable(hub, operator_namespace, kid, "" if although_used else found)
        return found

    async def carry_out(hub: Client) -> None:
        async def in_use() -> str:
            return "" if although_used else await users(hub)

        await key_changes.retired(hub, operator_namespace, kid, in_use, seconds=key_changes.RETIRE_SECONDS)

    found = on_hub("keys retire", kubeconfig, context, check) or f"no set uses {kid}"
    if not yes:
        _confirm(kid, f"{found[0].upper()}{found[1:]}. What was sealed for it, also in Git or a backup, will not open.")
    typer.echo("Waiting until nobody seals for it any more, for two and a half minutes…", err=True)
    on_hub("keys retire", kubeconfig, context, carry_out)
    if output is not OutputFormat.TABLE:
        show_object(output, {"kid": kid, "status": "retired"})
    else:
        typer.echo(f"{kid} is retired.")


def _confirm(kid: str, consequences: str) -> None:
    """Ask; end the command if the answer is no, or there is nobody to ask."""
    import sys

    from secretset.cli.hub import NO_HUB, fail

    try:
        agreed = typer.confirm(f"{consequences} Retire it?", err=True)
    except typer.Abort:
        agreed = False
        typer.echo(err=True)  # ends the line of the question
        if not sys.stdin.isatty():
            fail("keys retire", "there is no terminal to ask at: use --yes", NO_HUB)
    if not agreed:
        fail("keys retire", f"{kid} was not retired")


async def _users(hub: Client) -> dict[str, list[tuple[SealedSet, str]]]:
    """Key ids to the values that were sealed for them: the set, and the value's key."""
    from secretset.cli.sealed_sets import sealed_sets
    from secretset.domain.sealing_keys import usage

    found: dict[str, list[tuple[SealedSet, str]]] = {}
    async for each in sealed_sets(hub):
        for key, text in each.values.items():
            for kid, _ in usage([text]):
                found.setdefault(kid, []).append((each, key))
    return found


def _in_use(places: list[tuple[SealedSet, str]]) -> str:
    """Which values need a key, in words; empty if none does."""
    if not places:
        return ""
    from secretset.cli.set_views import counted

    listed = ", ".join(f"{each.key}: {key}" for each, key in places[:_NAMED])
    more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
    return f"{counted(len(places), 'value')} need{'s' if len(places) == 1 else ''} it: {listed}{more}"


keys.command()(backup)
keys.command()(restore)
