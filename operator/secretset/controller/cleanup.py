"""Deletion: take the managed Secret away if the set asks for it, then let the object go."""

from __future__ import annotations

from typing import Any

from secretset.controller import carry_out
from secretset.controller.context import Context
from secretset.controller.deliver import remove
from secretset.controller.hub import remove_finalizer
from secretset.controller.runner import RegionRunner
from secretset.controller.translate import region_problem
from secretset.domain import reasons
from secretset.domain.names import Kind
from secretset.domain.reasons import Problem, Reason
from secretset.domain.record import SetRecord
from secretset.kube.client import Client


async def clean_up(context: Context, runner: RegionRunner, fresh: SetRecord, obj: dict[str, Any]) -> None:
    """Finish the deletion of an object.

    Never touches a Secret that is not the object's own. Does not wait for a decommissioned region. What was never
    delivered anywhere goes at once.

    Raises:
        Problem: the region cannot be asked now; the object stays until it can.
        KubeError: the hub refused or did not answer.
    """
    if not fresh.finalized:
        return
    if (obj.get("spec") or {}).get("deletionPolicy") != "Retain":
        await _remove(context, runner, fresh, obj)
    await remove_finalizer(context, fresh)


async def _remove(context: Context, runner: RegionRunner, fresh: SetRecord, obj: dict[str, Any]) -> None:
    name = context.store.region_of(fresh)
    region = context.store.regions.get(name) if name else None
    ref = (obj.get("status") or {}).get("secretRef") or {}
    if region is None:
        if not fresh.delivered:
            return
        raise reasons.region_unknown(name)
    if region.spec.decommissioned:
        return
    namespace = ref.get("namespace") or region.namespace_for(fresh.key.namespace)
    client = await runner.usable()
    try:
        with region_problem(region.name, namespace, runner.credentials):
            # Whose Secret it is comes first: of a set that lost its name to another nothing is attached anywhere.
            if await remove(context, runner, client, (namespace, fresh.key.name), fresh.key):
                await _detach(context, runner, client, namespace, fresh)
    except Problem as problem:
        # Roles end with their namespace: no right, and no namespace of that name, means that nothing is left there.
        if problem.reason is not Reason.PERMISSION_DENIED or not context.store.lacks(region, namespace):
            raise


async def _detach(context: Context, runner: RegionRunner, client: Client, namespace: str, fresh: SetRecord) -> None:
    if fresh.key.kind is Kind.IMAGE_PULL_SECRET:
        runner.place(fresh.key, namespace, pull=True)
        await runner.await_watches(namespace, ["serviceaccounts"], seconds=10.0)
        await carry_out.attach(context, runner, client, namespace=namespace, secret=fresh.key.name, wanted=())
