"""Properties of plan and restarts over any history: idempotence, and every restart that must be, once, and no other.

The world below is the operator as `controller/` runs it, without IO: one Secret with its marks, the status, workloads
whose pods keep the values that they were started with, and a clock. Two memories of what was delivered exist, the
Secret and the status; a history may destroy either, but never both at once (then nobody could know).
"""

import contextlib
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from builders import deployment
from secretset.domain import names
from secretset.domain.marks import OWN_ANNOTATIONS
from secretset.domain.plan import Delivered, Write
from secretset.domain.reasons import Problem
from secretset.domain.restarts import Managed, Outlook, RestartRule, outlook
from secretset.domain.waves import Wave
from secretset.domain.workloads import Workload
from unit.slots import EPOCH, OWNER, Slot, delivered, wanted

RULE = RestartRule(automatic=True, quiet=2.0, max_wait=6.0)
contents = st.dictionaries(st.sampled_from("AB"), st.sampled_from([b"1", b"2", b"3"]), min_size=1)


class Pods:
    """A workload: the keys that it uses (None for all), the wave it was restarted for, the values that it runs with."""

    def __init__(self, keys: str | None) -> None:
        self.keys = keys
        self.mark: str | None = None
        self.paused = False
        self.running: dict[str, bytes] = {}
        self.restarts: Counter[str] = Counter()
        self.reasons = 0

    def start(self, content: dict[str, bytes]) -> None:
        self.running = {key: value for key, value in content.items() if self.keys is None or key in self.keys}

    def uses(self, keys: set[str]) -> bool:
        return self.keys is None or not keys.isdisjoint(self.keys)

    def workload(self, name: str) -> Workload:
        built = deployment(name)
        built = built.env_from("app") if self.keys is None else built.env("app", *self.keys)
        built = built.restarted_for("app", self.mark) if self.mark else built
        return (built.paused() if self.paused else built).workload()


class World:
    """The operator and what it works on; each public method is a step of a history."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {"A": b"1", "B": b"1"}
        self._slot = Slot()
        self._status: Delivered | None = None
        self._wave: Wave | None = None  # what the record of the Secret remembers
        self._last: dict[str, bytes] | None = None
        self._uid = 1
        self._clock = 0
        self._tampered = False
        self._copies: list[dict[str, Any]] = []
        self.pods = {"a": Pods("A"), "b": Pods("B"), "all": Pods(None)}

    def change(self, content: dict[str, bytes]) -> None:
        self.content = content

    def tick(self, seconds: int) -> None:
        self._clock += seconds

    def run(self, crash: str) -> Write:
        """One pass; it may end before the restarts, or before the status is written."""
        desired = wanted(self.content, uid=f"{self._uid:08}-uid", rule=RULE)
        before = self._last
        found = self._slot.deliver(
            desired, self._status, workloads=self._listed(), remembered=self._wave, second=self._clock
        )
        self._wave = self._slot.wave
        self._last = dict(self.content)
        if before is None:
            for pods in self.pods.values():
                pods.start(self.content)  # until now they could not start
        elif before != self.content:
            keys = {key for key in before.keys() | self.content.keys() if before.get(key) != self.content.get(key)}
            for pods in self.pods.values():
                pods.reasons += self._tampered or pods.uses(keys)
        self._tampered = False
        self._copies.append(self._slot.copy())
        if crash == "before restarts":
            return found.write
        for restart in self._outlook().restarts:
            assert self._wave is not None
            assert restart.marks == {OWNER.name: self._wave.id}
            pods = self.pods[restart.workload.name]
            pods.mark = self._wave.id
            pods.restarts[self._wave.id] += 1
            pods.start(self.content)
        if crash != "before status":
            self._status = self._slot.status()
        return found.write

    def pause(self, name: str) -> None:
        self.pods[name].paused = not self.pods[name].paused

    def add(self, keys: str | None) -> None:
        if self._known_by_secret():
            self.pods[f"new-{len(self.pods)}"] = Pods(keys)
            self.pods[f"new-{len(self.pods) - 1}"].start(self._last or {})

    def drift(self, how: str) -> None:
        if self._slot.obj is None:
            return
        if how == "data":
            self._slot.edit(lambda obj: obj.update(data={"A": "eA=="}))
        elif how == "label":
            self._slot.edit(lambda obj: obj["metadata"]["labels"].pop(names.LABEL_SET, None))
        elif how == "immutable":
            self._slot.edit(lambda obj: obj.update(immutable=True))
        elif self._known_by_status():
            self._tampered = True
            self._slot.edit(lambda obj: obj["metadata"]["annotations"].update({names.ANNOTATION_KEYS: how}))

    def delete(self) -> None:
        if self._known_by_status():
            self._slot.obj, self._tampered = None, True

    def roll_back(self, back: int) -> None:
        if self._known_by_status() and self._outlook().finished and len(self._copies) > back:
            self._slot.put_back(self._copies[-1 - back])
            self._tampered = True

    def lose_status(self) -> None:
        if self._known_by_secret():
            self._status = None

    def recreate(self) -> None:
        """The object is deleted with its Secret kept, or the hub restored: a new uid, and no status."""
        if self._known_by_secret():
            self._status, self._uid = None, self._uid + 1

    def settle(self) -> None:
        for pods in self.pods.values():
            pods.paused = False
        for _ in range(6):
            self.run("never")
            self.tick(3)

    def _outlook(self) -> Outlook:
        managed = Managed(keys=self._slot.secret.data, wave=self._wave, rule=RULE)
        look = {OWNER.name: managed}.get
        return outlook(OWNER.name, revision=1, users=self._listed(), look=look, stuck={}, now=EPOCH + self._clock)

    def _listed(self) -> list[Workload]:
        return [pods.workload(name) for name, pods in self.pods.items()]

    def _known_by_status(self) -> bool:
        return self._status is not None and self._slot.obj is not None and self._status == self._slot.status()

    def _known_by_secret(self) -> bool:
        return self._slot.obj is not None and not self._tampered


steps = st.one_of(
    st.tuples(st.just("change"), contents),
    st.tuples(st.just("run"), st.sampled_from(["never", "never", "before restarts", "before status"])),
    st.tuples(st.just("tick"), st.integers(0, 4)),
    st.tuples(st.just("pause"), st.sampled_from(["a", "b", "all"])),
    st.tuples(st.just("add"), st.sampled_from(["A", "B", None])),
    st.tuples(st.just("drift"), st.sampled_from(["data", "label", "immutable", "{}", '{"A":["k1.x","",""]}'])),
    st.tuples(st.just("roll_back"), st.integers(0, 3)),
    st.sampled_from([("delete",), ("lose_status",), ("recreate",)]),
)


def after(history: list[tuple[Any, ...]]) -> World:
    world = World()
    for name, *arguments in history:
        getattr(world, name)(*arguments)
    world.settle()
    return world


@given(st.lists(steps, max_size=25))
def test_every_workload_ends_with_the_last_content_and_no_restart_was_without_a_reason(history: list[Any]) -> None:
    world = after(history)
    for name, pods in world.pods.items():
        expected = Pods(pods.keys)
        expected.start(world.content)
        held = not set(pods.keys or ()) <= world.content.keys()  # its new pods could not start
        assert held or pods.running == expected.running, f"{name} was not restarted for the last change of what it uses"
        assert set(pods.restarts.values()) <= {1}, f"{name} was restarted twice for one wave"
        assert pods.restarts.total() <= pods.reasons, f"{name} was restarted for no change of what it uses"
    assert world.run("never") is Write.NONE


@given(st.lists(steps.filter(lambda step: step[0] != "change"), max_size=25))
def test_drift_loss_and_first_delivery_alone_restart_nothing(history: list[Any]) -> None:
    assert not any(pods.restarts for pods in after(history).pods.values())


garbage = st.text(max_size=12) | st.sampled_from(["{}", '{"A":["k1.x","",""]}', "0", "7", "999999999", '{"id":1}'])


@given(
    st.none() | contents,
    st.dictionaries(st.sampled_from(sorted(OWN_ANNOTATIONS)), garbage, max_size=3),
    st.sampled_from(["", "data", "labels", "type", "immutable"]),
    st.none() | st.builds(Delivered, revision=st.integers(1, 9), fingerprint=st.sampled_from(["", "k1.x", "k9.y"])),
    contents,
)
def test_whatever_was_there_one_pass_makes_it_right_and_the_next_finds_nothing_to_do(
    there: dict[str, bytes] | None, notes: dict[str, str], broken: str, memory: Delivered | None, content: Any
) -> None:
    slot = Slot() if there is None else delivered(there)
    if there is not None:
        slot.edit(lambda obj: obj["metadata"]["annotations"].update(notes))
        if broken:
            value: Any = {"data": {}, "labels": {}, "type": "x", "immutable": True}[broken]
            slot.edit(lambda obj: (obj["metadata"] if broken == "labels" else obj).update({broken: value}))
    with contextlib.suppress(Problem):  # it says that it is somebody else's
        found = slot.deliver(wanted(content), memory, second=1)
        assert slot.secret.data == content
        remembered = Delivered(revision=found.revision, fingerprint=slot.status().fingerprint, keys=slot.status().keys)
        for status in (remembered, memory if memory and memory.revision < found.revision else remembered):
            assert slot.assess(wanted(content), status).write is Write.NONE
        record = slot.record()
        assert record is not None
        assert record.intact
