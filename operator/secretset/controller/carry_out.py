"""What follows a delivery: restarts of workloads, and ServiceAccounts that a pull secret is attached to."""

from __future__ import annotations

import asyncio

from secretset import telemetry
from secretset.controller.context import Context
from secretset.controller.runner import RegionRunner
from secretset.domain import accounts, names, reasons, restarts, workloads
from secretset.domain.plan import Desired
from secretset.domain.restarts import Wave
from secretset.domain.workloads import Workload
from secretset.kube import errors, paths
from secretset.kube.client import MERGE_PATCH, Client

_ATTEMPTS = 5
_AT_A_TIME = 8


async def restart(
    context: Context, runner: RegionRunner, client: Client, desired: Desired, wave: Wave | None
) -> tuple[list[Workload], float | None]:
    """Restart what is due of a wave, one patch a workload.

    Returns:
        The restarted workloads, and the seconds until the quiet window ends (None if nothing waits for it).

    Raises:
        KubeError: the region refused one, or did not answer. The others were restarted; what is left is still due.
    """
    slots = runner.seen.workloads[desired.namespace]
    due = restarts.due(wave, secret=desired.key.name, workloads=slots.values(), rule=desired.rule, now=context.now())
    if wave is None or not due.workloads:
        return [], due.wait
    gate = asyncio.Semaphore(_AT_A_TIME)

    async def one(workload: Workload) -> Workload | None:
        async with gate:
            return workload if await _restart(runner, client, desired, wave, workload) else None

    outcomes = await asyncio.gather(*(one(workload) for workload in due.workloads), return_exceptions=True)
    done = [outcome for outcome in outcomes if isinstance(outcome, Workload)]
    telemetry.RESTARTS.labels(desired.region).inc(len(done))
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return done, due.wait


async def _restart(runner: RegionRunner, client: Client, desired: Desired, wave: Wave, workload: Workload) -> bool:
    """Patch one workload, if it was not restarted for this wave already.

    The patch names the version it was decided on: should another replica have been faster, it fails and the mark is
    looked at again, so that no wave restarts a workload twice.
    """
    kind = workload.path_kind
    path = paths.workloads(kind, workload.namespace, workload.name)
    current: Workload | None = workload
    for _ in range(_ATTEMPTS):
        if current is None or current.uid != workload.uid or current.marks.get(desired.key.name) == wave.id:
            return False
        body = {
            "metadata": {
                "uid": current.uid,
                "resourceVersion": current.resource_version,
                "annotations": {names.wave_mark(desired.key.name): wave.id},
            },
            "spec": {
                "template": {
                    "metadata": {"annotations": {names.ANNOTATION_RESTARTED_FOR: f"{desired.key.name}@{wave.id}"}}
                }
            },
        }
        try:
            runner.seen.see_workload(kind, await client.patch(path, body, MERGE_PATCH))
        except errors.NotFound:
            return False
        except errors.Conflict:
            try:
                fresh = await client.get(path)
            except errors.NotFound:
                return False
            runner.seen.see_workload(kind, fresh)
            current = workloads.parse(kind, fresh)
            continue
        return True
    raise errors.Conflict(409, "Conflict")


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
        except errors.NotFound:
            seen.pop(name, None)
        else:
            seen[name] = accounts.parse(answer)
    if absent := accounts.missing(wanted, seen.values()):
        listed = ", ".join(f"'{name}'" for name in absent)
        raise reasons.retrying(
            f"The Secret is in place, but ServiceAccount {listed} does not exist in namespace '{namespace}'"
        )
