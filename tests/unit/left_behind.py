"""A pretend hub, and a pretend region where a set delivered a Secret that may have to be left behind."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

from builders import RegionBuilder, SetBuilder, at, organization, region, secret_set
from secretset.config import Config
from secretset.controller.cleanup import clean_up
from secretset.controller.context import Context
from secretset.controller.events import EventRecorder
from secretset.controller.installation import Installation
from secretset.controller.runner import RegionRunner
from secretset.controller.store import HubStore
from secretset.controller.tombstones import Tombstones
from secretset.domain import names, reasons, record
from secretset.domain.names import Kind
from secretset.domain.reasons import Problem
from secretset.domain.tombstone import Tombstone
from secretset.kube import errors, paths
from secretset.kube.client import Client
from unit.slots import INSTALLATION, KEYRING, OWNER, UID, delivered

SYSTEM = "secretset-system"
ABANDON = {names.ANNOTATION_ABANDON: "true"}
AWAY = reasons.region_unreachable("us")


def stone(**changes: Any) -> Tombstone:
    given: dict[str, Any] = {
        "region": "us",
        "cluster": "cluster-1",
        "namespace": "team-us",
        "owner": OWNER,
        "uid": UID,
        "since": at(0),
        "why": "RegionUnreachable",
    }
    return Tombstone(**given | changes)


def live(uid: str = "new", **meta: Any) -> SetBuilder:
    return secret_set().with_meta(uid=uid, **meta)


class Api:
    """Objects by path, and a log of what was done to them; ``fails`` says which request is refused, and how."""

    name = "api"

    def __init__(self, objects: Mapping[str, dict[str, Any]] | None = None) -> None:
        self.objects = dict(objects or {})
        self.log: list[str] = []
        self.fails: dict[str, Exception] = {}

    async def get(self, path: str, *_: Any, **__: Any) -> Any:
        return self._reached("get", path)

    async def create(self, path: str, body: dict[str, Any]) -> Any:
        where = f"{path}/{body['metadata']['name']}"
        self._fail("create", path)
        if where in self.objects:
            raise errors.AlreadyExists(409, "AlreadyExists")
        self.log.append(f"create {where.rsplit('/', 2)[1]}")
        meta = {**body["metadata"], "uid": f"uid-{len(self.log)}", "resourceVersion": str(len(self.log))}
        self.objects[where] = {**body, "metadata": meta}
        return self.objects[where]

    async def patch(self, path: str, body: Any, _: str) -> Any:
        self._reached("patch", path)
        self.log.append(f"patch {path.rsplit('/', 2)[1]} {path.rsplit('/', 1)[1]}")
        if isinstance(body, list):  # our finalizer comes off
            self.objects.pop(path)
            return {"kind": "Status"}
        self.objects[path] |= {"imagePullSecrets": body["imagePullSecrets"]}
        return self.objects[path]

    async def delete(self, path: str, *, uid: str, resource_version: str | None = None) -> Any:
        found = self._reached("delete", path)["metadata"]
        if found["uid"] != uid or resource_version not in {None, found["resourceVersion"]}:
            raise errors.Conflict(409, "Conflict")
        self.log.append(f"delete {path.rsplit('/', 2)[1]}")
        del self.objects[path]

    def _reached(self, verb: str, path: str) -> Any:
        self._fail(verb, path)
        if path not in self.objects:
            raise errors.Absent(404)
        return self.objects[path]

    def _fail(self, verb: str, path: str) -> None:
        for what, error in self.fails.items():
            if what in f"{verb} {path}":
                raise error


class Events:
    """Of the recorder of events, what is used here."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []

    def emit_region(self, record: Any, *, reason: str, note: str, action: str, warning: bool = False) -> None:
        self.told.append((record.name, reason, note))


SECRET_PATH = paths.secrets("team-us", "app")


class World:
    """A hub, the region `us` with the Secret that a set delivered there, and who works on it."""

    def __init__(self, **config: Any) -> None:
        self.hub, self.there, self.events = Api(), Api(), Events()
        self.there.objects = {
            SECRET_PATH: delivered().copy(),
            paths.core("namespaces", None, "team-us"): {"metadata": {}},
        }
        store = HubStore(lambda _: None, lambda _: None)
        self.context = Context(
            hub=cast("Client", self.hub),
            store=store,
            installation=Installation(id=INSTALLATION, keyring=KEYRING),
            events=cast("EventRecorder", self.events),
            config=Config(**config),
        )
        store.organizations |= {name: organization(name) for name in ("team", "team-us")}
        self.region(region("us"))
        self.problem: Problem | None = None
        self.doubts: list[str] = []
        self.served = SimpleNamespace(
            name="us",
            usable=self._usable,
            cluster_id="cluster-1",
            credentials="its credentials",
            seen=SimpleNamespace(secrets={}),
            held={},
            rights=SimpleNamespace(doubt=lambda: self.doubts.append("us")),
            queue=SimpleNamespace(add=lambda _: None),
        )
        self.runner = cast("RegionRunner", self.served)

    @property
    def tombstones(self) -> Tombstones:
        return self.context.tombstones

    def region(self, built: RegionBuilder) -> None:
        self.context.store.apply_region(built.record(), {})

    async def _usable(self, _: str) -> Any:
        if self.problem is not None:
            raise self.problem
        return self.there

    async def delete(self, notes: Mapping[str, str] | None = None, *, shipped: bool = True) -> None:
        """The end of the pass over a set that is being deleted."""
        built = secret_set().with_meta(
            uid=UID, deletionTimestamp=at(1), finalizers=[names.FINALIZER], annotations=dict(notes or {})
        )
        built.in_region("us").with_spec(**({"deletionPolicy": self.policy} if self.policy else {}))
        if shipped:
            place = {"region": "us", "namespace": "team-us", "name": "app"}
            built.with_status(region="us", secretRef=place)
        obj = {**built.object(), "kind": "SecretSet"}
        fresh = record.parse(Kind.SECRET_SET, obj)
        self.context.store.apply_set(fresh)
        self.hub.objects[paths.custom(OWNER)] = obj
        await clean_up(self.context, self.runner, fresh, obj)

    policy: str | None = None

    @property
    def left(self) -> list[Tombstone]:
        return self.tombstones.of("us")

    @property
    def gone(self) -> bool:
        """Whether the set was let go."""
        return paths.custom(OWNER) not in self.hub.objects
