"""What a cluster serves, as its API server tells."""

from __future__ import annotations

from secretset.kube import errors
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
