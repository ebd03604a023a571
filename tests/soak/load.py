"""A steady mixed load: all that users do, a few times a second, with as many objects at the end as at the beginning.

Every object has a name of its own that never comes again, so that whatever is kept by name is seen to grow.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any

from secretset.domain import names
from secretset.domain.names import Key, Kind
from secretset.kube import credentials, errors, paths
from secretset.kube.client import MERGE_PATCH, Client
from soak.stage import FAR, NEAR, Stage

SETS, PULL_SECRETS, DEPLOYMENTS = 30, 6, 8  # of each organization, half of them in each region
_DEPLOYMENT = "/apis/apps/v1/namespaces/{}/deployments"


class Place:
    """An organization in a region, and what is there now, the oldest first."""

    def __init__(self, organization: str, region: str, cluster: Client) -> None:
        self.organization = organization
        self.region = region
        self.cluster = cluster
        self.namespace = f"{organization}-{region}" if region == NEAR else organization
        self.sets: deque[str] = deque()
        self.pull_secrets: deque[str] = deque()
        self.deployments: deque[str] = deque()
        self.source = f"source-{region}"


class Load:
    """Does one thing after the other, at a pace, until it is told to end.

    Args:
        pace: things a second.

    Attributes:
        done: what was done, how often; what a broken API server refused counts as `refused`.
    """

    def __init__(self, stage: Stage, *, pace: float) -> None:
        self.done: Counter[str] = Counter()
        self._stage = stage
        self._pace = pace
        self._numbers = count(1)
        self._random = random.Random(4)
        self._clients: list[Client] = []
        self._places: list[Place] = []

    async def begin(self) -> None:
        """Create the objects that there always are."""
        for plane in (self._stage.hub, self._stage.far):
            login = await credentials.load(str(plane.kubeconfig))
            self._clients.append(Client(login, name="(soak)", manager="soak"))
            await self._clients[-1].prepare()
        self._places = [
            Place(org.name, region, cluster)
            for org in self._stage.organizations
            for region, cluster in zip((NEAR, FAR), self._clients, strict=True)
        ]
        for place in self._places:
            await self._hub.create(paths.secrets(place.organization), _source(place.source, next(self._numbers)))
            for make, how_many in (
                (self._create_set, SETS),
                (self._create_pull_secret, PULL_SECRETS),
                (self._create_deployment, DEPLOYMENTS),
            ):
                for _ in range(how_many // 2):
                    await make(place)

    async def run(self, ending: asyncio.Event) -> None:
        """Go on until the end; what fails while an API server is away is left out."""
        deeds = self._deeds()
        while not ending.is_set():
            name, deed = self._random.choice(deeds)
            try:
                await deed(self._random.choice(self._places))
                self.done[name] += 1
            except errors.KubeError:
                self.done["refused"] += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._random.expovariate(self._pace)):
                    await ending.wait()

    async def unsettled(self) -> list[str]:
        """Sets and pull secrets that are not ready, or not of their newest generation, with their reasons."""
        found = []
        for kind in Kind:
            for obj in (await self._hub.get(paths.custom_list(kind)))["items"]:
                status = obj.get("status") or {}
                if (status.get("phase"), status.get("observedGeneration")) != ("ready", obj["metadata"]["generation"]):
                    found.append(f"{obj['metadata']['name']}: {status.get('reason')}")
        return found

    async def end(self) -> None:
        """Close the connections."""
        for client in self._clients:
            await client.close()

    @property
    def _hub(self) -> Client:
        return self._clients[0]

    def _deeds(self) -> list[tuple[str, Callable[[Place], Awaitable[None]]]]:
        """What may be done, as often as it stands here."""
        often: list[tuple[str, Callable[[Place], Awaitable[None]]]] = [
            ("sets replaced", self._replace_set),
            ("sources changed", self._change_source),
            ("sets changed", self._change_set),
        ]
        return often * 3 + [
            ("pull secrets replaced", self._replace_pull_secret),
            ("deployments replaced", self._replace_deployment),
            ("restarts asked for", self._ask),
            ("secrets spoilt", self._spoil),
            ("secrets deleted", self._delete_secret),
        ]

    # --- what users do

    async def _replace_set(self, place: Place) -> None:
        await self._create_set(place)
        while len(place.sets) > SETS // 2:
            await self._drop(Kind.SECRET_SET, place, place.sets)

    async def _create_set(self, place: Place) -> None:
        name = f"set-{next(self._numbers)}"
        data = {key: _from(place.source, key) for key in ("a", "b")}
        spec = {"region": place.region, "data": data}
        place.sets.append(name)  # though the answer be lost: what may be there is taken away again
        await self._create(Kind.SECRET_SET, place, name, spec)

    async def _change_set(self, place: Place) -> None:
        data = {f"K{next(self._numbers)}": _from(place.source, "a")}
        body = {"spec": {"data": {**data, "b": _from(place.source, self._random.choice("ab"))}}}
        path = paths.custom(Key(Kind.SECRET_SET, place.organization, self._random.choice(place.sets)))
        found = await self._hub.get(path)
        surplus = [key for key in found["spec"]["data"] if key.startswith("K")]
        gone = dict.fromkeys(surplus, None)
        await self._hub.patch(path, {"spec": {"data": {**gone, **body["spec"]["data"]}}}, MERGE_PATCH)

    async def _change_source(self, place: Place) -> None:
        path = paths.secrets(place.organization, place.source)
        await self._hub.patch(path, {"data": _source(place.source, next(self._numbers))["data"]}, MERGE_PATCH)

    async def _replace_pull_secret(self, place: Place) -> None:
        await self._create_pull_secret(place)
        while len(place.pull_secrets) > PULL_SECRETS // 2:
            await self._drop(Kind.IMAGE_PULL_SECRET, place, place.pull_secrets)

    async def _create_pull_secret(self, place: Place) -> None:
        name = f"pull-{next(self._numbers)}"
        spec = {"region": place.region, "host": "ghcr.io", "username": "bot", "password": _from(place.source, "a")}
        place.pull_secrets.append(name)
        await self._create(Kind.IMAGE_PULL_SECRET, place, name, spec)

    async def _ask(self, place: Place) -> None:
        note = {names.ANNOTATION_RESTART_NOW: str(next(self._numbers))}
        path = paths.custom(Key(Kind.SECRET_SET, place.organization, self._random.choice(place.sets)))
        await self._hub.patch(path, {"metadata": {"annotations": note}}, MERGE_PATCH)

    async def _replace_deployment(self, place: Place) -> None:
        await self._create_deployment(place)
        while len(place.deployments) > DEPLOYMENTS // 2:
            with contextlib.suppress(errors.NotFound):
                path = f"{_DEPLOYMENT.format(place.namespace)}/{place.deployments[0]}"
                await place.cluster.request("DELETE", path)
            place.deployments.popleft()

    async def _create_deployment(self, place: Place) -> None:
        name = f"app-{next(self._numbers)}"
        place.deployments.append(name)
        body = _deployment(name, self._random.choice(place.sets))
        await place.cluster.create(_DEPLOYMENT.format(place.namespace), body)

    async def _spoil(self, place: Place) -> None:
        path = paths.secrets(place.namespace, self._random.choice(place.sets))
        await place.cluster.patch(path, {"data": {"a": "c3BvaWx0"}}, MERGE_PATCH)

    async def _delete_secret(self, place: Place) -> None:
        await place.cluster.request("DELETE", paths.secrets(place.namespace, self._random.choice(place.sets)))

    # --- the rest

    async def _create(self, kind: Kind, place: Place, name: str, spec: Mapping[str, Any]) -> None:
        meta = {"name": name, "namespace": place.organization}
        body = {"apiVersion": names.API_VERSION, "kind": kind.value, "metadata": meta, "spec": spec}
        await self._hub.create(paths.custom_list(kind, place.organization), body)

    async def _drop(self, kind: Kind, place: Place, there: deque[str]) -> None:
        oldest = there[0]
        with contextlib.suppress(errors.NotFound):
            await self._hub.request("DELETE", paths.custom(Key(kind, place.organization, oldest)))
        there.popleft()


def _source(name: str, number: int) -> dict[str, Any]:
    data = {key: base64.b64encode(f"{key} of {number}".encode()).decode() for key in ("a", "b")}
    meta = {"name": name, "labels": {names.LABEL_SOURCE: "true"}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data}


def _from(source: str, key: str) -> dict[str, Any]:
    return {"valueFrom": {"secretKeyRef": {"name": source, "key": key}}}


def _deployment(name: str, secret: str) -> dict[str, Any]:
    labels = {"app": name}
    container = {"name": "app", "image": "app:1", "envFrom": [{"secretRef": {"name": secret, "optional": True}}]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    }
