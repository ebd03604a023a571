"""Rollouts that were begun and do not get on: pods tell that long before, or where nobody sets, a deadline.

StatefulSets and DaemonSets have no progress deadline, and that of a Deployment is ten minutes. So the newest pods of
what rolls because of us are looked at now and then, and never when nothing rolls.
"""

from __future__ import annotations

import time

from secretset.controller import pods
from secretset.controller.scene import Scene
from secretset.kube import errors
from secretset.kube.client import Client

LOOK_SECONDS = 5.0
# A rollout may never end, because its pods are never ready: it is looked at more and more seldom.
_SLOWER, _SELDOM_SECONDS = 1.2, 60.0


def due_in(scene: Scene) -> float | None:
    """Seconds until the pods of a set's rollouts are to be looked at; None if nothing rolls."""
    looks, key = scene.runner.looks, scene.seen.key
    if not scene.in_flight:
        looks.pop(key, None)
        return None
    due, _, _ = looks.setdefault(key, (time.monotonic() + LOOK_SECONDS, LOOK_SECONDS, ""))
    return max(0.0, due - time.monotonic())


async def look(scene: Scene, client: Client) -> None:
    """Look at the pods, if it is time, and remember whose do not start.

    If there are too many workloads for one look, they take turns, in the order of their uids.
    """
    if due_in(scene) != 0.0:
        return
    runner, key = scene.runner, scene.seen.key
    _, apart, last = runner.looks[key]
    due, apart = time.monotonic() + apart, min(_SLOWER * apart, _SELDOM_SECONDS)
    runner.looks[key] = due, apart, last
    rolling = sorted(scene.in_flight, key=lambda w: (w.uid <= last, w.uid))
    try:
        found = await pods.stuck_workloads(client, rolling, scene.context.now())
    except errors.Forbidden:
        runner.rights.doubt()
        return
    rolls = {w.uid for w in scene.in_flight}  # some may have ended, or gone, meanwhile
    for uid, why in found.items():
        if why and uid in rolls:
            runner.seen.stuck[uid] = why
            runner.budget.give_back(uid)
        else:
            runner.seen.stuck.pop(uid, None)
        last = uid
    if key in runner.looks:  # the set may have gone
        runner.looks[key] = due, apart, last
