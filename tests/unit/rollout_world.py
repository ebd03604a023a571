"""A world of sets, workloads and an operator that crashes, which knows what each workload's pods run with.

It is told what happens, and judges every restart when it is made; `unit.test_restart_properties` lets anything happen.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import datetime
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from builders import WorkloadBuilder, deployment, secret_set
from secretset.domain import names
from secretset.domain.observed import decode_data
from secretset.domain.uses import NONE, Use
from secretset.domain.workloads import DEPLOYMENT, parse
from unit.cluster import NAMESPACE, Cluster, Crashed, Object, Operator, path_of

Value = bytes | None
Need = tuple[str, str, bool]  # set, keys ("" for all), optional
KEYS = "AB"
QUIET, LONGEST = 2, 6


@dataclass
class Pods:
    """What the pods of one workload run with, and why they may be restarted.

    Attributes:
        running: (set, key) to the value that they were started with.
        waiting: the newest pods cannot start, because something that they need is not there.
        causes: what changed since the workload was created, or restarted by us; to how many restarts had been made for
            the set by then.
        vague: its pods may run with something else than the operator can know: edited, scaled, created amid a wave.
        lost: (set, wave) of marks that a rollback took; the operator knows of them until it crashes.
        excused: of those, the ones that it has forgotten.
        stale: (set, key) that were changed for nobody, by a policy of Never.
        asked: sets for which somebody asked that it be restarted, whatever changed.
    """

    uses: Mapping[str, Use]
    vague: bool
    running: dict[tuple[str, str], Value] = field(default_factory=dict)
    waiting: bool = True
    causes: dict[tuple[str, str], int] = field(default_factory=dict)
    lost: set[tuple[str, str]] = field(default_factory=set)
    excused: set[tuple[str, str]] = field(default_factory=set)
    stale: set[tuple[str, str]] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    history: list[tuple[Object, Object]] = field(default_factory=list)

    def start(self, contents: Mapping[str, Mapping[str, bytes] | None]) -> None:
        """New pods take the place of the old ones, once everything that they need is there."""
        self.waiting = any(
            not use.required <= content.keys() if (content := contents[name]) is not None else use.optional == NONE
            for name, use in self.uses.items()
        )
        if not self.waiting:
            self.running = {(name, key): (contents[name] or {}).get(key) for name in self.uses for key in KEYS}
            self.stale.clear()

    def uses_key(self, name: str, key: str) -> bool:
        return name in self.uses and self.uses[name].concerns({key})


class Watched(Cluster):
    """A cluster that tells the world of what is stored."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._restarting = False

    def put(self, path: str, obj: Object | None) -> Object:
        before = self.objects.get(path)
        if self._restarting:
            assert before is not None
            assert obj is not None
            self._world.judge(before, obj)
        stored = super().put(path, obj)
        if "/secrets/" in path:
            self._world.asked(path.rpartition("/")[2], before, obj)
            self._world.delivered(path.rpartition("/")[2], before, obj)
        elif self._restarting:
            self._world.restarted(stored)
        return stored

    async def patch(self, path: str, body: Object, content_type: str) -> Object:
        self._restarting = True
        try:
            return await super().patch(path, body, content_type)
        finally:
            self._restarting = False


class World:
    """Everything; each public method up to `settle` is something that may happen."""

    def __init__(self, *sets: str) -> None:
        self.cluster = Watched(self)
        self.loop = asyncio.new_event_loop()
        self.pods: dict[str, Pods] = {}
        self.contents: dict[str, dict[str, bytes]] = {name: {"A": b"1", "B": b"1"} for name in sets}
        self.stored: dict[str, dict[str, bytes] | None] = dict.fromkeys(sets)
        self.made: Counter[tuple[str, str, str]] = Counter()  # (uid, set, wave)
        self.restarts: Counter[str] = Counter()  # set
        self.total = 0
        self._unseen: list[tuple[bool, Object]] = []
        self._count = 0
        self.operator = Operator(self.cluster)
        for name in sets:
            rule = {"quietSeconds": QUIET, "maxWaitSeconds": LONGEST}
            self.operator.add(secret_set(name).with_key("A", source="src").with_spec(restart=rule))

    # --- what users and controllers do

    def change(self, name: str, key: str, value: Value) -> None:
        content = {k: v for k, v in self.contents[name].items() if k != key}
        content |= {} if value is None else {key: value}
        self.contents[name] = content or self.contents[name]

    def flip(self, name: str, key: str) -> None:
        self.change(name, key, b"2" if self.contents[name].get(key) == b"1" else b"1")

    def configure(self, name: str, **rule: Any) -> None:
        built = self.operator.sets[name]
        built.with_spec(restart={**built._spec["restart"], **rule})
        self.operator._record(name)

    def ask(self, name: str) -> None:
        """Somebody wants all users of a set restarted."""
        self._count += 1
        self.operator.sets[name].annotated(**{names.ANNOTATION_RESTART_NOW: str(self._count)})
        self.operator._record(name)

    def tick(self, seconds: float) -> None:
        self.operator.clock += seconds

    def create(self, name: str, needs: list[Need], seen: bool = True) -> None:
        built = _template(name, needs)
        self._count += 1
        uid = f"uid-{name}-{self._count}"
        built.with_meta(uid=uid, creationTimestamp=self._timestamp())
        if path_of(self._kinded(built)) in self.cluster.objects:
            self.delete(name, seen)  # `kubectl replace --force`
        obj = self.cluster.put(path_of(self._kinded(built)), self._kinded(built))
        self.pods[uid] = Pods(parse(DEPLOYMENT, obj).uses, vague=not (seen and self._idle()))
        self.pods[uid].start(self.stored)
        self._shown(obj, seen)

    def delete(self, name: str, seen: bool = True) -> None:
        obj = self._object(name)
        if obj is not None:
            self.cluster.put(path_of(obj), None)
            del self.pods[obj["metadata"]["uid"]]
            self._shown(obj, seen, gone=True)

    def edit(self, name: str, needs: list[Need], seen: bool = True) -> None:
        """A new template, as `kubectl apply` brings it; our annotation in the old one goes with it."""
        template = _template(name, needs).object()["spec"]["template"]
        self._roll(name, seen, lambda obj: obj["spec"].update(template=template))

    def scale(self, name: str, seen: bool = True) -> None:
        obj = self._object(name)
        if obj is not None:
            self.pods[obj["metadata"]["uid"]].vague = True
            obj["metadata"]["generation"] += 1
            self._shown(self.cluster.put(path_of(obj), obj), seen)

    def pause(self, name: str, paused: bool, seen: bool = True) -> None:
        obj = self._object(name)
        if obj is not None:
            notes = obj["metadata"].setdefault("annotations", {})
            notes[names.ANNOTATION_PAUSED] = str(paused).lower()
            self._shown(self.cluster.put(path_of(obj), obj), seen)

    def roll_back(self, name: str, seen: bool = True) -> None:
        """`kubectl rollout undo`: template and annotations are those of before."""
        obj = self._object(name)
        pods = self.pods[obj["metadata"]["uid"]] if obj is not None else None
        if obj is None or pods is None or not pods.history:
            return
        template, notes = pods.history.pop()
        marks = parse(DEPLOYMENT, obj).marks
        length = len(pods.history)
        self._roll(name, seen, lambda o: (o["spec"].update(template=template), o["metadata"].update(annotations=notes)))
        del pods.history[length:]
        pods.lost |= marks.items() - parse(DEPLOYMENT, self._object(name) or {}).marks.items()

    def rolled(self, name: str, stalled: bool = False) -> None:
        """Its rollout ends, or stalls."""
        obj = self._object(name)
        if obj is not None:
            stuck = [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]
            obj["status"] |= {"observedGeneration": obj["metadata"]["generation"], "conditions": stuck * stalled}
            self._shown(self.cluster.put(path_of(obj), obj), seen=True)

    # --- what the operator does

    def work(self, name: str, fuse: int | None = None, tardy: bool = False) -> None:
        """A pass; the operator may die at any of its writes, before or after it is carried out."""
        self.cluster.fuse, self.cluster.tardy = fuse, tardy
        try:
            self.loop.run_until_complete(self.operator.work(name, self.contents[name]))
        except Crashed:
            self.crash()
        self.cluster.fuse = None

    def crash(self) -> None:
        for pods in self.pods.values():
            pods.excused |= pods.lost
        self._unseen.clear()
        self.operator.start()

    def watch(self) -> None:
        """The watches catch up."""
        for gone, obj in self._unseen:
            (self.operator.miss if gone else self.operator.see)(obj)
        self._unseen.clear()

    # --- what is judged

    def judge(self, before: Object, after: Object) -> None:
        """A restart is about to be made."""
        old, new = parse(DEPLOYMENT, before), parse(DEPLOYMENT, after)
        pods = self.pods[old.uid]
        assert not old.paused, "a paused workload was restarted"
        marks = dict(new.marks.items() - old.marks.items())
        assert marks, "a restart leaves no mark"
        for name, wave in marks.items():
            self.made[old.uid, name, wave] += 1
            most = 2 if (name, wave) in pods.excused else 1
            assert self.made[old.uid, name, wave] <= most, "a workload was restarted twice for one wave"
        if pods.asked & marks.keys():
            return
        causes = {cause: made for cause, made in pods.causes.items() if cause[0] in marks and pods.uses_key(*cause)}
        assert pods.vague or causes, "a workload was restarted for no change of what it uses"
        assert pods.vague or any(
            pods.running.get((name, key)) != (self.stored[name] or {}).get(key) or self.restarts[name] > made
            for (name, key), made in causes.items()
        ), "a workload was restarted for a change that was undone before any restart was made for it"

    def restarted(self, obj: Object) -> None:
        uid = obj["metadata"]["uid"]
        pods = self.pods[uid]
        pods.causes.clear()
        pods.asked.clear()
        pods.start(self.stored)
        pods.vague = False
        self.total += 1
        for mark in parse(DEPLOYMENT, obj).marks:
            self.restarts[mark] += 1

    def delivered(self, name: str, before: Object | None, after: Object | None) -> None:
        """A managed Secret was written."""
        old = None if before is None else decode_data(before)
        new = self.stored[name] = None if after is None else decode_data(after)
        keys = {key for key in KEYS if (old or {}).get(key) != (new or {}).get(key)}
        automatic = self.operator.rule(name).automatic
        unseen = {obj["metadata"]["uid"] for _, obj in self._unseen}
        for uid, pods in self.pods.items():
            if name not in pods.uses:
                continue
            for key in keys:
                first = old is None and not pods.uses[name].missed({key})
                # The first delivery is decided from the watches alone (docs/adr/0010).
                if not first and (not automatic or (old is None and uid in unseen)):
                    pods.stale.add((name, key))
                    pods.vague = True
                elif not first:
                    pods.causes.setdefault((name, key), self.restarts[name])
            if pods.waiting:
                pods.vague = True  # nobody knows what of another Secret had kept them from starting
                pods.start(self.stored)

    def asked(self, name: str, before: Object | None, after: Object | None) -> None:
        """A request for a restart may have become a wave; not with the first delivery, which is new to everybody."""
        old, new = (None if obj is None else obj["metadata"]["annotations"] for obj in (before, after))
        request = names.ANNOTATION_ASKED
        if old is not None and new is not None and new.get(request) not in {None, old.get(request)}:
            for pods in self.pods.values():
                pods.asked |= {name} & pods.uses.keys()

    def settle(self) -> None:
        """Nothing more happens, and nothing is in the way."""
        for content in self.contents.values():
            content.update({key: content.get(key, b"9") for key in KEYS})
        for name in self.contents:
            self.configure(name, policy="Auto")
        for obj in self._workloads():
            self.pause(obj["metadata"]["name"], paused=False)
        self.watch()
        for _ in range(3 + 2 * len(self.pods)):
            for name in self.contents:
                self.work(name)
            for obj in self._workloads():
                self.rolled(obj["metadata"]["name"])
            self.tick(LONGEST)
        version, statuses = self.cluster.version, copy.deepcopy(self.operator.statuses)
        for name, content in self.contents.items():
            self.work(name)
            assert self.stored[name] == content
            assert self.operator.scene(name).wave is None, "a wave does not end"
        assert (self.cluster.version, self.operator.statuses) == (version, statuses), "there is always more to write"
        for uid, pods in self.pods.items():
            assert not pods.waiting
            assert not pods.asked & pods.uses.keys(), f"{uid} was not restarted though somebody asked for it"
            for (name, key), value in pods.running.items():
                told = f"{uid} was not restarted for the last {name}.{key}"
                assert value == self.contents[name][key] or not pods.uses_key(name, key) or (name, key) in pods.stale, (
                    told
                )

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):
            self.loop.close()

    # --- the rest

    def _roll(self, name: str, seen: bool, change: Any) -> None:
        obj = self._object(name)
        if obj is None:
            return
        pods = self.pods[obj["metadata"]["uid"]]
        self._remember(obj)
        change(obj)
        obj["metadata"]["generation"] += 1
        obj = self.cluster.put(path_of(obj), obj)
        pods.uses, pods.vague = parse(DEPLOYMENT, obj).uses, True
        pods.start(self.stored)
        self._shown(obj, seen)

    def _remember(self, obj: Object) -> None:
        notes = obj["metadata"].get("annotations") or {}
        self.pods[obj["metadata"]["uid"]].history.append(copy.deepcopy((obj["spec"]["template"], notes)))

    def _shown(self, obj: Object, seen: bool, gone: bool = False) -> None:
        self._unseen.append((gone, obj))
        if seen:
            self.watch()

    def _object(self, name: str) -> Object | None:
        return copy.deepcopy(self.cluster.objects.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}"))

    def _workloads(self) -> list[Object]:
        return [obj for path, obj in self.cluster.objects.items() if "/deployments/" in path]

    def _idle(self) -> bool:
        """Whether no wave is unfinished, and everything that should be delivered is."""
        return all(self.operator.scene(name).wave is None for name in self.contents)

    def _kinded(self, built: WorkloadBuilder) -> Object:
        return built.object() | {"kind": "Deployment"}

    def _timestamp(self) -> str:
        """Now, as an API server writes it: in full seconds."""
        return datetime.datetime.fromtimestamp(self.operator.now(), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _template(name: str, needs: list[Need]) -> WorkloadBuilder:
    built = deployment(name)
    for secret, keys, optional in needs:
        if keys:
            built.env(secret, *keys, optional=optional)
        else:
            built.env_from(secret, optional=optional)
    return built
