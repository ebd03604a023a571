"""A pretend hub that keeps Leases, and replicas on it, with a clock that the tests set."""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any, cast

from secretset.controller.membership import Membership
from secretset.domain.replicas import Replica
from secretset.kube import errors
from secretset.kube.client import CONNECTED, Client

SYSTEM = "secretset-system"
LEADER = "secretset-leader"


class Clock:
    """Time for all replicas of a test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Hub:
    """Leases with versions, as an API server keeps them.

    Attributes:
        away: nothing is answered.
        deaf: watches tell nothing.
        log: what was written, as "verb name".
    """

    def __init__(self) -> None:
        self.away = False
        self.deaf = False
        self.log: list[str] = []
        self.objects: dict[str, dict[str, Any]] = {}
        self._versions = itertools.count(1)
        self._watches: set[asyncio.Queue[dict[str, Any]]] = set()

    def change(self, verb: str, name: str, obj: dict[str, Any] | None) -> Any:
        before = self.objects.pop(name, None)
        version = str(next(self._versions))
        self.log.append(f"{verb} {name}")
        if obj is not None:
            uid = before["metadata"]["uid"] if before else f"uid-{version}"
            obj = copy.deepcopy(obj) | {"metadata": {**obj["metadata"], "uid": uid, "resourceVersion": version}}
            self.objects[name] = obj
        told = obj or {**cast("dict[str, Any]", before), "metadata": {**before["metadata"], "resourceVersion": version}}  # type: ignore[index]
        for queue in self._watches:
            queue.put_nowait({"type": "DELETED" if obj is None else "MODIFIED", "object": told})
        return copy.deepcopy(obj)

    def holder(self, name: str) -> str:
        found = self.objects.get(name)
        return str(found["spec"]["holderIdentity"]) if found else ""


class Api:
    """One replica's client of the hub.

    Attributes:
        cut: this replica gets no answers.
        written: what it wrote, as "verb name".
    """

    name = "hub"

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.cut = False
        self.written: list[str] = []

    async def _reach(self) -> None:
        await asyncio.sleep(0)
        if self.cut or self.hub.away:
            raise errors.Unreachable("x")

    async def get(self, path: str, params: Mapping[str, str] | None = None, *, accept: str | None = None) -> Any:
        await self._reach()
        name = path.partition("/leases/")[2]
        if name:
            if name not in self.hub.objects:
                raise errors.Absent(404)
            return copy.deepcopy(self.hub.objects[name])
        newest = str(max((int(o["metadata"]["resourceVersion"]) for o in self.hub.objects.values()), default=0))
        items = copy.deepcopy(list(self.hub.objects.values()))
        return {"metadata": {"resourceVersion": newest}, "items": items}

    async def create(self, _: str, body: dict[str, Any]) -> Any:
        await self._reach()
        name = body["metadata"]["name"]
        if name in self.hub.objects:
            raise errors.AlreadyExists(409, "AlreadyExists")
        return self._changed("create", name, body)

    async def replace(self, path: str, body: dict[str, Any]) -> Any:
        await self._reach()
        name = path.rpartition("/")[2]
        self._check(name, body["metadata"]["uid"], body["metadata"]["resourceVersion"])
        return self._changed("update", name, body)

    async def delete(self, path: str, *, uid: str, resource_version: str | None = None) -> Any:
        await self._reach()
        name = path.rpartition("/")[2]
        self._check(name, uid, resource_version)
        return self._changed("delete", name, None)

    async def watch(self, _: str, params: Mapping[str, str], **__: Any) -> AsyncIterator[Any]:
        await self._reach()
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for obj in self.hub.objects.values():
            if int(obj["metadata"]["resourceVersion"]) > int(params["resourceVersion"]):
                queue.put_nowait({"type": "MODIFIED", "object": copy.deepcopy(obj)})
        self.hub._watches.add(queue)
        try:
            yield {"type": CONNECTED}
            while True:
                event = await queue.get()
                if not (self.hub.deaf or self.cut or self.hub.away):
                    yield event
        finally:
            self.hub._watches.discard(queue)

    def _check(self, name: str, uid: str, version: str | None) -> None:
        found = self.hub.objects.get(name)
        if found is None:
            raise errors.Absent(404)
        if uid != found["metadata"]["uid"] or version not in {None, found["metadata"]["resourceVersion"]}:
            raise errors.Conflict(409, "Conflict")

    def _changed(self, verb: str, name: str, obj: dict[str, Any] | None) -> Any:
        self.written.append(f"{verb} {name}")
        return self.hub.change(verb, name, obj)


class One:
    """A replica."""

    def __init__(self, hub: Hub, name: str, regions: frozenset[str] | None = None) -> None:
        self.api = Api(hub)
        self.changes = 0
        self.is_there = Membership(
            cast("Client", self.api), SYSTEM, Replica(name=name, regions=regions), on_change=self._changed
        )
        self._task: asyncio.Task[None] | None = None

    def _changed(self) -> None:
        self.changes += 1

    async def start(self) -> None:
        await self.is_there.join()
        self._task = asyncio.create_task(self.is_there.run())

    async def stop(self, *, leaves: bool = True) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            if leaves:
                await self.is_there.leave()

    def sees(self) -> set[str]:
        return {replica.name for replica in self.is_there.replicas()}


class World:
    def __init__(self, clock: Clock) -> None:
        self.hub, self.clock = Hub(), clock
        self.stack = AsyncExitStack()

    async def start(self, name: str, regions: frozenset[str] | None = None) -> One:
        one = One(self.hub, name, regions)
        await one.start()
        self.stack.push_async_callback(one.stop, leaves=False)
        return one

    async def pass_(self, seconds: float) -> None:
        """Let time pass, slowly enough that everybody does what they do meanwhile."""
        for _ in range(round(seconds)):
            self.clock.now += 1
            await settle()


async def settle() -> None:
    """Let everybody do what they have to do now."""
    await asyncio.sleep(0.02)
