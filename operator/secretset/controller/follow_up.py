"""What follows a delivery: restarts, ServiceAccounts, and the status that tells of all of it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from secretset import telemetry
from secretset.controller import carry_out, pods, progress, tell
from secretset.controller.context import Context
from secretset.controller.deliver import Delivery
from secretset.controller.outcome import soonest
from secretset.controller.runner import RegionRunner
from secretset.controller.scene import Scene
from secretset.controller.translate import region_problem
from secretset.domain import status
from secretset.domain.names import Kind
from secretset.domain.plan import Desired
from secretset.domain.reasons import Problem
from secretset.domain.record import SetRecord
from secretset.domain.waves import Wave
from secretset.domain.workloads import Workload
from secretset.kube import errors
from secretset.kube.client import Client


@dataclass(frozen=True, kw_only=True)
class FollowUp:
    """What came of it.

    Attributes:
        status: to be written.
        wait: seconds until there is more to do without anything having changed; None if there is nothing.
        failure: what kept it from being finished.
        restarted: in this pass.
        over: the wave whose last restart was made, if that is news: where all memory was lost, it is not.
    """

    scene: Scene
    status: Mapping[str, Any]
    wait: float | None
    failure: Problem | None
    restarted: list[Workload]
    over: Wave | None

    def tell(self, previous: Mapping[str, Any] | None) -> None:
        """Events about it, once the status is written, so that none is told twice."""
        if self.over is not None and self.over.targets:
            telemetry.WAVES.labels(self.scene.runner.name or "").inc()
        tell.rollout(self.scene, previous, self.status, restarted=self.restarted, over=self.over)


async def follow_up(
    context: Context,
    runner: RegionRunner,
    client: Client,
    desired: Desired,
    fresh: SetRecord,
    previous: Mapping[str, Any] | None,
    delivery: Delivery,
) -> FollowUp:
    """Carry on after the managed Secret was brought to what it should be."""
    scene = Scene(context, runner, fresh, desired.namespace)
    restarted: list[Workload] = []
    failure = None
    try:
        with region_problem(desired.region, desired.namespace, runner.credentials, runner.rights.doubt):
            just_written = delivery.content_changed or delivery.first or delivery.asked
            restarted = await carry_out.roll_out(scene, client, just_written=just_written)
            await progress.look(scene, client)
            if fresh.key.kind is Kind.IMAGE_PULL_SECRET:
                await carry_out.attach(
                    context,
                    runner,
                    client,
                    namespace=desired.namespace,
                    secret=desired.key.name,
                    wanted=fresh.service_accounts,
                )
    except Problem as problem:
        failure = problem
    if delivery.wrong_since is not None:
        await _tell_misled(scene, client, delivery.wrong_since)
    wave, outlook = scene.wave, scene.outlook()
    # A quiet window may have ended since restarts were looked for: that moment comes only once.
    due = failure is None and runner.budget.take(fresh.key, len(outlook.restarts))
    over = wave if wave is not None and outlook.finished and scene.planned else None
    planned = wave.id if wave is not None and over is None and scene.planned else ""
    wanted = status.synced(
        generation=fresh.generation,
        place=status.Place(region=desired.region, namespace=desired.namespace, name=fresh.key.name),
        marks=delivery.marks,
        rollout=scene.told(outlook),
        restarted=over.id if over is not None else fresh.restarted,
        planned=planned,
        # With the wave all that was asked for is done. The marks may lack it: somebody may have taken it off.
        asked=desired.ask or delivery.marks.asked or fresh.asked if wave is None or over is not None else fresh.asked,
        sealed=fresh.sealed,
        previous=previous,
        timestamp=context.timestamp(),
    )
    return FollowUp(
        scene=scene,
        status=wanted,
        wait=0.0 if due else soonest(outlook.wait, progress.due_in(scene)),
        failure=failure,
        restarted=restarted,
        over=over if restarted or (previous or {}).get("revision") else None,
    )


async def _tell_misled(scene: Scene, client: Client, since: float) -> None:
    """Name the pods that started while the Secret had other values: they are not restarted, but may have read those."""
    with contextlib.suppress(errors.KubeError):
        until = scene.context.now()
        found = await pods.started_during(client, scene.namespace, scene.seen.key.name, since, until)
        if found:
            tell.misled(scene.context, scene.seen, found)
