"""`secretset list --watch`: the table as it is now on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import typer
import yaml
from rich.console import Console
from rich.live import Live

from secretset.actions.follow import follow_sets
from secretset.actions.session import Session
from secretset.cli.hub import plain, table
from secretset.cli.options import OutputFormat
from secretset.cli.session import HubOptions, on_session
from secretset.cli.set_views import Columns, columns
from secretset.domain.names import Key, Kind
from secretset.domain.set_view import SetView

_INTERRUPTED = 130  # as shells have it: 128 + SIGINT

Show = Callable[[Mapping[Key, SetView]], None]


def run(
    command: str,
    options: HubOptions,
    namespace: str | None,
    *,
    kind: Kind | None,
    region: str | None,
    output: OutputFormat,
) -> None:
    """Show sets until somebody ends it.

    Args:
        command: that shows them.
        options: the hub.
        namespace: the organization; None: all of them.
        kind: None: both.
        region: None: all.
        output: the form.
    """
    titles = columns(kind=kind, organizations=namespace is None)

    async def watch(session: Session) -> None:
        kinds = tuple(Kind) if kind is None else (kind,)
        with _shown(output, titles) as show:
            async with contextlib.aclosing(follow_sets(session, namespace, kinds=kinds)) as seen:
                async for views in seen:
                    show({key: view for key, view in views.items() if region in {None, view.region}})

    try:
        on_session(command, options, watch)
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None


@contextlib.contextmanager
def _shown(output: OutputFormat, titles: Columns) -> Iterator[Show]:
    """How sets are shown, each time that they changed."""
    if output is not OutputFormat.TABLE or not sys.stdout.isatty():
        yield Changes(output, titles)
        return
    with Live(console=Console(highlight=False, markup=False), auto_refresh=False) as live:
        yield lambda views: live.update(table(titles, [views[key].to_json() for key in _sorted(views)]), refresh=True)


class Changes:
    """Prints each change once, by itself.

    Args:
        output: the form of one.
        titles: the columns, where that is a line of a table.
    """

    def __init__(self, output: OutputFormat, titles: Columns) -> None:
        self._output = output
        self._titles = titles
        self._told: dict[Key, dict[str, Any]] = {}
        self._widths: list[int] = []

    def __call__(self, views: Mapping[Key, SetView]) -> None:
        """Print what is not as it was; a set that is gone has the status `deleted`."""
        now = {key: views[key].to_json() for key in _sorted(views)}
        gone = [{**self._told[key], "status": "deleted"} for key in _sorted(self._told) if key not in now]
        news = [row for key, row in now.items() if self._told.get(key) != row]
        self._told = now
        if self._output is OutputFormat.TABLE:
            self._print_lines([*gone, *news])
        for row in [*gone, *news]:
            if self._output is OutputFormat.JSON:
                typer.echo(json.dumps(row))
            elif self._output is OutputFormat.YAML:
                typer.echo("---\n" + yaml.safe_dump(row, sort_keys=False), nl=False)

    def _print_lines(self, rows: Sequence[Mapping[str, Any]]) -> None:
        lines = [[plain(cell(row)) for cell in self._titles.values()] for row in rows]
        if not self._widths:
            lines.insert(0, list(self._titles))
            self._widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            padded = (text.ljust(width) for text, width in zip(line, self._widths, strict=True))
            typer.echo("  ".join(padded).rstrip())


def _sorted(keys: Iterable[Key]) -> list[Key]:
    return sorted(keys, key=lambda key: (key.namespace, key.name, key.kind))
