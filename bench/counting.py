"""How many writes the operator makes, counted in the API server's audit log on a plane where rollouts take place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

from bench import objects
from bench.api import MERGE_PATCH, Api, side_by_side
from bench.audit import AuditLog, Tally, Write
from bench.objects import Name
from bench.process import OperatorProcess
from bench.report import Row, at_most
from kubelab import ControlPlane

SETS = 30
RESYNC_SECONDS = 3
_PART = "writes"
# Every third set has no Deployment, every third has one, and every third has three.
_BOUND = (0, 1, 3)


async def count(plane: ControlPlane, api: Api) -> tuple[list[Row], dict[str, Any]]:
    """Count the writes of each kind of work."""
    await objects.furnish(plane, api)
    audit = AuditLog(plane.audit_log)
    wanted = objects.names("counted", SETS)
    for name in wanted:  # a source for each, so that one can change alone
        await api.send("POST", objects.secrets(name.organization), objects.source(name.organization, f"of-{name.name}"))
    phases: dict[str, Tally] = {}
    operator = OperatorProcess(plane)
    try:
        await operator.ready()
        await audit.settled()
        for name in wanted:
            await api.send("POST", objects.sets(name.organization), objects.secret_set(name, f"of-{name.name}"))
        _, phases["new set"] = await audit.statuses(wanted)
        phases["new set"].writes += (await audit.settled()).writes
        await _deploy(api, wanted)
        await audit.settled(quiet=4.0)

        await side_by_side(wanted, lambda name: _change(api, name))
        phases["content change"] = await audit.settled(quiet=4.0)
    finally:
        await operator.stop()

    audit.skip()
    async with OperatorProcess(plane, options=("--resync-seconds", str(RESYNC_SECONDS))) as operator:
        await operator.ready()
        await operator.checked(SETS)
        phases["restart of the operator"] = await audit.settled()
        passes = await operator.passes()
        # Longer than the Region's status may lag behind, so that a write of it would be seen here.
        phases["resync"] = await audit.settled(at_least=12.0)
        assert await operator.passes() >= passes + 2 * SETS, "no resync took place"

        await side_by_side(wanted, lambda name: api.send("DELETE", name.path))
        await _gone(api, wanted)
        phases["delete"] = await audit.settled()
    return _rows(wanted, phases), {phase: _details(tally) for phase, tally in phases.items()}


async def _deploy(api: Api, wanted: list[Name]) -> None:
    for number, name in enumerate(wanted):
        for copy in range(_BOUND[number % 3]):
            body = objects.deployment(name.target, f"{name.name}-{copy}", name.name)
            await api.send("POST", objects.deployments(name.target), body)


async def _change(api: Api, name: Name) -> None:
    path = f"{objects.secrets(name.organization)}/of-{name.name}"
    await api.send("PATCH", path, {"data": objects.source_data(1)}, MERGE_PATCH)


async def _gone(api: Api, wanted: list[Name]) -> None:
    deadline = time.monotonic() + 60
    while any([await api.items(objects.sets(name)) for name in {name.organization for name in wanted}]):
        if time.monotonic() > deadline:
            raise TimeoutError("deleted sets do not go away")
        await asyncio.sleep(0.2)


def _rows(wanted: list[Name], phases: dict[str, Tally]) -> list[Row]:
    change = phases["content change"]
    unbound = [name for number, name in enumerate(wanted) if _BOUND[number % 3] == 0]
    patched = [len(_of(change.of("deployments"), [name])) for name in wanted]
    beyond = max(abs(made - _BOUND[number % 3]) for number, made in enumerate(patched))
    return [
        at_most(_PART, "new set", "writes", _most(phases["new set"].counted(), wanted), 3),
        at_most(_PART, "content change, nothing bound", "writes", _most(change.counted(), unbound), 2),
        at_most(_PART, "content change: Secret", "writes", _most(change.of("secrets"), wanted), 1),
        Row(
            part=_PART,
            what="content change: patches of a bound Deployment, off by",
            unit="writes",
            ours=beyond,
            limit="1 each",
            met=beyond == 0,
        ),
        at_most(
            _PART, "rollout: status writes of a set in 1 s", "writes", change.most_within("secretsets/status", 0.95), 1
        ),
        at_most(_PART, f"resync of {SETS} sets", "writes", len(phases["resync"].counted()), 0),
        at_most(
            _PART,
            f"restart of the operator, {SETS} sets",
            "writes",
            len(phases["restart of the operator"].counted()),
            0,
        ),
        at_most(_PART, "delete", "writes", _most(phases["delete"].counted(), wanted), 2),
        at_most(
            _PART,
            "attempts that the API server refused",
            "writes",
            sum(write.code >= 400 for tally in phases.values() for write in tally.counted()),
            0,
        ),
    ]


def _of(writes: Iterable[Write], names: Iterable[Name]) -> list[Write]:
    """The writes for some sets: to the set, to its Secret, or to a Deployment that is named after it."""
    prefixes = tuple(name.name for name in names)
    return [write for write in writes if write.name.startswith(prefixes)]


def _most(writes: Iterable[Write], names: Iterable[Name]) -> int:
    """The most writes that there were for one of these sets."""
    kept = list(writes)
    count_of: Callable[[Name], int] = lambda name: len(_of(kept, [name]))  # noqa: E731
    return max(map(count_of, names))


def _details(tally: Tally) -> dict[str, Any]:
    return {"counted": tally.by_resource(), "apart": dict(tally.apart())}
