"""The annotation in which client-side `kubectl apply` notes the manifest, for the three-way patch of the next apply.

A manifest with a `value` would bring it into etcd by that road, and so would one with a mistake in it: a misspelled
field, text in place of an entry, the `stringData` of a Secret. So each entry that is not clearly sealed or a reference
is exchanged for the one that is stored: the next apply then takes `sealed` away, as it must to set `value` or
`valueFrom` instead, and a server-side apply finds in it what is there (facts.md: with only the value taken out, it
would not be "exactly one of"). Fields that no object has are left out; no apply misses them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Never

from secretset.domain.models import ImagePullSecretSpec, SecretSetSpec
from secretset.domain.sealing import looks_sealed

ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
ANNOTATIONS_MAX_BYTES = 262_144
"""What all annotations of an object may be long, names included (apimachinery, ``TotalAnnotationSizeLimitB``)."""

_FIELDS = frozenset({"apiVersion", "kind", "metadata", "spec"})
SPEC_FIELDS = frozenset(
    field.alias or name for spec in (SecretSetSpec, ImagePullSecretSpec) for name, field in spec.model_fields.items()
)
"""The fields of the specs of both kinds; deploy/seal.yaml names them too."""


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
    try:
        manifest = json.loads(text, parse_constant=_refuse)
        if not isinstance(manifest, dict):
            raise NotJson
        if not _cleaned(manifest, stored):
            return None
        # As short as kubectl writes it, which is what its length is limited for.
        end = "\n" if text.endswith("\n") else ""
        cleaned = json.dumps(manifest, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + end
        cleaned.encode()
    except (ValueError, RecursionError):  # also a number out of range, and half of a surrogate pair
        raise NotJson from None
    return cleaned


def _refuse(constant: str) -> Never:
    """NaN and the infinities, which Python reads, are no JSON."""
    raise ValueError


def _cleaned(manifest: dict[str, Any], stored: Mapping[str, Any]) -> bool:
    """Exchange what may be plain, in place; whether anything was."""
    changed = _keep(manifest, _FIELDS)
    meta = manifest.get("metadata")
    notes = meta.get("annotations") if isinstance(meta, dict) else None
    if isinstance(notes, dict) and ANNOTATION in notes:  # kubectl takes it out of what it notes
        del notes[ANNOTATION]
        changed = True
    spec = manifest.get("spec")
    if not isinstance(spec, dict):
        manifest.pop("spec", None)
        return changed or spec is not None
    changed |= _keep(spec, SPEC_FIELDS)
    data = spec.get("data")
    if isinstance(data, dict):
        plain = [key for key, entry in data.items() if not _is_clean(entry)]
        data |= {key: stored.get(key, {}) for key in plain}
        changed |= bool(plain)
    elif data is not None:
        del spec["data"]
        changed = True
    if not _is_clean(spec.get("password")):
        spec["password"] = stored.get("password", {})
        changed = True
    return changed


def _keep(found: dict[str, Any], fields: frozenset[str]) -> bool:
    """Take out all other fields; whether there were any."""
    others = found.keys() - fields
    for field in others:
        del found[field]
    return bool(others)


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
