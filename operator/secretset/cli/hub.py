"""What commands that talk to the hub have in common: the connection, how failures are told, and results printed."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import typer
import yaml
from rich.console import Console
from rich.table import Table

from secretset.cli.options import OutputFormat
from secretset.domain import names
from secretset.kube import credentials, errors
from secretset.kube.client import Client

FAILED = 1
"""Exit code: the command did not do what it was asked for, and says why."""
NO_HUB = 2
"""Exit code: the hub could not be asked, refused, or the command was used wrongly."""

_WIDEST = 1_000_000
"""Columns that no table has; one is as wide as its content, whatever there is room for."""

_OURS = frozenset({*(kind.plural for kind in names.Kind), "regions"})
_ACCESS = frozenset({"serviceaccounts", "serviceaccounts/token", "rolebindings"})

T = TypeVar("T")


class CommandError(Exception):
    """A command cannot go on; the message is a sentence that says why, and what to do.

    Attributes:
        code: to exit with.
    """

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


def on_hub(
    command: str,
    kubeconfig: Path | None,
    context: str | None,
    work: Callable[[Client], Awaitable[T]],
    *,
    manager: str = names.FIELD_MANAGER,
) -> T:
    """Connect to the hub, do some work there, and end the command with a sentence if that fails."""

    async def connected() -> T:
        found = await credentials.load(str(kubeconfig) if kubeconfig else None, context)
        async with Client(found, name=names.AT_HUB, manager=manager) as hub:
            return await work(hub)

    try:
        return asyncio.run(connected())
    except CommandError as error:
        fail(command, str(error), error.code)
    except errors.KubeError as error:
        fail(command, told(error), NO_HUB)


def told(error: errors.KubeError) -> str:
    """What is said of the hub's answer, or of its silence."""
    match error:
        case errors.Forbidden():
            return _forbidden(error)
        case errors.Unauthorized():
            return "the hub does not accept your credentials (401): log in again, or name another context"
        # Of single objects it is told elsewhere that they are not there.
        case errors.NotFound() if error.resource in _OURS:
            return (
                f"the hub knows no {error.resource}: install it there with `secretset install`, or name another context"
            )
        case errors.ConfigError():
            return str(error)
        case _:
            return f"the hub could not be asked: {error}"


def _forbidden(error: errors.Forbidden) -> str:
    what = f"{error.verb} {error.resource}".strip()
    text = f"you may not {what or 'do that'} there (RBAC of the hub)"
    if error.resource in {kind.plural for kind in names.Kind}:
        role = "viewer" if error.verb in {"get", "list", "watch"} else "editor"
        text += f": the role secretset-{role} allows it, ask who looks after the organization"
    elif error.resource in _ACCESS:
        text += ": the role secretset-admin allows it, ask who looks after the organization"
    return text


def fail(command: str, message: str, code: int = FAILED) -> NoReturn:
    """End a command with a sentence, or several lines."""
    typer.echo(f"secretset {command}: " + "\n".join(map(plain, message.split("\n"))), err=True)
    raise typer.Exit(code)


def show(output: OutputFormat, columns: Mapping[str, Callable[[Any], str]], rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows: as a table with these columns, or as they are for machines.

    Args:
        output: the form.
        columns: of the table: title to what stands in it of a row.
        rows: objects of JSON.
    """
    if output is OutputFormat.JSON:
        typer.echo(json.dumps(rows, indent=2))
    elif output is OutputFormat.YAML:
        typer.echo(yaml.safe_dump(list(rows), sort_keys=False), nl=False)
    else:
        # What is piped is read by programs or by lines: nothing is cut off there.
        width = None if sys.stdout.isatty() else _WIDEST
        Console(width=width, highlight=False, markup=False).print(table(columns, rows))


def table(columns: Mapping[str, Callable[[Any], str]], rows: Iterable[Mapping[str, Any]]) -> Table:
    """A table as commands print it; see `show`."""
    found = Table(box=None, pad_edge=False)
    for title in columns:
        found.add_column(title, no_wrap=True)
    for row in rows:
        found.add_row(*(plain(cell(row)) for cell in columns.values()))
    return found


def plain(text: str) -> str:
    """Text of others, without what a terminal would obey."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
