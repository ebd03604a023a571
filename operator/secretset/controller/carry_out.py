"""What follows a delivery: restarts of workloads, and ServiceAccounts that a pull secret is attached to."""

from __future__ import annotations

import asyncio

from secretset import telemetry
from secretset.controller import listing
from secretset.controller.context import Context
from secretset.controller.runner import RegionRunner
from secretset.controller.scene import Scene
from secretset.domain import accounts, names, reasons
from secretset.domain.marks import Marks, wave_annotation
from secretset.domain.restarts import Restart
from secretset.domain.waves import Wave
from secretset.domain.workloads import Workload
from secretset.kube import errors, paths
from secretset.kube.client import MERGE_PATCH, Client

_ATTEMPTS = 5
_AT_A_TIME = 32


async def roll_out(scene: Scene, client: Client, *, just_written: bool) -> list[Workload]:
    """Restart what is due of a set's wave, and make sure that nobody is missing in it.

    The wave was decided from what watches had shown. After the first restarts, a list of the moment of the write tells
    who was there and is missing; those are added to the wave, on the Secret, before they are restarted.

    Args:
        scene: the set, its Secret and their users.
        client: of the region.
        just_written: this very pass wrote the wave.

    Returns:
        The restarted workloads.

    Raises:
        KubeError: the region did not answer. The others were restarted; what is left is still due.
    """
    wave, secret = scene.wave, scene.secret
    if wave is None or secret is None:
        return []
    planned = scene.planned
    done = await _restart_due(scene, client)
    if planned:
        return done
    if missing := await listing.raced(client, scene.runner, scene.seen.key, wave, secret, exact=just_written):
        await _extend(scene, client, wave.including(missing))
        done += await _restart_due(scene, client)
    if (secret := scene.secret) is not None:
        secret.planned = wave.id
    return done


async def _extend(scene: Scene, client: Client, wave: Wave) -> None:
    """Write a wave with more workloads onto the Secret, if it still bears that wave.

    Raises:
        Conflict: it changed, or is gone; the next pass looks again.
    """
    path = paths.secrets(scene.namespace, scene.seen.key.name)
    try:
        obj = await client.get(path)
    except errors.Absent:
        raise errors.Conflict(409, "Conflict") from None
    marks = Marks.parse(obj["metadata"])
    if marks is None or marks.wave is None or marks.wave.id != wave.id:
        raise errors.Conflict(409, "Conflict")
    obj["metadata"]["annotations"] |= wave_annotation(wave)
    scene.runner.seen.remember_secret(await client.replace(path, obj))


async def _restart_due(scene: Scene, client: Client) -> list[Workload]:
    """Restart what is due now, as far as the region's budget goes; whoever changed meanwhile is judged anew."""
    done: list[Workload] = []
    for _ in range(_ATTEMPTS):
        made, changed = await _restart_once(scene, client)
        done += made
        if not changed:
            return done
    raise errors.Conflict(409, "Conflict")


async def _restart_once(scene: Scene, client: Client) -> tuple[list[Workload], bool]:
    """The same once; tells also whether one of the workloads has changed meanwhile."""
    runner, seen = scene.runner, scene.outlook()
    scene.count_in_flight()
    granted = runner.budget.take(scene.seen.key, len(seen.restarts))
    chosen = seen.restarts[:granted]
    runner.budget.begin(restart.workload.uid for restart in chosen)
    gate = asyncio.Semaphore(_AT_A_TIME)

    async def one(restart: Restart) -> bool | None:
        async with gate:
            outcome = None
            try:
                outcome = await _try(runner, client, restart)
            finally:
                if not outcome:
                    runner.budget.cancel(restart.workload.uid)
            return outcome

    outcomes = await asyncio.gather(*(one(restart) for restart in chosen), return_exceptions=True)
    made = [restart.workload for restart, outcome in zip(chosen, outcomes, strict=True) if outcome is True]
    telemetry.RESTARTS.labels(runner.name or "").inc(len(made))
    if len(made) < len(chosen):
        runner.budget.forget(scene.seen.key)  # it comes again by itself, and must not wake itself
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return made, False in outcomes


async def _try(runner: RegionRunner, client: Client, restart: Restart) -> bool | None:
    """Whether a workload was restarted; None if it is refused, which is remembered.

    Raises:
        KubeError: the region did not answer, or refuses everything.
    """
    try:
        return await _restart(runner, client, restart)
    except errors.Conflict:
        return False
    except (errors.Unauthorized, errors.Throttled):
        raise
    except errors.ApiError as error:
        if isinstance(error, errors.Forbidden):
            runner.rights.doubt()
        runner.refusals.note(restart.workload.uid, _refused(error, restart.workload))
        return None


def _refused(error: errors.ApiError, workload: Workload) -> str:
    if isinstance(error, errors.Forbidden):
        return f"the operator may not patch {workload.path_kind.plural} there"
    return f"the region's API server refuses to change it (HTTP {error.code})"


async def _restart(runner: RegionRunner, client: Client, restart: Restart) -> bool:
    """Patch one workload; returns whether it was still what it was judged by.

    The patch names the version it was decided on: should another replica have been faster, or somebody have changed
    the workload, it fails and everything is looked at again, so that no wave restarts a workload twice. One patch
    serves all waves that wait for the workload.
    """
    workload = restart.workload
    kind = workload.path_kind
    path = paths.workloads(kind, workload.namespace, workload.name)
    told = ",".join(f"{secret}@{wave}" for secret, wave in sorted(restart.marks.items()))
    body = {
        "metadata": {
            "uid": workload.uid,
            "resourceVersion": workload.resource_version,
            "annotations": {names.wave_mark(secret): wave for secret, wave in restart.marks.items()},
        },
        "spec": {"template": {"metadata": {"annotations": {names.ANNOTATION_RESTARTED_FOR: told}}}},
    }
    gone = {"metadata": {"uid": workload.uid}}  # and nothing else that may have its name by now
    try:
        runner.seen.see_workload(kind, await client.patch(path, body, MERGE_PATCH))
    except errors.Absent:
        runner.seen.miss_workload(kind, workload.namespace, workload.name, gone)
        return False
    except errors.Conflict:
        try:
            runner.seen.see_workload(kind, await client.get(path))
        except errors.Absent:
            runner.seen.miss_workload(kind, workload.namespace, workload.name, gone)
        return False
    runner.refusals.forget(workload.uid)
    runner.seen.note_restart(workload, restart.marks)
    return True


async def attach(
    context: Context, runner: RegionRunner, client: Client, *, namespace: str, secret: str, wanted: tuple[str, ...]
) -> None:
    """Attach a pull secret to the wanted ServiceAccounts, and detach it from those that are wanted no more.

    Raises:
        Problem: ``Retrying``: a wanted ServiceAccount does not exist.
        KubeError: the region refused or did not answer.
    """
    seen = runner.seen.service_accounts[namespace]
    todo = accounts.patches(
        secret=secret, wanted=wanted, accounts=list(seen.values()), installation=context.installation.id
    )
    for name, body in todo.items():
        try:
            answer = await client.patch(paths.core("serviceaccounts", namespace, name), body, MERGE_PATCH)
        except errors.Absent:
            seen.pop(name, None)
        else:
            seen[name] = accounts.parse(answer)
    if absent := accounts.missing(wanted, seen.values()):
        listed = ", ".join(f"'{name}'" for name in absent)
        raise reasons.retrying(
            f"The Secret is in place, but ServiceAccount {listed} does not exist in namespace '{namespace}'"
        )
