"""Bring manifests to a hub, as `kubectl apply --server-side` does: what is there stays, and is brought up to date."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from secretset.controller import key_store
from secretset.domain import names, rollouts
from secretset.domain.names import Kind
from secretset.domain.workloads import DEPLOYMENT
from secretset.kube import discovery, errors, paths
from secretset.kube.client import Client

APPLY = "application/apply-patch+yaml"
_CUSTOM = ("secretsets", "imagepullsecrets", "regions")
_LOOK_SECONDS = 0.25


class Outcome(StrEnum):
    """What became of one object."""

    CREATED = "created"
    CONFIGURED = "configured"
    UNCHANGED = "unchanged"
    NOT_SERVED = "not served"


class Applied(NamedTuple):
    """One object, and what became of it."""

    kind: str
    name: str
    outcome: Outcome


async def apply(client: Client, objects: Iterable[Mapping[str, Any]]) -> AsyncIterator[Applied]:
    """Apply objects in their order. A kind that the cluster does not have is passed over, and told.

    Raises:
        KubeError: the hub refused or did not answer; what came before is there.
    """
    for obj in objects:
        meta, kind = obj["metadata"], str(obj["kind"])
        resource = await discovery.resource_of(client, str(obj["apiVersion"]), kind)
        if resource is None:
            yield Applied(kind, meta["name"], Outcome.NOT_SERVED)
            continue
        path = resource.path(meta.get("namespace"), meta["name"])
        before = await _version(client, path)
        after = await client.request("PATCH", path, body=obj, params={"force": "true"}, content_type=APPLY)
        changed = after["metadata"]["resourceVersion"] != before
        outcome = Outcome.CREATED if before is None else Outcome.CONFIGURED if changed else Outcome.UNCHANGED
        yield Applied(kind, meta["name"], outcome)


async def custom_resources_served(client: Client, *, seconds: float) -> bool:
    """Wait until the hub serves our kinds; returns whether it does.

    Raises:
        KubeError: the hub did not answer.
    """
    deadline = time.monotonic() + seconds
    while not set(_CUSTOM) <= await discovery.served(client, f"apis/{names.API_VERSION}"):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_LOOK_SECONDS)
    return True


async def sets_taken(client: Client, *, seconds: float) -> bool:
    """Wait until the hub takes new sets; returns whether it does.

    For some seconds after the CRDs were made it answers 503: admission policies need schemas, which it polls. Any other
    answer to a set that is only tried is one that tells no more.

    Raises:
        KubeError: the hub did not answer.
    """
    probe = {
        "apiVersion": names.API_VERSION,
        "kind": Kind.SECRET_SET.value,
        "metadata": {"name": "probe", "namespace": "default"},
        "spec": {"data": {"A": {"valueFrom": {"secretKeyRef": {"name": "probe", "key": "a"}}}}},
    }
    deadline = time.monotonic() + seconds
    while True:
        try:
            await client.request(
                "POST", paths.custom_list(Kind.SECRET_SET, "default"), body=probe, params={"dryRun": "All"}
            )
        except errors.ServerError:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        except errors.ApiError:
            return True
        else:
            return True


async def missing(client: Client, namespace: str, deployments: Sequence[str], *, seconds: float) -> str:
    """Wait until Deployments of the operator's namespace run what they say, and a key to seal with is published.

    Returns:
        What is not there when the time is over, as a part of a sentence; empty if all is.

    Raises:
        KubeError: the hub refused or did not answer.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = await _missing(client, namespace, deployments)
        if not found or time.monotonic() > deadline:
            return found
        await asyncio.sleep(_LOOK_SECONDS)


async def _missing(client: Client, namespace: str, deployments: Sequence[str]) -> str:
    for name in deployments:
        obj = await client.get(paths.workloads(DEPLOYMENT, namespace, name))
        if rollouts.deployment(obj) is not rollouts.Rollout.CURRENT:
            return f"Deployment '{name}' does not run yet"
    found = await key_store.published(client, namespace)
    return "" if found is not None and found.current is not None else "the operator has not published its keys yet"


async def _version(client: Client, path: str) -> str | None:
    try:
        return str((await client.get(path))["metadata"]["resourceVersion"])
    except errors.NotFound:
        return None
