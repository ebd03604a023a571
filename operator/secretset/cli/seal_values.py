"""The values that a command is given: from files, `.env` files, standard input, a prompt or, if need be, a flag.

They are taken byte for byte, checked against the rules of a set, and never part of an error's text. Of what might be a
value by mistake (a line of a file, a flag that lacks its key, a path where no file is) nothing is shown either.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import typer
from dotenv.parser import parse_stream

from secretset.cli.hub import CommandError
from secretset.cli.prompts import hidden
from secretset.domain import names
from secretset.domain.names import PASSWORD, Kind

_KEY_RULE = f"a key is {names.KEY_RULE}"
_ENV_FILE_MAX = names.KEYS_MAX * (names.VALUE_MAX_BYTES + 1024)


class Values:
    """Values by key, as they come in.

    Args:
        kind: what they are for.
        tell: shows a note to the user.
        reserved: keys that the platform itself sets.

    Attributes:
        content: the values by key.
        seen: keys that stood in `.env` files, whatever became of them.
    """

    def __init__(
        self, kind: Kind, tell: Callable[[str], None], *, reserved: Collection[str] = names.RESERVED_KEYS
    ) -> None:
        self._kind = kind
        self._tell = tell
        self._reserved = reserved
        self.content: dict[str, bytes] = {}
        self.seen: set[str] = set()

    def from_file(self, source: str) -> None:
        """Take a file's content; ``KEY=PATH``, or a path whose last part is the key."""
        key, separator, path = source.partition("=")
        if not separator:
            # What names a file that is there is no value by mistake, so it may be shown.
            content = _content(source, names.VALUE_MAX_BYTES, "--from-file")
            key = Path(source).name
            instead = "write KEY=PATH to give a file another name"
            check_key(self._kind, key, f"the name of the file '{source}'", self._reserved, instead=instead)
        else:
            self._expect(key, "--from-file")
            if not path.strip("="):  # base64 ends with '='
                raise CommandError("--from-file: must be [KEY=]PATH")
            content = _content(path, names.VALUE_MAX_BYTES, f"--from-file {key}=…")
        self._expect(key, "--from-file")
        self._put(key, content)

    def from_env_file(
        self,
        path: str,
        *,
        option: str = "--from-env-file",
        binary: str = "--from-file KEY=PATH",
        without_reserved: bool = False,
        renamed: Mapping[str, str | None] = MappingProxyType({}),
    ) -> None:
        """Take all entries of a `.env` file. `$NAME` and `${NAME}` stay as they are.

        Args:
            path: of the file.
            option: that named it.
            binary: what takes a value that is no text.
            without_reserved: leave out what the platform itself sets, with a note, instead of refusing it.
            renamed: names that some keys get instead, which then may have any form; None: it is left out.
        """
        try:
            text = _content(path, _ENV_FILE_MAX, option).decode()
        except UnicodeDecodeError:
            raise CommandError(f"'{path}' is not UTF-8 text; give binary values with {binary}") from None
        if len(text) > _ENV_FILE_MAX:
            raise CommandError(f"'{path}' is longer than all values of a set together")
        for where, written, value in _entries(path, text, renamed):
            self.seen.add(written)
            key = renamed.get(written, written)
            if key is None:
                continue
            if without_reserved and key in self._reserved:
                self._tell(f"note: {where}: '{key}' is left out: the platform itself sets it")
                continue
            self._expect(key, where)
            self._put(key, _encoded(value, key))

    def from_stdin(self, key: str, stdin: BinaryIO) -> None:
        """Take all of standard input, its last line break included."""
        self._expect(key, "--from-stdin")
        value = stdin.read(names.VALUE_MAX_BYTES + 1)
        if value.endswith(b"\n") and value.count(b"\n") == 1:
            self._tell(f"note: the value of '{key}' ends with a line break, which is part of it; `printf` adds none")
        self._put(key, value)

    def from_prompt(
        self, key: str, *, option: str = "--prompt", instead: str = "--from-stdin or --from-file", question: str = ""
    ) -> None:
        """Ask for the value, twice, without showing it.

        Args:
            key: of the value.
            option: that named the key.
            instead: what to use where there is no terminal.
            question: empty: the value of the key.
        """
        self._expect(key, option)
        value = hidden(question or f"Value of {key}", twice=True, instead=instead)
        self._put(key, _encoded(value, key))

    def from_flag(
        self, flag: str, *, option: str = "--value", instead: str = "--prompt, --from-stdin or --from-file"
    ) -> None:
        """Take ``KEY=VALUE``, with a warning.

        Args:
            flag: the text.
            option: that it stands behind.
            instead: what hides a value; empty: the warning was given.
        """
        key, separator, value = flag.partition("=")
        # Without a key, the flag may be a value and nothing else; base64 ends with '='.
        if not separator or not names.is_valid_key(key):
            raise typer.BadParameter(f"must be KEY=VALUE; {_KEY_RULE}", param_hint=option)
        if instead:
            self._tell(
                f"warning: the value of '{key}' stands in the list of processes, and perhaps in the shell's history; "
                f"use {instead}"
            )
        self._expect(key, option)
        self._put(key, os.fsencode(value))

    def check_empty(self, *, allowed: bool) -> None:
        """Refuse values without a byte, such as what a command that failed writes into a pipe, unless they are meant.

        Raises:
            CommandError: names their keys.
        """
        empty = [f"'{key}'" for key, value in self.content.items() if not value]
        if empty and not allowed:
            raise CommandError(
                f"nothing is the value of {', '.join(empty)}: if that is meant, say --allow-empty; else leave it out"
            )

    def _expect(self, key: str, where: str) -> None:
        check_key(self._kind, key, where, self._reserved, shown=False)
        if key in self.content:
            raise CommandError(f"'{key}' is given twice")

    def _put(self, key: str, value: bytes) -> None:
        check_value(self._kind, key, value)
        self.content[key] = value


def check_key(
    kind: Kind,
    key: str,
    where: str = "",
    reserved: Collection[str] = names.RESERVED_KEYS,
    *,
    shown: bool = True,
    instead: str = "",
) -> None:
    """Refuse a key that an object of this kind cannot have.

    Args:
        kind: of the object.
        key: what stands where a key should.
        where: it stands.
        reserved: keys that the platform itself sets.
        shown: whether a key that is refused may be in the error's text; not where it may be a value by mistake.
        instead: what to do about a key that breaks the rule, beside choosing another.

    Raises:
        CommandError: names it, the rule and the way out.
    """
    at = f"{where}: " if where else ""
    what = f"'{key}'" if shown else "what is given"
    if kind is Kind.IMAGE_PULL_SECRET and key != PASSWORD:
        raise CommandError(f"{at}an ImagePullSecret seals one value, its '{PASSWORD}', and {what} is not that")
    if not names.is_valid_key(key):
        raise CommandError(f"{at}{what} is no name for a key: {_KEY_RULE}{f'; {instead}' if instead else ''}")
    if key in reserved:
        raise CommandError(f"{at}the platform itself sets '{key}': choose another name, or leave it out")


def check_value(kind: Kind, key: str, value: bytes) -> None:
    """Refuse a value that an object of this kind cannot hold.

    Raises:
        CommandError: names the key, the rule and the way out.
    """
    if len(value) > names.VALUE_MAX_BYTES:
        raise CommandError(
            f"the value of '{key}' is longer than {names.VALUE_MAX_BYTES:,} bytes: "
            "split it, or keep it elsewhere and put its address into the set"
        )
    if kind is Kind.IMAGE_PULL_SECRET:
        try:
            value.decode()
        except UnicodeDecodeError:
            raise CommandError("a password for a registry must be UTF-8 text") from None


def check_name(name: str, namespace: str) -> None:
    """Refuse a name or a namespace that the API server would refuse.

    Raises:
        CommandError: says which, and the rule.
    """
    if not names.is_valid_name(name):
        raise CommandError(
            f"'{name}' is no name for a set: 3 to 63 lower-case letters, digits, '-' and '.', "
            "with a letter or digit at both ends and beside each '.'"
        )
    if not names.NAMESPACE_PATTERN.fullmatch(namespace):
        raise CommandError(f"'{namespace}' is no namespace: {names.NAMESPACE_RULE}")


def _content(path: str, most: int, option: str) -> bytes:
    """Read a file, one byte more than it may have at most, so that its length can be judged.

    Raises:
        CommandError: it cannot be read; names the option, and not the path, which may be a value by mistake.
    """
    try:
        with Path(path).open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise CommandError(f"{option}: there is no file there that can be read: {error.strerror}") from None


def _entries(path: str, text: str, known: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """The entries of a `.env` file: where each stands, in words, its key, by the rule or known, and its value.

    Raises:
        CommandError: there are none, or one breaks a rule; names the line.
    """
    lines: dict[str, int] = {}
    for binding in parse_stream(io.StringIO(text, newline="")):
        # The empty lines before an entry are its own for the parser.
        original = binding.original.string
        line = binding.original.line + original[: len(original) - len(original.lstrip())].count("\n")
        where = f"'{path}', line {line}"
        if binding.error:
            raise CommandError(f"{where}: not KEY=VALUE; a value of several lines stands in quotes")
        if (key := binding.key) is None:
            continue
        # Such a line may be part of a value, so it is not shown.
        if binding.value is None:
            raise CommandError(f"{where}: no '='; a value of several lines stands in quotes")
        if not names.is_valid_key(key) and key not in known:
            raise CommandError(f"{where}: what stands before '=' is no name for a key: {_KEY_RULE}")
        if key in lines:
            raise CommandError(f"{where}: '{key}' stood before, in line {lines[key]}: leave one of them")
        lines[key] = line
        yield where, key, binding.value
    if not lines:
        raise CommandError(f"'{path}' has no entries")


def _encoded(text: str, key: str) -> bytes:
    """The bytes of a text; what a terminal sent that is not UTF-8 is kept."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise CommandError(f"the value of '{key}' holds half of a surrogate pair, which is no character") from None
