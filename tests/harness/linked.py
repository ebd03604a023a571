"""An organization whose region is behind a link that can be broken."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.away import Away
from harness.manifests import decoded, value_from
from harness.org import Org, guarded
from harness.process import described, writes
from harness.proxy import Proxy
from harness.waiting import eventually, holds
from kubelab.plane import ControlPlane
from secretset.controller.region_report import FLIP_SECONDS, FLIPS


class Linked(Away):
    """An organization with a region behind a proxy, and two sets there: `app` and, from another source, `quiet`.

    Each is used by a Deployment: `web` and `still`.

    Args:
        org: the organization.
        cluster: of the region.
        link: to its API server.
    """

    def __init__(self, org: Org, cluster: ControlPlane, link: Proxy) -> None:
        self.link = link
        super().__init__(org, cluster)

    def use(self, kubeconfig: Path) -> None:
        """Have the region use this kubeconfig, through the link."""
        super().use(self.link.kubeconfig(kubeconfig))

    def settle(self) -> None:
        """Deliver both sets, and have them used."""
        self.source()
        self.source("calm")
        for name, source, deployment in (("app", "src", "web"), ("quiet", "calm", "still")):
            self.deliver(name, data={"A": value_from(source, "a")})
            self.deploy(deployment, secret=name)
            self.reports(name, bound=1)

    def reports(self, name: str = "app", *, revision: int | None = None, **counts: int) -> None:
        """Wait until the status of a set tells this revision and these counts of workloads."""

        def check() -> bool:
            status = self.status(name)
            found = status.get("workloads") or {}
            return revision in {None, status.get("revision")} and all(found.get(k) == v for k, v in counts.items())

        eventually(check, f"the status of {name}: {revision or ''} {counts}", seconds=30)

    def restarted(self, deployment: str, generation: int) -> None:
        """Wait until a Deployment of the region is at this generation."""
        eventually(lambda: self.generation(deployment) == generation, f"a restart of {deployment}", seconds=30)

    def told(self) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """What is said of the quiet set: its status, and its events."""
        return self.status("quiet"), self.events("quiet")

    def change(self) -> bytes:
        """Change the content of `app`, and return it."""
        value = self.canary()
        self.source("src", a=value)
        return value.encode()

    def holds_value(self, value: bytes, name: str = "app", *, seconds: float = 30.0) -> None:
        """Wait until a Secret of the region has this value."""
        eventually(lambda: decoded(self.found(name)) == {"A": value}, f"the delivery of {name}", seconds=seconds)

    def spoil(self, name: str) -> bytes:
        """Change a Secret of the region by hand; return what it held."""
        before = decoded(self.found(name))["A"]
        patch = '{"data":{"A":"aGFja2Vk"}}'
        self.cluster.kubectl("patch", "secret", name, "-n", self.name, "--type=merge", "-p", patch)
        return before

    def says(self, reachable: str, *, seconds: float = 30.0) -> dict[str, Any]:
        """Wait until the Region's condition `Reachable` is so; return its status."""
        eventually(lambda: self.conditions().get("Reachable") == reachable, f"Reachable={reachable}", seconds=seconds)
        return self.region_status()

    def status_writes(self, kind: str, name: str) -> int:
        """How often the operator wrote the status of an object of the hub (`regions`, `secretsets`) so far."""
        mine = [event for event in writes(self.plane) if event["objectRef"].get("namespace") in {None, self.name}]
        return described(mine).count(f"update {kind}/status {name}")


@contextmanager
def linked(org: Org, cluster: ControlPlane) -> Iterator[Linked]:
    """A region behind a link of its own, with both sets delivered."""
    with Proxy.to(cluster) as link, guarded(Linked(org, cluster, link)) as there:
        assert isinstance(there, Linked)
        there.settle()
        yield there


def flaps(there: Linked, *, seconds: float) -> dict[str, int]:
    """Have a link flap once a second: only what the damping lets through is told. Return the counts of writes."""
    quiet = there.told()
    objects = {"region": ("regions", there.region_name), "app": ("secretsets", "app"), "quiet": ("secretsets", "quiet")}
    before = {name: there.status_writes(*what) for name, what in objects.items()}
    there.link.flap(1.0)
    holds(lambda: there.told() == quiet, seconds=seconds)
    wrote = {name: there.status_writes(*what) - before[name] for name, what in objects.items()}
    assert wrote["region"] <= FLIPS * (1 + seconds / (FLIPS * FLIP_SECONDS)) + 1
    assert wrote["app"] == wrote["quiet"] == 0, "nothing is undelivered"
    # What is to be delivered finds its way through, or waits.
    value = there.change()
    time.sleep(2)
    there.link.up()
    there.holds_value(value)
    there.reaches("ready", "Synced")
    there.says("True", seconds=FLIPS * FLIP_SECONDS + 15)
    there.restarted("web", 2)
    holds(lambda: (there.generation("web"), there.generation("still")) == (2, 1), seconds=1)
    assert there.told() == quiet
    return wrote


def restored(hurt: Linked, restore: Callable[[], None]) -> None:
    """Go on from the state of a settled organization, and come back to it by `restore`."""
    quiet, calm = hurt.told()[0], hurt.found("quiet")["data"]
    value = hurt.change()
    hurt.holds_value(value)
    hurt.restarted("web", 2)
    hurt.reports(current=1)
    revision = hurt.reaches("ready")["revision"]
    restore()
    # The content is put right; nobody changed it, so nothing restarts.
    hurt.holds_value(value)
    hurt.says("True")
    assert hurt.reaches("ready", "Synced")["revision"] == revision
    assert (hurt.status("quiet"), hurt.found("quiet")["data"]) == (quiet, calm)
    generations = {name: hurt.generation(name) for name in ("web", "still")}
    assert generations == {"web": 1, "still": 1}
    holds(lambda: {name: hurt.generation(name) for name in generations} == generations, seconds=1)
    # Nobody is deaf: to Secrets, to workloads, and to what we write ourselves.
    hurt.spoil("quiet")
    eventually(lambda: hurt.found("quiet")["data"] == calm, "the repair")
    hurt.deploy("late", secret="quiet")
    hurt.reports("quiet", bound=2)
    hurt.holds_value(hurt.change())
    hurt.restarted("web", 2)
    holds(
        lambda: {name: hurt.generation(name) for name in ("web", "still", "late")} == {"web": 2, "still": 1, "late": 1},
        seconds=1,
    )
