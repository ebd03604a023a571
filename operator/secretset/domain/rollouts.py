"""How the rollout of a workload stands, read from its object: what `kubectl rollout status` would say of it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Rollout(StrEnum):
    """How the rollout of a workload stands.

    ``HELD``: the newest pod template waits for somebody: its pods have to be deleted by hand (`OnDelete`), a canary has
    to be promoted, or somebody paused it in the middle.
    """

    CURRENT = "current"
    RESTARTING = "restarting"
    STALLED = "stalled"
    HELD = "held"


def deployment(obj: Mapping[str, Any]) -> Rollout:
    """Of a Deployment (kubectl's `DeploymentStatusViewer`); one that is paused rolls nothing, and has no deadline."""
    spec, status = obj["spec"], obj.get("status") or {}
    if _unobserved(obj):
        return Rollout.RESTARTING
    wanted, updated = spec.get("replicas", 1), status.get("updatedReplicas", 0)
    done = updated >= wanted and status.get("replicas", 0) <= updated and status.get("availableReplicas", 0) >= updated
    if spec.get("paused"):
        return Rollout.CURRENT if done else Rollout.HELD
    for condition in status.get("conditions") or ():
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return Rollout.STALLED
    return Rollout.CURRENT if done else Rollout.RESTARTING


def stateful_set(obj: Mapping[str, Any]) -> Rollout:
    """Of a StatefulSet (kubectl's `StatefulSetStatusViewer`); pods below a partition are left on purpose."""
    spec, status = obj["spec"], obj.get("status") or {}
    if _unobserved(obj):
        return Rollout.RESTARTING
    strategy = spec.get("updateStrategy") or {}
    wanted, updated = spec.get("replicas", 1), status.get("updatedReplicas", 0)
    same = status.get("updateRevision") == status.get("currentRevision")
    if strategy.get("type") == "OnDelete":
        return Rollout.CURRENT if same or updated >= wanted else Rollout.HELD
    if status.get("readyReplicas", 0) < wanted:
        return Rollout.RESTARTING
    partition = (strategy.get("rollingUpdate") or {}).get("partition") or 0
    done = updated >= wanted - partition if partition else same
    return Rollout.CURRENT if done else Rollout.RESTARTING


def daemon_set(obj: Mapping[str, Any]) -> Rollout:
    """Of a DaemonSet (kubectl's `DaemonSetStatusViewer`)."""
    status = obj.get("status") or {}
    if _unobserved(obj):
        return Rollout.RESTARTING
    wanted = status.get("desiredNumberScheduled", 0)
    if status.get("updatedNumberScheduled", 0) < wanted:
        on_delete = (obj["spec"].get("updateStrategy") or {}).get("type") == "OnDelete"
        return Rollout.HELD if on_delete else Rollout.RESTARTING
    return Rollout.CURRENT if status.get("numberAvailable", 0) >= wanted else Rollout.RESTARTING


def argo_rollout(obj: Mapping[str, Any]) -> Rollout:
    """Of a Rollout of Argo (its `status.phase`; `observedGeneration` is text there)."""
    status = obj.get("status") or {}
    if str(status.get("observedGeneration", "")) != str(obj["metadata"].get("generation", "")):
        return Rollout.RESTARTING
    match status.get("phase"):
        case "Healthy":
            return Rollout.CURRENT
        case "Degraded":
            return Rollout.STALLED
        case "Paused":
            return _argo_paused(obj["spec"], status)
    return Rollout.RESTARTING


def _argo_paused(spec: Mapping[str, Any], status: Mapping[str, Any]) -> Rollout:
    """Of one that pauses: whether it is through, goes on by itself after some time, or waits for a person.

    Steps and `autoPromotionSeconds` are of argo-rollouts.readthedocs.io, "Canary" and "BlueGreen". An analysis that
    came to no result pauses at a step of another kind, or for another reason: that one is for a person, too.
    """
    if status.get("stableRS") and status.get("stableRS") == status.get("currentPodHash"):
        return Rollout.CURRENT
    if spec.get("paused"):
        return Rollout.HELD
    strategy, timed = spec.get("strategy") or {}, False
    reasons = {condition.get("reason") for condition in status.get("pauseConditions") or ()}
    if reasons == {"CanaryPauseStep"}:
        steps, now = (strategy.get("canary") or {}).get("steps") or (), status.get("currentStepIndex") or 0
        timed = now < len(steps) and bool((steps[now].get("pause") or {}).get("duration"))
    elif reasons == {"BlueGreenPause"}:
        timed = bool((strategy.get("blueGreen") or {}).get("autoPromotionSeconds"))
    return Rollout.RESTARTING if timed else Rollout.HELD


def _unobserved(obj: Mapping[str, Any]) -> bool:
    """Whether the controller of the kind has not seen the newest template yet."""
    observed = (obj.get("status") or {}).get("observedGeneration", 0)
    return bool(observed < obj["metadata"].get("generation", 0))
