"""What commands that talk to the hub have in common: the connection, how failures are told, and results printed."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import typer
import yaml
from rich.console import Console
from rich.table import Table

from secretset.cli.options import OutputFormat
from secretset.kube import credentials, errors
from secretset.kube.client import Client

FAILED = 1
"""Exit code: the command did not do what it was asked for, and says why."""
NO_HUB = 2
"""Exit code: the hub could not be asked, refused, or the command was used wrongly."""

_WIDEST = 1_000_000
"""Columns that no table has; one is as wide as its content, whatever there is room for."""

T = TypeVar("T")


class CommandError(Exception):
    """A command cannot go on; the message is a sentence that says why, and what to do.

    Attributes:
        code: to exit with.
    """

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


def on_hub(command: str, kubeconfig: Path | None, context: str | None, work: Callable[[Client], Awaitable[T]]) -> T:
    """Connect to the hub, do some work there, and end the command with a sentence if that fails."""

    async def connected() -> T:
        async with Client(await credentials.load(str(kubeconfig) if kubeconfig else None, context), name="hub") as hub:
            return await work(hub)

    try:
        return asyncio.run(connected())
    except CommandError as error:
        fail(command, str(error), error.code)
    except errors.Forbidden as error:
        what = f"{error.verb} {error.resource}".strip()
        fail(command, f"you may not {what or 'do that'} there (RBAC of the hub)", NO_HUB)
    except errors.ConfigError as error:
        fail(command, str(error), NO_HUB)
    except errors.KubeError as error:
        fail(command, f"the hub could not be asked: {error}", NO_HUB)


def fail(command: str, message: str, code: int = FAILED) -> NoReturn:
    """End a command with a sentence."""
    typer.echo(f"secretset {command}: {message}", err=True)
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
        table = Table(box=None, pad_edge=False)
        for title in columns:
            table.add_column(title, no_wrap=True)
        for row in rows:
            table.add_row(*(cell(row) for cell in columns.values()))
        # What is piped is read by programs or by lines: nothing is cut off there.
        width = None if sys.stdout.isatty() else _WIDEST
        Console(width=width, highlight=False, markup=False).print(table)
