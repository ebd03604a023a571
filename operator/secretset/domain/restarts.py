"""Restarts: which workloads of a wave are restarted now, which are held and why, and how it went. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

from secretset.domain.names import Kind
from secretset.domain.rollouts import Rollout
from secretset.domain.uses import NONE
from secretset.domain.waves import Wave
from secretset.domain.windows import Window
from secretset.domain.workloads import Workload

_WAITS_FOR_SOMEBODY = "its newest pod template waits for its pods to be deleted, to be promoted, or for a pause to end"
_SKEW_SECONDS = 1.0  # that clocks may differ by without anybody having set them


@dataclass(frozen=True, kw_only=True)
class RestartRule:
    """The restart section of a spec with what is absent filled in.

    Attributes:
        automatic: whether a change restarts anything.
        quiet: seconds without a further change before the restarts begin.
        max_wait: seconds after the first change when they begin at the latest.
        max_concurrent: workloads that may roll at a time; None for no limit.
        window: the only times when restarts begin; None for any.
    """

    automatic: bool
    quiet: float
    max_wait: float
    max_concurrent: int | None = None
    window: Window | None = None


def automatic_by_default(kind: Kind) -> bool:
    """What an absent ``restart.policy`` means: pull secrets are read by kubelet, so pods need no restart."""
    return kind is Kind.SECRET_SET


@dataclass(frozen=True, kw_only=True)
class Managed:
    """What is known of a managed Secret by those who restart its users.

    Attributes:
        keys: that it has.
        wave: its unfinished wave.
        rule: of its set.
        restarted: uids that were restarted for the wave; some lost their mark since (`kubectl rollout undo`).
    """

    keys: Collection[str]
    wave: Wave | None
    rule: RestartRule
    restarted: Collection[str] = ()

    def waits_for(self, workload: Workload, secret: str) -> bool:
        """Whether a workload is still to be restarted for the Secret's last change."""
        return self.wave is not None and workload.uid not in self.restarted and self.wave.waits_for(workload, secret)


Look = Callable[[str], Managed | None]  # the managed Secret of a name in the namespace


class State(StrEnum):
    """How a bound workload stands; the order is that of a status, the worst first."""

    STALLED = "stalled"
    HELD = "held"
    RESTARTING = "restarting"
    CURRENT = "current"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How one bound workload stands.

    Attributes:
        revision: of the content that it runs with, or is getting; 0 if nobody knows, because it is never restarted, or
            while it waits for a restart that somebody asked for.
        why: what it waits for, or what is wrong, as a part of a sentence; empty if there is nothing to say.
    """

    workload: Workload
    state: State
    revision: int
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Restart:
    """A restart to be made: one patch, which serves every Secret that the workload waits for.

    Attributes:
        marks: Secret name to the id of its wave.
    """

    workload: Workload
    marks: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What is to be done for a set's users now, and how they stand.

    Attributes:
        restarts: to be made now.
        wait: seconds until there is more to do without anything having changed; None if there is nothing.
        verdicts: one for each bound workload, the worst first.
        finished: nobody waits for a restart.
        automatic: changes restart anything at all.
    """

    restarts: tuple[Restart, ...]
    wait: float | None
    verdicts: tuple[Verdict, ...]
    finished: bool
    automatic: bool = True


class Refusal(NamedTuple):
    """A region's API server did not let us restart a workload.

    Attributes:
        why: as a part of a sentence.
        wait: seconds until it is tried again.
    """

    why: str
    wait: float


def outlook(
    secret: str,
    *,
    revision: int,
    users: Iterable[Workload],
    look: Look,
    stuck: Mapping[str, str],
    refused: Mapping[str, Refusal] = MappingProxyType({}),
    now: float,
) -> Outlook:
    """Judge the users of a managed Secret.

    Args:
        secret: its name.
        revision: of its content.
        users: the workloads that use it.
        look: what is known of any managed Secret of the namespace, this one included.
        stuck: uid to what keeps the newest pods of a workload from starting, of those that were looked at.
        refused: uid to a refusal, of those that are not to be tried again yet.
        now: seconds since the epoch.
    """
    scene = _Scene(secret, list(users), look, stuck, refused, now)
    return Outlook(
        restarts=tuple(Restart(workload=w, marks=scene.marks(w)) for w in scene.admitted if scene.delays[w.uid] <= 0),
        wait=min((wait for wait in scene.waits() if wait > 0), default=None),
        verdicts=tuple(sorted((scene.verdict(w, revision) for w in scene.users), key=_worst_first)),
        finished=not any(scene.own.waits_for(w, secret) for w in scene.users) if scene.own else True,
        automatic=scene.own is None or scene.own.rule.automatic,
    )


class _Scene:
    """Everything that the restarts of one set depend on at one moment."""

    def __init__(
        self,
        secret: str,
        users: Sequence[Workload],
        look: Look,
        stuck: Mapping[str, str],
        refused: Mapping[str, Refusal],
        now: float,
    ) -> None:
        self.secret = secret
        self.users = users
        self.own = look(secret)
        self._look = look
        self._stuck = stuck
        self._refused = refused
        self._now = now

    @cached_property
    def waiting(self) -> list[Workload]:
        """Who is to be restarted, in order: those that do not get on anyhow come last, as they would stop the rest."""
        own = self.own
        if own is None or not own.rule.automatic:
            return []
        found = [w for w in self.users if own.waits_for(w, self.secret)]
        return sorted(found, key=lambda w: (self._stalls(w), w.kind, w.name))

    @cached_property
    def _uids(self) -> frozenset[str]:
        return frozenset(w.uid for w in self.waiting)

    @cached_property
    def _restarted(self) -> list[Workload]:
        """Those that were restarted for the wave."""
        wave = self.own.wave if self.own else None
        return [w for w in self.users if wave and w.uid in wave.targets and w.uid not in self._uids]

    @cached_property
    def _rolling(self) -> frozenset[str]:
        """Uids of those that were restarted for the set, for this wave or one before, and are not through."""
        return frozenset(
            w.uid
            for w in self.users
            if w.rollout is Rollout.RESTARTING and w.restarted_by(self.secret) and not self._stalls(w)
        )

    @cached_property
    def _stalled(self) -> Workload | None:
        """Of those, one that does not get on; it stops the wave."""
        return next((w for w in self._restarted if self._stalls(w)), None)

    @cached_property
    def holds(self) -> dict[str, str]:
        """Uid of each that waits and is held, to why."""
        return {w.uid: why for w in self.waiting if (why := self._held(w))}

    @cached_property
    def admitted(self) -> list[Workload]:
        """Those whose turn it is, once their quiet window has ended."""
        free = [w for w in self.waiting if w.uid not in self.holds]
        limit = self.own.rule.max_concurrent if self.own else None
        if limit is None:
            return free
        # Those that roll already keep their place when they begin anew.
        others = self._rolling.difference(w.uid for w in free)
        return sorted(free, key=lambda w: w.uid not in self._rolling)[: max(0, limit - len(others))]

    @cached_property
    def delays(self) -> dict[str, float]:
        """Uid of each whose turn it is, to the seconds until its quiet window ends."""
        return {w.uid: self._quiet(w) for w in self.admitted}

    def marks(self, workload: Workload) -> dict[str, str]:
        """What a restart of a workload serves."""
        return {
            secret: managed.wave.id
            for secret, managed in self._used(workload)
            if managed.wave is not None and managed.waits_for(workload, secret)
        }

    def waits(self) -> Iterator[float]:
        """Seconds to everything that time alone brings about."""
        yield from self.delays.values()
        yield from (self._refused[w.uid].wait for w in self.waiting if w.uid in self._refused)
        if self.waiting and self._opens_in > 0:
            yield self._opens_in

    def verdict(self, workload: Workload, revision: int) -> Verdict:
        """How one user stands."""
        waits = workload.uid in self._uids
        if waits and self.own and self.own.wave:
            # Who waits must not look like who is through (`SetRecord.rolled`), though the content be the same.
            revision = 0 if self.own.wave.asked else self.own.wave.base
        elif not (self.own and self.own.rule.automatic) or workload.uses[self.secret].keys == NONE:
            revision = 0
        state, why = State.CURRENT, ""
        if waits and workload.uid in self.holds:
            state, why = State.HELD, self.holds[workload.uid]
        elif self._stalls(workload):
            state = State.STALLED
            why = self._stuck.get(workload.uid) or "its rollout has exceeded its progress deadline"
        elif waits or workload.rollout is Rollout.RESTARTING:
            state = State.RESTARTING
        elif workload.rollout is Rollout.HELD:
            state, why = (
                State.HELD,
                _WAITS_FOR_SOMEBODY,
            )
        return Verdict(workload=workload, state=state, revision=revision, why=why)

    def _held(self, workload: Workload) -> str:
        """Why a workload that waits is not restarted, whatever time passes; empty if it may be."""
        if workload.paused:
            return f"it {workload.paused}"
        for secret, managed in self._used(workload):
            if missing := sorted(workload.uses[secret].required.difference(managed.keys)):
                return f"it reads key '{missing[0]}' of '{secret}', which is not there: its new pods could not start"
        if workload.uid in self._refused:
            return self._refused[workload.uid].why
        if self._stalled is not None:
            return f"the rollout of {self._stalled} has stalled"
        if self._opens_in > 0:
            at = datetime.datetime.fromtimestamp(self._now + self._opens_in, datetime.UTC)
            return f"its restart window opens at {at.isoformat(timespec='minutes').replace('+00:00', 'Z')}"
        return ""

    @cached_property
    def _opens_in(self) -> float:
        return self.own.rule.window.opens_in(self._now) if self.own and self.own.rule.window else 0.0

    def _quiet(self, workload: Workload) -> float:
        """Seconds until the quiet windows of all Secrets that a workload waits for end: then one restart serves all.

        Those that it waits for longest are not put off for ever: the first `max_wait` to end ends the waiting.
        """
        ends, limits = [0.0], []
        for secret, managed in self._used(workload):
            wave, rule = managed.wave, managed.rule
            if wave is None or not rule.automatic or not managed.waits_for(workload, secret):
                continue
            if rule.window is not None and rule.window.opens_in(self._now) > 0:
                continue
            # Times from the future tell that a clock was set back, or that somebody wrote them: they hold nothing up.
            if max(wave.changed, wave.since) <= self._now + _SKEW_SECONDS:
                ends.append(min(wave.changed + rule.quiet - self._now, rule.quiet))
                limits.append(wave.since + rule.max_wait - self._now)
        return max(0.0, min(max(ends), *limits)) if limits else 0.0

    def _used(self, workload: Workload) -> Iterator[tuple[str, Managed]]:
        """The managed Secrets that a workload uses."""
        for secret in workload.uses:
            managed = self.own if secret == self.secret else self._look(secret)
            if managed is not None:
                yield secret, managed

    def _stalls(self, workload: Workload) -> bool:
        return workload.rollout is Rollout.STALLED or (
            workload.rollout is Rollout.RESTARTING and workload.uid in self._stuck
        )


_ORDER = {state: number for number, state in enumerate(State)}


def _worst_first(verdict: Verdict) -> tuple[int, str, str]:
    return _ORDER[verdict.state], verdict.workload.kind, verdict.workload.name
