"""The floor: the operator's writes without an operator, sent by the bare client as fast as it can.

Of a new set that is a pair: POST of the managed Secret, PUT of the set's status. Where no admission policy puts the
finalizer on, a PATCH of it comes before them.

Bodies are those that the operator wrote for a set of the same shape, with other names: what the API server has to
decode, check and store is the same to a few bytes. No read is sent, nothing is decided, nothing is watched.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Sequence
from typing import Any

from bench import objects
from bench.api import CONCURRENCY, JSON_PATCH, MERGE_PATCH, Api, side_by_side
from bench.objects import Name

FINALIZER = "secretset.dev/cleanup"
_SERVER_FIELDS = ("uid", "resourceVersion", "creationTimestamp", "managedFields")


class Floor:
    """Sends the operator's writes.

    Args:
        api: the bare client.
        secret: a managed Secret of the operator's, the pattern of all.
        status: the status of a set that is ready, likewise.
    """

    def __init__(self, api: Api, *, secret: dict[str, Any], status: dict[str, Any]) -> None:
        self._api = api
        self._secret = secret
        self._status = status

    @classmethod
    async def learn(cls, api: Api, pattern: Name) -> Floor:
        """Take the bodies from a set that the operator made ready."""
        secret = await api.send("GET", pattern.secret_path)
        for name in _SERVER_FIELDS:
            secret["metadata"].pop(name, None)
        status = (await api.send("GET", pattern.path))["status"]
        return cls(api, secret=secret, status=status)

    def secret(self, name: Name) -> dict[str, Any]:
        """The managed Secret of a set."""
        body = copy.copy(self._secret)
        body["metadata"] = {**body["metadata"], "namespace": name.target, "name": name.name}
        return body

    async def deliver(self, obj: dict[str, Any]) -> None:
        """The writes of one new set, given as the answer to its creation."""
        meta = obj["metadata"]
        name = Name(meta["namespace"], meta["name"])
        if not meta.get("finalizers"):
            patch = [
                {"op": "test", "path": "/metadata/uid", "value": meta["uid"]},
                {"op": "test", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]},
                {"op": "add", "path": "/metadata/finalizers", "value": [FINALIZER]},
            ]
            obj = await self._api.send("PATCH", name.path, patch, JSON_PATCH)
        await self._api.send("POST", objects.secrets(name.target), self.secret(name))
        await self._api.send("PUT", f"{name.path}/status", {**obj, "status": self._status})

    async def create(self, name: Name) -> dict[str, Any]:
        """Create a set as a user does; that is no write of the operator."""
        created: dict[str, Any] = await self._api.send(
            "POST", objects.sets(name.organization), objects.secret_set(name)
        )
        return created

    async def after_one(self, created: dict[str, Any]) -> float:
        """Seconds for the writes of one set that was created before."""
        started = time.perf_counter()
        await self.deliver(created)
        return time.perf_counter() - started

    async def create_all(self, wanted: Sequence[Name]) -> list[dict[str, Any]]:
        """Create sets, and return them."""
        made: list[dict[str, Any]] = []

        async def one(name: Name) -> None:
            made.append(await self.create(name))

        await side_by_side(wanted, one)
        return made

    async def after(self, made: Sequence[dict[str, Any]]) -> float:
        """Seconds for the writes of sets that were created before."""
        return await side_by_side(made, self.deliver)

    async def meanwhile(self, wanted: Sequence[Name]) -> float:
        """Seconds from the first creation to the last write, when sets are created while others are delivered."""
        created: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

        async def one(name: Name) -> None:
            created.put_nowait(await self.create(name))

        async def worker() -> None:
            while True:
                await self.deliver(await created.get())
                created.task_done()

        started = time.perf_counter()
        workers = [asyncio.create_task(worker()) for _ in range(CONCURRENCY)]
        await side_by_side(wanted, one)
        await created.join()
        seconds = time.perf_counter() - started
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        return seconds

    async def patch(self, name: Name, deployment: str, turn: int) -> float:
        """Seconds for the one write of a restart: the patch of a Deployment."""
        body = objects.restarted(name.name, f"{turn}-0123abcd")
        path = f"{objects.deployments(name.target)}/{deployment}"
        started = time.perf_counter()
        await self._api.send("PATCH", path, body, MERGE_PATCH)
        return time.perf_counter() - started
