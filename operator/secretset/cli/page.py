"""Pages for people: headings, fields, tables below each other, and ages."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from secretset.cli.hub import plain

_WIDEST = 1_000_000  # columns that no terminal has: nothing is cut off or wrapped in what is piped

_COLOURS = {
    "ready": "green",
    "ok": "green",
    "current": "green",
    "pending": "yellow",
    "warn": "yellow",
    "restarting": "yellow",
    "held": "yellow",
    "unknown": "cyan",
    "failed": "red",
    "fail": "red",
    "stalled": "red",
    "missing": "red",
}


class Page:
    """What is printed for people, from top to bottom."""

    def __init__(self) -> None:
        width = None if sys.stdout.isatty() else _WIDEST
        self._console = Console(width=width, highlight=False, markup=False)
        self._begun = False

    def title(self, text: str) -> None:
        """A heading, with a line free above it."""
        if self._begun:
            self._console.print()
        self._begun = True
        self._console.print(Text(plain(text), style="bold"), soft_wrap=True)

    def line(self, text: str) -> None:
        """A line of text."""
        self._console.print(Text(plain(text)), soft_wrap=True)

    def fields(self, fields: Mapping[str, str]) -> None:
        """Names and what they are; those without a value are left out."""
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(no_wrap=True, style="dim")
        table.add_column(overflow="fold")
        for name, value in fields.items():
            if value:
                table.add_row(plain(name), coloured(value))
        self._console.print(table)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Rows of cells; the last column may have several lines on a terminal."""
        table = Table(box=None, pad_edge=False)
        for number, title in enumerate(columns):
            last = number == len(columns) - 1
            table.add_column(title, no_wrap=not last, overflow="fold" if last else "ellipsis")
        for row in rows:
            table.add_row(*(coloured(cell) for cell in row))
        self._console.print(table)


def coloured(text: str) -> Text:
    """A text in the colour of the state that it begins with, if it does with one."""
    return Text(plain(text), style=_COLOURS.get(text.partition(" ")[0], ""))
