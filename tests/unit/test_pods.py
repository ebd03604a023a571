"""Pods: which of them do not get on after a restart, and which started while something was wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import pytest

from builders import at, deployment
from secretset.controller import pods as looks
from secretset.domain import names, pods, workloads
from secretset.domain.workloads import Workload
from secretset.kube import errors
from secretset.kube.client import Client

FOR = "app@2-u"
OLD = "app@1-u"
NOW = datetime.fromisoformat(at(300)).timestamp()
Object = dict[str, Any]


def pod(name: str = "web-7d9f-x2x4k", *containers: Object, age: int = 60, init: Object | None = None) -> Object:
    """A pod of the newest template that its node took on so many seconds ago, as kubelet describes it."""
    started = at(300 - age)
    return {
        "metadata": {
            "name": name,
            "namespace": "team-us",
            "uid": f"uid-{name}",
            "creationTimestamp": at(300 - age - 1),
            "annotations": {names.ANNOTATION_RESTARTED_FOR: FOR},
        },
        "spec": {"containers": [{"name": "main", "envFrom": [{"secretRef": {"name": "app"}}]}]},
        "status": {
            "phase": "Pending" if init else "Running",
            "startTime": started,
            "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": started}],
            **({"initContainerStatuses": [init]} if init else {}),
            "containerStatuses": list(containers),
        },
    }


def container(state: Object, *, restarts: int = 0, last: Object | None = None) -> Object:
    return {
        "name": "main",
        "ready": "running" in state,
        "restartCount": restarts,
        "state": state,
        "lastState": last or {},
    }


def waiting(reason: str, *, restarts: int = 0) -> Object:
    # The message quotes what it may: no text of ours is made of it.
    return container({"waiting": {"reason": reason, "message": "couldn't find key A in Secret"}}, restarts=restarts)


def running(since: int, *, restarts: int = 0) -> Object:
    return container({"running": {"startedAt": at(300 - since)}}, restarts=restarts)


def ended(code: int, *, restarts: int = 0) -> Object:
    return container({"terminated": {"exitCode": code, "reason": "Error", "finishedAt": at(299)}}, restarts=restarts)


def stuck(*containers: Object, **changes: Any) -> str | None:
    return pods.stuck(pod("web", *containers, **changes), FOR, NOW)


ALL = (
    *("CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError", "RunContainerError"),
    *("ErrImagePull", "ImagePullBackOff", "InvalidImageName"),
)


@pytest.mark.parametrize("reason", ALL)
def test_it_is_stuck_whatever_container_waits(reason: str) -> None:
    assert stuck(waiting(reason)) == reason
    assert stuck(running(50), waiting(reason)) == reason
    assert stuck(waiting("PodInitializing"), init=waiting(reason)) == reason


def test_a_pod_on_its_way_is_not_stuck() -> None:
    assert stuck() is None
    assert stuck(waiting("ContainerCreating")) is None
    assert stuck(waiting("PodInitializing"), init=running(50)) is None
    assert stuck(waiting("PodInitializing"), init=ended(0)) is None
    assert stuck(running(1)) is None
    # Reasons that may come with later versions of kubelet are none of ours.
    assert stuck(waiting("SomethingNew")) is None
    assert stuck(container({})) is None


def test_a_pod_that_no_node_took_on_is_not_stuck() -> None:
    pending = pod()
    pending["status"] = {"phase": "Pending"}
    assert pods.stuck(pending, FOR, NOW) is None
    del pending["status"]
    assert pods.stuck(pending, FOR, NOW) is None


@pytest.mark.parametrize("reason", ALL)
def test_what_time_may_mend_is_given_half_a_minute(reason: str) -> None:
    at_once = reason in {"CrashLoopBackOff", "InvalidImageName"}
    assert stuck(waiting(reason), age=29) == (reason if at_once else None)
    assert stuck(waiting(reason), age=30) == reason


def test_what_time_may_mend_does_not_hide_what_it_does_not() -> None:
    assert stuck(waiting("ErrImagePull"), waiting("CrashLoopBackOff", restarts=2), age=5) == "CrashLoopBackOff"


def test_a_container_that_crashes_again_and_again_is_stuck_in_between() -> None:
    cycle = (waiting("CrashLoopBackOff", restarts=2), running(3, restarts=2), ended(1, restarts=2))
    assert [stuck(state) for state in cycle] == ["CrashLoopBackOff"] * 3
    assert stuck(running(29, restarts=2)) == "CrashLoopBackOff"
    assert stuck(running(30, restarts=2)) is None
    assert stuck(running(3, restarts=1)) is None  # one crash is no loop
    assert stuck(ended(1, restarts=1)) is None
    assert stuck(waiting("PodInitializing"), init=ended(0, restarts=3)) is None  # it went well in the end


def test_only_pods_of_the_newest_template_count() -> None:
    crashing = pod("web", waiting("CrashLoopBackOff"))
    assert pods.stuck(crashing, OLD, NOW) is None
    del crashing["metadata"]["annotations"]
    assert pods.stuck(crashing, FOR, NOW) is None
    # Of a workload that was never restarted nobody can tell which pods are the newest.
    assert pods.stuck(crashing, "", NOW) is None


def test_a_pod_that_goes_does_not_count() -> None:
    crashing = pod("web", waiting("CrashLoopBackOff"))
    crashing["metadata"]["deletionTimestamp"] = at(299)
    assert pods.stuck(crashing, FOR, NOW) is None
    evicted = pod("web", ended(137, restarts=4))
    evicted["status"] |= {"phase": "Failed", "reason": "Evicted"}
    assert pods.stuck(evicted, FOR, NOW) is None


# --- who started during a time


def during(obj: Object, since: float, until: float, secret: str = "app") -> bool:
    return pods.started_during(obj, secret, NOW + since, NOW + until)


def test_a_pod_started_when_its_node_took_it_on() -> None:
    seen = pod(age=60)
    assert during(seen, -60, -60)
    assert during(seen, -61, -59)
    assert not during(seen, -59, 0)
    assert not during(seen, -99, -60.001)
    del seen["status"]["startTime"]
    assert during(seen, -61, -61)
    del seen["status"]
    assert during(seen, -61, -61)


def test_within_the_first_second_nobody_knows() -> None:
    # It may have started half a second after the time began: the API has full seconds only.
    assert during(pod(age=60), -59.5, 0)
    assert not during(pod(age=60), -59, 0)


def test_only_pods_that_use_the_secret() -> None:
    assert not during(pod(), -99, 0, secret="other")
    bound = pod()
    bound["spec"]["containers"][0]["envFrom"] = []
    assert not during(bound, -99, 0)
    bound["metadata"]["annotations"][names.ANNOTATION_BIND] = "other, app"
    assert during(bound, -99, 0)


# --- looks


class Cluster:
    """A client of a region with pods, two on a page.

    Attributes:
        asked: namespace and selector of each list.
        most: lists that were under way at a time.
    """

    def __init__(self, found: Mapping[str, list[Object]], fault: Exception | None = None) -> None:
        self.found, self.fault = found, fault
        self.asked: list[tuple[str, str]] = []
        self.pages = 0
        self.most = self._now = 0

    async def get(self, path: str, params: Mapping[str, str], *, accept: str | None = None) -> Object:
        assert accept is None
        namespace, selector = path.split("/")[4], params.get("labelSelector", "")
        assert path == f"/api/v1/namespaces/{namespace}/pods"
        start = int(params.get("continue", "0"))
        if not start:
            self.asked.append((namespace, selector))
        self.pages += 1
        self._now += 1
        self.most = max(self.most, self._now)
        await asyncio.sleep(0)
        self._now -= 1
        if self.fault is not None:
            raise self.fault
        items = self.found.get(selector, [])
        more = {"continue": str(start + 2)} if len(items) > start + 2 else {}
        return {"metadata": more, "items": items[start : start + 2]}

    async def stuck(self, *given: Workload) -> dict[str, str]:
        return await looks.stuck_workloads(cast("Client", self), given, NOW)

    async def started(self, limit: int = 20) -> list[str]:
        return await looks.started_during(cast("Client", self), "team-us", "app", NOW - 70, NOW - 50, limit)


def web(name: str, *, restarted_for: str = FOR, selector: bool = True) -> Workload:
    obj = deployment(name).env_from("app").object()
    obj["spec"]["selector"] = {"matchLabels": {"app": name}} if selector else {}
    obj["spec"]["template"]["metadata"] = {"annotations": {names.ANNOTATION_RESTARTED_FOR: restarted_for}}
    return workloads.parse(workloads.DEPLOYMENT, obj)


async def test_a_stuck_pod_is_named() -> None:
    good, bad = pod("good", running(50)), pod("bad", waiting("CreateContainerConfigError"))
    cluster = Cluster({"app=a": [good, good, bad], "app=b": [good]})
    found = await cluster.stuck(web("a"), web("b"), web("c"))
    assert found == {"uid-a": "pod 'bad': CreateContainerConfigError", "uid-b": "", "uid-c": ""}
    assert sorted(cluster.asked) == [("team-us", "app=a"), ("team-us", "app=b"), ("team-us", "app=c")]


async def test_the_first_stuck_pod_is_enough() -> None:
    bad = [pod(f"bad-{number}", waiting("ErrImagePull")) for number in range(9)]
    cluster = Cluster({"app=a": bad})
    assert await cluster.stuck(web("a")) == {"uid-a": "pod 'bad-0': ErrImagePull"}
    assert cluster.pages == 1


async def test_few_workloads_are_looked_at_and_few_at_a_time() -> None:
    cluster = Cluster({})
    found = await cluster.stuck(*(web(f"web-{number}") for number in range(40)))
    assert found == {f"uid-web-{number}": "" for number in range(16)}
    assert cluster.asked == [("team-us", f"app=web-{number}") for number in range(16)]
    assert cluster.most == 4


async def test_who_was_never_restarted_or_selects_everything_is_not_looked_at() -> None:
    cluster = Cluster({"": [pod("bad", waiting("CrashLoopBackOff"))]})
    assert await cluster.stuck(web("a", restarted_for=""), web("b", selector=False)) == {}
    assert await cluster.stuck() == {}
    assert cluster.asked == []


@pytest.mark.parametrize("fault", [errors.Forbidden(403), errors.Unreachable("x")])
async def test_a_refusal_is_the_callers_business(fault: errors.KubeError) -> None:
    cluster = Cluster({}, fault)
    with pytest.raises(type(fault)):
        await cluster.stuck(web("a"), web("b"))
    with pytest.raises(type(fault)):
        await cluster.started()


async def test_those_that_started_during_a_time_are_named() -> None:
    found = [pod(f"web-{number}", running(50), age=40 + number) for number in range(40)]
    cluster = Cluster({"": found})
    assert await cluster.started() == [f"web-{number}" for number in range(10, 30)]
    assert await cluster.started(limit=3) == ["web-10", "web-11", "web-12"]
    assert cluster.asked == [("team-us", "")] * 2
