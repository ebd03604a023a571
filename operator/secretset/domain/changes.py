"""What a user wants of a set, as the object to create or the JSON patch (RFC 6902) to send. Pure.

A patch tests first that each entry which it touches is still what the user saw. So two that change different keys at
once both succeed, inside of the API server, and of two that change the same key one is told (409 in seeds/003).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from secretset.domain import json_patch, names
from secretset.domain.json_patch import Operation
from secretset.domain.names import PASSWORD, Key, Kind


@dataclass(frozen=True, kw_only=True, repr=False)
class Change:
    """What is to be different; None leaves what is there.

    Attributes:
        sealed: sealed text by key; of a pull secret, its ``password``.
        removed: keys that are to be gone.
        overwrite: keys that are not named are to be gone as well.
        region: that a set which has none is to live in.
        metadata: the names that are to be different; others stay, unless ``overwrite`` is set.
    """

    sealed: Mapping[str, str] = field(default_factory=dict)
    removed: Sequence[str] = ()
    overwrite: bool = False
    region: str | None = None
    description: str | None = None
    metadata: Mapping[str, str] | None = None
    host: str | None = None
    username: str | None = None
    service_accounts: Sequence[str] | None = None


def created(key: Key, change: Change) -> dict[str, Any]:
    """The object of a set that is not there yet."""
    entries = {name: {"sealed": text} for name, text in sorted(change.sealed.items())}
    spec = {
        "region": change.region,
        **_plain(change),
        "metadata": dict(change.metadata) if change.metadata else None,
        **({"data": entries} if key.kind is Kind.SECRET_SET else {PASSWORD: entries[PASSWORD]}),
    }
    return {
        "apiVersion": names.API_VERSION,
        "kind": key.kind.value,
        "metadata": {"name": key.name, "namespace": key.namespace},
        "spec": {name: value for name, value in spec.items() if value is not None},
    }


def patch(key: Key, obj: Mapping[str, Any], change: Change) -> list[Operation]:
    """The operations that make an object what the change says; empty if it is that already."""
    spec = obj.get("spec") or {}
    operations = [*_entries(key.kind, spec, change)]
    for name, value in _plain(change).items():
        if value is not None and spec.get(name) != value:
            operations.append(json_patch.add(f"/spec/{name}", value))
    if change.region is not None and "region" not in spec:
        operations += [json_patch.test("/spec/region", None), json_patch.add("/spec/region", change.region)]
    operations += _metadata(spec.get("metadata"), change)
    # Another object of this name is another set; and whoever replaces all entries has to have seen all of them.
    guard = [json_patch.test("/metadata/uid", obj["metadata"]["uid"])]
    if change.overwrite:
        guard.append(json_patch.test("/metadata/resourceVersion", obj["metadata"]["resourceVersion"]))
    return [*guard, *operations] if operations else []


def touched(kind: Kind, obj: Mapping[str, Any], change: Change) -> Mapping[str, Any]:
    """What stands in an object where a change writes: who finds the same again met nobody there."""
    spec = obj.get("spec") or {}
    if change.overwrite:
        # What is no part of the spec, as the operator's status, is nobody's change of it.
        return {"uid": obj["metadata"]["uid"], "generation": obj["metadata"]["generation"]}
    keys = [*change.sealed, *change.removed]
    entries = spec.get("data") or {} if kind is Kind.SECRET_SET else {PASSWORD: spec.get(PASSWORD)}
    return {"uid": obj["metadata"]["uid"], **{name: entries.get(name) for name in keys}}


def _plain(change: Change) -> dict[str, Any]:
    return {
        "description": change.description,
        "host": change.host,
        "username": change.username,
        "serviceAccounts": None if change.service_accounts is None else list(change.service_accounts),
    }


def _entries(kind: Kind, spec: Mapping[str, Any], change: Change) -> Iterator[Operation]:
    root = "/spec/data" if kind is Kind.SECRET_SET else "/spec"
    there = (spec.get("data") or {}) if kind is Kind.SECRET_SET else spec
    for name, text in sorted(change.sealed.items()):
        where = root + json_patch.pointer(name)
        yield json_patch.test(where, there.get(name))
        yield json_patch.add(where, {"sealed": text})
    gone = set(change.removed)
    if change.overwrite and kind is Kind.SECRET_SET:
        gone |= there.keys() - change.sealed.keys()
    for name in sorted(gone & there.keys()):
        where = root + json_patch.pointer(name)
        yield json_patch.test(where, there[name])
        yield json_patch.remove(where)


def _metadata(there: Any, change: Change) -> list[Operation]:
    if change.metadata is None:
        return []
    held: Mapping[str, str] = there if isinstance(there, dict) else {}
    wanted = dict(change.metadata) if change.overwrite else {**held, **change.metadata}
    return (
        [] if wanted == held else [json_patch.test("/spec/metadata", there), json_patch.add("/spec/metadata", wanted)]
    )
