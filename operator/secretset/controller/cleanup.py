"""Deletion: take the managed Secret away if the set asks for it, then let the object go.

It waits for the region, and for its turn if many sets are deleted at once. Who does not want to wait for a region that
is lost says so; then a tombstone remembers what was left there.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from secretset.controller.context import Context
from secretset.controller.deliver import remove
from secretset.controller.detach import detach
from secretset.controller.hub import remove_finalizer
from secretset.controller.rights import Presence, presence
from secretset.controller.runner import RegionRunner
from secretset.controller.translate import region_problem
from secretset.domain import names, reasons
from secretset.domain.names import Key, Kind
from secretset.domain.reasons import Problem, Reason
from secretset.domain.record import SetRecord
from secretset.domain.regions import RegionRecord
from secretset.domain.tombstone import Tombstone
from secretset.kube import errors
from secretset.kube.client import Client

_DECOMMISSIONED = "RegionDecommissioned"  # why a Secret was left behind, where no problem of the region is the reason


async def clean_up(context: Context, runner: RegionRunner, fresh: SetRecord, obj: dict[str, Any]) -> None:
    """Finish the deletion of an object.

    Never touches a Secret that is not the object's own. Does not wait for a decommissioned region, nor, if the object
    is abandoned, for one that cannot be asked, or refuses: what may be left there is remembered by a tombstone, which
    is written before the object goes. One that was written before the set was told to retain its Secret goes first.

    Raises:
        Problem: the region cannot be asked now, or many sets are deleted at once; the object stays.
        KubeError: the hub refused or did not answer.
    """
    if fresh.finalized:
        if (obj.get("spec") or {}).get("deletionPolicy") == "Retain":
            left = _left(context, runner, fresh, obj, "")
            await context.tombstones.unbury(fresh.key, fresh.uid, left)
        else:
            await _remove_or_remember(context, runner, fresh, obj)
        await remove_finalizer(context, fresh)
    context.brake.done(fresh.key)


async def _remove_or_remember(context: Context, runner: RegionRunner, fresh: SetRecord, obj: dict[str, Any]) -> None:
    try:
        why = await _remove(context, runner, fresh, obj)
    except Problem as problem:
        if not fresh.abandoned or problem.reason is Reason.DELETION_BRAKED:
            raise
        why = problem.reason
    if why is not None and (left := _left(context, runner, fresh, obj, why)):
        # One that is decommissioned takes no new sets, so those that leave something there are not without end.
        await context.tombstones.bury(left, limited=why != _DECOMMISSIONED)


async def _remove(context: Context, runner: RegionRunner, fresh: SetRecord, obj: dict[str, Any]) -> str | None:
    """Take away what is in the region; return why it was left there, in one word, or None."""
    name = context.store.region_of(fresh)
    region = context.store.regions.get(name) if name else None
    if region is None:
        if not fresh.delivered:
            return None
        raise reasons.region_unknown(name)
    if region.spec.decommissioned:
        return _DECOMMISSIONED
    namespace = _namespace(fresh, obj, region)
    if namespace is None:
        raise reasons.invalid_spec(
            f"The namespace that the Region '{region.name}' gives this organization is no valid name, so the Secret of "
            "this set cannot be looked for: mend the Region's namespace template."
        )
    try:
        client = await runner.usable(region.name)
    except Problem:
        context.brake.away(fresh.key)
        raise
    if fresh.delivered or (namespace, fresh.key.name) in runner.seen.secrets:
        context.brake.check(fresh.key, region, partial(runner.queue.add, fresh.key))
    try:
        await take_away(context, runner, client, fresh.key, region.name, namespace)
    except errors.Conflict:
        what = f"Secret '{fresh.key.name}' in namespace '{namespace}' of region '{region.name}'"
        raise reasons.retrying(f"{what}, or a ServiceAccount that names it, is changed all the time") from None
    return None


async def take_away(
    context: Context, runner: RegionRunner, client: Client, key: Key, region: str, namespace: str
) -> None:
    """Take what is of a set out of a namespace that it belongs to no more.

    Raises:
        Problem: the region cannot be asked now.
        Conflict: somebody else keeps changing it.
    """
    try:
        with region_problem(region, namespace, runner.credentials):
            # Whose Secret it is comes first: of a set that lost its name to another nothing is attached anywhere.
            owned = await remove(context, runner, client, (namespace, key.name), key)
            if owned and key.kind is Kind.IMAGE_PULL_SECRET:
                await detach(client, namespace=namespace, secret=key.name, installation=context.installation.id)
    except Problem as problem:
        if problem.reason is not Reason.PERMISSION_DENIED:
            raise
        # Roles end with their namespace: no right, and no namespace of that name, means that nothing is left there.
        if await _there(client, namespace):
            runner.held[key] = namespace
            runner.rights.doubt()
            raise
    runner.held.pop(key, None)


def _left(context: Context, runner: RegionRunner, fresh: SetRecord, obj: dict[str, Any], why: str) -> Tombstone | None:
    """What to remember of a Secret that may be left behind; None if it cannot be anywhere.

    A set without a `secretRef` may have one too: its last write may have got no answer.
    """
    ref = (obj.get("status") or {}).get("secretRef") or {}
    name = ref.get("region") or context.store.region_of(fresh)
    region = context.store.regions.get(name or "")
    namespace = _namespace(fresh, obj, region)
    if name is None or namespace is None:
        return None
    # A region that was not reached since we started, or is decommissioned, has told who it is in its status.
    known = str((context.store.region_statuses.get(name) or {}).get("clusterId") or "")
    return Tombstone(
        region=name,
        cluster=(runner.cluster_id if runner.name == name else "") or known,
        namespace=namespace,
        owner=fresh.key,
        uid=fresh.uid,
        since=context.timestamp(),
        why=why,
    )


def _namespace(fresh: SetRecord, obj: dict[str, Any], region: RegionRecord | None) -> str | None:
    """Where the Secret was delivered to, or would have been; None if no namespace can have that name."""
    ref = (obj.get("status") or {}).get("secretRef") or {}
    name = ref.get("namespace") or (region.namespace_for(fresh.key.namespace) if region else "")
    return name if names.NAMESPACE_PATTERN.fullmatch(name) else None


async def _there(client: Client, namespace: str) -> bool:
    """Whether a namespace exists, or may; one that is being deleted takes its Secrets along."""
    try:
        return await presence(client, namespace) is Presence.THERE
    except errors.KubeError:
        return True
