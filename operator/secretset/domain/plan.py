"""The plan: what must be written so that the managed Secret is what it should be. Pure; `controller/` carries it out.

It goes in two steps, because only a change of content needs the list of workloads: `assess` compares, `compose`
decides what the Secret shall bear.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from secretset.domain import reasons
from secretset.domain.fingerprint import Keyring, combine, key_id_of
from secretset.domain.marks import OWN_ANNOTATIONS, KeyMark, Marks
from secretset.domain.names import Key
from secretset.domain.observed import ObservedSecret, encode_data
from secretset.domain.restarts import RestartRule
from secretset.domain.versions import MOST_REVISIONS
from secretset.domain.waves import ABSENT, UNKNOWN, Wave, asked_wave, lost_wave, next_wave, revision_of
from secretset.domain.workloads import Workload


@dataclass(frozen=True, kw_only=True, repr=False)
class Desired:
    """What should be in the region. Holds values, so it is never kept nor printed.

    Attributes:
        inputs: hash of what the content was made from.
        ask: the request for a restart of all users that the set bears (`SetRecord.ask`).
    """

    key: Key
    uid: str
    installation: str
    region: str
    namespace: str
    content: Mapping[str, bytes]
    inputs: str
    rule: RestartRule
    ask: str = ""


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """What the status remembers of the last delivery: the memory that outlives a lost Secret.

    Attributes:
        keys: name to (created, updated).
        restarted: id of the wave whose restarts were all made.
        planned: id of the wave whose workloads were all found.
        asked: the request for a restart whose restarts were all made.
        updated: when the content changed last, in RFC 3339.
    """

    revision: int
    fingerprint: str
    restarted: str = ""
    planned: str = ""
    asked: str = ""
    keys: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    updated: str = ""

    @property
    def unrestarted(self) -> bool:
        """Whether restarts for the last change may be left to do; the first delivery's are not counted."""
        return self.revision > 1 and revision_of(self.restarted) != self.revision


class Write(Enum):
    """What to do with the Secret."""

    NONE = "none"
    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"  # type and `immutable` cannot be updated: delete it, then create it


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """How the Secret differs from what it should be.

    Attributes:
        changed_keys: keys whose value is new, different or gone since the last delivery; empty at the first one.
        drift: somebody else changed or deleted the Secret.
        revision: the revision that the content has.
        outdated: the Secret is an older copy of itself, whose wave is over.
        unrestarted: the Secret was lost with its wave, and the status does not say that its restarts were all made.
        asked: somebody asked for a restart of all users, which is no wave yet.
        last_asked: the request that became a wave last; empty if there was none, or nobody knows.
        last_keys: name to (created, updated) of what was delivered last.
        last_fingerprints: name to fingerprint of that, or `waves.UNKNOWN`.
        last_updated: when the content changed last, in RFC 3339; empty if nobody knows.
    """

    write: Write
    first: bool
    changed_keys: frozenset[str]
    drift: bool
    revision: int
    outdated: bool
    unrestarted: bool
    asked: bool
    last_asked: str
    last_keys: Mapping[str, tuple[str, str]]
    last_fingerprints: Mapping[str, str]
    last_updated: str

    @property
    def content_changed(self) -> bool:
        """Whether the content is new to the workloads, and they may have to restart."""
        return bool(self.changed_keys)


def assess(
    desired: Desired, secret: ObservedSecret | None, delivered: Delivered | None, keyring: Keyring
) -> Assessment:
    """Compare what should be with what is.

    Whether the *content* changed is judged against the newest memory of what was delivered, the marks or the status,
    whichever has the higher revision. So a Secret that was edited, deleted, or replaced by an older copy of itself is
    drift: put back, restarting nothing.

    Raises:
        Problem: ``NameConflict``: the Secret is not ours; ``Retrying``: it is being deleted.
    """
    marks = _own_marks(desired, secret)
    memory = _newest(marks, delivered, keyring)
    changed: frozenset[str] = frozenset()
    last_keys: Mapping[str, tuple[str, str]] = {}
    fingerprints: Mapping[str, str] = {}
    if isinstance(memory, Marks):
        changed = _changed(desired, memory.keys, keyring)
        last_keys = {name: (mark.created, mark.updated) for name, mark in memory.keys.items()}
        fingerprints = {name: mark.fingerprint for name, mark in memory.keys.items()}
    elif memory is not None:
        same = same_content(desired.key, desired.content, memory.fingerprint, keyring)
        changed = frozenset() if same else frozenset(desired.content) | frozenset(memory.keys)
        last_keys = memory.keys
        fingerprints = dict.fromkeys(last_keys, UNKNOWN)
    revision = memory.revision if memory else 1
    write = _write(desired, secret, marks, revision, keyring)
    drift = write is not Write.NONE and memory is not None and not changed
    if changed:
        revision = min(revision + 1, MOST_REVISIONS)
    asked = bool(desired.ask) and desired.ask not in {
        marks.asked if marks is not None else "",
        delivered.asked if delivered is not None else "",
    }
    if write is Write.NONE and marks is not None and (changed or asked or _outlived(marks, desired, keyring)):
        write = Write.UPDATE
    return Assessment(
        write=write,
        first=memory is None,
        changed_keys=changed,
        drift=drift,
        revision=revision,
        last_keys=last_keys,
        last_fingerprints=fingerprints,
        last_updated=memory.updated if memory is not None else "",
        outdated=marks is not None and memory is not None and _older_copy(desired, marks, memory.revision, delivered),
        unrestarted=drift and isinstance(memory, Delivered) and memory.unrestarted,
        last_asked=(marks.asked if marks is not None else "") or (delivered.asked if delivered is not None else ""),
        asked=asked and memory is not None,  # what is delivered for the first time is new to everybody
    )


def compose(
    desired: Desired,
    assessment: Assessment,
    *,
    keyring: Keyring,
    previous: Wave | None,
    workloads: Iterable[Workload],
    restarted: Collection[str] = (),
    timestamp: str,
    now: float,
) -> Marks:
    """Decide the marks that the Secret shall bear.

    Args:
        desired: what should be there.
        assessment: what `assess` found.
        keyring: the installation's fingerprint keys.
        previous: the wave that is not over yet; never that of an older copy of the Secret.
        workloads: of the namespace, as they were last seen; looked at only if the content changed.
        restarted: uids of those that are known to have been restarted for `previous`.
        timestamp: now, in RFC 3339.
        now: now, in seconds since the epoch.
    """
    fingerprints = keyring.of_content(desired.key, desired.content)
    keys = {}
    for name, fingerprint in fingerprints.items():
        created, updated = assessment.last_keys.get(name, (timestamp, timestamp))
        keys[name] = KeyMark(fingerprint, created, timestamp if name in assessment.changed_keys else updated)
    wave = previous
    # The same decision, made again after a crash, must be the same wave: no clock in its id.
    wave_id = f"{assessment.revision}-{desired.uid[:8]}-{combine(fingerprints)[-8:]}"
    if desired.rule.automatic and (assessment.content_changed or assessment.first):
        wave = next_wave(
            wave_id=wave_id,
            secret=desired.key.name,
            base=0 if assessment.first else assessment.revision - 1,
            before=_before(desired, assessment),
            same=lambda name, mark: _same(desired, keyring, name, mark),
            workloads=workloads,
            previous=previous,
            restarted=restarted,
            max_wait=desired.rule.max_wait,
            now=now,
        )
        if assessment.first and not wave.targets:
            wave = None  # nobody could have started without it
    elif desired.rule.automatic and previous is None and assessment.unrestarted:
        wave = lost_wave(
            wave_id=wave_id,
            secret=desired.key.name,
            revision=assessment.revision,
            workloads=workloads,
            restarted=restarted,
            now=now,
        )
    if assessment.asked:
        wave = asked_wave(
            wave_id=f"{wave_id}-{desired.ask}",
            secret=desired.key.name,
            revision=assessment.revision,
            workloads=workloads,
            current=wave,
            now=now,
        )
    # A key that was taken away is none of these, but that was a change too.
    newest = max([assessment.last_updated, *(mark.updated for mark in keys.values())])
    return Marks(
        installation=desired.installation,
        owner=desired.key,
        owner_uid=desired.uid,
        revision=assessment.revision,
        keys=keys,
        updated=timestamp if assessment.content_changed else newest or timestamp,
        inputs=desired.inputs,
        asked=desired.ask or assessment.last_asked,  # also once the annotation is gone: it may come back
        wave=wave,
    )


def render(desired: Desired, marks: Marks, secret: ObservedSecret | None) -> dict[str, Any]:
    """The Secret object to send. Labels and annotations of others on an existing Secret stay as they are."""
    metadata: dict[str, Any] = {"name": desired.key.name, "namespace": desired.namespace}
    labels, annotations = marks.labels(), marks.annotations()
    if secret is not None:
        metadata |= {"uid": secret.uid, "resourceVersion": secret.resource_version}
        if secret.finalizers:
            metadata["finalizers"] = list(secret.finalizers)
        labels = {**secret.labels, **labels}
        theirs = {name: text for name, text in secret.annotations.items() if name not in OWN_ANNOTATIONS}
        annotations = {**theirs, **annotations}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {**metadata, "labels": labels, "annotations": annotations},
        "type": desired.key.kind.secret_type,
        "data": encode_data(desired.content),
    }


def _before(desired: Desired, assessment: Assessment) -> dict[str, str]:
    """What differs from before, with the fingerprints of before; at first delivery, of a new Secret, that is all."""
    if assessment.first:
        return dict.fromkeys(desired.content, ABSENT) if assessment.write is Write.CREATE else {}
    last = assessment.last_fingerprints
    return {name: last.get(name, ABSENT) for name in assessment.changed_keys}


def _same(desired: Desired, keyring: Keyring, name: str, fingerprint: str) -> bool:
    """Whether a key has the value that a fingerprint is of; one of a key that is gone counts as another."""
    value = desired.content.get(name)
    if value is None or fingerprint in {ABSENT, UNKNOWN}:
        return value is None and fingerprint == ABSENT
    return keyring.matches(fingerprint, desired.key, name, value)


def _own_marks(desired: Desired, secret: ObservedSecret | None) -> Marks | None:
    if secret is None:
        return None
    marks = secret.marks
    if marks is None or marks.installation != desired.installation or marks.owner != desired.key:
        raise reasons.secret_taken(desired.region, desired.namespace, desired.key.name)
    if secret.deleting:
        raise reasons.retrying(f"Secret '{desired.key.name}' in namespace '{desired.namespace}' is still being deleted")
    return marks


def _write(
    desired: Desired, secret: ObservedSecret | None, marks: Marks | None, revision: int, keyring: Keyring
) -> Write:
    """How the Secret differs apart from what its memory says."""
    if secret is None or marks is None:
        return Write.CREATE
    if secret.type != desired.key.kind.secret_type or secret.immutable:
        return Write.REPLACE
    same = (
        dict(secret.data) == dict(desired.content)
        and marks.revision == revision
        and not _changed(desired, marks.keys, keyring)
        and all(secret.labels.get(name) == value for name, value in marks.labels().items())
    )
    return Write.NONE if same else Write.UPDATE


def _newest(marks: Marks | None, delivered: Delivered | None, keyring: Keyring) -> Marks | Delivered | None:
    """The newer of the two memories of what was delivered; the marks know more, the status is harder to damage."""
    if marks is None or not marks.keys or not marks.revision:
        return delivered
    if delivered is None or not keyring.knows(delivered.fingerprint):
        return marks
    if marks.revision != delivered.revision:
        return marks if marks.revision > delivered.revision else delivered
    damaged = marks.fingerprint != delivered.fingerprint and (
        key_id_of(marks.fingerprint) == key_id_of(delivered.fingerprint)
        or not all(keyring.knows(mark.fingerprint) for mark in marks.keys.values())
    )
    return delivered if damaged else marks


def _older_copy(desired: Desired, marks: Marks, revision: int, delivered: Delivered | None) -> bool:
    """Whether a Secret is an older copy of itself; of two with one revision, by the request that was carried out."""
    if marks.revision != revision:
        return 0 < marks.revision < revision
    return delivered is not None and bool(marks.asked) and marks.asked != desired.ask == delivered.asked


def _outlived(marks: Marks, desired: Desired, keyring: Keyring) -> bool:
    """Whether marks that are right are to be renewed.

    The object was re-created, the time of the last change was damaged, the last request for a restart is not what they
    say, or their fingerprint key is old.
    """
    return (
        marks.owner_uid != desired.uid
        or not marks.updated
        or marks.asked != (desired.ask or marks.asked)
        or any(key_id_of(mark.fingerprint) != keyring.current for mark in marks.keys.values())
    )


def _changed(desired: Desired, keys: Mapping[str, KeyMark], keyring: Keyring) -> frozenset[str]:
    different = {
        name
        for name, value in desired.content.items()
        if name not in keys or not keyring.matches(keys[name].fingerprint, desired.key, name, value)
    }
    return frozenset(different | (keys.keys() - desired.content.keys()))


def same_content(key: Key, content: Mapping[str, bytes], fingerprint: str, keyring: Keyring) -> bool:
    """Whether content is what a fingerprint was made of; unknown, with a key that is gone, counts as no."""
    if not keyring.knows(fingerprint):
        return False
    return combine(keyring.of_content(key, content, kid=key_id_of(fingerprint))) == fingerprint


def owned(secret: ObservedSecret, *, installation: str, key: Key) -> bool:
    """Whether a Secret is the managed Secret of this set, and so may be deleted with it."""
    marks = secret.marks
    return marks is not None and marks.installation == installation and marks.owner == key
