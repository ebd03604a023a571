"""Restarts: which workloads a change of content must restart, when, and what is left to do. All decisions are here.

A **wave** is what one change of content must restart. It is decided once, when the Secret is written, and stored on the
Secret in the same write; from then on it is only carried out. Each restart is one patch that changes the pod template
and notes the wave on the workload itself, so that a crash at any point neither loses a restart nor doubles one, and
`kubectl rollout undo` (which brings old template annotations back) restarts nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from secretset.domain.models.status import WorkloadCounts
from secretset.domain.names import Kind
from secretset.domain.workloads import Rollout, Workload

_SKEW_SECONDS = 1.0  # that clocks may differ by without anybody having set them


@dataclass(frozen=True, kw_only=True)
class Wave:
    """What one change of content must restart.

    Attributes:
        id: unique for the set over its whole life, re-creation included.
        since: when the oldest change in it was written, in seconds since the epoch.
        changed: when the newest change in it was written, in seconds since the epoch.
        targets: uids of the workloads that must restart.
    """

    id: str
    since: float
    changed: float
    targets: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The form stored on the managed Secret."""
        return {"id": self.id, "since": self.since, "changed": self.changed, "targets": list(self.targets)}

    @classmethod
    def from_json(cls, raw: Any) -> Self:
        """Read the stored form.

        Raises:
            ValueError, TypeError, KeyError: somebody else wrote it.
        """
        return cls(
            id=str(raw["id"]),
            since=float(raw["since"]),
            changed=float(raw["changed"]),
            targets=tuple(str(uid) for uid in raw["targets"]),
        )


def unfinished(wave: Wave | None, restarted: str) -> Wave | None:
    """A wave, unless the status says that all its restarts were made.

    The marks on workloads do not outlive `kubectl rollout undo` and `kubectl replace`: both bring old annotations back.
    """
    return None if wave is None or wave.id == restarted else wave


@dataclass(frozen=True, kw_only=True)
class RestartRule:
    """The restart section of a spec with what is absent filled in.

    Attributes:
        automatic: whether a change restarts anything.
        quiet: seconds without a further change before the restarts begin.
        max_wait: seconds after the first change when they begin at the latest.
        max_concurrent: workloads that may roll at a time; None for no limit.
    """

    automatic: bool
    quiet: float
    max_wait: float
    max_concurrent: int | None = None


def automatic_by_default(kind: Kind) -> bool:
    """What an absent ``restart.policy`` means: pull secrets are read by kubelet, so pods need no restart."""
    return kind is Kind.SECRET_SET


def next_wave(
    *,
    wave_id: str,
    secret: str,
    changed_keys: Collection[str],
    workloads: Iterable[Workload],
    previous: Wave | None,
    now: float,
) -> Wave | None:
    """Decide what a change of content must restart: who uses a changed key, and who still waits for the last change.

    Args:
        wave_id: id of the new wave.
        secret: name of the managed Secret.
        changed_keys: keys that are new, different or gone.
        workloads: of a consistent list of the namespace, never of a cache.
        previous: the wave that the Secret carries now.
        now: seconds since the epoch.

    Returns:
        The wave to store; None if nothing has to restart.
    """
    listed = list(workloads)
    waiting = {workload.uid for workload in _waiting(previous, secret, listed)}
    targets = tuple(
        sorted(
            workload.uid for workload in listed if workload.uid in waiting or workload.uses_any(secret, changed_keys)
        )
    )
    if not targets:
        return None
    # While none of the last wave's restarts has begun, the two are one, and the wait is counted from its beginning.
    unbegun = previous is not None and waiting == {w.uid for w in listed if w.uid in previous.targets}
    since = previous.since if previous is not None and waiting and unbegun else now
    return Wave(id=wave_id, since=since, changed=now, targets=targets)


@dataclass(frozen=True, kw_only=True)
class Due:
    """What to restart now, and when to look again.

    Attributes:
        workloads: to be patched now.
        wait: seconds until the quiet window ends; None if nothing waits for it.
    """

    workloads: tuple[Workload, ...] = ()
    wait: float | None = None


def due(wave: Wave | None, *, secret: str, workloads: Iterable[Workload], rule: RestartRule, now: float) -> Due:
    """Which restarts of a wave are due now."""
    if wave is None or not rule.automatic:
        return Due()
    listed = list(workloads)
    waiting = [w for w in _waiting(wave, secret, listed) if w.rollout is not Rollout.PAUSED]
    if not waiting:
        return Due()
    # Times from the future tell that a clock was set back, or that somebody wrote them: nothing is held for those.
    plausible = wave.changed <= now + _SKEW_SECONDS and wave.since <= now + _SKEW_SECONDS
    wait = min(wave.changed + rule.quiet, wave.since + rule.max_wait) - now
    if plausible and wait > 0:
        return Due(wait=min(wait, rule.quiet))
    if rule.max_concurrent is not None:
        pending = {w.uid for w in waiting}
        targets = set(wave.targets)
        rolling = sum(
            1
            for w in listed
            if w.uid in targets and w.uid not in pending and w.rollout in {Rollout.RESTARTING, Rollout.STALLED}
        )
        waiting = waiting[: max(0, rule.max_concurrent - rolling)]
    return Due(workloads=tuple(waiting))


def finished(wave: Wave | None, *, secret: str, workloads: Iterable[Workload]) -> bool:
    """Whether every target of a wave was restarted or is gone."""
    return not _waiting(wave, secret, workloads)


def count(wave: Wave | None, *, secret: str, workloads: Iterable[Workload], rule: RestartRule) -> WorkloadCounts:
    """Count the workloads that use a Secret by the state of their rollout."""
    bound = [w for w in workloads if secret in w.uses]
    waiting = {w.uid for w in _waiting(wave, secret, bound)} if rule.automatic else set()
    tally = {"current": 0, "restarting": 0, "stalled": 0, "held": 0}
    for workload in bound:
        if workload.rollout is Rollout.PAUSED:
            tally["held" if workload.uid in waiting else "current"] += 1
        elif workload.rollout is Rollout.STALLED:
            tally["stalled"] += 1
        elif workload.uid in waiting or workload.rollout is Rollout.RESTARTING:
            tally["restarting"] += 1
        else:
            tally["current"] += 1
    return WorkloadCounts(bound=len(bound), **tally)


def _waiting(wave: Wave | None, secret: str, workloads: Iterable[Workload]) -> Sequence[Workload]:
    """The targets of a wave that were not restarted for it yet, in a stable order."""
    if wave is None:
        return ()
    targets = set(wave.targets)
    return sorted(
        (w for w in workloads if w.uid in targets and w.marks.get(secret) != wave.id),
        key=lambda w: (w.kind, w.name),
    )
