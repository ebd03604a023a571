"""What single pods tell: why a new one does not get on after a restart, and which ones started within some time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from secretset.domain import names
from secretset.domain.uses import secret_uses

CRASHING = "CrashLoopBackOff"
# Reasons that kubelet gives for a container that waits and will not get on by itself (`pkg/kubelet/container` and
# `pkg/kubelet/images`); whether time may mend it.
_STUCK = {
    CRASHING: False,  # only given after the second crash
    "InvalidImageName": False,
    "CreateContainerConfigError": True,
    "CreateContainerError": True,
    "RunContainerError": True,
    "ErrImagePull": True,
    "ImagePullBackOff": True,
}
# Seconds that a new pod is given to get over it. Kubelet says CreateContainerConfigError of a good pod whose Secrets it
# has not read in time ("failed to sync secret cache"), and tries again 10 to 15 seconds later.
_GRACE = 30.0
# A container that crashes again and again runs in between: it is taken as crashing until it ran for so many seconds.
_STEADY = 30.0
_CRASHES = 2


def stuck(pod: Mapping[str, Any], restarted_for: str, now: float) -> str | None:
    """Why a pod of the newest template does not get on, in kubelet's word; None if it does, or is none of those.

    Args:
        pod: as the API has it.
        restarted_for: our annotation in the newest pod template; a pod with another one is of an older template.
        now: seconds since the epoch.
    """
    meta, status = pod["metadata"], pod.get("status") or {}
    if not restarted_for or (meta.get("annotations") or {}).get(names.ANNOTATION_RESTARTED_FOR) != restarted_for:
        return None
    if "deletionTimestamp" in meta or status.get("phase") in {"Succeeded", "Failed"}:
        return None  # another one comes in its place
    new = now < _started(pod) + _GRACE
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        reason = _waits(container) or (CRASHING if _crashes(container, now) else "")
        if reason in _STUCK and not (new and _STUCK[reason]):
            return reason
    return None


def started_during(pod: Mapping[str, Any], secret: str, since: float, until: float) -> bool:
    """Whether a pod uses a Secret and started within a time, in seconds since the epoch, both ends included.

    The API has full seconds only: a pod that started within the second in which the time begins is counted. What is
    asked is when the pod was taken on by its node; a container that crashed and started anew later is not seen.
    """
    return math.floor(since) <= _started(pod) <= until and secret in secret_uses(pod)


def _started(pod: Mapping[str, Any]) -> float:
    """When its node took a pod on, or, before that, when it was created."""
    return _seconds((pod.get("status") or {}).get("startTime") or pod["metadata"]["creationTimestamp"])


def _waits(container: Mapping[str, Any]) -> str:
    state = container.get("state") or {}
    return (state.get("waiting") or {}).get("reason") or ""


def _crashes(container: Mapping[str, Any], now: float) -> bool:
    """Whether a container is between two crashes, as far as one can tell."""
    if container.get("restartCount", 0) < _CRASHES:
        return False
    state = container.get("state") or {}
    if running := state.get("running"):
        return now < _seconds(running["startedAt"]) + _STEADY
    return bool((state.get("terminated") or {}).get("exitCode"))  # an init container that is done says 0


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
