"""Regions on another cluster, with their sets and sources, and what users see of them."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bench import objects
from bench.api import MERGE_PATCH, Api
from bench.objects import GROUP, OPERATOR_NAMESPACE, ORGANIZATIONS, Name


class World:
    """Makes, changes and asks.

    Args:
        api: client of the hub.
        far_api: of the cluster where regions are.
    """

    def __init__(self, api: Api, far_api: Api) -> None:
        self._api = api
        self._far_api = far_api

    # --- objects

    def name(self, region: str, number: int, prefix: str = "set") -> Name:
        """A set of a region, in one of the organizations."""
        return Name(ORGANIZATIONS[number % len(ORGANIZATIONS)], f"{region}-{prefix}-{number:05}")

    async def region(self, region: str, kubeconfig: Path, *, only: str | None = None) -> None:
        """Make a region on the other cluster, with namespaces for all organizations or for one."""
        for organization in ORGANIZATIONS if only is None else (only,):
            space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{organization}-{region}"}}
            await self._far_api.send("POST", "/api/v1/namespaces", space)
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"kubeconfig-{region}"}}
        await self._api.send("POST", objects.secrets(OPERATOR_NAMESPACE), secret)
        await self.credentials(region, kubeconfig)
        ref = {"namespace": OPERATOR_NAMESPACE, "name": f"kubeconfig-{region}", "key": "config"}
        spec = {"cluster": {"kubeconfigSecretRef": ref}, "namespace": "{namespace}-{region}"}
        body = {"apiVersion": "secretset.dev/v1alpha1", "kind": "Region", "metadata": {"name": region}, "spec": spec}
        await self._api.send("POST", f"{GROUP}/regions", body)

    async def credentials(self, region: str, kubeconfig: Path) -> None:
        """Replace what a region is reached with."""
        text = kubeconfig.read_bytes()  # noqa: ASYNC240  (a small file, while nothing is measured)
        data = {"data": {"config": base64.b64encode(text).decode()}}
        path = f"{objects.secrets(OPERATOR_NAMESPACE)}/kubeconfig-{region}"
        await self._api.send("PATCH", path, data, MERGE_PATCH)

    async def source(self, region: str, turn: int) -> None:
        """Make or change what the sets of a region read, in every organization."""
        for organization in ORGANIZATIONS:
            if turn == 0:
                source = objects.source(organization, f"of-{region}")
                await self._api.send("POST", objects.secrets(organization), source)
            else:
                path = f"{objects.secrets(organization)}/of-{region}"
                await self._api.send("PATCH", path, {"data": objects.source_data(turn)}, MERGE_PATCH)

    async def create(self, name: Name, region: str, *, of_region: bool = False) -> None:
        """Create a set, which reads the common source or, with ``of_region``, the one of its region."""
        body = objects.secret_set(name, f"of-{region}" if of_region else "source")
        body["spec"]["region"] = region
        await self._api.send("POST", objects.sets(name.organization), body)

    # --- what users see

    async def status(self, region: str) -> dict[str, Any]:
        """What a Region says."""
        found = await self._api.send("GET", f"{GROUP}/regions/{region}")
        return dict(found.get("status") or {})

    async def reachable(self, region: str, value: str) -> bool:
        """Whether a Region's condition is `True`, or `False`, as given."""
        conditions = (await self.status(region)).get("conditions") or ()
        return any(c["type"] == "Reachable" and c["status"] == value for c in conditions)

    async def served(self, region: str, replicas: set[str]) -> bool:
        """Whether one of these replicas serves a region."""
        return (await self.status(region)).get("replica") in replicas

    async def revision(self, name: Name) -> int:
        """The revision of a set; 0 before its first status."""
        return int(((await self._api.send("GET", name.path)).get("status") or {}).get("revision") or 0)

    async def at(self, name: Name, revision: int) -> bool:
        """Whether a set is ready with this revision, or a later one."""
        found = await self._api.send("GET", name.path)
        return objects.ready(found) and int(found["status"]["revision"]) >= revision

    async def all_at(self, wanted: list[Name], revision: int) -> bool:
        """Whether all of these sets are."""
        there = {
            Name(obj["metadata"]["namespace"], obj["metadata"]["name"]): obj
            for organization in ORGANIZATIONS
            for obj in await self._api.items(objects.sets(organization))
        }
        return all(objects.ready(there[name]) and there[name]["status"]["revision"] >= revision for name in wanted)

    async def until(self, so: Callable[[], Awaitable[bool]], seconds: float = 300.0) -> float:
        """Ask until it is so; return the seconds.

        Raises:
            TimeoutError: it never was.
        """
        started = time.monotonic()
        while not await so():
            if time.monotonic() - started > seconds:
                raise TimeoutError("what was to be measured did not happen")
            await asyncio.sleep(0.05)
        return time.monotonic() - started
