"""Leases (coordination.k8s.io/v1): one object each, made, renewed and deleted with preconditions.

Not `kubernetes.aio.leaderelection`: it elects one leader, by wall clock, and does not let go at its end; here every
replica has a Lease of its own, judged by a clock that nobody sets (ADR 7).
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from secretset.domain import names
from secretset.kube import errors, paths
from secretset.kube.client import Client


def clock() -> float:
    """Seconds on a clock that only runs forward, also while the machine or the process sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True, kw_only=True)
class Lease:
    """What is used of a Lease object.

    Attributes:
        holder: who has it; empty for nobody.
        seconds: for how long, from its last renewal.
        renewed: when that was by the holder's clock, in seconds since the epoch; 0 if it does not say.
        regions: ``--regions`` of the replica that holds it; None for all.
    """

    name: str
    uid: str
    resource_version: str
    holder: str
    seconds: float
    renewed: float
    regions: frozenset[str] | None = None

    @classmethod
    def parse(cls, obj: Mapping[str, Any]) -> Lease:
        """Read a Lease object of the API."""
        meta, spec = obj["metadata"], obj.get("spec") or {}
        limited = (meta.get("annotations") or {}).get(names.ANNOTATION_REGIONS)
        return cls(
            name=meta["name"],
            uid=meta["uid"],
            resource_version=meta["resourceVersion"],
            holder=spec.get("holderIdentity") or "",
            seconds=float(spec.get("leaseDurationSeconds") or 0),
            renewed=_seconds(spec.get("renewTime")),
            regions=None if limited is None else frozenset(limited.split(",")),
        )


async def read(client: Client, namespace: str, name: str) -> Lease | None:
    """The Lease of this name, from a quorum; None if there is none."""
    try:
        return Lease.parse(await client.get(paths.leases(namespace, name)))
    except errors.Absent:
        return None


async def listed(client: Client, namespace: str, selector: str) -> list[Lease]:
    """The Leases with these labels, from a quorum."""
    page = await client.get(paths.leases(namespace), {"labelSelector": selector})
    return [Lease.parse(item) for item in page.get("items") or ()]


async def write(
    client: Client,
    namespace: str,
    name: str,
    *,
    holder: str,
    seconds: int | None,
    regions: frozenset[str] | None = None,
    labels: Mapping[str, str],
    known: Lease | None,
) -> Lease:
    """Make, take or renew a Lease.

    Args:
        client: of the hub.
        namespace: the operator's own.
        name: of the Lease.
        holder: who shall have it.
        seconds: for how long; None where something else tells whether the holder lives.
        regions: noted on it for the other replicas.
        labels: to find it by.
        known: what it was when it was seen last; None to create it.

    Raises:
        AlreadyExists, Conflict, Absent: it is not what is known; read it again.
        KubeError: the hub refused or did not answer.
    """
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "labels": dict(labels)}
    if regions is not None:
        metadata["annotations"] = {names.ANNOTATION_REGIONS: ",".join(sorted(regions))}
    spec: dict[str, Any] = {"holderIdentity": holder, "renewTime": _micro_time()}
    if seconds is not None:
        spec["leaseDurationSeconds"] = seconds
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
    if known is None:
        return Lease.parse(await client.create(paths.leases(namespace), body))
    metadata |= {"uid": known.uid, "resourceVersion": known.resource_version}
    return Lease.parse(await client.replace(paths.leases(namespace, name), body))


async def delete(client: Client, namespace: str, known: Lease) -> None:
    """Delete a Lease if it is still what is known of it.

    Raises:
        Conflict, Absent: it is not.
        KubeError: the hub refused or did not answer.
    """
    path = paths.leases(namespace, known.name)
    await client.delete(path, uid=known.uid, resource_version=known.resource_version)


def _micro_time() -> str:
    """Now as a `metav1.MicroTime`."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _seconds(text: Any) -> float:
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError):
        return 0.0
