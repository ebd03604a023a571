"""Commands in sentences, tables and blocks that are not run: `secretset` has them, and their options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from markdown_it import MarkdownIt

from docs.blocks import ROOT, USAGE, blocks, pages
from secretset.cli.main import app

COMMANDS: Any = typer.main.get_command(app)
_COMMAND = re.compile(r"^(?:kubectl )?secretset ")
# What ends a command within a line of the shell.
_ENDS = {"|", "<", ">", "||", "&&", ";", "…"}
# typer's own.
_EVERYWHERE = {"--help", "-h", "--install-completion"}


def _spans(page: str) -> Iterator[str]:
    for token in MarkdownIt("commonmark").enable("table").parse((ROOT / page).read_text()):
        yield from (child.content for child in token.children or () if child.type == "code_inline")
    for block in blocks(page):
        yield from block.text.replace("\\\n", "").splitlines()


def _unknown(line: str) -> str:
    """What of a line does not exist; empty if all does."""
    words = shlex.split(_COMMAND.sub("", line), comments=True)
    command = COMMANDS
    while words and not words[0].startswith("-") and (below := getattr(command, "commands", None)):
        found = below.get(words[0])
        if found is None:
            return words[0] if words[0] not in _ENDS else ""
        command, words = found, words[1:]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for word in words:
        if word in _ENDS:
            break
        name = word.partition("=")[0]
        if re.fullmatch(r"--[a-z][a-z-]*|-[a-zA-Z]", name) and name not in known | _EVERYWHERE:
            return name
    return ""


@pytest.mark.parametrize("page", [page for page in pages() if page not in USAGE])
def test_commands_and_options_exist(page: str) -> None:
    said = [line for line in map(str.strip, _spans(page)) if _COMMAND.match(line)]
    assert not [(line, unknown) for line in said if (unknown := _unknown(line))]
