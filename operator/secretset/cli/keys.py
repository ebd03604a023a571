"""`secretset keys`: look after the keys that values are sealed for."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secretset.cli.keys_backup import backup, restore
from secretset.cli.options import Context, Kubeconfig, OperatorNamespace, Output, OutputFormat, SealingKekFiles

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
    namespace: OperatorNamespace = "secretset-system",
    output: Output = OutputFormat.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Show the sealing keys, and how many values need which.

    STATE is `current` for the key that is sealed with, `opens` for older ones, and `missing` for a key that values name
    but the operator does not have: they cannot be opened until it is restored, or they are sealed anew.

    Needs the right to read all sets; no private key is read.

    Example: secretset keys list -o json
    """
    from secretset.cli.hub import on_hub, show

    rows = on_hub("keys list", kubeconfig, context, lambda hub: _rows(hub, namespace))
    columns = {
        "KID": lambda row: str(row["kid"]),
        "CREATED": lambda row: str(row["created"] or "-"),
        "STATE": lambda row: str(row["state"]),
        "VALUES": lambda row: str(row["values"]),
        "SETS": lambda row: str(row["sets"]),
    }
    show(output, columns, rows)


async def _rows(hub: Client, namespace: str) -> list[dict[str, Any]]:
    from secretset.controller import key_store
    from secretset.domain.sealing_keys import text_of

    published = await key_store.published(hub, namespace)
    known = published.keys if published is not None else ()
    users = await _users(hub)
    values = Counter({kid: len(places) for kid, places in users.items()})
    sets = {kid: len({where.key for where, _ in places}) for kid, places in users.items()}
    rows: list[dict[str, Any]] = [
        {"kid": key.kid, "created": text_of(key.created), "state": "opens" if index else "current"}
        for index, key in enumerate(known)
    ]
    rows += [
        {"kid": kid, "created": None, "state": "missing"} for kid in sorted(users.keys() - {key.kid for key in known})
    ]
    return [{**row, "values": values[row["kid"]], "sets": sets.get(row["kid"], 0)} for row in rows]


@keys.command()
def rotate(
    namespace: OperatorNamespace = "secretset-system",
    sealing_kek_file: SealingKekFiles = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Make a new sealing key now; older ones go on opening what was sealed for them.

    The operator does so by itself every 30 days (--sealing-key-days). Afterwards `secretset reseal` moves values to the
    new key, and `secretset keys retire` takes an old one away. If a key was stolen, the values that were sealed for it
    are known to the thief: change them.

    Needs the right to read and update the Secret `secretset-sealing-keys`.

    Example: secretset keys rotate
    """
    from secretset.cli.hub import on_hub
    from secretset.cli.key_changes import rotated

    kid = on_hub("keys rotate", kubeconfig, context, lambda hub: rotated(hub, namespace, sealing_kek_file or ()))
    typer.echo(f"{kid} is the key to seal with now. Back it up: secretset keys backup --output FILE")


@keys.command()
def retire(
    kid: Annotated[str, typer.Argument(help="Id of the key, as `secretset keys list` shows it.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    although_used: Annotated[
        bool,
        typer.Option(
            "--although-used",
            help="Retire it although values need it: those cannot be opened any more, and their sets fail. For values "
            "that nobody can reseal, because they do not open anyway or belong to somebody who holds on to them.",
        ),
    ] = False,
    namespace: OperatorNamespace = "secretset-system",
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Take a sealing key away for good, if no value of any set needs it.

    It takes two and a half minutes: for so long after a rotation the webhook may still seal for an older key.

    What was sealed for it and is not on the hub (a commit in Git, a copy of etcd) will not open any more, not even for
    the operator. Only a backup brings the key back.

    Exit code 0: it is gone; 1: it is still needed, or there is no such key; 2: the hub could not be asked.

    Example: secretset keys retire 0123456789abcdef
    """
    from secretset.cli import key_changes
    from secretset.cli.hub import on_hub

    async def users(hub: Client) -> str:
        return _in_use((await _users(hub)).get(kid, []))

    async def check(hub: Client) -> str:
        found = await users(hub)
        await key_changes.check_retirable(hub, namespace, kid, "" if although_used else found)
        return found

    async def carry_out(hub: Client) -> None:
        async def in_use() -> str:
            return "" if although_used else await users(hub)

        await key_changes.retired(hub, namespace, kid, in_use, seconds=key_changes.RETIRE_SECONDS)

    found = on_hub("keys retire", kubeconfig, context, check) or f"no set uses {kid}"
    if not yes:
        typer.confirm(
            f"{found[0].upper()}{found[1:]}. What was sealed for it, also in Git or a backup, will not open any more. "
            "Retire it?",
            abort=True,
            err=True,
        )
    typer.echo("Waiting until nobody seals for it any more, for two and a half minutes…", err=True)
    on_hub("keys retire", kubeconfig, context, carry_out)
    typer.echo(f"{kid} is retired.")


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
    listed = ", ".join(f"{each.key}: {key}" for each, key in places[:_NAMED])
    more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
    return f"{len(places)} values need it: {listed}{more}"


keys.command()(backup)
keys.command()(restore)
