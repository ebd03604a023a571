"""Looks at the pods of a region: they are many and change all the time, so they are listed when needed, not watched."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from secretset.domain import pods
from secretset.domain.workloads import Workload
from secretset.kube import pages, paths
from secretset.kube.client import Client
from secretset.kube.supervise import all_of

_AT_A_TIME = 4
_LOOKED_AT = 16  # workloads in one call


async def stuck_workloads(client: Client, workloads: Sequence[Workload], now: float) -> dict[str, str]:
    """Which workloads have a pod of their newest template that does not get on.

    Costs one list each, four at a time. Only the first 16 are looked at.

    Args:
        client: of the region.
        workloads: those whose rollout is under way; whose turn it is first.
        now: seconds since the epoch.

    Returns:
        Uid of each that was looked at, in their order, to "pod 'NAME': REASON", or to nothing if it gets on.

    Raises:
        Forbidden: we may not list pods there.
        KubeError: the region could not be asked.
    """
    gate = asyncio.Semaphore(_AT_A_TIME)

    async def one(workload: Workload) -> str:
        async with gate:
            return await _stuck(client, workload, now)

    # Without a selector all pods of the namespace would be its own.
    looked = [w for w in workloads if w.selector and w.restarted_for][:_LOOKED_AT]
    found = await all_of(*(one(workload) for workload in looked))
    return {workload.uid: told for workload, told in zip(looked, found, strict=True)}


async def _stuck(client: Client, workload: Workload, now: float) -> str:
    path, params = paths.core("pods", workload.namespace), {"labelSelector": workload.selector}
    async for pod in pages.items(client, path, params):
        if reason := pods.stuck(pod, workload.restarted_for, now):
            return f"pod '{pod['metadata']['name']}': {reason}"
    return ""


async def started_during(
    client: Client, namespace: str, secret: str, since: float, until: float, limit: int = 20
) -> list[str]:
    """Names of pods that use a Secret and started within a time, see `domain.pods.started_during`; the first few.

    Raises:
        Forbidden: we may not list pods there.
        KubeError: the region could not be asked.
    """
    found: list[str] = []
    async for pod in pages.items(client, paths.core("pods", namespace)):
        if pods.started_during(pod, secret, since, until):
            found.append(pod["metadata"]["name"])
            if len(found) == limit:
                break
    return found
