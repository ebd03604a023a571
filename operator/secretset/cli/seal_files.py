"""Manifests with sealed values: made new, or changed in the files where they are.

What is written is complete before anything is: a file is replaced as a whole, or stays as it was.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import CollectionNode, MappingNode, Node

from secretset.cli import manifests, seal_values
from secretset.cli.hub import CommandError
from secretset.cli.manifest_edits import Edits
from secretset.cli.manifests import Manifest, ManifestError, SetNode
from secretset.domain import last_applied, names
from secretset.domain.names import PASSWORD, Kind
from secretset.domain.sealing import Place, PublicKey, looks_sealed

STDIN = "-"
SEALED_MAX_BYTES = 1_000_000
"""Of all sealed values of a set (a rule of its CRD)."""
APPLY_MAX_BYTES = 250_000
"""What client-side `kubectl apply` takes safely: it notes the object in annotations of 262,144 bytes together."""

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Sealer:
    """Seals for one installation.

    Attributes:
        installation: its id.
        key: its public key.
        namespace: the namespace that was asked for; empty: any.
        fallback: the namespace of sets whose manifest names none, if none was asked for; empty: unknown.
    """

    installation: str
    key: PublicKey
    namespace: str = ""
    fallback: str = ""

    def seal(self, kind: Kind, namespace: str, name: str, key: str, value: bytes) -> str:
        """Seal a value for its place."""
        return self.key.seal(Place(self.installation, kind, namespace, name, key), value)

    def namespace_of(self, target: SetNode) -> str:
        """The namespace that a set of a manifest will be in.

        Raises:
            CommandError: nothing tells it, or the manifest names another than was asked for.
        """
        if target.namespace and self.namespace not in {"", target.namespace}:
            raise CommandError(f"{target} is in another namespace than --namespace says")
        if namespace := target.namespace or self.namespace or self.fallback:
            return namespace
        raise CommandError(
            f"{target} has no namespace, and values are sealed for one: write it into the metadata, or say --namespace"
        )


def read(path: str) -> str:
    """The text of a manifest file, line breaks as they are; `-` is standard input.

    Raises:
        CommandError: it cannot be read.
    """
    try:
        raw = sys.stdin.buffer.read() if path == STDIN else Path(path).read_bytes()
        return raw.decode()
    except OSError as error:
        raise CommandError(f"'{path}' cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"'{path}' is not UTF-8 text") from None


def write(path: str, text: str) -> None:
    """Replace a file at once; its mode stays, and a link to it stays a link.

    Raises:
        CommandError: it cannot be written; it is as it was.
    """
    target = Path(path).resolve()
    made = ""
    try:
        mode = target.stat()
        descriptor, made = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            with suppress(OSError):  # only root can give a file away
                os.fchown(file.fileno(), mode.st_uid, mode.st_gid)
            os.fchmod(file.fileno(), stat.S_IMODE(mode.st_mode))
            file.flush()
            os.fsync(file.fileno())
        Path(made).replace(target)
    except OSError as error:
        if made:
            Path(made).unlink(missing_ok=True)
        raise CommandError(f"'{path}' cannot be written: {error.strerror}") from None


def new(kind: Kind, namespace: str, name: str, sealed: Mapping[str, str], spec: Mapping[str, Any]) -> str:
    """The manifest of a new object.

    Args:
        kind: its kind.
        namespace: its namespace.
        name: its name.
        sealed: its sealed values by key.
        spec: what else is in its spec; what is None is left out.
    """
    entries = {key: {"sealed": text} for key, text in sealed.items()}
    values = {"data": entries} if kind is Kind.SECRET_SET else {PASSWORD: entries[PASSWORD]}
    body = {
        "apiVersion": names.API_VERSION,
        "kind": kind.value,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {**{field: value for field, value in spec.items() if value is not None}, **values},
    }
    return yaml.dump(body, Dumper=_Dumper, sort_keys=False, width=sys.maxsize, allow_unicode=True)


def target_of(text: str, kind: Kind, name: str, sealer: Sealer) -> tuple[Manifest, SetNode, str]:
    """The one set of a manifest that bears a name, with the manifest and the namespace that it will be in.

    Raises:
        CommandError: there is no such set, there are several, or nothing tells the namespace.
    """
    manifest = manifests.read(text)
    named = [each for each in manifest.sets if (each.kind, each.name) == (kind, name)]
    if sealer.namespace:
        exact = [each for each in named if each.namespace == sealer.namespace]
        named = exact or [each for each in named if not each.namespace]
    if len(named) != 1:
        wanted = f"{kind} {f'{sealer.namespace}/' if sealer.namespace else ''}{name}"
        there = ", ".join(sorted({str(each) for each in manifest.sets})) or "no sets"
        raise CommandError(
            f"there are several of {wanted} in it: say --namespace"
            if named
            else f"there is no {wanted} in it, but {there}; without a file, a new manifest is printed"
        )
    namespace = sealer.namespace_of(named[0])
    seal_values.check_name(name, namespace)
    return manifest, named[0], namespace


def merged(text: str, kind: Kind, name: str, sealer: Sealer, values: Mapping[str, bytes]) -> str:
    """Put values into the one set of a manifest that bears a name.

    Raises:
        CommandError: there is no such set, there are several, or it cannot be changed.
    """
    manifest, target, namespace = target_of(text, kind, name, sealer)
    edits = Edits(manifest)
    for key, value in values.items():
        edits.put(target, key, sealer.seal(kind, namespace, name, key, value))
    return edits.result()


def all_sealed(text: str, sealer: Sealer) -> tuple[str, int]:
    """Seal every `value` of a manifest.

    Returns:
        The new text, and how many there were.

    Raises:
        CommandError: one of them cannot be sealed; names its line, never the value.
    """
    manifest = manifests.read(text)
    edits, count = Edits(manifest), 0
    for target in manifest.sets:
        for key, entry in target.entries.items():
            if entry.others and not entry.sources:
                raise ManifestError(f"line {entry.line}: '{key}' has none of sealed, valueFrom and value")
            if entry.others:
                raise ManifestError(f"line {entry.line}: '{key}' has a field that no entry has")
            if "value" not in entry.sources:
                if "sealed" in entry.sources and not looks_sealed(manifests.scalar_text(entry.sources["sealed"]) or ""):
                    raise ManifestError(
                        f"line {entry.line}: what '{key}' has in `sealed` is not sealed, or damaged: write plain text "
                        "as `value: …`"
                    )
                continue
            if "valueFrom" in entry.sources:
                raise ManifestError(f"line {entry.line}: '{key}' has both value and valueFrom: leave one of them")
            value = manifests.scalar_text(entry.sources["value"])
            if value is None:
                raise ManifestError(f"line {entry.line}: the value of '{key}' is no text: put it in quotes")
            namespace = sealer.namespace_of(target)
            seal_values.check_name(target.name, namespace)
            seal_values.check_key(target.kind, key, f"line {entry.line}")
            raw = value.encode()
            seal_values.check_value(target.kind, key, raw)
            edits.put(target, key, sealer.seal(target.kind, namespace, target.name, key, raw))
            count += 1
    return (edits.result() if count else text), count


def check_limits(text: str, tell: Tell) -> None:
    """Refuse what the API server would; say what the user has to know of the rest.

    Raises:
        CommandError: a set has too many keys, or its sealed values are too long together.
    """
    for target in manifests.read(text).sets:
        if len(target.entries) > names.KEYS_MAX:
            raise CommandError(
                f"{target} would have {len(target.entries)} keys, {names.KEYS_MAX} at most: split the set"
            )
        total = sealed_bytes(target)
        if total > SEALED_MAX_BYTES:
            raise CommandError(
                f"the sealed values of {target} would be {total:,} bytes long together, "
                f"{SEALED_MAX_BYTES:,} at most: split the set"
            )
        if (size := _size(target.node)) > APPLY_MAX_BYTES:
            tell(
                f"note: {target} is {size:,} bytes long, more than `kubectl apply` can note on an object (262,144 with "
                "everything else): apply it with `kubectl apply --server-side -f …`, or split the set"
            )
        if target.plain_last_applied:
            tell(
                f"warning: the annotation {last_applied.ANNOTATION} of {target} holds plain text: take it out of the "
                "manifest"
            )


def sealed_bytes(target: SetNode) -> int:
    """The length of all sealed values of a set together."""
    return sum(len(manifests.scalar_text(entry.sources["sealed"]) or "") for entry in with_sealed(target))


def with_sealed(target: SetNode) -> list[manifests.Entry]:
    """The entries of a set that have a sealed value."""
    return [entry for entry in target.entries.values() if "sealed" in entry.sources]


def plain_keys(text: str) -> list[str]:
    """What in a manifest still is plain text: `Kind name: KEY`."""
    return [
        f"{target}: {key}"
        for target in manifests.read(text).sets
        for key, entry in target.entries.items()
        if "value" in entry.sources
    ]


def _size(node: Node) -> int:
    """About how many bytes of JSON `kubectl` makes of an object."""
    text = json.dumps(_data(node), separators=(",", ":"), ensure_ascii=False)
    return len(text.encode(errors="surrogatepass"))


def _data(node: Node) -> Any:
    if isinstance(node, MappingNode):
        return {str(key.value): _data(value) for key, value in node.value}
    return [_data(item) for item in node.value] if isinstance(node, CollectionNode) else node.value


class _Dumper(yaml.SafeDumper):
    """Writes text so that kubectl reads it as text, whatever it looks like."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = '"' if manifests.needs_quotes(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
