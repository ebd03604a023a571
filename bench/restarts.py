"""Restarts of what uses a set: how soon 200 Deployments are patched, how often each, and what single-key writes cost.

The plane has no controllers, and the Deployments no replicas: patching them is what the operator does, and their pods
would measure the controller manager. In its place `_observe` says of each that its rollout is through.
"""

from __future__ import annotations

import asyncio
import base64
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from bench import goals, objects
from bench.api import MERGE_PATCH, Api, Follower, side_by_side
from bench.audit import AuditLog, Tally
from bench.objects import ORGANIZATIONS, Name
from bench.process import OperatorProcess
from bench.rows import Row
from kubelab import ControlPlane

DEPLOYMENTS = 200
WIDTHS = (8, 16, 32)  # requests at a time, of which the floor is the one that is the fastest
SINGLE_KEYS = 20
_PART = "restarts"
_BETWEEN_KEYS = 0.1  # seconds, so that all of them take about as long as the quiet window
_SOURCE = "of-many"


class Restarts:
    """Measures on a furnished plane without controllers."""

    def __init__(self, plane: ControlPlane, api: Api) -> None:
        self._plane = plane
        self._api = api
        self._audit = AuditLog(plane.audit_log)
        self._many = Name(ORGANIZATIONS[0], "many")
        self._bare = Name(ORGANIZATIONS[1], "bare")
        self._turn = 0

    async def measure(self, *, rounds: int, changes: int) -> tuple[list[Row], dict[str, Any]]:
        """All rows of this part.

        Args:
            rounds: by turns with the floor.
            changes: in each, after a first one that finds nothing but cold connections.
        """
        self._changes = changes
        await self._api.send("POST", objects.secrets(self._many.organization), _source(self._many, _SOURCE))
        await self._api.send("POST", objects.sets(self._many.organization), _secret_set(self._many, _SOURCE))
        for name in (self._many, self._bare):
            await side_by_side(range(DEPLOYMENTS), lambda number, name=name: self._deploy(name, number))  # type: ignore[misc]
        seen: dict[str, list[float]] = {}
        off: list[int] = []
        for _ in range(rounds):
            await self._floor(seen)
            await self._operator(seen, off)
        await self._floor(seen)
        rollouts = [await self._single_keys(number) for number in range(rounds)]
        return self._rows(seen, off, rollouts), {**seen, "patches off by": off, "rollouts": rollouts}

    async def _operator(self, seen: dict[str, list[float]], off: list[int]) -> None:
        """Changes of the source, one after the other; seconds from the answer to each until all are patched."""
        follower = Follower(self._api, objects.sets(self._many.organization))
        async with OperatorProcess(self._plane, options=("--max-rollouts", "0")) as operator:
            await operator.ready()
            await self._rolled_out(follower)
            for number in range(1 + self._changes):
                self._audit.skip()
                await self._change()
                started = time.time()
                tally = await self._patched()
                last = max(write.at for write in tally.of("deployments"))
                tally.writes += (await self._audit.settled()).writes
                patches = Counter(write.name for write in tally.of("deployments"))
                off.append(sum(abs(patches[_app(each)] - 1) for each in range(DEPLOYMENTS)))
                seen.setdefault("ours" if number else "ours, first", []).append(last - started)
                await self._observe(self._many)
                await self._rolled_out(follower)
        await follower.stop()

    async def _floor(self, seen: dict[str, list[float]]) -> None:
        """The same patches by the bare client; its connections begin cold as well."""
        for width in WIDTHS:
            async with Api(self._plane) as api:
                for number in range(1 + self._changes):
                    self._turn += 1
                    told = f"{self._turn}-0123abcd"
                    body = objects.restarted(self._bare.name, told)
                    path = objects.deployments(self._bare.target)
                    seconds = await side_by_side(
                        range(DEPLOYMENTS),
                        lambda each, path=path, body=body: api.send(  # type: ignore[misc]
                            "PATCH", f"{path}/{_app(each)}", body, MERGE_PATCH
                        ),
                        width,
                    )
                    seen.setdefault(f"floor {width}" if number else f"floor {width}, first", []).append(seconds)
                    await self._observe(self._bare)

    async def _single_keys(self, number: int) -> int:
        """How many patches a Deployment gets when every key of its set is written alone, within the quiet window."""
        name = Name(ORGANIZATIONS[2], f"single-{number}")
        source = objects.secrets(name.organization)
        await self._api.send("POST", source, _source(name, name.name))
        await self._api.send(
            "POST", objects.deployments(name.target), objects.deployment(name.target, name.name, name.name, replicas=0)
        )
        follower = Follower(self._api, objects.sets(name.organization))
        await asyncio.sleep(0.2)
        async with OperatorProcess(self._plane, quiet=None) as operator:
            await operator.ready()
            await follower.until(
                lambda obj: obj["metadata"]["name"] == name.name and objects.ready(obj),
                self._api.send("POST", objects.sets(name.organization), _secret_set(name, name.name)),
            )
            await self._audit.settled(quiet=4.0)
            for key in range(SINGLE_KEYS):
                data = {_key(key): _value(key, f"single {number}")}
                await self._api.send("PATCH", f"{source}/{name.name}", {"data": data}, MERGE_PATCH)
                await asyncio.sleep(_BETWEEN_KEYS)
            tally = await self._audit.settled(quiet=5.0)
        await follower.stop()
        return sum(write.name == name.name for write in tally.of("deployments"))

    def _rows(self, seen: dict[str, list[float]], off: Sequence[int], rollouts: Sequence[int]) -> list[Row]:
        rows = []
        for what, suffix in (("", ""), (", the first change after a start", ", first")):
            width = min(WIDTHS, key=lambda each: statistics.median(seen[f"floor {each}{suffix}"]))
            rows.append(
                Row(
                    part=_PART,
                    what=f"source → {DEPLOYMENTS} Deployments patched{what} (floor: {width} at a time)",
                    unit="ms",
                    ours=statistics.median(seen[f"ours{suffix}"]) * 1e3,
                    floor=statistics.median(seen[f"floor {width}{suffix}"]) * 1e3,
                    goal=goals.BOUND,
                )
            )
        worst = max(rollouts, key=lambda made: abs(made - 1))
        twice = f"patches of each of {DEPLOYMENTS} Deployments, off by"
        single = f"{SINGLE_KEYS} single-key writes: rollouts"
        return [
            *rows,
            Row(part=_PART, what=twice, unit="patches", ours=max(off), goal=goals.EACH_ONCE),
            Row(part=_PART, what=single, unit="rollouts", ours=worst, goal=goals.SINGLE_KEYS),
        ]

    # --- objects

    async def _deploy(self, name: Name, number: int) -> None:
        body = objects.deployment(name.target, _app(number), name.name, replicas=0)
        await self._api.send("POST", objects.deployments(name.target), body)
        await self._observed(name, number)

    async def _observe(self, name: Name) -> None:
        """Do what the Deployment controller would: tell that the newest template has been rolled out."""
        await side_by_side(range(DEPLOYMENTS), lambda number: self._observed(name, number))

    async def _observed(self, name: Name, number: int) -> None:
        path = f"{objects.deployments(name.target)}/{_app(number)}/status"
        # Larger than any generation, so that it need not be read.
        await self._api.send("PATCH", path, {"status": {"observedGeneration": 1_000_000 + self._turn}}, MERGE_PATCH)

    async def _change(self) -> None:
        self._turn += 1
        path = f"{objects.secrets(self._many.organization)}/{_SOURCE}"
        await self._api.send("PATCH", path, {"data": {_key(0): _value(0, str(self._turn))}}, MERGE_PATCH)

    async def _patched(self, seconds: float = 60.0) -> Tally:
        """Wait until as many Deployments were patched as there are; all writes until then."""
        tally = Tally()
        deadline = time.monotonic() + seconds
        while len({write.name for write in tally.of("deployments") if write.code < 300}) < DEPLOYMENTS:
            if time.monotonic() > deadline:
                raise TimeoutError("not all Deployments were patched")
            await asyncio.sleep(0.02)
            tally.writes += self._audit.read()
        return tally

    async def _rolled_out(self, follower: Follower) -> None:
        """Wait until the set says that everything runs with what it holds now, and the operator is at rest."""

        def so(obj: dict[str, Any]) -> bool:
            workloads = (obj.get("status") or {}).get("workloads") or {}
            return obj["metadata"]["name"] == self._many.name and workloads.get("current") == DEPLOYMENTS

        found = await self._api.send("GET", self._many.path)
        if not so(found):
            await follower.until(so, asyncio.sleep(0))
        await self._audit.settled()


def _app(number: int) -> str:
    return f"app-{number:03}"


def _key(number: int) -> str:
    return f"KEY_{number:02}"


def _value(number: int, turn: str) -> str:
    return base64.b64encode(f"value of {_key(number)}, {turn}".encode()).decode()


def _source(name: Name, called: str) -> dict[str, Any]:
    data = {_key(number): _value(number, "first") for number in range(SINGLE_KEYS)}
    return {**objects.source(name.organization, called), "data": data}


def _secret_set(name: Name, reads: str) -> dict[str, Any]:
    """A set of as many keys as are written alone, all from one source."""
    body = objects.secret_set(name)
    keys = [_key(number) for number in range(SINGLE_KEYS)]
    body["spec"]["data"] = {key: {"valueFrom": {"secretKeyRef": {"name": reads, "key": key}}} for key in keys}
    return body
