"""Deliver: bring the managed Secret to what it should be. Reads, lets the domain decide, writes with preconditions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from secretset.controller.context import Context
from secretset.controller.outcome import Postponed
from secretset.controller.runner import RegionRunner
from secretset.domain import plan, restarts, workloads
from secretset.domain.marks import Marks
from secretset.domain.names import Key
from secretset.domain.observed import ObservedSecret
from secretset.domain.plan import Assessment, Delivered, Desired, Write
from secretset.domain.restarts import Wave
from secretset.domain.workloads import WORKLOAD_KINDS, Workload
from secretset.kube import errors, paths
from secretset.kube.client import Client
from secretset.kube.pages import items

_ATTEMPTS = 4


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What came of it.

    Attributes:
        marks: what the managed Secret bears now.
        repaired_from: what had happened to it, if drift was repaired: `deleted`, `changed by 'kubectl-edit'`.
    """

    marks: Marks
    first: bool = False
    content_changed: bool = False
    repaired_from: str | None = None


async def deliver(
    context: Context, runner: RegionRunner, client: Client, desired: Desired, delivered: Delivered | None
) -> Delivery:
    """Make the managed Secret what it should be; at most one write, none if it is so already.

    A request that meets another version than the one it was planned for is planned anew from what is there then.

    Raises:
        Problem: the Secret is not ours.
        Postponed: somebody keeps undoing our repairs.
        KubeError: the region refused or did not answer.
    """
    place = desired.namespace, desired.key.name
    record = runner.seen.secrets.get(place)
    # Nothing was seen there by a watch that is in step: create it at once, and save the read. If that was wrong, the
    # API server says so.
    unseen = (record is None or record.deleted) and runner.watching(desired.namespace)
    for _ in range(_ATTEMPTS):
        secret = None if unseen else await _read(client, desired)
        assessment = plan.assess(desired, secret, delivered, context.installation.keyring)
        restarted = delivered.restarted if delivered else ""
        wave = restarts.unfinished(_wave(secret, assessment, record.wave if record is not None else None), restarted)
        if secret is not None and secret.marks is not None and assessment.write is Write.NONE:
            slots = runner.seen.workloads[desired.namespace].values()
            if wave == secret.marks.wave or restarts.finished(wave, secret=desired.key.name, workloads=slots):
                _verified(runner, place, secret, desired)
                return Delivery(marks=secret.marks)
            assessment = replace(assessment, write=Write.UPDATE, drift=True)  # somebody took the wave off
        if assessment.drift and (delay := runner.repair_delay(desired.key)) > 0:
            raise Postponed(delay)
        restarting = assessment.content_changed and desired.rule.automatic
        marks = plan.compose(
            desired,
            assessment,
            keyring=context.installation.keyring,
            previous=wave,
            workloads=await _listed(runner, client, desired) if restarting else (),
            timestamp=context.timestamp(),
            now=context.now(),
        )
        try:
            runner.seen.remember_secret(await _write(client, desired, marks, secret, assessment.write))
            runner.rights.regained()
        except (errors.Conflict, errors.AlreadyExists):
            unseen = False
            continue
        except errors.NotFound:
            if assessment.write is Write.CREATE:
                raise
            unseen = False
            continue
        if assessment.drift:
            runner.repaired(desired.key)
        return Delivery(
            marks=marks,
            first=assessment.first,
            content_changed=assessment.content_changed,
            repaired_from=_damage(secret) if assessment.drift else None,
        )
    raise errors.Conflict(409, "Conflict")


async def remove(context: Context, runner: RegionRunner, client: Client, place: tuple[str, str], key: Key) -> bool:
    """Delete the managed Secret of a key if it is there and ours; return False if somebody else's is there.

    Raises:
        KubeError: the region refused or did not answer.
    """
    namespace, name = place
    for _ in range(_ATTEMPTS):
        try:
            secret = ObservedSecret.parse(await client.get(paths.secrets(namespace, name)))
            if not plan.owned(secret, installation=context.installation.id, key=key):
                return False
            await client.delete(
                paths.secrets(namespace, name), uid=secret.uid, resource_version=secret.resource_version
            )
        except errors.Conflict:
            continue
        except errors.NotFound:
            pass
        runner.seen.secrets.pop(place, None)
        return True
    raise errors.Conflict(409, "Conflict")


def _wave(secret: ObservedSecret | None, assessment: Assessment, remembered: Wave | None) -> Wave | None:
    """The wave that is not over yet: that of the Secret, or what is remembered where the Secret lost its own."""
    own = secret.marks.wave if secret is not None and secret.marks is not None and not assessment.outdated else None
    return own or remembered


async def _read(client: Client, desired: Desired) -> ObservedSecret | None:
    try:
        return ObservedSecret.parse(await client.get(paths.secrets(desired.namespace, desired.key.name)))
    except errors.NotFound:
        return None


async def _listed(runner: RegionRunner, client: Client, desired: Desired) -> list[Workload]:
    """The workloads of the namespace from a quorum read: a restart is never decided from a cache.

    The records learn of them too: a target that the watch has not shown yet must not look as if it were gone.
    """
    found: list[Workload] = []
    for kind in WORKLOAD_KINDS:
        async for item in items(client, paths.workloads(kind, desired.namespace)):
            runner.seen.see_workload(kind, item)
            if (parsed := workloads.parse(kind, item)) is not None:
                found.append(parsed)
    return found


async def _write(
    client: Client, desired: Desired, marks: Marks, secret: ObservedSecret | None, write: Write
) -> dict[str, Any]:
    path = paths.secrets(desired.namespace, desired.key.name)
    if write is Write.UPDATE:
        return dict(await client.replace(path, plan.render(desired, marks, secret)))
    if write is Write.REPLACE and secret is not None:
        await client.delete(path, uid=secret.uid, resource_version=secret.resource_version)
    body = plan.render(desired, marks, secret)
    for name in ("uid", "resourceVersion", "finalizers"):
        body["metadata"].pop(name, None)
    return dict(await client.create(paths.secrets(desired.namespace), body))


def _damage(secret: ObservedSecret | None) -> str:
    """What somebody did to the Secret; who takes a field away leaves no name in managedFields."""
    if secret is None:
        return "deleted"
    return f"changed by '{secret.last_manager}'" if secret.last_manager else "changed"


def _verified(runner: RegionRunner, place: tuple[str, str], secret: ObservedSecret, desired: Desired) -> None:
    """Remember that content from newer inputs is what is there already, so that it is not read again."""
    record = runner.seen.secrets.get(place)
    if record is not None and record.uid == secret.uid and record.resource_version == secret.resource_version:
        record.inputs = desired.inputs
