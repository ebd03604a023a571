"""Waves: what one change of content must restart. Decided when the Secret is written, and stored on it in that write.

From then on a wave is only carried out (`restarts`). Each restart is one patch that changes the pod template and notes
the wave on the workload itself, so that a crash at any point neither loses a restart nor doubles one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from secretset.domain import versions
from secretset.domain.uses import NONE
from secretset.domain.workloads import Workload

# In place of a fingerprint: of what is not known any more, and of a key that was not there.
UNKNOWN, ABSENT = "?", ""


@dataclass(frozen=True, kw_only=True)
class Wave:
    """What one change of content must restart, or several changes that follow each other closely.

    Attributes:
        id: unique for the set over its whole life, re-creation included.
        since: when the oldest change in it was written, in seconds since the epoch.
        changed: when the newest change in it was written, in seconds since the epoch.
        targets: uids of the workloads that must restart, to the generation that they had when this was decided.
        base: revision that they run with; 0 if there was no Secret before.
        before: keys that differ from what the targets run with, to the fingerprint of that (or `UNKNOWN`, `ABSENT`).
        owed: those targets that must restart although a further change undoes this one: they run with something else.
        fresh: keys that the newest change in it changed.
        spared: uids of workloads that use one of those, which has come back to what they run with, to the generation.
        asked: somebody asked for it: all users are its targets, whatever changed and though restarts are off.
    """

    id: str
    since: float
    changed: float
    targets: Mapping[str, int]
    base: int = 0
    before: Mapping[str, str] = field(default_factory=dict)
    owed: frozenset[str] = frozenset()
    fresh: frozenset[str] = frozenset()
    spared: Mapping[str, int] = field(default_factory=dict)
    asked: bool = False

    def to_json(self) -> dict[str, Any]:
        """The form stored on the managed Secret."""
        return {
            **({"asked": True} if self.asked else {}),
            "id": self.id,
            "since": self.since,
            "changed": self.changed,
            "targets": dict(sorted(self.targets.items())),
            "base": self.base,
            "before": dict(sorted(self.before.items())),
            "owed": sorted(self.owed),
            "fresh": sorted(self.fresh),
            "spared": dict(sorted(self.spared.items())),
        }

    @classmethod
    def from_json(cls, raw: Any) -> Self:
        """Read the stored form.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: somebody else wrote it.
        """
        return cls(
            id=str(raw["id"]),
            since=float(raw["since"]),
            changed=float(raw["changed"]),
            targets=_generations(raw["targets"]),
            base=int(raw.get("base", 0)),
            before={str(key): str(mark) for key, mark in raw.get("before", {}).items()},
            owed=frozenset(str(uid) for uid in raw.get("owed", ())),
            fresh=frozenset(str(key) for key in raw.get("fresh", ())),
            spared=_generations(raw.get("spared", {})),
            asked=raw.get("asked") is True,
        )

    def waits_for(self, workload: Workload, secret: str) -> bool:
        """Whether a workload is still to be restarted; one that uses nothing any more that changed is not."""
        return (
            workload.uid in self.targets
            and workload.marks.get(secret, "") != self.id
            and (secret in workload.uses if workload.uid in self.owed else self._concerns(workload, secret))
        )

    def may_have_rolled(self, workload: Workload, secret: str) -> bool:
        """Whether a workload, or some of its pods, may run with something else than the base.

        It is owed a restart, or it was edited, scaled, created or rolled back since the wave was decided.
        """
        if workload.uid in self.targets:
            return workload.uid in self.owed or workload.generation != self.targets[workload.uid]
        return self._concerns(workload, secret)

    def _concerns(self, workload: Workload, secret: str) -> bool:
        return _concerned(workload, secret, self.base, self.before)

    def raced(self, workloads: Iterable[Workload], secret: str) -> dict[str, int]:
        """Which of the workloads that were there when the Secret was written were not seen, or not as they were.

        Args:
            workloads: of a list that shows that very moment.
            secret: name of the managed Secret.

        Returns:
            Uid of each to its generation.
        """
        return {
            w.uid: w.generation
            for w in workloads
            if w.generation not in {self.targets.get(w.uid), self.spared.get(w.uid)}
            and w.uid not in self.owed
            and w.marks.get(secret) != self.id
            and (secret in w.uses if self.asked else _concerned(w, secret, self.base, self.fresh))
        }

    def including(self, raced: Mapping[str, int]) -> Self:
        """The same wave with more targets. What they run with may be of a change before, so they are owed."""
        return replace(self, targets={**self.targets, **raced}, owed=self.owed | raced.keys())


def unfinished(wave: Wave | None, restarted: str) -> Wave | None:
    """A wave, unless the status says that all its restarts were made.

    The marks on workloads do not outlive `kubectl rollout undo` and `kubectl replace`: both bring old annotations back.
    """
    return None if wave is None or wave.id == restarted else wave


def next_wave(
    *,
    wave_id: str,
    secret: str,
    base: int,
    before: Mapping[str, str],
    same: Callable[[str, str], bool],
    workloads: Iterable[Workload],
    previous: Wave | None,
    restarted: Collection[str] = (),
    max_wait: float,
    now: float,
) -> Wave:
    """Decide what a change of content must restart: who uses a changed key, and who still waits for the last change.

    While none of the last wave's restarts has begun, the two changes are one: what the second undoes of the first
    restarts nothing. Once one has begun, whoever still waits for the first goes along, whatever the second does.

    Args:
        wave_id: id of the new wave.
        secret: name of the managed Secret.
        base: revision of the content before the change; 0 for none.
        before: keys that are new, different or gone, to their fingerprint before.
        same: whether a key now has the value that a fingerprint is of.
        workloads: of the namespace, as they were last seen: what has slipped through is found by `Wave.raced`.
        previous: the unfinished wave that the Secret carries now.
        restarted: uids that are known to have been restarted for that, whatever they bear now.
        max_wait: seconds after the first change when restarts begin at the latest, unless something else holds them.
        now: seconds since the epoch.
    """
    users = [w for w in workloads if secret in w.uses]
    fresh = frozenset(before)
    waiting = {
        w.uid for w in users if previous is not None and w.uid not in restarted and previous.waits_for(w, secret)
    }
    targets: dict[str, int]
    if previous is None or not joins(previous, users, secret, restarted):
        targets = {w.uid: w.generation for w in users if w.uid in waiting or _concerned(w, secret, base, fresh)}
        return Wave(
            id=wave_id,
            since=now,
            changed=now,
            targets=targets,
            base=base,
            before=before,
            owed=frozenset(waiting),
            fresh=fresh,
        )
    net = {key: mark for key, mark in {**before, **previous.before}.items() if not same(key, mark)}
    targets = {}
    owed: set[str] = set()
    spared: dict[str, int] = {}
    for w in users:
        if previous.may_have_rolled(w, secret):
            chosen = w.uid in waiting or _concerned(w, secret, base, fresh)
            owed.update({w.uid} if chosen else ())
        else:
            chosen = _concerned(w, secret, previous.base, net)
            spared.update({w.uid: w.generation} if not chosen and _concerned(w, secret, base, fresh) else {})
        targets.update({w.uid: w.generation} if chosen else {})
    return Wave(
        id=wave_id,
        # After twice that time it is a pause, a window or the like that holds them: what comes now has its own quiet.
        since=previous.since if now - previous.since <= 2 * max_wait else now,
        changed=now,
        targets=targets,
        base=previous.base,
        before=net,
        owed=frozenset(owed),
        fresh=fresh,
        spared=spared,
    )


def lost_wave(
    *,
    wave_id: str,
    secret: str,
    revision: int,
    workloads: Iterable[Workload],
    restarted: Collection[str],
    now: float,
) -> Wave:
    """The unfinished wave of the last change, where the Secret was lost that bore it.

    Nobody knows any more what it said, so all users are owed a restart, less those that were restarted for that
    revision.
    """
    targets = {
        w.uid: w.generation
        for w in workloads
        if secret in w.uses
        and w.uses[secret].keys != NONE
        and w.uid not in restarted
        and revision_of(w.marks.get(secret, "")) != revision
    }
    return Wave(id=wave_id, since=now, changed=now, targets=targets, base=revision - 1, owed=frozenset(targets))


def asked_wave(
    *, wave_id: str, secret: str, revision: int, workloads: Iterable[Workload], current: Wave | None, now: float
) -> Wave:
    """The wave that restarts all users because somebody asked for it; what waits for another one goes along.

    Args:
        wave_id: id of the new wave.
        secret: name of the managed Secret.
        revision: of its content.
        workloads: of the namespace, as they were last seen.
        current: the wave that the Secret would bear else.
        now: seconds since the epoch.
    """
    users = {w.uid: w.generation for w in workloads if secret in w.uses}
    if current is None:
        current = Wave(id=wave_id, since=now, changed=now, targets={}, base=revision)
    return replace(
        current,
        id=wave_id,
        changed=now,
        targets={**current.targets, **users},
        owed=current.owed | users.keys(),
        asked=True,
    )


def revision_of(wave_id: str) -> int:
    """The revision of the content that a wave restarts for; 0 for what is no id of a wave."""
    return versions.revision(wave_id.partition("-")[0])


def joins(previous: Wave, users: Iterable[Workload], secret: str, restarted: Collection[str] = ()) -> bool:
    """Whether a further change becomes part of an unfinished wave, because none of its restarts has begun.

    The first delivery's wave stays by itself: it is for those alone that may have started without the Secret.
    """
    return previous.base > 0 and not any(
        w.uid in previous.targets and (w.uid in restarted or w.marks.get(secret) == previous.id) for w in users
    )


def _generations(raw: Mapping[str, Any]) -> dict[str, int]:
    return {str(uid): int(generation) for uid, generation in raw.items()}


def _concerned(workload: Workload, secret: str, base: int, changed: Collection[str]) -> bool:
    """Whether a change restarts a workload; the first delivery does, if its pods may have started without it."""
    use = workload.uses.get(secret)
    return use is not None and (use.concerns(changed) if base else use.missed(changed))
