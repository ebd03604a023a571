"""What is seen in a region: a Secret as it was read, and the small record that is kept of it."""

from __future__ import annotations

import base64
import binascii
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from secretset.domain import names
from secretset.domain.fingerprint import Keyring, key_id_of
from secretset.domain.marks import Marks
from secretset.domain.names import Key
from secretset.domain.waves import Wave


@dataclass(frozen=True, kw_only=True, repr=False)
class ObservedSecret:
    """A Secret of a region as it was just read, values included. Never kept, never printed.

    Attributes:
        marks: ours, whoever's set it is for; None on somebody else's Secret.
        last_manager: field manager of the newest change that was not ours.
        last_changed: when that was, in seconds since the epoch; None if nobody knows.
    """

    uid: str
    resource_version: str
    type: str
    data: Mapping[str, bytes]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    finalizers: tuple[str, ...]
    immutable: bool
    deleting: bool
    marks: Marks | None
    last_manager: str | None
    last_changed: float | None

    @classmethod
    def parse(cls, obj: Mapping[str, Any]) -> Self:
        """Read a Secret object of the API."""
        meta = obj["metadata"]
        manager, changed = _last_change(meta)
        return cls(
            uid=meta["uid"],
            resource_version=meta["resourceVersion"],
            type=obj.get("type", names.TYPE_OPAQUE),
            data=decode_data(obj),
            labels=meta.get("labels") or {},
            annotations=meta.get("annotations") or {},
            finalizers=tuple(meta.get("finalizers") or ()),
            immutable=bool(obj.get("immutable")),
            deleting="deletionTimestamp" in meta,
            marks=Marks.parse(meta),
            last_manager=manager,
            last_changed=changed,
        )


@dataclass(kw_only=True, slots=True)
class SecretRecord:
    """What is kept of a managed Secret: enough to know that nothing has to be done, and no value.

    Attributes:
        intact: type, labels and data are what the marks say; the data was fingerprinted when it was seen.
        keys: names of the keys that it has.
        current_key: the marks were made with the newest fingerprint key; else they are to be renewed.
        inputs: what the content was made from; replaced in memory once content from newer inputs proved equal.
        planned: id of the wave whose workloads were all found, those included that raced with the write.
        asked: the request for a restart that became a wave last.
        restarted: uids that were restarted for the wave, some of which may have lost their mark since.
        deleted: when the Secret was found to be gone, in seconds since the epoch; only its memory is kept until it is
            put back. 0 while it is there.
    """

    uid: str
    resource_version: str
    owner: Key
    owner_uid: str
    revision: int
    inputs: str
    intact: bool
    current_key: bool
    wave: Wave | None
    keys: frozenset[str]
    asked: str = ""
    planned: str = ""
    restarted: set[str] | frozenset[str] = frozenset()
    deleted: float = 0.0

    @classmethod
    def of(cls, obj: Mapping[str, Any], *, installation: str, keyring: Keyring) -> Self | None:
        """The record of a Secret; None if it is not of this installation."""
        secret = ObservedSecret.parse(obj)
        marks = secret.marks
        if marks is None or marks.installation != installation:
            return None
        intact = (
            secret.type == marks.owner.kind.secret_type
            and not secret.immutable
            and not secret.deleting
            and marks.revision > 0
            and marks.updated != ""
            and all(secret.labels.get(name) == value for name, value in marks.labels().items())
            and secret.data.keys() == marks.keys.keys()
            and all(
                keyring.matches(marks.keys[key].fingerprint, marks.owner, key, value)
                for key, value in secret.data.items()
            )
        )
        return cls(
            uid=secret.uid,
            resource_version=secret.resource_version,
            owner=marks.owner,
            owner_uid=marks.owner_uid,
            revision=marks.revision,
            inputs=marks.inputs,
            intact=intact,
            current_key=all(key_id_of(mark.fingerprint) == keyring.current for mark in marks.keys.values()),
            wave=marks.wave,
            keys=frozenset(sys.intern(key) for key in secret.data),
            asked=marks.asked,
        )

    def keep_wave(self, before: SecretRecord) -> None:
        """Remember the wave that somebody took off the Secret, or that its older copy does not bear."""
        if self.revision < before.revision or (self.revision == before.revision and self.wave is None):
            self.wave = before.wave

    def inherit(self, before: SecretRecord) -> None:
        """Remember how far the wave was carried out, if it is the same one."""
        if self.wave is not None and before.wave is not None and self.wave.id == before.wave.id:
            self.planned, self.restarted = before.planned, before.restarted

    def restarted_for(self, wave: Wave | None) -> Collection[str]:
        """Uids that were restarted for a wave."""
        same = wave is not None and self.wave is not None and wave.id == self.wave.id
        return self.restarted if same else ()

    def note_restart(self, uid: str) -> None:
        """A workload was restarted for the wave."""
        self.restarted = {*self.restarted, uid}


def decode_data(obj: Mapping[str, Any]) -> dict[str, bytes]:
    """The values of a Secret object, as bytes."""
    return {key: base64.b64decode(text or "") for key, text in (obj.get("data") or {}).items()}


def encode_data(content: Mapping[str, bytes]) -> dict[str, str]:
    """Values as the API wants them."""
    return {key: binascii.b2a_base64(value, newline=False).decode() for key, value in sorted(content.items())}


def _last_change(meta: Mapping[str, Any]) -> tuple[str | None, float | None]:
    entries = [entry for entry in meta.get("managedFields") or () if entry.get("manager") != names.FIELD_MANAGER]
    if not entries:
        return None, None
    newest = max(entries, key=lambda entry: str(entry.get("time", "")))
    time = newest.get("time")
    return str(newest.get("manager") or "") or None, datetime.fromisoformat(time).timestamp() if time else None
