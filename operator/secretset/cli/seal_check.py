"""`secretset seal --check`: what a pipeline can know of sealed values before they are applied. Never shows one.

Without the private keys it sees whether a text is of the form and names a published key; whether it was sealed for
the place where it stands, only those who hold the private keys can tell (`--open`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from secretset.cli import manifests, seal_files, seal_values
from secretset.cli.hub import CommandError
from secretset.cli.manifests import Entry, ManifestError, SetNode
from secretset.cli.seal_files import SEALED_MAX_BYTES
from secretset.domain import last_applied, names
from secretset.domain.sealing import Cause, Opener, Place, Unopened, kid_of
from secretset.domain.sealing_keys import PublicKeys


class State(StrEnum):
    """What is known of an entry."""

    OPENS = "opens"
    CURRENT = "current"
    OLDER = "older"
    REFERENCE = "reference"
    UNKNOWN_KEY = "unknown-key"
    NOT_FOR_HERE = "not-for-here"
    MALFORMED = "malformed"
    PLAIN = "plain"
    INVALID = "invalid"


GOOD = frozenset({State.OPENS, State.CURRENT, State.OLDER, State.REFERENCE})

_DETAILS = {
    State.OPENS: "opens here",
    State.CURRENT: "sealed for the key in use",
    State.OLDER: "sealed for an older key, which still opens it",
    State.REFERENCE: "read from a Secret",
    State.UNKNOWN_KEY: "sealed for another hub, or for a key that was retired: seal it again",
    State.NOT_FOR_HERE: "sealed for another installation, kind, namespace, name or key, or altered: seal it again",
    State.MALFORMED: "not a sealed value (hpke1.…), or damaged: seal it again",
    State.PLAIN: "plain text: seal it with `secretset seal -f FILE --in-place`, and change it where it is used",
}
_CAUSES = {
    Cause.MALFORMED: State.MALFORMED,
    Cause.UNKNOWN_KEY: State.UNKNOWN_KEY,
    Cause.NOT_FOR_HERE: State.NOT_FOR_HERE,
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """What is known of one entry, of a set as a whole (no key), or of a file (no set).

    Attributes:
        file: as it was named.
        line: from 1; 0 if none is known.
        kind: of the set.
        namespace: of the set; empty if neither it nor an option names one.
        name: of the set.
        key: of the entry.
        state: what was found.
        ok: whether the operator can work with it, as far as is known.
        detail: the same as a sentence.
    """

    file: str
    line: int = 0
    kind: str = ""
    namespace: str = ""
    name: str = ""
    key: str = ""
    state: State
    ok: bool
    detail: str


class Check:
    """Looks at manifests.

    Args:
        keys: what the hub publishes.
        namespace: of sets that name none; empty: unknown.
        opener: the private keys, if they may be used.
    """

    def __init__(self, keys: PublicKeys, namespace: str, opener: Opener | None = None) -> None:
        self._keys = keys
        self._published = {key.kid for key in keys.keys}
        self._namespace = namespace
        self._opener = opener

    def rows(self, file: str, text: str) -> Iterator[Row]:
        """Everything that is to be said of a file."""
        try:
            found = manifests.read(text)
            for target in found.sets:
                yield from self._of_set(file, target)
        except ManifestError as error:
            yield Row(file=file, state=State.INVALID, ok=False, detail=str(error))

    def _of_set(self, file: str, target: SetNode) -> Iterator[Row]:
        namespace = target.namespace or self._namespace
        for problem in self._problems(target, namespace):
            yield self._row(file, target, "", manifests.line_of(target.node), State.INVALID, problem)
        for key, entry in target.entries.items():
            try:
                seal_values.check_key(target.kind, key)
                state, detail = self._judge(target, namespace, entry)
            except CommandError as error:
                state, detail = State.INVALID, str(error)
            yield self._row(file, target, key, entry.line, state, detail or _DETAILS[state])

    def _problems(self, target: SetNode, namespace: str) -> Iterator[str]:
        try:
            # That no namespace is known is nothing against a manifest; it may come with `kubectl apply -n`.
            seal_values.check_name(target.name, namespace or "default")
        except CommandError as error:
            yield str(error)
        if not target.entries:
            yield "has no values"
        if len(target.entries) > names.KEYS_MAX:
            yield f"has more than {names.KEYS_MAX} keys"
        if seal_files.sealed_bytes(target) > SEALED_MAX_BYTES:
            yield f"its sealed values are longer than {SEALED_MAX_BYTES:,} bytes together"
        if target.plain_last_applied:
            yield f"its annotation {last_applied.ANNOTATION} holds plain text"

    def _judge(self, target: SetNode, namespace: str, entry: Entry) -> tuple[State, str]:
        if "value" in entry.sources or (entry.others and not entry.sources):
            return State.PLAIN, ""
        if len(entry.sources) != 1:
            return State.INVALID, "needs exactly one of sealed, valueFrom and value"
        if entry.others:
            return State.INVALID, "has a field that no entry has"
        if "valueFrom" in entry.sources:
            return State.REFERENCE, ""
        text = manifests.scalar_text(entry.sources["sealed"]) or ""
        if self._opener is not None:
            if not namespace:
                return State.INVALID, "names no namespace, and a value is sealed for one: say --namespace"
            try:
                place = Place(self._keys.installation, target.kind, namespace, target.name, entry.key)
                self._opener.open(place, text)
            except Unopened as error:
                return _CAUSES[error.why], ""
            return State.OPENS, ""
        kid = kid_of(text)
        if kid is None:
            return State.MALFORMED, ""
        if kid not in self._published:
            return State.UNKNOWN_KEY, ""
        return (State.CURRENT if kid == self._keys.keys[0].kid else State.OLDER), ""

    def _row(self, file: str, target: SetNode, key: str, line: int, state: State, detail: str) -> Row:
        return Row(
            file=file,
            line=line,
            kind=target.kind.value,
            namespace=_shown(target.namespace or self._namespace),
            name=_shown(target.name),
            key=_shown(key),
            state=state,
            ok=state in GOOD,
            detail=_shown(detail),
        )


COLUMNS: dict[str, Callable[[Any], str]] = {
    "FILE": lambda row: f"{row['file']}:{row['line']}" if row["line"] else row["file"],
    "SET": lambda row: "/".join(filter(None, (row["namespace"], row["name"]))) or "-",
    "KEY": lambda row: row["key"] or "-",
    "STATE": lambda row: row["state"],
    "DETAIL": lambda row: row["detail"],
}
"""Of the table."""


def _shown(text: str) -> str:
    """A name from a manifest of whoever it is by, fit for a terminal and for the log of a pipeline."""
    return "".join(each if each.isprintable() else "?" for each in text[:512])
