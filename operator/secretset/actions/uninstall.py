"""Take away from a hub what `actions.install` brought there, once no set needs it any more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, NamedTuple

from secretset.domain.names import Kind
from secretset.kube import discovery, errors, paths
from secretset.kube.client import Client

_NAMED = 5


class Remaining(NamedTuple):
    """Sets that are on the hub.

    Attributes:
        total: how many there are.
        examples: a few of them, as `namespace/name`.
    """

    total: int
    examples: tuple[str, ...]


class Deleted(NamedTuple):
    """One object that was there."""

    kind: str
    name: str


async def remaining(client: Client) -> Remaining:
    """All sets of both kinds; none where the hub does not know the kinds.

    Raises:
        KubeError: the hub refused or did not answer.
    """
    total, examples = 0, list[str]()
    for kind in Kind:
        try:
            found = await client.get(paths.custom_list(kind), {"limit": str(_NAMED)})
        except errors.NotFound:
            continue
        metas = [each["metadata"] for each in found["items"]]
        total += len(metas) + int(found["metadata"].get("remainingItemCount") or 0)
        examples += [f"{meta['namespace']}/{meta['name']}" for meta in metas]
    return Remaining(total, tuple(examples[:_NAMED]))


async def delete(client: Client, objects: Iterable[Mapping[str, Any]]) -> AsyncIterator[Deleted]:
    """Delete objects, those that were applied last first; tells those that were there.

    Raises:
        KubeError: the hub refused or did not answer; what came before is gone.
    """
    for obj in reversed(list(objects)):
        meta, kind = obj["metadata"], str(obj["kind"])
        resource = await discovery.resource_of(client, str(obj["apiVersion"]), kind)
        if resource is None:
            continue
        path = resource.path(meta.get("namespace"), meta["name"])
        try:
            uid = (await client.get(path))["metadata"]["uid"]
            await client.delete(path, uid=uid)
        except errors.NotFound:
            continue
        yield Deleted(kind, meta["name"])
