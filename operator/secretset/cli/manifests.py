"""Sets in manifest files: read as YAML nodes, which know their places in the text.

Comments, order and style of a file belong to its author. So a manifest is never written anew from what was parsed:
`cli/manifest_edits.py` changes the text itself, at the places that are found here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from secretset.cli.hub import CommandError
from secretset.domain import last_applied, names
from secretset.domain.names import PASSWORD, Kind

SOURCES = ("sealed", "valueFrom", "value")

_TEXT, _NULL, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"
# What kubectl reads as a number or as yes and no, and PyYAML as text.
_AMBIGUOUS = re.compile(r"[-+]?(\d|\.\d).*|[yYnN]", re.DOTALL)
_NUMBER = re.compile(r"(?=[-+.\d])(?=.*\d)[-+]?(0[xob][0-9a-fA-F_]+|[0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?)|[yYnN]")


_RESOLVER: Any = yaml.SafeLoader("")


class ManifestError(CommandError):
    """A manifest cannot be read or changed; the message holds nothing of its values."""


def line_of(node: Node) -> int:
    """The line that a node begins in, from 1."""
    return int(node.start_mark.line) + 1


def scalar_text(node: Node) -> str | None:
    """The text of a scalar that is text for kubectl too; None for everything else (numbers, null, lists).

    Raises:
        ManifestError: it holds half of a surrogate pair, which no UTF-8 has.
    """
    if not isinstance(node, ScalarNode) or node.tag != _TEXT:
        return None
    if node.style is None and _NUMBER.fullmatch(node.value):
        return None
    try:  # JSON writes what is beyond the basic plane as two escapes
        return str(node.value.encode("utf-16", "surrogatepass").decode("utf-16"))
    except UnicodeDecodeError:
        raise ManifestError(f"line {line_of(node)} holds half of a surrogate pair, which is no character") from None


def is_null(node: Node) -> bool:
    """Whether nothing stands there, or a null."""
    return isinstance(node, ScalarNode) and node.tag == _NULL


def needs_quotes(text: str) -> bool:
    """Whether kubectl might read these letters, digits, `_` and `-`, written plainly, as anything but text."""
    resolved = _RESOLVER.resolve(ScalarNode, text, (True, False))
    return resolved != _TEXT or text.startswith("-") or _AMBIGUOUS.fullmatch(text) is not None


@dataclass(frozen=True, kw_only=True, repr=False)
class Entry:
    """One entry of `spec.data`, or the password of a pull secret.

    Attributes:
        key: its name.
        key_node: where the name stands.
        node: what stands behind it.
        sources: which of `sealed`, `valueFrom` and `value` it has; empty if it is no mapping.
        others: it has fields beside those.
    """

    key: str
    key_node: Node
    node: Node
    sources: dict[str, Node] = field(default_factory=dict)
    others: bool = False

    @property
    def line(self) -> int:
        """The line of its name."""
        return line_of(self.key_node)


@dataclass(frozen=True, kw_only=True, repr=False)
class SetNode:
    """A SecretSet or an ImagePullSecret in a manifest.

    Attributes:
        kind: its kind.
        namespace: as the manifest has it; empty if it names none.
        name: as the manifest has it.
        node: the whole object.
        spec: its spec.
        data: the mapping that holds its entries: `spec.data`, or a pull secret's spec; None if there is none yet.
        entries: by key, in order.
        plain_last_applied: what `kubectl apply` noted on it holds plain text.
    """

    kind: Kind
    namespace: str
    name: str
    node: MappingNode
    spec: MappingNode
    data: MappingNode | None
    entries: dict[str, Entry]
    plain_last_applied: bool

    def __str__(self) -> str:
        return f"{self.kind} {f'{self.namespace}/' if self.namespace else ''}{self.name}"


@dataclass(frozen=True, kw_only=True, repr=False)
class Manifest:
    """A file: its text, the roots of its documents, and the sets in it."""

    text: str
    roots: list[Node]
    sets: list[SetNode]


def read(text: str) -> Manifest:
    """Find the sets in a text of any number of documents; lists of objects are looked through.

    Raises:
        ManifestError: it is no YAML, or a set in it has a form that cannot be followed.
    """
    roots = compose(text)
    return Manifest(text=text, roots=roots, sets=[_set(node, kind) for root in roots for node, kind in _objects(root)])


def compose(text: str) -> list[Node]:
    """The documents of a text.

    Raises:
        ManifestError: it is no YAML. The library's own message is not kept: it quotes the text.
    """
    try:
        return list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ManifestError("no YAML" + (f", line {mark.line + 1}" if mark else "")) from None
    except (yaml.YAMLError, RecursionError):
        raise ManifestError("no YAML") from None


def _objects(node: Node, default: tuple[str, str] = ("", "")) -> Iterator[tuple[MappingNode, Kind]]:
    if not isinstance(node, MappingNode):
        return
    # Of objects that are not ours nothing is demanded.
    fields = {key.value: value for key, value in node.value if isinstance(key, ScalarNode)}
    version, kind = (scalar_text(fields[name]) or "" if name in fields else "" for name in ("apiVersion", "kind"))
    if not version and not kind:
        version, kind = default
    if version.startswith(f"{names.GROUP}/") and kind in set(Kind):
        yield node, Kind(kind)
    if isinstance(items := fields.get("items"), SequenceNode):
        # As kubectl has it: whatever has `items` is a list, and one of a kind tells the kind of its items
        # (apimachinery, `unstructuredJSONScheme`).
        for item in items.value:
            yield from _objects(item, (version, kind.removesuffix("List")))


def _set(node: MappingNode, kind: Kind) -> SetNode:
    root = _pairs(node)
    metadata = _mapping(root, "metadata", node)
    name, namespace = (_text(metadata, wanted) for wanted in ("name", "namespace"))
    if not name:
        raise ManifestError(f"the {kind} at line {line_of(node)} has no name")
    spec_node = _child(root, "spec")
    if not isinstance(spec_node, MappingNode):
        raise ManifestError(f"{kind} '{name}' has no spec")
    spec = _pairs(spec_node)
    if kind is Kind.SECRET_SET:
        data = _child(spec, "data")
        if data is not None and not isinstance(data, MappingNode) and not is_null(data):
            raise ManifestError(f"line {line_of(data)}: spec.data of '{name}' is no mapping")
        holder = data if isinstance(data, MappingNode) else None
        entries = {key: _entry(key, *pair) for key, pair in (_pairs(holder) if holder else {}).items()}
    else:
        holder = spec_node
        entries = {key: _entry(key, *pair) for key, pair in spec.items() if key == PASSWORD}
    return SetNode(
        kind=kind,
        namespace=namespace,
        name=name,
        node=node,
        spec=spec_node,
        data=holder,
        entries=entries,
        plain_last_applied=_plain_last_applied(metadata),
    )


Pairs = dict[str, tuple[Node, Node]]


def _pairs(node: MappingNode) -> Pairs:
    """The fields of a mapping of ours."""
    found: Pairs = {}
    for key, value in node.value:
        if key.tag == _MERGE:
            raise ManifestError(f"line {line_of(key)} merges another mapping ('<<'): write its fields out")
        if (text := scalar_text(key)) is None:
            raise ManifestError(f"line {line_of(key)}: the name of a field is no text: put it in quotes")
        if text in found:
            raise ManifestError(f"line {line_of(key)}: this field stood before, at line {line_of(found[text][0])}")
        found[text] = (key, value)
    return found


def _child(pairs: Pairs, name: str) -> Node | None:
    """A field that will be followed further; None if it is not there."""
    if name not in pairs:
        return None
    key, value = pairs[name]
    _refuse_alias(key, value)
    return value


def _refuse_alias(key: Node, value: Node) -> None:
    """An alias is, in the tree, the node that it stands for, with the place where that one is."""
    if value.start_mark.index < key.end_mark.index:
        raise ManifestError(f"line {line_of(key)} refers to an anchor ('*'): write out what it stands for")


def _mapping(pairs: Pairs, name: str, parent: Node) -> Pairs:
    node = pairs[name][1] if name in pairs else None
    if not isinstance(node, MappingNode):
        raise ManifestError(f"the object at line {line_of(parent)} has no {name}")
    return _pairs(node)


def _text(pairs: Pairs, name: str) -> str:
    if name not in pairs or is_null(pairs[name][1]):
        return ""
    text = scalar_text(pairs[name][1])
    if text is None:
        raise ManifestError(f"line {line_of(pairs[name][0])}: metadata.{name} is no text: put it in quotes")
    return text


def _entry(key: str, key_node: Node, node: Node) -> Entry:
    _refuse_alias(key_node, node)
    if not isinstance(node, MappingNode):
        return Entry(key=key, key_node=key_node, node=node, others=not is_null(node))
    fields = _pairs(node)
    sources = {}
    for name in SOURCES:
        if (source := _child(fields, name)) is not None:
            sources[name] = source
    return Entry(key=key, key_node=key_node, node=node, sources=sources, others=bool(fields.keys() - sources.keys()))


def _plain_last_applied(metadata: Pairs) -> bool:
    annotations = metadata["annotations"][1] if "annotations" in metadata else None
    if not isinstance(annotations, MappingNode):
        return False
    note = _pairs(annotations).get(last_applied.ANNOTATION)
    if note is None:
        return False
    try:
        return last_applied.without_plain_text(scalar_text(note[1]) or "", {}) is not None
    except last_applied.NotJson:
        return True  # nothing that kubectl writes
