"""Where one set is delivered to, and what its two memories truly tell, the marks on its Secret and its status.

`unit.plan_world` has everything that may happen here, and what must be so.
"""

from __future__ import annotations

import copy
import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

from builders import at, deployment, secret_set
from secretset.controller.installation import Installation
from secretset.domain import names
from secretset.domain.fingerprint import Keyring, digest
from secretset.domain.reasons import Problem
from secretset.kube import paths
from unit.cluster import NAMESPACE, Cluster, Object, Operator, path_of
from unit.virtual import VirtualLoop

NAME = "app"
PATH = paths.secrets(NAMESPACE, NAME)
OURS, CLONE = "installation-1", "installation-2"
WINDOW = {"schedule": "*/30 * * * *", "duration": "10m"}
SECRET_KEYS = {number: bytes([number]) * 32 for number in range(1, 9)}
# Each value stands nowhere but where it is put: found elsewhere, it has leaked.
VALUES = [f"cAnArY{number}vAlUe{number * 7919}" for number in range(3)]


@dataclass(frozen=True)
class Memory:
    """What marks or a status truly tell of what was delivered.

    Attributes:
        fake: somebody wrote what nobody delivered.
        kid: id of the fingerprint key.
        times: name to (created, updated).
    """

    revision: int
    content: Mapping[str, bytes]
    kid: str
    times: Mapping[str, tuple[str, str]]
    fake: bool = False


class Operated(Operator):
    """The operator of an installation, with a clock that its timestamps follow."""

    def __init__(self, cluster: Cluster, installation: str, keyring: Keyring) -> None:
        self.installation = Installation(id=installation, keyring=keyring)
        super().__init__(cluster)

    def timestamp(self) -> str:
        return datetime.datetime.fromtimestamp(self.now(), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Guarded(Cluster):
    """A cluster that shows its writes, and keeps what has finalizers until they are gone."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage

    def put(self, path: str, obj: Object | None) -> Object:
        before = self.objects.get(path)
        if path == PATH:
            self._stage.secret_written(before, obj)
        elif before is not None and obj is not None:
            self._stage.workload_written(before, obj)
        return super().put(path, obj)

    async def delete(self, path: str, *, uid: str, resource_version: str | None = None) -> Object:
        assert resource_version is not None, "a delete that names no version"
        found = self._guard(path, {"uid": uid, "resourceVersion": resource_version})
        if not found["metadata"].get("finalizers"):
            return await super().delete(path, uid=uid, resource_version=resource_version)
        self.write()
        return self.answered(self.put(path, ending(found)))


class Stage:
    """One set, its managed Secret and its status, with an operator and a copy of that."""

    def __init__(self) -> None:
        self.cluster = Guarded(self)
        self.loop = VirtualLoop()
        self.content: dict[str, bytes] = {"A": VALUES[0].encode(), "B": VALUES[1].encode()}
        self.keyring = Keyring(keys={"k1": SECRET_KEYS[1]}, current="k1")
        self.marks: Memory | None = None
        self.told: Memory | None = None
        self.problems: list[Problem] = []
        self.restarts = 0
        self._working = ""  # the installation whose pass is being made
        self._expected: Memory | None = None
        self._causes: set[str] = set()  # why the workload may be restarted, since it was
        self._vague = False  # nobody can know why, because both memories were destroyed
        self._copies: list[tuple[Object, Memory | None]] = []
        self._statuses: list[tuple[Object, Memory | None]] = []
        self._asks = 0
        self._uid = 1
        self.operator = Operated(self.cluster, OURS, self.keyring)
        self.clone = Operated(self.cluster, CLONE, self.keyring)
        for each in (self.operator, self.clone):
            built = secret_set(NAME).with_key("A", source="src").with_spec(restart={"quietSeconds": 0})
            each.add(built.with_meta(uid=f"{each.installation.id[-1]}0000001-uid"))
        self._deploy()

    def secret_written(self, before: Object | None, after: Object | None) -> None:
        """The Secret changes."""
        raise NotImplementedError

    def workload_written(self, before: Object, after: Object) -> None:
        """A workload changes."""
        raise NotImplementedError

    # --- the model of what memories tell

    def _newest(self) -> Memory | None:
        """The newer of the two memories; where both are as new, the status, if the marks tell something else."""
        marks, told = self.marks, self.told
        if marks is None or not marks.revision or not marks.content:
            return told
        if told is None or told.kid not in self.keyring.keys:
            return marks
        if marks.revision != told.revision:
            return marks if marks.revision > told.revision else told
        if marks.kid != told.kid and marks.kid in self.keyring.keys:
            return marks  # also if somebody made them up: they could be of an older copy
        unknown = marks.kid not in self.keyring.keys  # of a copy from before its key was lost: nobody can compare
        return told if marks.fake or unknown or marks.content != told.content else marks

    def _expect(self) -> Memory:
        """What a pass has to make of the newest memory."""
        memory, now = self._newest(), self.operator.timestamp()
        if memory is None:
            self._causes.add("first delivery")
            times = dict.fromkeys(self.content, (now, now))
            return Memory(1, dict(self.content), self.keyring.current, times)
        known = memory.kid in self.keyring.keys and not memory.fake
        changed = {name for name, value in self.content.items() if not known or memory.content.get(name) != value}
        gone = memory.content.keys() - self.content.keys()
        # A status knows one fingerprint, of all: it cannot tell which of them changed.
        if memory is self.told and memory is not self.marks and (changed or gone):
            changed = set(self.content)
        times = {}
        for name in self.content:
            created, updated = memory.times.get(name, (now, now))
            times[name] = (created, now if name in changed else updated)
        if changed or gone:
            self._causes.add("content")
        return Memory(memory.revision + bool(changed or gone), dict(self.content), self.keyring.current, times)

    def _forge(self, annotation: str, text: str) -> None:
        """What an edit of an annotation does to what the marks tell."""
        if self.marks is None:
            return
        if annotation == names.ANNOTATION_REVISION:
            self.marks = replace(self.marks, revision=int(text) if text.isdigit() else 0)
        elif annotation == names.ANNOTATION_KEYS:
            forged = json.loads(text) if text.startswith("{") else {}
            times = {name: (entry[1], entry[2]) for name, entry in forged.items()}
            self.marks = replace(self.marks, content=dict.fromkeys(forged, b""), times=times, kid="k1", fake=True)
        self._vague |= self._mem_lost() or annotation in {names.ANNOTATION_WAVE, names.ANNOTATION_ASKED}

    def _mem_lost(self) -> bool:
        """Whether neither memory tells what was delivered last."""
        marks = self.marks if self.marks is not None and not self.marks.fake and self.marks.revision else None
        return self.told is None or marks is None

    def _older_than_known(self, memory: Memory | None) -> bool:
        newest = self._newest()
        return memory is None or newest is None or memory.revision <= newest.revision

    def _see(self) -> None:
        """The watch of Secrets catches up, and nobody is known to fight for it: that would only put off the repair."""
        self.operator.runner._repairs.clear()
        view, obj = self.operator.runner.seen, self._secret()
        if obj is not None:
            view.see_secret(obj)
        elif (NAMESPACE, NAME) in view.secrets:
            view.miss_secret(NAMESPACE, NAME, None)

    def _inputs(self) -> str:
        return digest(json.dumps(sorted((name, value.decode()) for name, value in self.content.items())))

    def _secret(self) -> Object | None:
        return copy.deepcopy(self.cluster.objects.get(PATH))

    def _put(self, obj: Object | None) -> None:
        if obj is None:
            self.marks = None
            if PATH not in self.cluster.objects:
                return
        self.cluster.put(PATH, obj)

    def _ours(self, installation: str = OURS) -> bool:
        obj = self.cluster.objects.get(PATH)
        return obj is not None and installation_of(obj) == installation

    def _deploy(self) -> None:
        built = deployment("web").env_from(NAME, optional=True).with_meta(creationTimestamp=at(0))
        obj = built.object() | {"kind": "Deployment"}
        self.operator.see(self.cluster.put(path_of(obj), obj))

    def _rolled(self) -> None:
        """The rollout of the workload ends."""
        for path, found in list(self.cluster.objects.items()):
            if path != PATH:
                obj = copy.deepcopy(found)
                obj["status"]["observedGeneration"] = obj["metadata"]["generation"]
                self.operator.see(self.cluster.put(path, obj))


def installation_of(obj: Object) -> str:
    """Whose a Secret is, of those whose set is `team/app`."""
    notes = obj["metadata"].get("annotations") or {}
    place = tuple(notes.get(f"secretset.dev/owner-{part}") for part in ("namespace", "name"))
    return cast("str", notes.get(names.ANNOTATION_INSTALLATION, "")) if place == ("team", NAME) else ""


def ending(obj: Object) -> Object:
    return obj | {"metadata": obj["metadata"] | {"deletionTimestamp": at(0)}}


def numbered(obj: Object) -> Object:
    """As it will be stored."""
    return obj | {"metadata": {"uid": "uid", "resourceVersion": "0"} | obj["metadata"]}
