"""What belongs to a Helm release: that is Helm's to change, and to take away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from secretset.kube import discovery, errors
from secretset.kube.client import Client

# Helm's own notes on what it made (https://helm.sh/docs/faq: ownership of objects).
_RELEASE, _RELEASE_NAMESPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"


class Release(NamedTuple):
    """A Helm release, and the namespace it was made in."""

    name: str
    namespace: str


async def release_of(client: Client, objects: Iterable[Mapping[str, Any]]) -> Release | None:
    """The Helm release that one of these objects belongs to, in whatever namespace that is; None if none does.

    Raises:
        KubeError: the hub refused or did not answer.
    """
    for obj in objects:
        meta = obj["metadata"]
        resource = await discovery.resource_of(client, str(obj["apiVersion"]), str(obj["kind"]))
        if resource is None:
            continue
        try:
            found = await client.get(resource.path(meta.get("namespace"), meta["name"]))
        except errors.NotFound:
            continue
        notes = found["metadata"].get("annotations") or {}
        if notes.get(_RELEASE):
            return Release(str(notes[_RELEASE]), str(notes.get(_RELEASE_NAMESPACE) or "default"))
    return None
