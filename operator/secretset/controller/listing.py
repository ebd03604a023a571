"""Lists of the workloads of a namespace as they were at the moment of a write."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from secretset.controller.runner import RegionRunner
from secretset.domain import workloads
from secretset.domain.names import Key
from secretset.domain.observed import ObservedSecret, SecretRecord
from secretset.domain.waves import Wave
from secretset.domain.workloads import Workload, WorkloadKind
from secretset.kube import errors, paths, supervise
from secretset.kube.client import Client
from secretset.kube.pages import items

# That our clock and the API server's may differ by, and more: who is restarted without need is better than who is not.
_SKEW_SECONDS = 2.0


async def workloads_at(
    client: Client,
    kinds: Sequence[WorkloadKind],
    namespace: str,
    *,
    version: str,
    written: float,
    exact: bool,
    known: Mapping[str, int],
) -> list[Workload]:
    """The workloads that a namespace had when a Secret of it was written.

    Versions are of the cluster's whole store, so that of the Secret tells which workloads were there; where workloads
    have a store of their own (``--etcd-servers-overrides``) it tells nothing, and nobody notices. A store that cannot
    go back that far (it is compacted every few minutes) shows what is there now; then whoever was created after the
    write is left out.

    Args:
        client: of the region.
        kinds: that its cluster has.
        namespace: of the region.
        version: resourceVersion of the Secret.
        written: when it was written, in seconds since the epoch.
        exact: the Secret was not changed since.
        known: uid of each that is left out, while it is still of this generation.

    Raises:
        KubeError: the region refused, or did not answer.
    """
    lists = await supervise.all_of(*(_of_kind(client, kind, namespace, version, written, exact) for kind in kinds))
    return [
        workloads.parse(kind, item)
        for kind, listed in zip(kinds, lists, strict=True)
        for item in listed
        if known.get(item["metadata"]["uid"], -1) != item["metadata"].get("generation", 0)
    ]


async def raced(
    client: Client, runner: RegionRunner, key: Key, wave: Wave, secret: SecretRecord | ObservedSecret, *, exact: bool
) -> dict[str, int]:
    """Who was there when a wave was written, uses what changed, and is missing in it.

    Args:
        client: of the region.
        runner: of the region; it learns of them, so that none looks as if it were gone.
        key: of the set.
        wave: that its Secret bears.
        secret: the Secret.
        exact: it was not changed since the wave was written.

    Returns:
        Uid of each to its generation.

    Raises:
        KubeError: the region refused, or did not answer.
    """
    namespace = runner.placed[key]
    listed = await workloads_at(
        client,
        runner.kinds,
        namespace,
        version=secret.resource_version,
        written=wave.changed,
        exact=exact,
        known=wave.targets,
    )
    missing = wave.raced(runner.seen.bound(namespace, listed, key), key.name)
    for workload in listed:
        if workload.uid in missing and workload.uid not in runner.seen.workloads[namespace]:
            with contextlib.suppress(errors.Absent):
                path = paths.workloads(workload.path_kind, namespace, workload.name)
                runner.seen.see_workload(workload.path_kind, await client.get(path))
    return missing


async def _of_kind(
    client: Client, kind: WorkloadKind, namespace: str, version: str, written: float, exact: bool
) -> list[dict[str, Any]]:
    path = paths.workloads(kind, namespace)
    try:
        then = {"resourceVersion": version, "resourceVersionMatch": "Exact"}
        found = [item async for item in items(client, path, then)]
    except (errors.Gone, errors.ServerError):
        exact = False
        found = [item async for item in items(client, path)]
    return found if exact else [item for item in found if _created(item) <= written + _SKEW_SECONDS]


def _created(item: dict[str, Any]) -> float:
    return datetime.datetime.fromisoformat(item["metadata"]["creationTimestamp"]).timestamp()
