"""What should be in a region, and one Secret of a pretend API server that it is delivered to."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from builders import at
from secretset.domain import plan
from secretset.domain.fingerprint import Keyring
from secretset.domain.names import Key, Kind
from secretset.domain.observed import ObservedSecret, SecretRecord
from secretset.domain.plan import Assessment, Delivered, Desired, Write
from secretset.domain.restarts import Managed, Outlook, RestartRule, outlook
from secretset.domain.waves import Wave, unfinished
from secretset.domain.workloads import Workload

KEYRING = Keyring(keys={"k1": b"1" * 32, "k0": b"0" * 32}, current="k1")
INSTALLATION = "installation-1"
OWNER = Key(Kind.SECRET_SET, "team", "app")
UID = "11111111-2222"
EPOCH = 1_750_000_000.0
AT_ONCE = RestartRule(automatic=True, quiet=0.0, max_wait=0.0)


def wanted(content: Mapping[str, bytes] | None = None, **changes: Any) -> Desired:
    """What should be in the region: by default the set `team/app` with A=1 and B=2."""
    given: dict[str, Any] = {
        "key": OWNER,
        "uid": UID,
        "installation": INSTALLATION,
        "region": "us",
        "namespace": "team-us",
        "content": {"A": b"1", "B": b"2"} if content is None else dict(content),
        "inputs": "inputs-1",
        "rule": AT_ONCE,
    }
    return Desired(**given | changes)


@dataclass
class Slot:
    """The place of one Secret on a pretend API server, and a pass over it as `controller.deliver` makes it."""

    obj: dict[str, Any] | None = None
    writes: list[Write] = field(default_factory=list)
    _count: int = 0

    @property
    def secret(self) -> ObservedSecret:
        assert self.obj is not None
        return ObservedSecret.parse(self.obj)

    @property
    def wave(self) -> Wave | None:
        marks = self.secret.marks if self.obj else None
        return marks.wave if marks else None

    def record(self, keyring: Keyring = KEYRING) -> SecretRecord | None:
        assert self.obj is not None
        return SecretRecord.of(self.obj, installation=INSTALLATION, keyring=keyring)

    def edit(self, change: Callable[[dict[str, Any]], object]) -> Self:
        """Somebody else changes the Secret."""
        assert self.obj is not None
        change(self.obj)
        return self._stored(self.obj)

    def put_back(self, older: dict[str, Any]) -> Self:
        """Somebody else replaces the Secret with an older copy of itself."""
        return self._stored(copy.deepcopy(older))

    def copy(self) -> dict[str, Any]:
        return copy.deepcopy(self.obj or {})

    def assess(self, desired: Desired, delivered: Delivered | None = None, keyring: Keyring = KEYRING) -> Assessment:
        return plan.assess(desired, self.secret if self.obj else None, delivered, keyring)

    def deliver(
        self,
        desired: Desired,
        delivered: Delivered | None = None,
        *,
        workloads: Iterable[Workload] = (),
        remembered: Wave | None = None,
        restarted: Collection[str] = (),
        keyring: Keyring = KEYRING,
        second: float = 0,
    ) -> Assessment:
        """Assess, and write what has to be written.

        ``remembered`` is the wave of a Secret that was lost, ``restarted`` who is known to have been restarted for it.
        """
        assessment = self.assess(desired, delivered, keyring)
        self.writes.append(assessment.write)
        if assessment.write is Write.NONE:
            return assessment
        seen = self.secret if self.obj else None
        wave = seen.marks.wave if seen and seen.marks and not assessment.outdated else None
        marks = plan.compose(
            desired,
            assessment,
            keyring=keyring,
            previous=unfinished(wave or remembered, delivered.restarted if delivered else ""),
            workloads=workloads,
            restarted=restarted,
            timestamp=at(int(second)),
            now=EPOCH + second,
        )
        new = plan.render(desired, marks, seen if assessment.write is Write.UPDATE else None)
        if seen is None or assessment.write is not Write.UPDATE:
            new["metadata"]["uid"] = f"secret-{self._count}"
        self._stored(new)
        return assessment

    def status(self) -> Delivered:
        """What the status of the set would remember."""
        marks = self.secret.marks
        assert marks is not None
        keys = {name: (mark.created, mark.updated) for name, mark in marks.keys.items()}
        return Delivered(revision=marks.revision, fingerprint=marks.fingerprint, keys=keys, updated=marks.updated)

    def outlook(self, workloads: Iterable[Workload], delivered: Delivered | None = None, second: float = 0) -> Outlook:
        """What is to be done for the users of the Secret, and how they stand; as `controller.scene` asks for it."""
        marks = self.secret.marks
        assert marks is not None
        wave = unfinished(marks.wave, delivered.restarted if delivered else "")
        managed = Managed(keys=self.secret.data, wave=wave, rule=AT_ONCE)
        users = [workload for workload in workloads if OWNER.name in workload.uses]
        look = {OWNER.name: managed}.get
        return outlook(OWNER.name, revision=marks.revision, users=users, look=look, stuck={}, now=EPOCH + second)

    def _stored(self, obj: dict[str, Any]) -> Self:
        self._count += 1
        obj["metadata"]["resourceVersion"] = str(self._count)
        self.obj = obj
        return self


def delivered(content: Mapping[str, bytes] | None = None, **changes: Any) -> Slot:
    """A Secret as the operator delivered it."""
    slot = Slot()
    slot.deliver(wanted(content, **changes))
    return slot
