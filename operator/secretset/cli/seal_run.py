"""What `secretset seal` does once its options are understood. Values are asked for last, when all else is known."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer

from secretset.cli import manifests, seal_check, seal_files, seal_keys
from secretset.cli.hub import CommandError, show
from secretset.cli.options import OutputFormat
from secretset.cli.seal_files import Sealer
from secretset.cli.seal_keys import Hub
from secretset.cli.seal_values import Values, check_name
from secretset.domain.names import Kind
from secretset.domain.sealing_keys import PublicKeys


@dataclass(frozen=True, kw_only=True, repr=False)
class Sources:
    """Where values come from, as the options say.

    Attributes:
        files: ``[KEY=]PATH`` each.
        env_files: paths of `.env` files.
        stdin: the key whose value is on standard input, if any.
        prompts: keys whose values are asked for.
        flags: ``KEY=VALUE`` each.
        allow_empty: take values without a byte.
    """

    files: Sequence[str]
    env_files: Sequence[str]
    stdin: str | None
    prompts: Sequence[str]
    flags: Sequence[str]
    allow_empty: bool

    def read(self, kind: Kind) -> dict[str, bytes]:
        """The values by key.

        Raises:
            CommandError: one of them cannot be had, or breaks a rule.
        """
        values = Values(kind, _tell)
        for each in self.files:
            values.from_file(each)
        for each in self.env_files:
            values.from_env_file(each)
        for each in self.flags:
            values.from_flag(each)
        if self.stdin is not None:
            values.from_stdin(self.stdin, sys.stdin.buffer)
        values.check_empty(allowed=self.allow_empty)  # before anybody is asked for one
        for each in self.prompts:
            values.from_prompt(each)
        values.check_empty(allowed=self.allow_empty)
        return values.content


@dataclass(frozen=True, kw_only=True)
class Private:
    """Where private keys are, beside the hub.

    Attributes:
        folder: instead of the hub's Secret.
        kek_files: what they may be wrapped with.
    """

    folder: Path | None
    kek_files: Sequence[Path]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One call of the command.

    Attributes:
        hub: as the options name it.
        public_key: a file with its keys; None: it is asked.
        namespace: as the options say; empty if they do not.
        kind: of the set.
    """

    hub: Hub
    public_key: Path | None
    namespace: str
    kind: Kind

    def print_public_key(self) -> None:
        """Print the public keys, as `--public-key` takes them."""
        sys.stdout.write(self._keys().render() + "\n")

    def print_new(self, name: str, sources: Sources, spec: Mapping[str, Any]) -> None:
        """Print the manifest of a new set.

        Raises:
            CommandError: a value or a name breaks a rule, or there are no keys.
        """
        namespace = self.namespace or self._fallback()
        if not namespace:
            raise CommandError("a value is sealed for one namespace: say --namespace")
        check_name(name, namespace)
        sealer = self._sealer()
        sealed = {
            key: sealer.seal(self.kind, namespace, name, key, value) for key, value in sources.read(self.kind).items()
        }
        text = seal_files.new(self.kind, namespace, name, sealed, spec)
        seal_files.check_limits(text, _tell)
        sys.stdout.write(text)

    def merge(self, name: str, sources: Sources, path: str, *, in_place: bool) -> None:
        """Put values into a manifest that is there.

        Raises:
            CommandError: as above, or the manifest cannot be read, changed or written.
        """
        sealer, before = self._sealer(), seal_files.read(path)
        with _named(path):
            seal_files.target_of(before, self.kind, name, sealer)  # before anybody is asked for a value
        values = sources.read(self.kind)
        if path != seal_files.STDIN:
            before = seal_files.read(path)  # an editor may have written it meanwhile
        with _named(path):
            text = seal_files.merged(before, self.kind, name, sealer, values)
            seal_files.check_limits(text, _tell)
            plain = seal_files.plain_keys(text)
        self._done({path: text}, in_place=in_place)
        _tell(f"sealed {_count(len(values))} for {self.kind} {name}, with the key {sealer.key.kid}")
        for each in plain:
            _tell(f"note: still plain text in '{path}': {each}; `secretset seal -f` seals it")

    def seal_files(self, paths: Sequence[str], *, in_place: bool) -> None:
        """Seal every `value` in manifests. None is written before all are sealed; each is replaced as a whole.

        Raises:
            CommandError: as above.
        """
        sealer = self._sealer()
        texts: dict[str, str] = {}
        without: list[str] = []
        total = 0
        for path in dict.fromkeys(paths):
            before = seal_files.read(path)
            with _named(path):
                texts[path], count = seal_files.all_sealed(before, sealer)
                seal_files.check_limits(texts[path], _tell)
                without += [] if manifests.read(before).sets else [path]
            total += count
        _tell_without_sets(without)
        self._done(texts, in_place=in_place)
        _tell(f"sealed {_count(total)}, with the key {sealer.key.kid}")

    def check(self, paths: Sequence[str], private: Private | None, output: OutputFormat) -> int:
        """Print what is known of the values in manifests.

        Returns:
            The exit code: 0 if nothing is wrong.

        Raises:
            CommandError: there are no keys to find that out with.
        """
        keys = self._keys()
        opener = None if private is None else self.hub.opener(private.folder, private.kek_files)
        check = seal_check.Check(keys, self.namespace or self._fallback(), opener)
        found = {path: _rows(check, path) for path in dict.fromkeys(paths)}
        # A set without entries has a row that says so.
        _tell_without_sets([path for path, of_file in found.items() if not of_file])
        rows = [row for of_file in found.values() for row in of_file]
        show(output, seal_check.COLUMNS, [{**asdict(row), "state": row.state.value} for row in rows])
        return 0 if all(row.ok for row in rows) else 1

    def _done(self, texts: Mapping[str, str], *, in_place: bool) -> None:
        if in_place:
            for path, text in texts.items():
                seal_files.write(path, text)
            return
        for number, text in enumerate(texts.values()):
            if number and not text.startswith("---"):
                sys.stdout.write("---\n")
            sys.stdout.write(text if text.endswith("\n") or len(texts) == 1 else text + "\n")

    def _keys(self) -> PublicKeys:
        if self.public_key is not None:
            return seal_keys.from_file(self.public_key)
        return self.hub.public_keys()

    def _sealer(self) -> Sealer:
        keys = self._keys()
        assert keys.current is not None  # noqa: S101  (`seal_keys` gives none out without)
        return Sealer(
            installation=keys.installation, key=keys.current, namespace=self.namespace, fallback=self._fallback()
        )

    def _fallback(self) -> str:
        """The namespace of the kubeconfig's context, unless the keys come from a file: it may be of another hub."""
        named = self.hub.kubeconfig is not None or self.hub.context is not None
        return self.hub.namespace() if named or self.public_key is None else ""


def _rows(check: seal_check.Check, path: str) -> list[seal_check.Row]:
    """What is known of a file; that one cannot be read says nothing of the others."""
    try:
        text = seal_files.read(path)
    except CommandError as error:
        return [seal_check.Row(file=path, state=seal_check.State.INVALID, ok=False, detail=str(error))]
    return list(check.rows(path, text))


@contextmanager
def _named(path: str) -> Iterator[None]:
    """Say in which file a problem is."""
    try:
        yield
    except CommandError as error:
        raise CommandError(f"'{path}': {error}") from None


def _tell_without_sets(paths: Sequence[str]) -> None:
    if paths:
        _tell("note: no sets, so nothing was looked at, in " + ", ".join(f"'{path}'" for path in paths))


def _count(number: int) -> str:
    return "1 value" if number == 1 else f"{number} values"


def _tell(text: str) -> None:
    typer.echo(text, err=True)
