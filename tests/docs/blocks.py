"""The commands that stand in pages: fenced blocks of `sh`, and the lines after `$ ` of `console`.

A comment right before a block, which neither GitHub nor the site shows, says what a test cannot know:

    <!-- not run: REASON -->     it is not run
    <!-- needs: PROGRAM -->      it is run where that program is there
    <!-- given: THINGS -->       what must be there before it (scenes.py), beside what the page begins with
    <!-- on: CLUSTER -->         with the kubeconfig of that cluster instead of the hub's
    <!-- typed: A, B -->         at a terminal, where this is answered to questions
    <!-- ends with: CODE -->     its exit code, where it is not 0
    <!-- interrupted -->         it goes on until it is interrupted
    <!-- another cluster -->     it and what follows are for a cluster on which nothing before was done
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
# What typer makes of the commands' help: how they are called, and nothing that somebody would follow.
USAGE = frozenset({"docs/cli-reference.md"})
_RUN = frozenset({"sh", "console"})
# What else a block may be: nothing in it is a command.
_READ = frozenset({"yaml", "json", "toml", "text", "python", "lua", "promql", "diff"})
_COMMENT = re.compile(
    r"\s*<!-- *(not run|needs|given|on|typed|ends with|interrupted|another cluster)(?:: *(.*?))? *-->\s*", re.DOTALL
)
_UNKNOWN = "unknown"


class BadPage(Exception):
    """A page has what no test can judge."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """Commands of a page that are run together.

    Attributes:
        page: path from the root of the repository.
        line: of the page, where the first of them stands; from 1.
        text: what is run, by bash.
        says: what comments say of it, by their first words.
        part: grows by one with each other cluster, from 0.
    """

    page: str
    line: int
    text: str
    says: dict[str, str]
    part: int = 0

    @property
    def name(self) -> str:
        """Where it stands."""
        return f"{self.page}:{self.line}"

    @property
    def reason(self) -> str:
        """Why it is not run; empty if it is."""
        return self.says.get("not run", "")


def pages() -> list[str]:
    """README.md and all pages of the site."""
    return ["README.md", *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md"))]


def blocks(page: str, part: int | None = None) -> list[Block]:
    """The commands of a page, or of one part of it, in order.

    Raises:
        BadPage: it has code by indentation, in a language of which nobody said what it is, or after a comment that
            says nothing known.
    """
    found = parsed(page, (ROOT / page).read_text())
    return [block for block in found if part is None or block.part == part]


def files(page: str, language: str = "yaml") -> list[str]:
    """The contents of a page's blocks in a language that is read, such as manifests."""
    tokens = MarkdownIt("commonmark").parse((ROOT / page).read_text())
    return [token.content for token in tokens if token.type == "fence" and token.info == language]


def parsed(page: str, text: str) -> list[Block]:
    """The commands in the text of a page.

    Raises:
        BadPage: as `blocks`.
    """
    return list(_blocks(page, text))


def parts(page: str) -> int:
    """How many clusters a page needs, one after the other."""
    return max((block.part for block in blocks(page)), default=0) + 1


def _blocks(page: str, text: str) -> Iterator[Block]:
    says: dict[str, str] = {}
    part = 0
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        line = token.map[0] + 1 if token.map else 0
        if token.type == "code_block":
            raise BadPage(f"{page}:{line}: code by indentation; put it into a fence, and say what it is")
        if token.type == "html_block":
            found = _COMMENT.fullmatch(token.content)
            says |= {found[1]: " ".join((found[2] or "").split())} if found else {_UNKNOWN: token.content.strip()}
        elif token.type == "fence":
            language = token.info.split()[0] if token.info else ""
            if language in _RUN:
                if _UNKNOWN in says:
                    raise BadPage(f"{page}:{line}: after a comment that is no instruction: {says[_UNKNOWN][:40]}")
                part += "another cluster" in says
                content = token.content if language == "sh" else _typed(token.content)
                yield Block(page=page, line=line + 1, text=content, says=says, part=part)
            elif language not in _READ:
                raise BadPage(f"{page}:{line}: a block of {language or 'nothing'}; commands are `sh` or `console`")
            says = {}
        elif token.type not in {"list_item_open", "bullet_list_open", "ordered_list_open"}:
            says = {}


def _typed(transcript: str) -> str:
    """What somebody types in a transcript: lines after `$ `, with those after `> `."""
    return "".join(f"{line[2:]}\n" for line in transcript.splitlines() if line.startswith(("$ ", "> ")))
