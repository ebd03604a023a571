"""The marks on a managed Secret: whose it is, what was delivered, and what is still to be restarted.

They are the operator's memory: written with the content in one request, so that a crash leaves either both or none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from secretset.domain import names, versions
from secretset.domain.fingerprint import combine
from secretset.domain.names import Key, Kind
from secretset.domain.waves import Wave

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
# Whatever reading a damaged annotation may raise.
_DAMAGE = (ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError)


class KeyMark(NamedTuple):
    """What is remembered of one value.

    Attributes:
        fingerprint: keyed, see `fingerprint.Keyring`.
        created: RFC 3339 time of its first delivery.
        updated: RFC 3339 time of its last change.
    """

    fingerprint: str
    created: str
    updated: str


@dataclass(frozen=True, kw_only=True)
class Marks:
    """The labels and annotations that make a Secret ours.

    Attributes:
        revision: 1 at first delivery, one more with each change of content; 0 if the annotation was damaged.
        inputs: hash of what the content was made from (references and versions, no values).
        asked: the request for a restart of all users that became a wave last (`SetRecord.ask`).
    """

    installation: str
    owner: Key
    owner_uid: str
    revision: int = 0
    keys: Mapping[str, KeyMark] = field(default_factory=dict)
    updated: str = ""
    inputs: str = ""
    asked: str = ""
    wave: Wave | None = None

    @property
    def fingerprint(self) -> str:
        """Of the whole content; empty if the marks were damaged."""
        return combine({name: mark.fingerprint for name, mark in self.keys.items()})

    def labels(self) -> dict[str, str]:
        """The labels of the managed Secret: to find it, for people and for our watch."""
        return {
            names.LABEL_MANAGED_BY: names.FIELD_MANAGER,
            self.owner.kind.label: self.owner.name,
            names.LABEL_ORGANIZATION: self.owner.namespace,
        }

    def annotations(self) -> dict[str, str]:
        """The annotations of the managed Secret."""
        out = {
            names.ANNOTATION_INSTALLATION: self.installation,
            names.ANNOTATION_OWNER_KIND: self.owner.kind.value,
            names.ANNOTATION_OWNER_NAMESPACE: self.owner.namespace,
            names.ANNOTATION_OWNER_NAME: self.owner.name,
            names.ANNOTATION_OWNER_UID: self.owner_uid,
            names.ANNOTATION_REVISION: str(self.revision),
            names.ANNOTATION_KEYS: _json({name: list(mark) for name, mark in sorted(self.keys.items())}),
            names.ANNOTATION_UPDATED: self.updated,
            names.ANNOTATION_INPUTS: self.inputs,
        }
        if self.asked:
            out[names.ANNOTATION_ASKED] = self.asked
        return out if self.wave is None else out | wave_annotation(self.wave)

    @classmethod
    def parse(cls, metadata: Mapping[str, Any]) -> Self | None:
        """Read the marks of a Secret; None if it bears none, that is, belongs to somebody else.

        Whose it is must be whole. What was remembered on it may be damaged, because anyone who may edit Secrets in
        the region may edit it: what cannot be read counts as forgotten.
        """
        notes = metadata.get("annotations") or {}
        try:
            owner = Key(
                Kind(notes[names.ANNOTATION_OWNER_KIND]),
                notes[names.ANNOTATION_OWNER_NAMESPACE],
                notes[names.ANNOTATION_OWNER_NAME],
            )
            installation = notes[names.ANNOTATION_INSTALLATION]
        except (KeyError, ValueError):
            return None
        return cls(
            installation=installation,
            owner=owner,
            owner_uid=notes.get(names.ANNOTATION_OWNER_UID, ""),
            revision=versions.revision(notes.get(names.ANNOTATION_REVISION)),
            keys=_keys(notes.get(names.ANNOTATION_KEYS)),
            updated=updated if _TIME.fullmatch(updated := notes.get(names.ANNOTATION_UPDATED, "")) else "",
            inputs=notes.get(names.ANNOTATION_INPUTS, ""),
            asked=notes.get(names.ANNOTATION_ASKED, ""),
            wave=_wave(notes.get(names.ANNOTATION_WAVE)),
        )


def wave_annotation(wave: Wave) -> dict[str, str]:
    """The annotation that carries a wave."""
    return {names.ANNOTATION_WAVE: _json(wave.to_json())}


# Annotations of ours; whatever else stands on the Secret is left as it is.
OWN_ANNOTATIONS = frozenset(
    {
        names.ANNOTATION_INSTALLATION,
        names.ANNOTATION_OWNER_KIND,
        names.ANNOTATION_OWNER_NAMESPACE,
        names.ANNOTATION_OWNER_NAME,
        names.ANNOTATION_OWNER_UID,
        names.ANNOTATION_REVISION,
        names.ANNOTATION_KEYS,
        names.ANNOTATION_UPDATED,
        names.ANNOTATION_INPUTS,
        names.ANNOTATION_WAVE,
        names.ANNOTATION_ASKED,
    }
)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _time(text: str) -> str:
    """A time as we write it.

    Raises:
        ValueError: it is none; a status with it would be refused by the API server.
    """
    if not _TIME.fullmatch(text):
        raise ValueError("not a time")
    return text


def _keys(text: str | None) -> dict[str, KeyMark]:
    try:
        raw = json.loads(text or "{}")
        return {
            name: KeyMark(str(made), _time(created), _time(updated)) for name, (made, created, updated) in raw.items()
        }
    except _DAMAGE:
        return {}


def _wave(text: str | None) -> Wave | None:
    try:
        return Wave.from_json(json.loads(text)) if text else None
    except _DAMAGE:
        return None
