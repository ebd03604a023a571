"""Rollouts: of each kind, what `kubectl rollout status` would say of the object."""

from typing import Any

import pytest

from builders import WorkloadBuilder, argo_rollout, daemon_set, deployment, stateful_set
from secretset.domain.rollouts import Rollout
from secretset.domain.workloads import WORKLOAD_KINDS

C, R, S, H = Rollout.CURRENT, Rollout.RESTARTING, Rollout.STALLED, Rollout.HELD
PROGRESSING = [{"type": "Progressing", "reason": "NewReplicaSetAvailable"}]
ON_DELETE = {"type": "OnDelete"}


@pytest.mark.parametrize(  # kubectl's DeploymentStatusViewer, in its order
    ("built", "rollout"),
    [
        (deployment(), C),
        (deployment().with_status(conditions=PROGRESSING), C),
        (deployment().rolling(), R),
        (deployment().rolling().stalled(), R),
        (deployment().stalled(), S),
        (deployment().with_status(updatedReplicas=0), R),
        (deployment().with_status(updatedReplicas=0).stalled(), S),
        (deployment().with_spec(replicas=3), R),
        (deployment().with_status(replicas=2), R),
        (deployment().with_status(availableReplicas=0), R),
        (deployment().with_spec(replicas=0).with_status(replicas=0, updatedReplicas=0, availableReplicas=0), C),
        (deployment().paused(), C),
        (deployment().paused().rolling(), R),
        (deployment().paused().with_status(updatedReplicas=0), H),
        (deployment().paused().with_status(replicas=2), H),
        (deployment().paused().with_status(updatedReplicas=0).stalled(), H),
    ],
)
def test_a_deployment(built: WorkloadBuilder, rollout: Rollout) -> None:
    assert built.workload().rollout is rollout


def partition(replicas: int, below: int, updated: int) -> WorkloadBuilder:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": below}}
    built = stateful_set().with_spec(replicas=replicas, updateStrategy=strategy)
    return built.with_status(readyReplicas=replicas, updatedReplicas=updated, updateRevision="r2")


@pytest.mark.parametrize(  # kubectl's StatefulSetStatusViewer, in its order
    ("built", "rollout"),
    [
        (stateful_set(), C),
        (stateful_set().rolling(), R),
        (stateful_set().with_status(readyReplicas=0), R),
        (stateful_set().with_spec(replicas=3), R),
        (stateful_set().with_status(updateRevision="r2"), R),
        (partition(3, 2, 0), R),
        (partition(3, 2, 1), C),
        (partition(3, 5, 0), C),
        (partition(3, 0, 1), R),
    ],
)
def test_a_stateful_set(built: WorkloadBuilder, rollout: Rollout) -> None:
    assert built.workload().rollout is rollout


@pytest.mark.parametrize(  # kubectl's DaemonSetStatusViewer, in its order
    ("built", "rollout"),
    [
        (daemon_set(), C),
        (daemon_set().rolling(), R),
        (daemon_set().with_status(desiredNumberScheduled=2), R),
        (daemon_set().with_status(numberAvailable=0), R),
        (daemon_set().with_status(desiredNumberScheduled=0, updatedNumberScheduled=0, numberAvailable=0), C),
    ],
)
def test_a_daemon_set(built: WorkloadBuilder, rollout: Rollout) -> None:
    assert built.workload().rollout is rollout


@pytest.mark.parametrize(
    ("built", "rollout"),
    [
        (stateful_set(), C),
        (stateful_set().rolling(), R),
        (stateful_set().with_status(updateRevision="r2", updatedReplicas=0), H),
        (stateful_set().with_status(updateRevision="r2", updatedReplicas=1), C),  # one that never catches up
        (daemon_set(), C),
        (daemon_set().with_status(updatedNumberScheduled=0), H),
        (daemon_set().with_status(numberAvailable=0), R),
    ],
)
def test_pods_that_somebody_has_to_delete_are_waited_for(built: WorkloadBuilder, rollout: Rollout) -> None:
    assert built.with_spec(updateStrategy=ON_DELETE).workload().rollout is rollout


@pytest.mark.parametrize(
    ("built", "rollout"),
    [
        (argo_rollout(), C),
        (argo_rollout().with_status(phase="Degraded"), S),
        (argo_rollout().with_status(phase="Paused"), H),
        (argo_rollout().with_status(phase="Progressing"), R),
        (argo_rollout().with_status(phase="Unheard"), R),
        (argo_rollout().with_meta(generation=2), R),
        (argo_rollout().with_meta(generation=2).with_status(phase="Degraded"), R),
        (argo_rollout().with_status(observedGeneration=1), C),
    ],
)
def test_a_rollout_of_argo(built: WorkloadBuilder, rollout: Rollout) -> None:
    assert built.workload().rollout is rollout


def canary(reason: str, *steps: dict[str, Any], at: int | None = 0) -> WorkloadBuilder:
    built = argo_rollout().with_spec(strategy={"canary": {"steps": list(steps)}})
    return built.with_status(phase="Paused", pauseConditions=[{"reason": reason}], currentStepIndex=at)


def blue_green(**strategy: Any) -> WorkloadBuilder:
    built = argo_rollout().with_spec(strategy={"blueGreen": strategy})
    return built.with_status(phase="Paused", pauseConditions=[{"reason": "BlueGreenPause"}])


WEIGHT, FOR_TEN = {"setWeight": 20}, {"pause": {"duration": "10m"}}
FOR_GOOD: dict[str, Any] = {"pause": {}}


@pytest.mark.parametrize(
    ("built", "rollout"),
    [
        (canary("CanaryPauseStep", WEIGHT, FOR_TEN, FOR_GOOD, at=1), R),
        (canary("CanaryPauseStep", {"pause": {"duration": 30}}, at=None), R),
        (canary("CanaryPauseStep", WEIGHT, FOR_TEN, FOR_GOOD, at=2), H),
        (canary("CanaryPauseStep", FOR_TEN, at=1), H),
        (canary("InconclusiveAnalysisRun", FOR_TEN), H),
        (canary("CanaryPauseStep", FOR_TEN).paused(), H),
        (canary("CanaryPauseStep", FOR_TEN).with_status(pauseConditions=None), H),
        (blue_green(autoPromotionSeconds=60), R),
        (blue_green(autoPromotionEnabled=False), H),
        # Somebody paused it while nothing rolled.
        (argo_rollout().paused().with_status(phase="Paused", stableRS="x", currentPodHash="x"), C),
        (argo_rollout().paused().with_status(phase="Paused", stableRS="x", currentPodHash="y"), H),
    ],
)
def test_a_rollout_of_argo_that_pauses_goes_on_by_itself_or_waits_for_a_person(
    built: WorkloadBuilder, rollout: Rollout
) -> None:
    assert built.workload().rollout is rollout


@pytest.mark.parametrize("kind", WORKLOAD_KINDS, ids=lambda kind: kind.kind)
@pytest.mark.parametrize("status", [None, {}])
def test_one_that_nobody_has_looked_at_is_not_current(kind: Any, status: Any) -> None:
    obj = deployment().object() | {"status": status}
    assert kind.rollout(obj) is R
