"""What the sealing webhook makes of an object before it is stored: `value` becomes `sealed`, wherever it stands.

What comes here is what the API server made of a request: of an apply, an edit or a patch. So an entry can have two
sources. A server-side apply takes away no `sealed`, because nobody owns what a webhook wrote; and a patch names only
what it sets. The source that is new wins, the one that was stored before goes.

A value that is applied a second time is sealed a second time, into another text: whether it is the same, only the
private key could tell. The operator finds the same content, and restarts nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from secretset.domain import json_patch, last_applied, payload, reasons
from secretset.domain.json_patch import Operation
from secretset.domain.names import PASSWORD, RESERVED_KEYS, VALUE_MAX_BYTES, Kind, is_valid_key
from secretset.domain.sealing import Place, PublicKey, looks_sealed

"""One operation of a JSON patch (RFC 6902)."""

_VALUE, _SEALED, _VALUE_FROM = "value", "sealed", "valueFrom"
_SOURCES = (_SEALED, _VALUE_FROM, _VALUE)
_NOTE = ("metadata", "annotations", last_applied.ANNOTATION)


class Refused(Exception):
    """The object must not be stored; the message says where and why, and never shows what stands there."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Sealed(NamedTuple):
    """What is done to an object.

    Attributes:
        patch: operations on it, in order; none if it can be stored as it is.
        values: how many were sealed.
    """

    patch: list[Operation]
    values: int


def seal(
    kind: Kind,
    namespace: str,
    new: Mapping[str, Any],
    old: Mapping[str, Any] | None,
    *,
    installation: str,
    key: PublicKey,
    reserved: Collection[str] = RESERVED_KEYS,
) -> Sealed:
    """Decide what has to be done to an object so that it can be stored.

    What breaks the schema in another way is left to the schema.

    Args:
        kind: of the object.
        namespace: of the object.
        new: as it would be stored.
        old: as it is; None if it is to be created.
        installation: the id that values are bound to.
        key: to seal with.
        reserved: names that ``spec.data`` may not use.

    Raises:
        Refused: it cannot be made fit to be stored.
    """
    entries, before = _entries(kind, new), _entries(kind, old or {})
    chosen = {name: _one_source(_where(kind, name), entry, before.get(name)) for name, entry in entries.items()}
    plain = {name: entry[_VALUE] for name, entry in chosen.items() if entry.get(_VALUE) is not None}
    sealed = {name: _bytes(_where(kind, name), value) for name, value in plain.items()}
    if sealed:
        _check_keys(kind, sealed, reserved)
        meta = new.get("metadata") or {}
        if not (of := meta.get("name")):
            raise Refused(
                "metadata.generateName: a value is sealed for one object, whose name is not known yet: write "
                "metadata.name, or seal the values for it with 'secretset seal'"
            )
        for name, value in sealed.items():
            text = key.seal(Place(installation, kind, namespace, of, name), value)
            chosen[name] = {**{field: chosen[name][field] for field in chosen[name] if field != _VALUE}, _SEALED: text}
    patch = [
        json_patch.replace(_path(kind, name), entry) for name, entry in chosen.items() if entry is not entries[name]
    ]
    return Sealed(patch + _note(new, chosen), len(sealed))


def _entries(kind: Kind, obj: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What may carry a value, by key; what is not of the form is left out, the schema refuses it."""
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        return {}
    found = spec.get("data") if kind is Kind.SECRET_SET else {PASSWORD: spec.get(PASSWORD)}
    return {name: entry for name, entry in found.items() if isinstance(entry, dict)} if isinstance(found, dict) else {}


def _one_source(where: str, entry: Mapping[str, Any], before: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The entry with the source that is new in it; the same object if nothing has to go.

    Raises:
        Refused: two are new, or `sealed` is, and is not sealed.
    """
    given = [field for field in _SOURCES if entry.get(field) is not None]
    # No `value` is ever stored, so one that is here has just been set.
    fresh = [field for field in given if field == _VALUE or before is None or entry[field] != before.get(field)]
    text = entry.get(_SEALED)
    if _SEALED in fresh and not (isinstance(text, str) and looks_sealed(text)):
        raise Refused(f"{where}.sealed: is not what 'secretset seal' makes: plain text belongs into value")
    if len(given) < 2 or not fresh:
        return entry
    if len(fresh) > 1:
        raise Refused(f"{where}: sets {' and '.join(fresh)} at once: keep one of them")
    return {field: entry[field] for field in entry if field not in _SOURCES or field == fresh[0]}


def _bytes(where: str, value: Any) -> bytes:
    """A value as it is delivered.

    Raises:
        Refused: it is no text, or too long.
    """
    if not isinstance(value, str):
        raise Refused(f"{where}.value: must be text: put a number, true or false in quotes")
    raw = value.encode()
    if len(raw) > VALUE_MAX_BYTES:
        raise Refused(f"{where}.value: is longer than {VALUE_MAX_BYTES:,} bytes")
    return raw


def _check_keys(kind: Kind, keys: Collection[str], reserved: Collection[str]) -> None:
    """Refuse the names that the schema and the operator would refuse, before anything is sealed for them.

    Raises:
        Refused: one of them is such a name.
    """
    if kind is Kind.SECRET_SET:
        try:
            payload.check_keys(keys, reserved)
        except reasons.Problem as problem:
            raise Refused(problem.message.removesuffix(".")) from None


def _note(new: Mapping[str, Any], stored: Mapping[str, Any]) -> list[Operation]:
    """What has to be done to the annotation in which kubectl noted the manifest.

    Raises:
        Refused: it cannot be read, or is too long when it is sealed.
    """
    meta = new.get("metadata") or {}
    notes = meta.get("annotations")
    text = notes.get(last_applied.ANNOTATION) if isinstance(notes, dict) else None
    if not isinstance(notes, dict) or not isinstance(text, str) or not text:
        return []
    try:
        cleaned = last_applied.without_plain_text(text, stored)
    except last_applied.NotJson:
        raise Refused(f"metadata.annotations: {last_applied.ANNOTATION} is not a manifest in JSON: remove it") from None
    if cleaned is None:
        return []
    others = [(name, str(note)) for name, note in notes.items() if name != last_applied.ANNOTATION]
    total = sum(len(part.encode()) for note in [*others, (last_applied.ANNOTATION, cleaned)] for part in note)
    if total > last_applied.ANNOTATIONS_MAX_BYTES:
        raise Refused(
            "metadata.annotations: the manifest with its values sealed is longer than the "
            f"{last_applied.ANNOTATIONS_MAX_BYTES:,} bytes that 'kubectl apply' can note: use 'kubectl apply "
            "--server-side', or split the set"
        )
    return [json_patch.replace(json_patch.pointer(*_NOTE), cleaned)]


def _where(kind: Kind, name: str) -> str:
    """The place of an entry, for messages: a name that is no key may be anything, and is not told."""
    if kind is Kind.IMAGE_PULL_SECRET:
        return "spec.password"
    return f"spec.data.{name}" if is_valid_key(name) else "spec.data: an entry"


def _path(kind: Kind, name: str) -> str:
    return json_patch.pointer("spec", *(("data", name) if kind is Kind.SECRET_SET else (PASSWORD,)))
