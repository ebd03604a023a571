"""One set and its place in a region, with everything that may befall the two memories of what was delivered.

The operator's own code runs here on a pretend API server (`unit.cluster`); it may die at each of its writes. What the
newest memory says, and so what a pass has to find, is worked out beside it from what truly was written.
"""

from __future__ import annotations

import contextlib
import copy
import json
from dataclasses import replace
from typing import Any

from harness.traces import forms
from secretset.controller import deliver
from secretset.controller.installation import Installation
from secretset.domain import names, plan, status
from secretset.domain.fingerprint import Keyring
from secretset.domain.marks import OWN_ANNOTATIONS, Marks
from secretset.domain.observed import ObservedSecret, SecretRecord
from secretset.domain.plan import Write
from secretset.domain.reasons import Problem
from secretset.domain.workloads import DEPLOYMENT, parse
from unit.cluster import NAMESPACE, Crashed, Object
from unit.plan_stage import (
    CLONE,
    NAME,
    OURS,
    PATH,
    SECRET_KEYS,
    VALUES,
    Operated,
    Stage,
    ending,
    installation_of,
    numbered,
)

_TRACES = sorted({form for value in VALUES for form in forms(value)})


class World(Stage):
    """Everything; each public method up to `settle` is something that may happen."""

    # --- what users do

    def change(self, key: str, value: int | None) -> None:
        content = {name: old for name, old in self.content.items() if name != key}
        content |= {} if value is None else {key: VALUES[value].encode()}
        self.content = content or self.content

    def configure(self, **rule: Any) -> None:
        built = self.operator.sets[NAME]
        built.with_spec(restart={**built._spec["restart"], **rule})

    def ask(self) -> None:
        self._asks += 1
        self._causes.add("asked")
        self.operator.sets[NAME].annotated(**{names.ANNOTATION_RESTART_NOW: str(self._asks)})

    def tick(self, seconds: float) -> None:
        self.operator.clock += seconds
        self.clone.clock += seconds

    def recreate(self, retain: bool, fuse: int | None) -> None:
        """The set is deleted and created again, under the same name; its Secret goes with it, or is kept."""
        if not retain and not self._remove(self.operator, fuse):
            return
        self._uid += 1
        self.operator.sets[NAME].with_meta(uid=f"1{self._uid:07}-uid")
        self.operator.statuses.pop(NAME, None)
        self.told = None
        self._vague |= self._mem_lost()

    # --- what befalls the Secret, and the hub

    def drift(self, how: str) -> None:
        """Somebody edits the Secret, or what it remembers."""
        obj = self._secret()
        if obj is None or "deletionTimestamp" in obj["metadata"]:
            return
        notes = obj["metadata"].setdefault("annotations", {})
        match how:
            case "data":
                obj["data"] = {"A": "eA=="}
            case "no data":
                obj.pop("data", None)
            case "labels":
                obj["metadata"]["labels"] = {"theirs": "kept"}
            case "immutable":
                obj["immutable"] = True
            case "theirs":
                notes["theirs"] = "kept"
                obj["metadata"].setdefault("labels", {})["theirs"] = "kept"
            case "held":
                obj["metadata"]["finalizers"] = ["example.com/theirs"]
            case _:
                annotation, _, text = how.partition("=")
                if annotation not in notes:
                    return
                notes[annotation] = text
                self._forge(annotation, text)
        self._put(obj)

    def delete(self) -> None:
        obj = self._secret()
        if obj is not None:
            self._put(ending(obj) if obj["metadata"].get("finalizers") else None)
            self._vague |= self._mem_lost()

    def let_go(self) -> None:
        """Whoever held the Secret lets it go."""
        obj = self._secret()
        if obj is not None and obj["metadata"].pop("finalizers", None):
            self._put(None if "deletionTimestamp" in obj["metadata"] else obj)
            self._vague |= self._mem_lost()

    def put_back(self, back: int) -> None:
        """Somebody replaces the Secret with an older copy of itself."""
        if self._copies and (obj := self._secret()) is not None and "deletionTimestamp" not in obj["metadata"]:
            older, memory = self._copies[-1 - back % len(self._copies)]
            self._put(copy.deepcopy(older))
            self.marks = memory
            # Which waves are over is known by the status; without one, those of a copy may not be.
            self._vague |= self.told is None or self._older_than_known(memory)

    def occupy(self, whose: str) -> None:
        """Another Secret takes the place, of somebody else in one way or another."""
        obj = self._secret()
        if obj is not None and "deletionTimestamp" in obj["metadata"]:
            return
        theirs: Object = {"metadata": {"name": NAME, "namespace": NAMESPACE, "uid": f"uid-{self.cluster.version}"}}
        theirs |= {"type": "Opaque", "data": {"A": "dGhlaXJz"}}
        if whose != "nobody":
            marks = Marks.parse(obj["metadata"]) if obj is not None else None
            if obj is None or marks is None:
                return
            notes = dict(obj["metadata"]["annotations"])
            notes |= {names.ANNOTATION_INSTALLATION: CLONE} if whose == "another installation" else {}
            notes |= {names.ANNOTATION_OWNER_NAMESPACE: "other"} if whose == "another set" else {}
            theirs["metadata"] |= {"annotations": notes, "labels": dict(obj["metadata"]["labels"])}
        self._put(theirs)
        self.marks = None
        self._vague |= self._mem_lost()

    def vacate(self) -> None:
        """Somebody else's Secret is taken away."""
        if not self._ours() and self._secret() is not None:
            self._put(None)

    def lose_status(self) -> None:
        self.operator.statuses.pop(NAME, None)
        self.told = None
        self._vague |= self._mem_lost()

    def rewind_status(self, back: int) -> None:
        """The hub is put back to what it was."""
        if self._statuses:
            older, memory = self._statuses[-1 - back % len(self._statuses)]
            self.operator.statuses[NAME] = copy.deepcopy(older)
            self._vague |= self._mem_lost() or self._older_than_known(self.marks)
            self.told = memory

    def add_key(self, drop: bool) -> None:
        """A new fingerprint key; the old ones stay, or, as after a loss, are gone."""
        number = int(self.keyring.current[1:]) + 1
        if number in SECRET_KEYS:
            kid = f"k{number}"
            kept = {} if drop else self.keyring.keys
            self.keyring = Keyring(keys={**kept, kid: SECRET_KEYS[number]}, current=kid)
            self.operator.installation = Installation(id=OURS, keyring=self.keyring)
            self._vague |= drop
            self.operator.start()

    # --- what operators do

    def work(self, fuse: int | None = None, tardy: bool = False) -> None:
        """A pass; the operator may die at any of its writes, before or after it is carried out."""
        self._see()
        if not self._ours() and self._secret() is not None:
            self._refused(self.operator)
            return
        self._expected = self._expect()
        before = self.operator.statuses.get(NAME)
        self.cluster.fuse, self.cluster.tardy = fuse, tardy
        crashed = not self._pass(self.operator)
        self.cluster.fuse = None
        after = self.operator.statuses.get(NAME)
        if after is not before and after is not None and after.get("phase") == "ready":
            self.told = replace(self._expected, fake=False)
            self._statuses.append((copy.deepcopy(after), self.told))
        if crashed:
            self.operator.start()
        else:
            self._right()

    def work_of_clone(self) -> None:
        """A copy of the operator, with another id, has a set of the same name for the same place."""
        if self._secret() is not None and not self._ours(CLONE):
            self._refused(self.clone)
        else:
            self._pass(self.clone)
        self.clone.start()

    def leave_of_clone(self) -> None:
        """It deletes its set."""
        self._remove(self.clone, None)
        self.clone.start()

    # --- what is judged

    def secret_written(self, before: Object | None, after: Object | None) -> None:
        """The Secret changes; by us only what is ours, and only to what it should be."""
        if not self._working:
            return
        assert before is None or installation_of(before) == self._working, "a Secret that is not ours was written"
        if self._working != OURS:
            self.marks = None
            return
        if after is None or "deletionTimestamp" in after["metadata"]:
            self.marks = None if after is None else self.marks
            return
        assert self._expected is not None, "a deletion wrote the Secret"
        expected = self._expected
        marks = Marks.parse(after["metadata"])
        assert marks is not None
        assert marks.revision == expected.revision, "the revision does not tell how often the content changed"
        times = {name: (mark.created, mark.updated) for name, mark in marks.keys.items()}
        assert times == expected.times, "a key has another age than its value"
        assert ObservedSecret.parse(numbered(after)).data == self.content
        if before is not None:
            for part, own in (("labels", ()), ("annotations", OWN_ANNOTATIONS)):
                theirs = {name: text for name, text in before["metadata"].get(part, {}).items() if name not in own}
                kept = after["metadata"][part]
                assert all(kept.get(name) == text for name, text in theirs.items() if name == "theirs")
            assert after["metadata"].get("finalizers") == before["metadata"].get("finalizers")
        self.marks = expected
        self._copies.append((copy.deepcopy(numbered(after)), self.marks))

    def workload_written(self, before: Object, after: Object) -> None:
        """The workload is restarted, if it is: only for a change, or because somebody asked for it."""
        if parse(DEPLOYMENT, before).marks == parse(DEPLOYMENT, after).marks:
            return
        assert self._ours(self._working), "the users of a Secret that is not ours are restarted"
        if self._working == CLONE:
            return
        assert self._causes or self._vague, "unchanged content asks for a restart"
        minute = int(self.operator.now()) % 1800 // 60
        windowed = self.operator.sets[NAME]._spec["restart"].get("window")
        assert not windowed or minute < 10, "a restart out of its window"
        self._causes.clear()
        self._vague = False
        self.restarts += 1

    def settle(self) -> None:
        """Nothing is in the way any more: the next passes bring everything about, and then there is nothing to do."""
        self.let_go()
        if not self._ours():
            self.vacate()
        self.configure(window=None, policy="Auto")
        self.operator.sets[NAME]._spec["restart"].pop("window")
        for _ in range(4):
            self.work()
            self._rolled()
            self.tick(60)
        version, told = self.cluster.version, copy.deepcopy(self.operator.statuses)
        self.work()
        assert (self.cluster.version, self.operator.statuses) == (version, told), "there is always more to write"
        assert self.operator.scene(NAME).wave is None, "a wave does not end"

    def close(self) -> None:
        self.loop.end()

    # --- the rest

    def _pass(self, operator: Operated) -> bool:
        """Whether the operator lives on."""
        self._working = operator.installation.id
        previous = operator.statuses.get(NAME)
        work = operator.work(NAME, self.content, inputs=self._inputs())
        try:
            self.loop.run(work)
        except Crashed:
            return False
        except Problem as problem:
            self.problems.append(problem)
            with contextlib.suppress(Crashed):
                self.cluster.write()
                operator.statuses[NAME] = status.unsynced(
                    problem, generation=1, region="us", previous=previous, timestamp=operator.timestamp()
                )
        finally:
            self._working = ""
        return not self.cluster.dead

    def _refused(self, operator: Operated) -> None:
        """A pass over a place where a Secret of somebody else is: it is told, and nothing is done."""
        before, version = copy.deepcopy(self._secret()), len(self.problems)
        assert self._pass(operator)
        assert self.cluster.objects[PATH] == before
        assert [problem.reason for problem in self.problems[version:]] == ["NameConflict"]

    def _remove(self, operator: Operated, fuse: int | None) -> bool:
        """The Secret is taken away with its set; whether nothing is left to do."""
        before, ours = copy.deepcopy(self._secret()), self._ours(operator.installation.id)
        self._working, self._expected, self.cluster.fuse = operator.installation.id, None, fuse
        owner = operator.scene(NAME).seen.key
        remove = deliver.remove(operator.context, operator.runner, self.cluster.client, (NAMESPACE, NAME), owner)
        try:
            owned = self.loop.run(remove)
        except Crashed:
            operator.start()
            return False
        finally:
            self._working, self.cluster.fuse = "", None
        assert owned == (ours or before is None)
        assert ours or self._secret() == before, "a Secret that is not ours was deleted"
        return True

    def _right(self) -> None:
        """After a pass that was not disturbed, everything is as it should be, and another one finds nothing to do."""
        obj = self._secret()
        assert obj is not None
        if "deletionTimestamp" in obj["metadata"]:
            assert self.problems[-1].reason == "Retrying"
            return
        secret, memory = ObservedSecret.parse(obj), status.memory(self.operator.statuses[NAME])
        assert secret.data == self.content
        assert secret.type == names.TYPE_OPAQUE
        assert not secret.immutable
        marks = secret.marks
        assert marks is not None
        built = self.operator.sets[NAME].record()
        assert (marks.owner, marks.owner_uid, marks.installation) == (built.key, built.uid, OURS)
        record = SecretRecord.of(obj, installation=OURS, keyring=self.keyring)
        assert record is not None
        assert record.intact
        assert record.current_key
        desired = plan.Desired(
            key=built.key,
            uid=built.uid,
            installation=OURS,
            region="us",
            namespace=NAMESPACE,
            content=self.content,
            inputs=self._inputs(),
            rule=self.operator.rule(NAME),
            ask=built.ask,
        )
        found = plan.assess(desired, secret, memory, self.keyring)
        assert found.write is Write.NONE
        assert not any([found.changed_keys, found.first, found.drift, found.asked, found.outdated, found.unrestarted])
        composed = [
            plan.compose(
                desired,
                found,
                keyring=self.keyring,
                previous=marks.wave,
                workloads=self.operator.runner.seen.users(NAMESPACE, built.key),
                timestamp=self.operator.timestamp(),
                now=self.operator.now(),
            )
            for _ in range(2)
        ]
        assert composed[0] == composed[1]
        told = (marks.revision, marks.keys, marks.updated, marks.wave)
        assert told == (composed[0].revision, composed[0].keys, composed[0].updated, composed[0].wave)
        self._no_trace(desired, secret, found, marks, record)

    def _no_trace(self, *objects: object) -> None:
        """No value stands in anything but the data of the Secret."""
        stored = [{name: part for name, part in obj.items() if name != "data"} for obj in self.cluster.objects.values()]
        told = [self.operator.statuses, self.operator.told, self.clone.told, [str(each) for each in self.problems]]
        text = "\n".join([json.dumps([stored, told]), *(f"{each!r} {each}" for each in objects)])
        assert not [trace for trace in _TRACES if trace in text]
