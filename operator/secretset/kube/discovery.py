"""What a cluster serves, as its API server tells."""

from __future__ import annotations

from typing import NamedTuple

from secretset.kube import errors, paths
from secretset.kube.client import Client

_DEADLINE = 3.0  # seconds; a region that begins waits for it


async def served(client: Client, api: str) -> frozenset[str]:
    """The resources of a group and version, by their plural names; none if it is not served at all.

    Args:
        client: of the cluster.
        api: such as `apis/apps/v1`.

    Raises:
        KubeError: the cluster could not be asked, or does not tell us.
    """
    try:
        found = await client.request("GET", f"/{api}", timeout=_DEADLINE)
    except errors.NotFound:
        return frozenset()
    return frozenset(str(each.get("name")) for each in found.get("resources") or ())


class Resource(NamedTuple):
    """A kind as the API serves it.

    Attributes:
        root: of its group and version, such as `/apis/apps/v1`.
        plural: its name in a URL.
        namespaced: whether its objects are in namespaces.
    """

    root: str
    plural: str
    namespaced: bool

    def path(self, namespace: str | None, name: str) -> str:
        """Where an object is."""
        return paths.of(self.root, self.plural, namespace if self.namespaced else None, name)


async def resource_of(client: Client, api_version: str, kind: str) -> Resource | None:
    """How a kind is served; None if it is not.

    Raises:
        KubeError: the cluster could not be asked, or does not tell us.
    """
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    try:
        found = await client.get(root)
    except errors.NotFound:
        return None
    for each in found.get("resources") or ():
        if each.get("kind") == kind and "/" not in str(each.get("name")):
            return Resource(root, str(each["name"]), each.get("namespaced") is True)
    return None
