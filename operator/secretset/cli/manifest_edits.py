"""Changes of single entries in the text of a manifest; all else stays as it is, byte for byte.

What was made of a text is parsed again and compared with what should be: a form of YAML that was not foreseen here is
refused, never damaged.
"""

from __future__ import annotations

import re
from typing import Any

from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode

from secretset.cli import manifests
from secretset.cli.manifests import Entry, Manifest, ManifestError, SetNode

_Shape = tuple[Any, ...]
_TEXT = "tag:yaml.org,2002:str"
_MAP = "tag:yaml.org,2002:map"


class Edits:
    """Changes of one manifest, made together by `result`.

    Args:
        manifest: what is changed.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._text = manifest.text
        self._roots = manifest.roots
        self._newline = "\r\n" if "\r\n" in manifest.text else "\n"
        self._splices: list[tuple[int, int, str, bool]] = []
        self._changed: dict[int, _Shape] = {}
        self._added: dict[int, list[tuple[_Shape, _Shape]]] = {}

    def put(self, target: SetNode, key: str, sealed: str) -> None:
        """Let an entry have this sealed value and no other source; a key that is new comes last.

        Raises:
            ManifestError: the text has a form that cannot be changed.
        """
        if key in target.entries:
            self._replace(target.entries[key], sealed)
        else:
            self._append(target, key, sealed)

    def result(self) -> str:
        """The new text.

        Raises:
            ManifestError: it would not say what it should.
        """
        pieces, at = [], 0
        # What is put behind an entry comes after what is put into it, where that is empty; else as they came.
        for start, end, new, _ in sorted(self._splices, key=lambda splice: (splice[0], splice[3])):
            pieces += [self._text[at:start], new]
            at = end
        text = "".join([*pieces, self._text[at:]])
        try:
            wanted = [self._shape(root) for root in self._roots]
            made = [_Plain().shape(root) for root in manifests.compose(text)]
        except (ManifestError, RecursionError):
            made, wanted = [], [()]
        if made != wanted:
            raise ManifestError(
                "the form of this manifest cannot be changed in place (it may use anchors, or blocks that keep their "
                "last lines): write its entries as `KEY: {sealed: …}`"
            )
        return text

    def _replace(self, entry: Entry, sealed: str) -> None:
        quoted = _is_quoted(entry.key_node)
        pair = _pair("sealed", sealed, quoted=quoted)
        node = entry.node
        if isinstance(node, MappingNode) and node.value:
            start = node.value[0][0].start_mark.index
            self._splice(start, self._end(node.value[-1][0], node.value[-1][1]), pair)
        elif isinstance(node, MappingNode) or manifests.is_null(node):
            start, end = node.start_mark.index, node.end_mark.index
            self._splice(start, end, (" " if start == end else "") + f"{{{pair}}}")
        else:
            raise ManifestError(f"line {entry.line}: '{entry.key}' is no mapping: write `{entry.key}: {{value: …}}`")
        self._changed[id(node)] = _sealed_shape(sealed)

    def _append(self, target: SetNode, key: str, sealed: str) -> None:
        if target.data is not None and target.data.value:
            parent = target.data
        elif target.data is not None:  # `data: {}`
            self._splice_inside(target.data, self._flow(key, sealed, quoted=_is_quoted(target.spec.value[0][0])))
            self._note(target.data, key, _sealed_shape(sealed))
            return
        elif (empty := next((pair for pair in target.spec.value if pair[0].value == "data"), None)) is not None:
            raise ManifestError(f"line {manifests.line_of(empty[0])}: spec.data is empty: write `data: {{}}`")
        else:
            raise ManifestError(f"'{target.name}' has no spec.data: write `data: {{}}` into its spec")
        first, (last_key, last) = parent.value[0][0], parent.value[-1]
        quoted = _is_quoted(first)
        end = self._end(last_key, last)
        if parent.flow_style:
            self._insert(end, f", {self._flow(key, sealed, quoted=quoted)}")
        else:
            self._insert_line(end, first.start_mark.column, self._block(parent, key, sealed, quoted=quoted))
        self._note(parent, key, _sealed_shape(sealed))

    def _flow(self, key: str, sealed: str, *, quoted: bool) -> str:
        return f"{_name(key, quoted=quoted)}: {{{_pair('sealed', sealed, quoted=quoted)}}}"

    def _block(self, parent: MappingNode, key: str, sealed: str, *, quoted: bool) -> list[str]:
        """The lines of a new entry, in the style of the one before it."""
        before_key, before = parent.value[-1]
        if not isinstance(before, MappingNode) or before.flow_style or not before.value:
            return [self._flow(key, sealed, quoted=quoted)]
        step = before.value[0][0].start_mark.column - before_key.start_mark.column
        return [f"{_name(key, quoted=quoted)}:", " " * step + _pair("sealed", sealed, quoted=quoted)]

    def _insert_line(self, after: int, indent: int, lines: list[str]) -> None:
        text = "".join(" " * indent + line + self._newline for line in lines)
        broken = self._text.find("\n", after)
        if broken < 0:
            self._insert(len(self._text), self._newline + text.removesuffix(self._newline))
        else:
            self._insert(broken + 1, text)

    def _splice_inside(self, node: CollectionNode, text: str) -> None:
        """Put text into empty braces, or behind what was put there before."""
        at = node.end_mark.index - 1
        more = any(splice[0] == at for splice in self._splices)
        self._insert(at, f", {text}" if more else text)

    def _end(self, key: Node, node: Node) -> int:
        """Where a node ends that stands behind a key, without the comments and empty lines that follow it."""
        if node.start_mark.index < key.end_mark.index:
            raise ManifestError(
                f"line {manifests.line_of(key)} refers to an anchor ('*'): write out what it stands for"
            )
        if isinstance(node, CollectionNode) and not node.flow_style and node.value:
            last = node.value[-1]
            return self._end(*last) if isinstance(last, tuple) else self._end(key, last)
        end = int(node.end_mark.index)
        if isinstance(node, ScalarNode) and node.style in {"|", ">"}:
            return len(self._text[:end].rstrip())
        return end

    def _splice(self, start: int, end: int, text: str) -> None:
        self._splices.append((start, end, text, False))

    def _insert(self, at: int, text: str) -> None:
        self._splices.append((at, at, text, True))

    def _note(self, parent: Node, key: str, shape: _Shape) -> None:
        self._added.setdefault(id(parent), []).append(((_TEXT, key), shape))

    def _shape(self, root: Node) -> _Shape:
        return _Plain(self._changed, self._added).shape(root)


class _Plain:
    """What a tree of nodes says, without marks and style."""

    def __init__(
        self,
        changed: dict[int, _Shape] | None = None,
        added: dict[int, list[tuple[_Shape, _Shape]]] | None = None,
    ) -> None:
        self._changed, self._added = changed or {}, added or {}

    def shape(self, node: Node) -> _Shape:
        if id(node) in self._changed:
            return self._changed[id(node)]
        if isinstance(node, MappingNode):
            pairs = [(self.shape(key), self.shape(value)) for key, value in node.value]
            return (node.tag, (*pairs, *self._added.get(id(node), ())))
        if isinstance(node, CollectionNode):
            return (node.tag, tuple(self.shape(item) for item in node.value))
        return (node.tag, node.value)


def _sealed_shape(sealed: str) -> _Shape:
    return (_MAP, (((_TEXT, "sealed"), (_TEXT, sealed)),))


def _is_quoted(key: Node) -> bool:
    """Whether a key stands in double quotes, as in JSON: then everything does."""
    return isinstance(key, ScalarNode) and key.style == '"'


def _name(key: str, *, quoted: bool) -> str:
    return f'"{key}"' if quoted or manifests.needs_quotes(key) else key


def _pair(name: str, sealed: str, *, quoted: bool) -> str:
    # Nothing else than ASCII letters, digits, `.`, `_` and `-` can get into a manifest this way.
    if not re.fullmatch(r"hpke1\.[A-Za-z0-9._-]+", sealed):
        raise ValueError("not a sealed value")
    return f'"{name}": "{sealed}"' if quoted else f"{name}: {sealed}"
