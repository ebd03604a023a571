"""Deliver: bring the managed Secret to what it should be. Reads, lets the domain decide, writes with preconditions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from secretset import telemetry
from secretset.controller import listing
from secretset.controller.context import Context
from secretset.controller.outcome import Postponed
from secretset.controller.runner import RegionRunner
from secretset.domain import plan, waves
from secretset.domain.marks import Marks
from secretset.domain.names import Key
from secretset.domain.observed import ObservedSecret, SecretRecord
from secretset.domain.plan import Assessment, Delivered, Desired, Write
from secretset.domain.waves import Wave
from secretset.kube import errors, paths
from secretset.kube.client import Client

_ATTEMPTS = 4
_RESTORE_SECONDS = 10.0  # that an API server may have served an older store before we knew of it


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What came of it.

    Attributes:
        marks: what the managed Secret bears now.
        repaired_from: what had happened to it, if drift was repaired: `deleted`, `changed by 'kubectl-edit'`.
        asked: a request for a restart of all users became a wave.
        wrong_since: since when it had other values because of that, in seconds since the epoch; None if it had not, or
            nobody knows.
    """

    marks: Marks
    first: bool = False
    asked: bool = False
    content_changed: bool = False
    repaired_from: str | None = None
    wrong_since: float | None = None


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
        before = runner.seen.version_of(place)
        found = None if unseen else await _read(client, desired)
        secret = ObservedSecret.parse(found) if found is not None else None
        assessment = plan.assess(desired, secret, delivered, context.installation.keyring)
        restarted = delivered.restarted if delivered else ""
        wave = waves.unfinished(_wave(secret, assessment, record.wave if record is not None else None), restarted)
        if found is not None and secret is not None and secret.marks is not None and assessment.write is Write.NONE:
            if wave == secret.marks.wave or not _waited_for(wave, runner, desired):
                _verified(runner, place, found, desired, before)
                return Delivery(marks=secret.marks)
            assessment = replace(assessment, write=Write.UPDATE, drift=True)  # somebody took the wave off
        if assessment.drift and (delay := runner.repair_delay(desired.key)) > 0:
            raise Postponed(delay)
        if wave is not None and secret is not None and assessment.content_changed:
            wave = await _whole(runner, client, desired, wave, secret, delivered)
        marks = plan.compose(
            desired,
            assessment,
            keyring=context.installation.keyring,
            previous=wave,
            workloads=runner.seen.users(desired.namespace, desired.key),
            restarted=_restarted(context, runner, desired, wave),
            timestamp=context.timestamp(),
            now=context.now(),
        )
        try:
            runner.seen.remember_secret(await _write(client, desired, marks, secret, assessment.write))
            runner.rights.regained()
        except (errors.Conflict, errors.AlreadyExists):
            unseen = False
            continue
        except errors.Absent:
            if assessment.write is Write.CREATE:
                raise
            unseen = False
            continue
        telemetry.COALESCED.labels(desired.region).inc(assessment.content_changed and _joined(wave, marks.wave))
        if not assessment.drift:
            return Delivery(
                marks=marks,
                first=assessment.first,
                asked=assessment.asked,
                content_changed=assessment.content_changed,
            )
        runner.repaired(desired.key)
        since = _wrong_since(context, runner, desired, secret, record, outdated=assessment.outdated)
        return Delivery(marks=marks, asked=assessment.asked, repaired_from=_damage(secret), wrong_since=since)
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
        except errors.Absent:
            pass
        runner.seen.secrets.pop(place, None)
        return True
    raise errors.Conflict(409, "Conflict")


def _wave(secret: ObservedSecret | None, assessment: Assessment, remembered: Wave | None) -> Wave | None:
    """The wave that is not over yet: that of the Secret, or what is remembered where the Secret lost its own."""
    own = secret.marks.wave if secret is not None and secret.marks is not None else None
    if assessment.outdated:
        return None if remembered == own else remembered  # of an older copy with the same revision, that is its own
    return own or remembered


def _joined(before: Wave | None, after: Wave | None) -> bool:
    """Whether a change became part of a wave whose restarts had not begun."""
    return before is not None and after is not None and after.since == before.since


def _restarted(context: Context, runner: RegionRunner, desired: Desired, wave: Wave | None) -> Collection[str]:
    """Uids that were restarted for the unfinished wave."""
    owner = context.store.sets.get(desired.key)
    return runner.seen.restarted_for(wave, owner, desired.namespace) if owner is not None else ()


async def _whole(
    runner: RegionRunner,
    client: Client,
    desired: Desired,
    wave: Wave,
    secret: ObservedSecret,
    delivered: Delivered | None,
) -> Wave:
    """An unfinished wave with all of its workloads, where it is not known whether it has them; see `carry_out`."""
    record = runner.seen.secrets.get((desired.namespace, desired.key.name))
    if wave.id in {record.planned if record else "", delivered.planned if delivered else ""}:
        return wave
    return wave.including(await listing.raced(client, runner, desired.key, wave, secret, exact=False))


def _waited_for(wave: Wave | None, runner: RegionRunner, desired: Desired) -> bool:
    """Whether a wave has restarts left."""
    name = desired.key.name
    return wave is not None and any(wave.waits_for(w, name) for w in runner.seen.users(desired.namespace, desired.key))


async def _read(client: Client, desired: Desired) -> dict[str, Any] | None:
    try:
        return dict(await client.get(paths.secrets(desired.namespace, desired.key.name)))
    except errors.Absent:
        return None


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


def _wrong_since(
    context: Context,
    runner: RegionRunner,
    desired: Desired,
    secret: ObservedSecret | None,
    record: SecretRecord | None,
    *,
    outdated: bool,
) -> float | None:
    """Since when a Secret that was put right has had other values than it should."""
    if secret is None:
        return (record.deleted if record is not None else None) or None
    if dict(secret.data) == dict(desired.content):
        return None
    # An older copy came with the store that was put back, and that takes an API server that begins anew.
    return context.now() - runner.link.up_for - _RESTORE_SECONDS if outdated else secret.last_changed


def _verified(
    runner: RegionRunner,
    place: tuple[str, str],
    found: dict[str, Any],
    desired: Desired,
    before: tuple[str, str, float] | None,
) -> None:
    """Remember what is there, and that content from newer inputs is it already, so that it is not read again.

    Args:
        runner: of the region.
        place: of the Secret.
        found: it, as it was read. Of a write that had no answer, that may be the first word.
        desired: what it is.
        before: what was known of it before it was read. Where that has changed since, it is from the watch, and newer.
    """
    if before == runner.seen.version_of(place):
        runner.seen.see_secret(found, look=False)
    record, meta = runner.seen.secrets.get(place), found["metadata"]
    if record is not None and (record.uid, record.resource_version) == (meta["uid"], meta["resourceVersion"]):
        record.inputs = desired.inputs
