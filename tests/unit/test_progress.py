"""Looks at rollouts under way: when, at which, and what comes of pods that do not start."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from builders import deployment, secret_set
from secretset.controller import progress
from secretset.domain.workloads import Workload
from secretset.kube import errors
from unit.cluster import Cluster, Operator, stored

AT_ONCE = {"quietSeconds": 0, "maxWaitSeconds": 0}


class Looks:
    """What stands for looks at pods.

    Attributes:
        asked: names of the workloads of each look.
        found: uid to what keeps its pods.
        limit: workloads in one look.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[list[str]] = []
        self.found: dict[str, str] = {}
        self.limit = 16
        self.fault: Exception | None = None
        self.now = 100.0
        monkeypatch.setattr("secretset.controller.progress.pods.stuck_workloads", self._look)
        monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: self.now))

    async def _look(self, _: Any, workloads: list[Workload], __: float) -> dict[str, str]:
        looked = workloads[: self.limit]
        self.asked.append([workload.name for workload in looked])
        if self.fault is not None:
            raise self.fault
        return {workload.uid: self.found.get(workload.uid, "") for workload in looked}


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    return Looks(monkeypatch)


async def rolling(*names: str, limit: int = 0) -> Operator:
    """An operator that has just restarted some workloads."""
    operator = Operator(Cluster(), max_rollouts=limit)
    operator.add(secret_set("app").with_key("A", source="src").with_spec(restart=AT_ONCE))
    await operator.work("app", {"A": b"1"})
    for name in names:
        operator.see(stored(operator.cluster, deployment(name).env_from("app")))
    await operator.work("app", {"A": b"2"})
    return operator


async def look(operator: Operator) -> float | None:
    scene = operator.scene("app")
    await progress.look(scene, operator.cluster.client)
    return progress.due_in(scene)


def end(operator: Operator, name: str) -> None:
    """Its rollout is through."""
    obj = operator.cluster.objects[f"/apis/apps/v1/namespaces/team-us/deployments/{name}"]
    obj["status"]["observedGeneration"] = obj["metadata"]["generation"]
    operator.see(operator.cluster.put(f"/apis/apps/v1/namespaces/team-us/deployments/{name}", obj))


async def test_what_rolls_is_looked_at_now_and_then(looks: Looks) -> None:
    operator = await rolling("a", "b")
    assert await look(operator) == progress.LOOK_SECONDS
    looks.now += progress.LOOK_SECONDS - 1
    assert await look(operator) == 1.0
    assert looks.asked == []
    looks.now += 1
    assert await look(operator) == progress.LOOK_SECONDS
    end(operator, "a")
    looks.now += progress.LOOK_SECONDS
    await look(operator)
    assert looks.asked == [["a", "b"], ["b"]]


async def test_nothing_is_looked_at_where_nothing_rolls(looks: Looks) -> None:
    operator = await rolling("a")
    end(operator, "a")
    looks.now += 99
    assert await look(operator) is None
    assert (looks.asked, operator.runner.looks) == ([], {})


async def test_what_is_stuck_is_remembered_until_it_gets_on_and_keeps_no_place(looks: Looks) -> None:
    operator = await rolling("a", "b", limit=1)
    key = operator.scene("app").seen.key
    assert operator.runner.budget.take(key, 1) == 0
    looks.now += progress.LOOK_SECONDS
    looks.found = {"uid-a": "pod 'a-1': CrashLoopBackOff"}
    await look(operator)
    assert operator.runner.seen.stuck == looks.found
    operator.scene("app").count_in_flight()
    assert operator.runner.budget.take(key, 1) == 1
    assert [(v.state, v.why) for v in operator.scene("app").outlook().verdicts] == [
        ("stalled", "pod 'a-1': CrashLoopBackOff"),
        ("held", "the rollout of Deployment 'a' has stalled"),
    ]
    looks.now += progress.LOOK_SECONDS
    looks.found = {}
    await look(operator)
    assert operator.runner.seen.stuck == {}


async def test_too_many_for_one_look_take_turns(looks: Looks) -> None:
    operator = await rolling("a", "b", "c", "d", "e")
    await look(operator)
    looks.limit = 2
    for _ in range(3):
        looks.now += 60
        await look(operator)
    end(operator, "b")
    looks.now += 60
    await look(operator)
    assert looks.asked == [["a", "b"], ["c", "d"], ["e", "a"], ["c", "d"]]


async def test_who_was_not_looked_at_stays_what_it_was(looks: Looks) -> None:
    operator = await rolling("a", "b")
    await look(operator)
    looks.limit, looks.found = 1, {"uid-a": "pod 'a-1': CrashLoopBackOff"}
    for _ in range(2):
        looks.now += 60
        await look(operator)
        assert operator.runner.seen.stuck == looks.found
    looks.found = {}
    looks.now += 60
    await look(operator)
    assert (looks.asked, operator.runner.seen.stuck) == ([["a"], ["b"], ["a"]], {})


async def test_who_got_on_during_a_look_is_not_stuck(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    operator = await rolling("a", "b")

    async def late(_: Any, workloads: list[Workload], __: float) -> dict[str, str]:
        end(operator, "a")
        return {workload.uid: "pod 'x': ErrImagePull" for workload in workloads}

    monkeypatch.setattr("secretset.controller.progress.pods.stuck_workloads", late)
    await look(operator)
    looks.now += progress.LOOK_SECONDS
    await look(operator)
    assert operator.runner.seen.stuck.keys() == {"uid-b"}


async def test_who_is_through_is_not_stuck(looks: Looks) -> None:
    operator = await rolling("a")
    operator.runner.seen.stuck["uid-a"] = "pod 'a-1': ErrImagePull"
    end(operator, "a")
    assert operator.runner.seen.stuck == {}


async def test_without_the_right_to_look_restarts_go_on(looks: Looks) -> None:
    operator = await rolling("a")
    looks.now += progress.LOOK_SECONDS
    looks.fault = errors.Forbidden(403)
    assert await look(operator) == progress.LOOK_SECONDS
    looks.now += progress.LOOK_SECONDS
    looks.fault = errors.Unreachable("x")
    with pytest.raises(errors.Unreachable):
        await look(operator)
