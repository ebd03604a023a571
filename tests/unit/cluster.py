"""A pretend API server that keeps versions, and the operator's part of one region on it, without watches."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from builders import SetBuilder, WorkloadBuilder
from secretset.config import Config
from secretset.controller.context import Context
from secretset.controller.deliver import deliver
from secretset.controller.follow_up import FollowUp, follow_up
from secretset.controller.installation import Installation
from secretset.controller.scene import Scene
from secretset.domain import names, status, workloads
from secretset.domain.names import Key
from secretset.domain.plan import Desired
from secretset.domain.record import SetRecord
from secretset.domain.restarts import RestartRule
from secretset.domain.workloads import WorkloadKind
from secretset.kube import errors, paths
from secretset.kube.client import MERGE_PATCH, Client
from unit.runners import runner
from unit.slots import EPOCH, INSTALLATION, KEYRING

Object = dict[str, Any]
NAMESPACE = "team-us"


class Crashed(Exception):
    """The operator is dead: nothing that it would do is done."""


class Cluster:
    """The store of a cluster, and what `kube.client.Client` does with it.

    Attributes:
        objects: path to object.
        fuse: writes until the operator dies; None for never.
        tardy: whether the write that kills it is still carried out.
        faults: path to what the next request for it raises.
        requests: verb and path of each request.
        exact: whether lists of a past moment can be given.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.version = 100
        self.fuse: int | None = None
        self.tardy = False
        self.faults: dict[str, list[Exception]] = {}
        self.requests: list[tuple[str, str]] = []
        self.exact = True
        self.dead = False
        self._log: list[tuple[int, str, Object | None]] = []

    @property
    def client(self) -> Client:
        return cast("Client", self)

    def put(self, path: str, obj: Object | None) -> Object:
        """Store an object as it is, or take it away."""
        self.version += 1
        if obj is None:
            del self.objects[path]
        else:
            obj = copy.deepcopy(obj)
            obj["metadata"]["resourceVersion"] = str(self.version)
            self.objects[path] = obj
        self._log.append((self.version, path, obj))
        return copy.deepcopy(obj or {})

    def write(self) -> None:
        """A write is asked for; see `fuse`."""
        if self.dead:
            raise Crashed
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                self.dead = True
                if not self.tardy:
                    raise Crashed

    def answered(self, obj: Object) -> Object:
        """The answer to a write, if somebody is there to read it."""
        if self.dead:
            raise Crashed
        return obj

    async def get(self, path: str, params: Mapping[str, str] | None = None, *, accept: str | None = None) -> Object:
        assert accept is None
        self._begin("GET", path)
        if self.dead:
            raise Crashed
        if path.rpartition("/")[2] in {"secrets", "pods", *(kind.plural for kind in workloads.WORKLOAD_KINDS)}:
            return self._listed(path, params or {})
        return copy.deepcopy(self._found(path))

    async def create(self, path: str, body: Object) -> Object:
        self._begin("POST", path)
        place = f"{path}/{body['metadata']['name']}"
        if place in self.objects:
            raise errors.AlreadyExists(409)
        self.write()
        uid = f"uid-{self.version + 1}"
        return self.answered(self.put(place, {**body, "metadata": {**body["metadata"], "uid": uid}}))

    async def replace(self, path: str, body: Object) -> Object:
        self._begin("PUT", path)
        self._guard(path, body["metadata"])
        self.write()
        return self.answered(self.put(path, body))

    async def patch(self, path: str, body: Object, content_type: str) -> Object:
        assert content_type == MERGE_PATCH
        self._begin("PATCH", path)
        found = self._guard(path, body["metadata"])
        self.write()
        merged = _merged(found, body)
        if merged["spec"] != found["spec"]:
            merged["metadata"]["generation"] += 1
        return self.answered(self.put(path, merged))

    async def delete(self, path: str, *, uid: str, resource_version: str | None = None) -> Object:
        self._begin("DELETE", path)
        self._guard(path, {"uid": uid, "resourceVersion": resource_version})
        self.write()
        return self.answered(self.put(path, None))

    def _begin(self, verb: str, path: str) -> None:
        self.requests.append((verb, path))
        if self.faults.get(path):
            raise self.faults[path].pop(0)

    def _found(self, path: str) -> Object:
        if path not in self.objects:
            raise errors.Absent(404)
        return self.objects[path]

    def _guard(self, path: str, wanted: Mapping[str, Any]) -> Object:
        found = self._found(path)
        if any(wanted.get(name) not in {None, found["metadata"][name]} for name in ("uid", "resourceVersion")):
            raise errors.Conflict(409)
        return found

    def _listed(self, path: str, params: Mapping[str, str]) -> Object:
        then = self.objects
        if params.get("resourceVersionMatch") == "Exact":
            if not self.exact:
                raise errors.Gone(410)
            then = {}
            for version, place, obj in self._log:
                if version <= int(params["resourceVersion"]):
                    then |= {place: cast("Object", obj)}
        items = [obj for place, obj in then.items() if place.rpartition("/")[0] == path and obj is not None]
        return {"metadata": {}, "items": copy.deepcopy(items)}


def _merged(obj: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    out = copy.deepcopy(obj) if isinstance(obj, dict) else {}
    for name, value in patch.items():
        if value is None:
            out.pop(name, None)
        else:
            out[name] = _merged(out.get(name), value)
    return out


@dataclass
class Store:
    """Of the hub's store, what the work in a region uses."""

    sets: dict[Key, SetRecord] = field(default_factory=dict)

    def region_of(self, _: SetRecord) -> str:
        return "us"


class Operator:
    """The operator with one region. It sees what is put before it (`see`), and works when told to (`work`).

    Attributes:
        clock: seconds since the test's epoch.
        statuses: of the sets; they are on the hub, and outlive a crash.
        told: notes of events.
    """

    def __init__(self, cluster: Cluster, max_rollouts: int = 0) -> None:
        self.cluster = cluster
        self.clock = 0.0
        self.max_rollouts = max_rollouts
        self.sets: dict[str, SetBuilder] = {}
        self.statuses: dict[str, Object] = {}
        self.told: list[str] = []
        self.woken: list[Key] = []
        self.start()

    def start(self) -> None:
        """Begin with no memory; the lists that watches begin with show everything."""
        self.cluster.dead, self.cluster.fuse = False, None
        self.store = Store()
        self.context = cast("Context", self)
        self.runner = runner(installation=self.installation, max_rollouts=self.max_rollouts)
        for name in self.sets:
            self._record(name)
        for obj in self.cluster.objects.values():
            if obj.get("type") == names.TYPE_OPAQUE:
                self.runner.seen.see_secret(copy.deepcopy(obj))
            else:
                self.see(obj)

    def add(self, built: SetBuilder) -> None:
        assert built.record().restart is not None, "its spec does not fit the schema"
        self.sets[built.name] = built
        self._record(built.name)

    def see(self, obj: Object) -> None:
        """A watch shows a workload."""
        self.runner.seen.see_workload(kind_of(obj), copy.deepcopy(obj))

    def miss(self, obj: Object) -> None:
        """A watch shows that a workload is gone."""
        self.runner.seen.miss_workload(kind_of(obj), NAMESPACE, obj["metadata"]["name"], copy.deepcopy(obj))

    def scene(self, name: str) -> Scene:
        return Scene(self.context, self.runner, self._record(name), NAMESPACE)

    async def work(
        self, name: str, content: Mapping[str, bytes], write_status: bool = True, *, inputs: str = "inputs"
    ) -> FollowUp:
        """Make a pass over a set, as `controller.reconcile` does; the status is the last of its writes."""
        fresh = self._record(name)
        previous = self.statuses.get(name)
        desired = Desired(
            key=fresh.key,
            uid=fresh.uid,
            installation=self.installation.id,
            region="us",
            namespace=NAMESPACE,
            content=content,
            inputs=inputs,
            rule=self.rule(name),
            ask=fresh.ask,
        )
        client = self.cluster.client
        delivery = await deliver(self.context, self.runner, client, desired, status.memory(previous))
        after = await follow_up(self.context, self.runner, client, desired, fresh, previous, delivery)
        assert after.failure is None
        if write_status and after.status != previous:
            self.cluster.write()
            self.statuses[name] = copy.deepcopy(dict(after.status))
            self.cluster.answered({})
            after.tell(previous)
        self._record(name)
        return after

    def rule(self, name: str) -> RestartRule:
        built = self.sets[name].record()
        return self.config.restart_rule(built.key.kind, built.restart)

    def _record(self, name: str) -> SetRecord:
        built = self.sets[name]
        built._status = self.statuses.get(name, {})
        found = built.record()
        self.store.sets[found.key] = found
        self.runner.placed[found.key] = NAMESPACE
        return found

    # --- of a Context, what the work in a region uses

    config = Config()
    installation = Installation(id=INSTALLATION, keyring=KEYRING)

    @property
    def events(self) -> Operator:
        return self

    def emit(self, _: Key, __: str, *, reason: str, note: str, action: str, warning: bool = False) -> None:
        assert action
        self.told.append(f"{reason}{'!' * warning}: {note}")

    def now(self) -> float:
        return EPOCH + self.clock

    def timestamp(self) -> str:
        return "2026-03-01T00:00:00Z"


def kind_of(obj: Mapping[str, Any]) -> WorkloadKind:
    return next(kind for kind in workloads.WORKLOAD_KINDS if kind.kind == obj["kind"])


def path_of(obj: Mapping[str, Any]) -> str:
    return paths.workloads(kind_of(obj), NAMESPACE, obj["metadata"]["name"])


def stored(cluster: Cluster, built: WorkloadBuilder) -> Object:
    """Somebody creates, or changes, a workload."""
    obj = built.object() | {"kind": built.workload().kind}
    return cluster.put(path_of(obj), obj)
