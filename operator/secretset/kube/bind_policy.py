"""Whether a cluster has the policy that binds pods by their annotation."""

from __future__ import annotations

from typing import Any

from secretset.domain import policies
from secretset.domain.policies import BindPolicy
from secretset.kube import discovery, errors, paths
from secretset.kube.client import Client

_DEADLINE = 3.0  # seconds; a region that begins waits for it


async def look(client: Client) -> BindPolicy:
    """How the policy stands in a cluster; two requests where it is there, up to three where it is not.

    Raises:
        KubeError: the cluster could not be asked.
    """
    try:
        found = await _get(client, policies.POLICIES), await _get(client, policies.BINDINGS)
    except errors.Forbidden:
        return BindPolicy.NOT_ALLOWED if await _supported(client) else BindPolicy.NOT_SUPPORTED
    verdict = policies.judge(*found)
    if verdict is BindPolicy.NOT_INSTALLED and not await _supported(client):
        return BindPolicy.NOT_SUPPORTED
    return verdict


async def _get(client: Client, plural: str) -> Any:
    """Our object, or None, also where the resource is not served."""
    try:
        return await client.request("GET", paths.admission(plural, policies.NAME), timeout=_DEADLINE)
    except errors.NotFound:
        return None


async def _supported(client: Client) -> bool:
    """Whether the cluster knows such policies; who may not ask is told yes."""
    try:
        known = await discovery.served(client, f"apis/{policies.GROUP_VERSION}")
    except errors.Forbidden:
        return True
    return {policies.POLICIES, policies.BINDINGS} <= known
