"""How many writes the operator makes, counted in the API server's audit log on a plane where rollouts take place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any

from bench import furnish, goals, objects
from bench.api import MERGE_PATCH, Api, side_by_side
from bench.audit import AuditLog, Tally, Write
from bench.goals import Goal
from bench.objects import Name
from bench.process import OperatorProcess
from bench.rows import Row
from kubelab import ControlPlane

SETS = 30
RESYNC_SECONDS = 3
_PART = "writes"
# Every third set has no Deployment, every third has one, and every third has three.
_BOUND = (0, 1, 3)
_STILL = 4.0  # seconds without a write until a rollout is through

Phases = dict[str, Tally]


async def count(plane: ControlPlane, api: Api) -> tuple[list[Row], dict[str, Any]]:
    """Count the writes of each kind of work."""
    await furnish.hub(plane, api, with_policy=False)
    audit = AuditLog(plane.audit_log)
    without, wanted = objects.names("without", SETS // 3), objects.names("counted", SETS)
    for name in (*without, *wanted):  # a source for each, so that one can change alone
        body = objects.source(name.organization, _source(name))
        await api.send("POST", objects.secrets(name.organization), body)
    phases: Phases = {}
    async with OperatorProcess(plane) as operator:
        await operator.ready()
        await audit.settled()
        phases["new, no policy"] = await _create(api, audit, without)
        await furnish.policy(plane, api)
        phases["new"] = await _create(api, audit, wanted)
        await _deploy(api, wanted)
        await audit.settled(quiet=_STILL)
        for phase, change in (("touched", _touch), ("no content", _describe), ("change", _change)):
            await side_by_side(wanted, lambda name, change=change: change(api, name))  # type: ignore[misc]
            phases[phase] = await audit.settled(quiet=_STILL)

    audit.skip()
    everything = len(without) + len(wanted)
    async with OperatorProcess(plane, options=("--resync-seconds", str(RESYNC_SECONDS))) as operator:
        await operator.ready()
        await operator.checked(everything)
        phases["restart"] = await audit.settled()
        passes = await operator.passes()
        # Longer than the Region's status may lag behind, so that a write of it would be seen here.
        phases["resync"] = await audit.settled(at_least=12.0)
        assert await operator.passes() >= passes + 2 * everything, "no resync took place"

        await side_by_side((*without, *wanted), lambda name: api.send("DELETE", name.path))
        await _gone(api, wanted)
        phases["delete"] = await audit.settled()
    return _rows(without, wanted, phases), {phase: _details(tally) for phase, tally in phases.items()}


# --- what is done to sets


async def _create(api: Api, audit: AuditLog, wanted: Sequence[Name]) -> Tally:
    for name in wanted:
        await api.send("POST", objects.sets(name.organization), objects.secret_set(name, _source(name)))
    _, tally = await audit.statuses(wanted)
    tally.writes += (await audit.settled()).writes
    return tally


async def _deploy(api: Api, wanted: Sequence[Name]) -> None:
    for number, name in enumerate(wanted):
        for copy in range(_BOUND[number % 3]):
            body = objects.deployment(name.target, f"{name.name}-{copy}", name.name)
            await api.send("POST", objects.deployments(name.target), body)


async def _touch(api: Api, name: Name) -> None:
    """Applied again, with nothing in it that counts: the same values, and a label that is nobody's."""
    marked = {"metadata": {"labels": {"touched": "yes"}}}
    await api.send("PATCH", _source_path(name), {**marked, "data": objects.source_data(0)}, MERGE_PATCH)
    await api.send("PATCH", name.path, marked, MERGE_PATCH)


async def _describe(api: Api, name: Name) -> None:
    """A new generation of the set, with the same content."""
    await api.send("PATCH", name.path, {"spec": {"description": "described"}}, MERGE_PATCH)


async def _change(api: Api, name: Name) -> None:
    await api.send("PATCH", _source_path(name), {"data": objects.source_data(1)}, MERGE_PATCH)


async def _gone(api: Api, wanted: Sequence[Name]) -> None:
    deadline = time.monotonic() + 60
    while any([await api.items(objects.sets(name)) for name in {name.organization for name in wanted}]):
        if time.monotonic() > deadline:
            raise TimeoutError("deleted sets do not go away")
        await asyncio.sleep(0.2)


def _source(name: Name) -> str:
    return f"of-{name.name}"


def _source_path(name: Name) -> str:
    return f"{objects.secrets(name.organization)}/{_source(name)}"


# --- what came of it


def _rows(without: Sequence[Name], wanted: Sequence[Name], phases: Phases) -> list[Row]:
    def most(what: str, phase: str, names: Sequence[Name], goal: Goal) -> Row:
        return _row(f"{what}, most of {len(names)}", _most(phases[phase].counted(), names), goal)

    def all_of(what: str, phase: str, goal: Goal) -> Row:
        return _row(what, len(phases[phase].counted()), goal)

    change = phases["change"]
    bound = dict(zip(wanted, _BOUND * len(wanted), strict=False))
    patched = {name: len(_of(change.of("deployments"), [name])) for name in wanted}
    whole = max(len(_of(change.counted(), [name])) - patched[name] for name in wanted)
    refused = sum(write.code >= 400 for tally in phases.values() for write in tally.counted())
    return [
        most("new set", "new", wanted, goals.WRITES_NEW),
        most("new set, without the admission policy", "new, no policy", without, goals.WRITES_NEW_WITHOUT_POLICY),
        most("content change, nothing bound", "change", [n for n in wanted if not bound[n]], goals.WRITES_CHANGE),
        _row(
            "content change with 0, 1 and 3 bound: beside a patch of each, until its status is written",
            max(_until_status(change, name) - patched[name] for name in wanted),
            goals.WRITES_CHANGE,
        ),
        _row(
            "content change: patches of a set's bound Deployments, off by",
            max(abs(made - bound[name]) for name, made in patched.items()),
            goals.EACH_ONCE,
        ),
        _row(
            "content change with 0, 1 and 3 bound: beside a patch of each, until its rollouts are over",
            whole,
            goals.WRITES_CHANGE_ALL,
        ),
        _row(
            "rollout: status writes of a set in 1 s",
            change.most_within("secretsets/status", 0.95),
            goals.WRITES_ROLLOUT,
        ),
        all_of(f"no-op: {len(wanted)} sets and sources touched", "touched", goals.WRITES_TOUCHED),
        most("no-op: new generation, same content", "no content", wanted, goals.WRITES_NO_CONTENT),
        all_of(f"resync of {len(without) + len(wanted)} sets", "resync", goals.WRITES_RESYNC),
        all_of(f"restart of the operator, {len(without) + len(wanted)} sets", "restart", goals.WRITES_RESTART),
        most("delete", "delete", wanted, goals.WRITES_DELETE),
        _row("attempts that the API server refused", refused, goals.WRITES_REFUSED),
    ]


def _row(what: str, ours: int, goal: Goal | None = None) -> Row:
    return Row(part=_PART, what=what, unit="writes", ours=ours, goal=goal)


def _until_status(tally: Tally, name: Name) -> int:
    """Writes for a set but those to Deployments until its first status; with those to Deployments, whenever they came.

    What its rollouts let a status say later belongs to them.
    """
    of_set = _of(tally.counted(), [name])
    told = min(write.at for write in of_set if write.resource == "secretsets/status")
    return sum(write.resource == "deployments" or write.at <= told for write in of_set)


def _of(writes: Iterable[Write], names: Iterable[Name]) -> list[Write]:
    """The writes for some sets: to the set, to its Secret, or to a Deployment that is named after it."""
    prefixes = tuple(name.name for name in names)
    return [write for write in writes if write.name.startswith(prefixes)]


def _most(writes: Iterable[Write], names: Iterable[Name]) -> int:
    """The most writes that there were for one of these sets."""
    kept = list(writes)
    return max(len(_of(kept, [name])) for name in names)


def _details(tally: Tally) -> dict[str, Any]:
    return {"counted": tally.by_resource(), "apart": dict(tally.apart())}
