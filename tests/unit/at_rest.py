"""A region at rest: revision 1 of its sets was delivered, and every request from now on is a test's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from builders import WorkloadBuilder, deployment, secret_set
from secretset.controller.follow_up import FollowUp
from secretset.domain import workloads
from secretset.domain.marks import Marks
from secretset.domain.waves import Wave
from secretset.domain.workloads import Workload
from unit.cluster import Cluster, Object, Operator, path_of, stored

AT_ONCE = {"quietSeconds": 0, "maxWaitSeconds": 0}
SECRET = "/api/v1/namespaces/team-us/secrets/app"
LIST = "/apis/apps/v1/namespaces/team-us/deployments"


class Region(Operator):
    """An operator that has delivered revision 1 of its sets, at rest."""

    @classmethod
    async def made(cls, *built: WorkloadBuilder, sets: tuple[str, ...] = ("app",), limit: int = 0) -> Region:
        region = cls(Cluster(), max_rollouts=limit)
        for name in sets:
            region.add(secret_set(name).with_key("A", source="src").with_spec(restart=AT_ONCE))
            await region.work(name, {"A": b"1"})
        for each in built:
            region.see(stored(region.cluster, each))
        region.tick()
        region.cluster.requests.clear()
        return region

    def tick(self) -> None:
        self.clock += 1

    async def change(self, value: bytes = b"2", **kw: Any) -> FollowUp:
        return await self.work("app", {"A": value}, **kw)

    def change_behind(self, name: str, change: Callable[[Object], Any]) -> None:
        """Somebody changes a workload, and the watch does not show it yet."""
        obj = self.cluster.objects[f"{LIST}/{name}"]
        change(obj)
        self.cluster.put(path_of(obj), obj)

    @property
    def wave(self) -> Wave:
        marks = Marks.parse(self.cluster.objects[SECRET]["metadata"])
        assert marks is not None
        assert marks.wave is not None
        return marks.wave

    @property
    def writes(self) -> list[str]:
        """What was written, in order: verb and name."""
        return [f"{verb} {path.rpartition('/')[2]}" for verb, path in self.cluster.requests if verb != "GET"]

    @property
    def lists(self) -> int:
        return self.cluster.requests.count(("GET", LIST))

    def workload(self, name: str) -> Workload:
        return workloads.parse(workloads.DEPLOYMENT, self.cluster.objects[f"{LIST}/{name}"])


def web(name: str) -> WorkloadBuilder:
    return deployment(name).env_from("app").with_meta(creationTimestamp="2025-01-01T00:00:00Z")


def named(found: list[Workload]) -> list[str]:
    return [workload.name for workload in found]
