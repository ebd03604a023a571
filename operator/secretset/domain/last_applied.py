"""The annotation in which client-side `kubectl apply` notes the manifest, for the three-way patch of the next apply.

A manifest with a `value` would bring it into etcd by that road, and so would one with a mistake in it: a misspelled
field, text in place of an entry, the `stringData` of a Secret. So each entry that is not clearly sealed or a reference
is exchanged for the one that is stored: the next apply then takes `sealed` away, as it must to set `value` or
`valueFrom` instead, and a server-side apply finds in it what is there (facts.md: with only the value taken out, it
would not be "exactly one of"). What no object has is left out, wherever it stands: fields of other names, and maps or
lists in place of text. No apply misses it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Never

from secretset.domain.sealing import looks_sealed

ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
ANNOTATIONS_MAX_BYTES = 262_144
"""What all annotations of an object may be long, names included (apimachinery, ``TotalAnnotationSizeLimitB``)."""

Shape = type | list[Any] | Mapping[str, Any]
"""What may stand somewhere: `str` for text or a number, `object` for what is judged otherwise, a list of one shape, or
fields by name, where `*` is any other name. None is no field."""

_MAP: Shape = {"*": str}
META: Mapping[str, Shape] = {
    **dict.fromkeys(("name", "generateName", "namespace", "uid", "resourceVersion", "generation", "selfLink"), str),
    **dict.fromkeys(("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"), str),
    "labels": _MAP,
    "annotations": {"*": str, ANNOTATION: None},  # kubectl takes it out of what it notes
    "finalizers": [str],
    "ownerReferences": [dict.fromkeys(("apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"), str)],
}
"""The fields of an object's metadata (meta/v1, ``ObjectMeta``), but for `managedFields`, which nobody applies."""
SPEC: Mapping[str, Shape] = {
    "data": object,
    "password": object,
    **dict.fromkeys(("region", "description", "deletionPolicy", "host", "username"), str),
    "metadata": _MAP,
    "serviceAccounts": [str],
    "restart": {
        **dict.fromkeys(("policy", "quietSeconds", "maxWaitSeconds", "maxConcurrent"), str),
        "window": dict.fromkeys(("schedule", "duration", "timeZone"), str),
    },
}
"""The fields of the specs of both kinds; deploy/seal.yaml knows them too."""
_MANIFEST: Shape = {"apiVersion": str, "kind": str, "metadata": META, "spec": SPEC}
_NOTHING = object()


class NotJson(Exception):
    """The annotation is no manifest; it may hold anything."""


def without_plain_text(text: str, stored: Mapping[str, Any]) -> str | None:
    """The annotation with its plain entries exchanged for stored ones, or None if it has none.

    Args:
        text: of the annotation.
        stored: the entries that the object has, by key; a pull secret's is called `password`.

    Raises:
        NotJson: it cannot be read.
    """
    repeated = False

    def fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal repeated
        found = dict(pairs)
        repeated = repeated or len(found) < len(pairs)
        return found

    try:
        manifest = json.loads(text, parse_constant=_refuse, object_pairs_hook=fields)
        if not isinstance(manifest, dict):
            raise NotJson
        found = _cleaned(manifest, stored)
        if found == manifest and not repeated:  # of a field that stands there twice, the last one alone was looked at
            return None
        # As short as kubectl writes it, which is what its length is limited for.
        end = "\n" if text.endswith("\n") else ""
        cleaned = json.dumps(found, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + end
        cleaned.encode()
    except (ValueError, RecursionError):  # also a number out of range, and half of a surrogate pair
        raise NotJson from None
    return cleaned


def _refuse(constant: str) -> Never:
    """NaN and the infinities, which Python reads, are no JSON."""
    raise ValueError


def _cleaned(manifest: dict[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with what may be plain exchanged, or left out."""
    found: dict[str, Any] = _fitting(manifest, _MANIFEST)
    spec = found.get("spec")
    if spec is None:
        return found
    data = spec.get("data")
    if isinstance(data, dict):
        spec["data"] = {key: entry if _is_clean(entry) else stored.get(key, {}) for key, entry in data.items()}
    elif data is not None:
        del spec["data"]
    if not _is_clean(spec.get("password")):
        spec["password"] = stored.get("password", {})
    return found


def _fitting(found: Any, shape: Any) -> Any:
    """What of it has a shape, in a copy; `_NOTHING` if it has another one altogether."""
    if found is None or shape is object:
        return found
    if shape is str:
        return _NOTHING if isinstance(found, dict | list) else found
    if isinstance(shape, list) and isinstance(found, list):
        parts = (_fitting(each, shape[0]) for each in found)
        return [each for each in parts if each is not _NOTHING]
    if isinstance(shape, list) or not isinstance(found, dict):
        return _NOTHING
    fields = ((name, shape.get(name, shape.get("*")), each) for name, each in found.items())
    fitted = {name: _fitting(each, inner) for name, inner, each in fields if inner is not None}
    return {name: each for name, each in fitted.items() if each is not _NOTHING}


def _is_clean(entry: Any) -> bool:
    """Whether an entry can hold no plain text: it is empty, sealed or a reference, and has no more to it."""
    if entry is None or entry == {}:
        return True
    if not isinstance(entry, dict) or len(entry) != 1:
        return False
    if isinstance(sealed := entry.get("sealed"), str):
        return looks_sealed(sealed)
    return _is_reference(entry.get("valueFrom"))


def _is_reference(source: Any) -> bool:
    if not isinstance(source, dict) or source.keys() != {"secretKeyRef"}:
        return False
    ref = source["secretKeyRef"]
    return (
        isinstance(ref, dict) and ref.keys() == {"key", "name"} and all(isinstance(part, str) for part in ref.values())
    )
