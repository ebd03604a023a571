"""What a status tells of the workloads that use a Secret: how many, which, how they stand, and what would restart."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from secretset.domain.fingerprint import digest
from secretset.domain.models.status import Explanation, WorkloadsStatus, WorkloadStatus, WouldRestart
from secretset.domain.restarts import Look, Managed, Outlook, State, Verdict, outlook
from secretset.domain.uses import Use
from secretset.domain.waves import Wave
from secretset.domain.workloads import Workload

LISTED = 50  # workloads that a status names at the most
ROLLED_OUT = "RolledOut"
STALLED, HELD = "RolloutStalled", "RolloutHeld"


class Told(NamedTuple):
    """What a status says of rollouts.

    Attributes:
        condition: status, reason and message of the condition ``RolledOut``.
    """

    workloads: WorkloadsStatus
    condition: tuple[Literal["True", "False"], str, str]
    explanation: Explanation | None = None

    @property
    def digest(self) -> str:
        """To compare it with what an object says; see `digest_of`."""
        return _digest(_dump(self.workloads), self.condition, _dump(self.explanation))


def digest_of(status: Mapping[str, Any]) -> str:
    """The digest of what a status of an object says of rollouts."""
    found: Mapping[str, Any] = next((c for c in status.get("conditions") or () if c.get("type") == ROLLED_OUT), {})
    condition = found.get("status"), found.get("reason"), found.get("message")
    return _digest(status.get("workloads"), condition, status.get("explanation"))


def tell(seen: Outlook, explanation: Explanation | None = None) -> Told:
    """Put into words how the users of a Secret stand."""
    tally = Counter(verdict.state for verdict in seen.verdicts)
    status = WorkloadsStatus(
        bound=len(seen.verdicts),
        current=tally[State.CURRENT],
        restarting=tally[State.RESTARTING],
        stalled=tally[State.STALLED],
        held=tally[State.HELD],
        items=[_item(verdict) for verdict in seen.verdicts[:LISTED]] or None,
    )
    return Told(status, _rolled_out(seen, tally), explanation)


def explain(
    secret: str,
    keys: Sequence[str],
    *,
    revision: int,
    users: Sequence[Workload],
    look: Look,
    now: float,
) -> Explanation:
    """What a change of these keys would restart now, and why, or why not."""
    own = look(secret)
    concerned = frozenset(w.uid for w in users if w.uses[secret].concerns(keys))
    holds: dict[str, str] = {}
    if own is not None and own.rule.automatic:
        targets = dict.fromkeys(concerned, 0)
        wave = Wave(id=UNWRITTEN, since=now, changed=now, targets=targets, owed=concerned)
        imagined = Managed(keys=own.keys, wave=wave, rule=own.rule)
        seen = outlook(
            secret,
            revision=revision,
            users=users,
            look=lambda name: imagined if name == secret else look(name),
            stuck={},
            now=now,
        )
        holds = {v.workload.uid: v.why for v in seen.verdicts if v.state is State.HELD}
    automatic = own is not None and own.rule.automatic
    found = [
        WouldRestart(
            kind=w.kind,
            name=w.name,
            restarts=automatic and w.uid in concerned,
            why=_why(w.uses[secret], keys, automatic=automatic, hold=holds.get(w.uid, "")),
        )
        for w in sorted(users, key=lambda w: (w.uid not in concerned, w.kind, w.name))
    ]
    return Explanation(keys=list(keys), restarts=sum(each.restarts for each in found), workloads=found[:LISTED] or None)


UNWRITTEN = "unwritten"  # id of a wave that is only imagined; a real one begins with its revision


def _why(use: Use, keys: Sequence[str], *, automatic: bool, hold: str) -> str:
    if not use.concerns(keys):
        if not use.keys:
            return "Its annotation secretset.dev/restart exempts it."
        return f"It reads only {_named(sorted(use.keys))}."
    read = "It uses every key" if use.keys is None else f"It reads {_named(sorted(use.keys.intersection(keys)))}"
    if not automatic:
        return f"{read}, but the set's restart policy is Never."
    return f"{read}, but has to wait: {hold}." if hold else f"{read}."


def _named(keys: Sequence[str], most: int = 5) -> str:
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(f"'{key}'" for key in keys[:most]) + more


def _item(verdict: Verdict) -> WorkloadStatus:
    return WorkloadStatus(
        kind=verdict.workload.kind,
        name=verdict.workload.name,
        state=verdict.state.value,
        revision=verdict.revision or None,
        message=_sentence(verdict.why) or None,
    )


def _rolled_out(seen: Outlook, tally: Counter[State]) -> tuple[Literal["True", "False"], str, str]:
    if not seen.verdicts:
        return "True", "NothingBound", "No workload uses the Secret."
    worst = seen.verdicts[0]
    also = f" {tally[worst.state] - 1} more are {worst.state}." if tally[worst.state] > 1 else ""
    if worst.state is State.STALLED:
        return "False", STALLED, f"{worst.workload} does not get on: {worst.why}.{also}"
    if worst.state is State.HELD:
        return "False", HELD, f"{worst.workload} is held: {worst.why}.{also}"
    if worst.state is State.RESTARTING:
        return "False", "RollingOut", "Workloads are being restarted."
    if not seen.automatic:
        return "True", "RestartsOff", "Changes restart nothing: the restart policy is Never."
    which = "All workloads" if all(v.revision for v in seen.verdicts) else "All workloads that changes restart"
    return "True", "RolloutComplete", f"{which} run with the present content."


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _dump(model: WorkloadsStatus | Explanation | None) -> dict[str, Any] | None:
    return None if model is None else model.model_dump(mode="json", by_alias=True, exclude_none=True)


def _digest(*parts: Any) -> str:
    return digest(json.dumps(parts, sort_keys=True))
