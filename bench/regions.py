"""Regions on another cluster: what one that is away costs the others, how soon it is told, and who takes over.

The links are broken with the proxy and the server in distress that the tests use.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench import objects
from bench.api import MERGE_PATCH, Api, side_by_side
from bench.audit import AuditLog
from bench.objects import GROUP, OPERATOR_NAMESPACE, ORGANIZATIONS, Name
from bench.process import OperatorProcess
from bench.report import Row, at_most, at_most_times, rank
from harness import faulty
from harness.faulty import FaultyServer
from harness.proxy import Proxy
from kubelab import ControlPlane

_PART = "regions"
_PACE = 0.025  # seconds between two new sets: what users do, not what the machine can do
_DARK, _BUSY, _NEAR = "dark", "busy", "near"


class Regions:
    """Measures on a furnished hub, with the regions on one other plane."""

    def __init__(self, hub: ControlPlane, api: Api, far: ControlPlane, far_api: Api) -> None:
        self._hub = hub
        self._api = api
        self._far = far
        self._far_api = far_api
        self._audit = AuditLog(hub.audit_log)

    async def measure(self, *, sets: int, rounds: int, samples: int, many: int) -> tuple[list[Row], dict[str, Any]]:
        """All rows of this part."""
        with Proxy.to(self._far) as dark, Proxy.to(self._far) as busy, FaultyServer(faulty.throttling()) as throttling:
            folder = self._far.data_dir
            self._direct = self._far.kubeconfig
            self._through = busy.kubeconfig(self._far.kubeconfig)
            self._throttled = throttling.kubeconfig(folder / "throttling.kubeconfig")
            await self._region(_NEAR, self._direct)
            await self._region(_DARK, dark.kubeconfig(self._far.kubeconfig))
            await self._region(_BUSY, self._through)
            details: dict[str, Any] = {}
            rows = [*await self._bulkhead(dark, sets, rounds, details)]
            rows += await self._link(dark, samples, details)
            rows += await self._takeover(samples, details)
            rows += await self._memory(many, details)
        return rows, details

    async def _bulkhead(self, dark: Proxy, sets: int, rounds: int, details: dict[str, Any]) -> list[Row]:
        """Time to ready in regions that are well, by turns with the two others well and in distress."""
        ill = [self._name(region, n) for region in (_DARK, _BUSY) for n in range(100)]
        seen: dict[str, list[float]] = {"well": [], "ill": []}
        async with OperatorProcess(self._hub) as operator:
            await operator.ready()
            await self._source(_DARK, 0)
            await self._source(_BUSY, 0)
            await side_by_side(ill, lambda name: self._create(name, name.name.split("-")[0], of_region=True))
            await self._audit.statuses(ill)
            for turn in range(rounds):
                seen["well"] += await self._ready_times(sets, f"w{turn}")
                dark.black_hole()
                await self._credentials(_BUSY, self._throttled)
                for region in (_DARK, _BUSY):
                    await self._source(region, turn + 1)
                await asyncio.sleep(8.0)  # until both are known to be in distress, and all their sets wait
                seen["ill"] += await self._ready_times(sets, f"i{turn}")
                dark.up()
                await self._credentials(_BUSY, self._through)
                await self._until(partial(self._all_at, ill, turn + 2), 60.0)
                await self._audit.settled()
        details["time to ready"] = seen
        what = f"created → ready, a dark and a throttling region beside with 100 sets waiting each ({len(seen['ill'])})"
        return [
            at_most_times(_PART, f"{what}, {name}", "ms", rank(seen["ill"], q) * 1e3, rank(seen["well"], q) * 1e3, 1.2)
            for name, q in (("p50", 0.5), ("p99", 0.99))
        ]

    async def _ready_times(self, sets: int, prefix: str) -> list[float]:
        """Create sets at a steady pace, by turns on the hub and in the near region; seconds until each is ready."""
        self._audit.skip()
        wanted = {self._name(objects.REGION if n % 2 else _NEAR, n, prefix): n for n in range(sets)}
        created: dict[tuple[str, str], float] = {}
        for name, n in wanted.items():
            created[name] = time.time()
            await self._create(name, objects.REGION if n % 2 else _NEAR)
            await asyncio.sleep(_PACE)
        _, tally = await self._audit.statuses(wanted)
        first: dict[tuple[str, str], float] = {}
        for write in tally.of("secretsets/status"):
            if write.code < 300 and (write.namespace, write.name) in created:
                first.setdefault((write.namespace, write.name), write.at)
        for name in wanted:
            await self._api.send("DELETE", name.path)
        await self._audit.settled()
        return [first[name] - at for name, at in created.items()]

    async def _link(self, dark: Proxy, samples: int, details: dict[str, Any]) -> list[Row]:
        """How soon a lost link is told, and what waits is delivered when it is back; then a link that flaps."""
        waiting = self._name(_DARK, 0)
        told: list[float] = []
        delivered: list[float] = []
        async with OperatorProcess(self._hub) as operator:
            await operator.ready()
            await self._until(lambda: self._reachable(_DARK, "True"), 30.0)
            for turn in range(samples):
                await asyncio.sleep(7.0)  # longer than the report of a flapping link holds back
                (dark.refuse if turn % 2 else dark.black_hole)()
                told.append(await self._until(lambda: self._reachable(_DARK, "False"), 60.0))
                revision = await self._revision(waiting)
                await self._source(_DARK, 100 + turn)
                await asyncio.sleep(2.0 + turn % 4)
                dark.up()
                delivered.append(await self._until(partial(self._at, waiting, revision + 1), 60.0))
            await asyncio.sleep(10.0)
            self._audit.skip()
            dark.flap(1.0)
            await asyncio.sleep(30.0)
            dark.up()
            await asyncio.sleep(8.0)
            flapped = self._audit.read()
        details |= {"told": told, "delivered": delivered}
        counted = [write for write in flapped if write.resource != "leases" and write.resource != "events"]
        return [
            at_most(_PART, f"link lost → the Region says so, longest of {samples}", "s", max(told), 10),
            at_most(_PART, f"link back → what waited is delivered, longest of {samples}", "s", max(delivered), 5),
            at_most(_PART, "link down and up once a second for 30 s: status writes", "writes", len(counted), 10),
        ]

    async def _takeover(self, samples: int, details: dict[str, Any]) -> list[Row]:
        """How soon the regions of a replica that was killed, or stopped, are served again."""
        name = self._name(_NEAR, 0, "takeover")
        await self._source(_NEAR, 0)
        replicas = {each: OperatorProcess(self._hub, options=("--replica", each)) for each in ("a", "b")}
        times: dict[str, list[float]] = {"killed": [], "stopped": []}
        try:
            for replica in replicas.values():
                await replica.ready(serving=False)
            await self._create(name, _NEAR, of_region=True)
            await self._until(lambda: self._at(name, 1), 30.0)
            for turn in range(2 * samples):
                how = "killed" if turn % 2 else "stopped"
                await self._until(lambda: self._served(_NEAR, set(replicas)), 30.0)
                await asyncio.sleep(3.0)
                owner = (await self._status(_NEAR))["replica"]
                revision = await self._revision(name)
                ending = asyncio.create_task(replicas[owner].stop(kill=how == "killed"))
                await self._source(_NEAR, turn + 1)
                times[how].append(await self._until(partial(self._at, name, revision + 1), 60.0))
                await ending
                replicas[owner] = OperatorProcess(self._hub, options=("--replica", owner))
                await replicas[owner].ready(serving=False)
        finally:
            for replica in replicas.values():
                await replica.stop()
        details["taken over"] = times
        return [
            at_most(
                _PART,
                f"replica killed → a change in its region is delivered, longest of {samples}",
                "s",
                max(times["killed"]),
                15,
            ),
            at_most(
                _PART,
                f"replica stopped → a change in its region is delivered, longest of {samples}",
                "s",
                max(times["stopped"]),
                2,
            ),
        ]

    async def _memory(self, many: int, details: dict[str, Any]) -> list[Row]:
        """What a region costs at rest."""
        before = await self._pss()
        names = [self._name(f"many-{n:03}", n) for n in range(many)]
        for n, name in enumerate(names):
            await self._region(f"many-{n:03}", self._direct, only=name.organization)
            await self._create(name, f"many-{n:03}")
        after = await self._pss(names)
        details["memory"] = {"before": before, "after": after}
        each = (after - before) / many
        return [at_most(_PART, f"memory of a region at rest, mean of {many}", "MiB PSS", each, 5)]

    async def _pss(self, wanted: list[Name] | None = None) -> float:
        async with OperatorProcess(self._hub) as operator:
            await operator.ready()
            if wanted:
                await self._until(lambda: self._all_at(wanted, 1), 120.0)
            await asyncio.sleep(5.0)
            return operator.pss()

    # --- objects

    def _name(self, region: str, number: int, prefix: str = "set") -> Name:
        return Name(ORGANIZATIONS[number % len(ORGANIZATIONS)], f"{region}-{prefix}-{number:05}")

    async def _region(self, region: str, kubeconfig: Path, *, only: str | None = None) -> None:
        for organization in ORGANIZATIONS if only is None else (only,):
            space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{organization}-{region}"}}
            await self._far_api.send("POST", "/api/v1/namespaces", space)
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"kubeconfig-{region}"}}
        await self._api.send("POST", objects.secrets(OPERATOR_NAMESPACE), secret)
        await self._credentials(region, kubeconfig)
        ref = {"namespace": OPERATOR_NAMESPACE, "name": f"kubeconfig-{region}", "key": "config"}
        spec = {"cluster": {"kubeconfigSecretRef": ref}, "namespace": "{namespace}-{region}"}
        body = {"apiVersion": "secretset.dev/v1alpha1", "kind": "Region", "metadata": {"name": region}, "spec": spec}
        await self._api.send("POST", f"{GROUP}/regions", body)

    async def _credentials(self, region: str, kubeconfig: Path) -> None:
        text = kubeconfig.read_bytes()  # noqa: ASYNC240  (a small file, while nothing is measured)
        data = {"data": {"config": base64.b64encode(text).decode()}}
        path = f"{objects.secrets(OPERATOR_NAMESPACE)}/kubeconfig-{region}"
        await self._api.send("PATCH", path, data, MERGE_PATCH)

    async def _source(self, region: str, turn: int) -> None:
        """Make or change what the sets of a region read, in every organization."""
        for organization in ORGANIZATIONS:
            if turn == 0:
                source = objects.source(organization, f"of-{region}")
                await self._api.send("POST", objects.secrets(organization), source)
            else:
                path = f"{objects.secrets(organization)}/of-{region}"
                await self._api.send("PATCH", path, {"data": objects.source_data(turn)}, MERGE_PATCH)

    async def _create(self, name: Name, region: str, *, of_region: bool = False) -> None:
        body = objects.secret_set(name, f"of-{region}" if of_region else "source")
        body["spec"]["region"] = region
        await self._api.send("POST", objects.sets(name.organization), body)

    # --- what users see

    async def _status(self, region: str) -> dict[str, Any]:
        found = await self._api.send("GET", f"{GROUP}/regions/{region}")
        return dict(found.get("status") or {})

    async def _reachable(self, region: str, value: str) -> bool:
        conditions = (await self._status(region)).get("conditions") or ()
        return any(c["type"] == "Reachable" and c["status"] == value for c in conditions)

    async def _served(self, region: str, replicas: set[str]) -> bool:
        return (await self._status(region)).get("replica") in replicas

    async def _revision(self, name: Name) -> int:
        return int(((await self._api.send("GET", name.path)).get("status") or {}).get("revision") or 0)

    async def _at(self, name: Name, revision: int) -> bool:
        found = await self._api.send("GET", name.path)
        return objects.ready(found) and int(found["status"]["revision"]) >= revision

    async def _all_at(self, wanted: list[Name], revision: int) -> bool:
        there = {
            Name(obj["metadata"]["namespace"], obj["metadata"]["name"]): obj
            for organization in ORGANIZATIONS
            for obj in await self._api.items(objects.sets(organization))
        }
        return all(objects.ready(there[name]) and there[name]["status"]["revision"] >= revision for name in wanted)

    async def _until(self, so: Callable[[], Any], seconds: float) -> float:
        """Ask until it is so; return the seconds."""
        started = time.monotonic()
        while not await so():
            if time.monotonic() - started > seconds:
                raise TimeoutError("what was to be measured did not happen")
            await asyncio.sleep(0.05)
        return time.monotonic() - started
