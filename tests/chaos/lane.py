"""One hub, one more cluster, and operators on them that come through somebody who spoils what they do."""

from __future__ import annotations

import base64
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.faults import Fault
from chaos.nursery import Forked, Nursery
from chaos.proxy import FaultProxy, Request
from chaos.user import User
from harness import ROOT, install_hub, install_region_cluster
from harness.helm import sets_are_taken
from harness.manifests import kubeconfig_ref, region
from harness.process import OPERATOR_ACCOUNT
from kubelab.plane import ControlPlane

if TYPE_CHECKING:
    from chaos.scene import Scene

FAR = "far"
# Windows are short, and nobody deletes by mistake here.
_FLAGS = ("--quiet-seconds", "0.2", "--max-wait-seconds", "1", "--deletion-burst", "100000", "--replica", "first")
# Everything in etcd is JSON, so that its history can be read; and no run is so long that a part of it was compacted.
OPTIONS = ("--storage-media-type=application/json", "--etcd-compaction-interval=15m")


class Lane:
    """Where runs take place, one after the other.

    Attributes:
        users: administrators of `hub` and `far`.
        proxies: between the operator and each of them.
        operator: the one that runs.
        beside: another replica, while there is one.
        killed: how many were killed by a fault.
        calm: name of an organization that nothing concerns.
        nextdoor: an organization in a region of the hub, where things change while something is wrong elsewhere.
    """

    calm = "calm"
    nextdoor: Scene | None = None
    beside: Forked | None = None

    def __init__(self, planes: dict[str, ControlPlane], proxies: dict[str, FaultProxy], nursery: Nursery) -> None:
        self.planes = planes
        self.proxies = proxies
        self.users = {name: User(plane) for name, plane in planes.items()}
        self.killed = 0
        self.nursery = nursery
        self._logs: dict[Path, int] = {}
        self._dead = threading.Event()
        for proxy in proxies.values():
            proxy.on_crash = self._kill
            proxy.peers = planes
        self.operator = self.begin()

    def begin(self, *flags: str, clock: Path | None = None) -> Forked:
        """Start the operator; returns when it is ready."""
        self._dead.clear()
        self.operator = self.nursery.operator(self.proxies["hub"].kubeconfig, *_FLAGS, *flags, clock=clock)
        self._logs[self.operator.log] = 0
        self.operator.ready()
        return self.operator

    def join(self, *flags: str, clock: Path | None = None) -> Forked:
        """Start another replica; it need not be ready yet."""
        hub = self.proxies["hub"].kubeconfig
        self.beside = self.nursery.operator(hub, *_FLAGS, "--replica", "second", *flags, clock=clock)
        self._logs[self.beside.log] = 0
        return self.beside

    def leave(self) -> None:
        """Stop the other replica."""
        if self.beside is not None:
            self.beside.signal(signal.SIGCONT)
            self.beside.stop()
            self.beside = None

    @property
    def replicas(self) -> list[Forked]:
        """All operators."""
        return [self.operator, *([self.beside] if self.beside else [])]

    def revive(self) -> bool:
        """Start another operator if a fault has killed this one."""
        if not self._dead.is_set():
            return False
        self.operator.ended()
        self.begin()
        return True

    def arm(self, faults: tuple[Fault, ...]) -> None:
        """Have these happen from now on."""
        for proxy in self.proxies.values():
            proxy.arm(faults)

    def disarm(self) -> list[Fault]:
        """Let nothing happen any more; those that have happened since `arm`."""
        for proxy in self.proxies.values():
            proxy.disarm()
        return [fault for proxy in self.proxies.values() for fault in proxy.met]

    def anew(self) -> None:
        """After a violation: another operator, that whoever comes next need not suffer from it."""
        self.disarm()
        self.operator.kill()
        self.operator.ended()
        self.begin()
        self.logged()
        self.forget()

    def forget(self) -> None:
        """Begin a new account of requests."""
        for proxy in self.proxies.values():
            proxy.forget()

    def requests(self) -> list[Request]:
        """All of this account, oldest first."""
        found = [request for proxy in self.proxies.values() for request in proxy.requests]
        return sorted(found, key=lambda request: request.at)

    def writes(self) -> list[Request]:
        """Those that changed something, or tried to."""
        return [request for request in self.requests() if request.counted]

    def logged(self) -> bytes:
        """What operators have logged since this was asked last."""
        found = []
        for log, offset in tuple(self._logs.items()):
            with log.open("rb") as file:
                file.seek(offset)
                found.append(file.read())
            self._logs[log] = offset + len(found[-1])
            if log not in {each.log for each in self.replicas}:
                del self._logs[log]
        return b"".join(found)

    def _kill(self) -> None:
        if not self._dead.is_set():
            self.operator.kill()
            self.killed += 1
            self._dead.set()


@contextmanager
def opened(folder: Path) -> Iterator[Lane]:
    """A lane of its own."""
    with ExitStack() as stack:
        word = secrets.token_hex(3)
        planes = {
            name: stack.enter_context(ControlPlane(f"{name}-{word}", extra_apiserver_args=OPTIONS))
            for name in ("hub", FAR)
        }
        hub, far = planes["hub"], planes[FAR]
        install_hub(hub)
        install_region_cluster(far)
        for policy in ("finalizer", "bind"):
            hub.kubectl("apply", "-f", str(ROOT / f"deploy/{policy}-policy.yaml"))
        proxies = {
            name: stack.enter_context(FaultProxy(plane, plane.service_account_kubeconfig(*OPERATOR_ACCOUNT), name))
            for name, plane in planes.items()
        }
        user = User(hub)
        config = base64.b64encode(proxies[FAR].kubeconfig.read_bytes()).decode()
        meta = {"name": f"kubeconfig-{FAR}", "namespace": "secretset-system"}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": {"config": config}}
        user.create("secret", secret)
        user.create("region", region("us-west", default=True))
        user.create("region", region(FAR, cluster=kubeconfig_ref(FAR)))
        sets_are_taken(hub)
        nursery = stack.enter_context(Nursery(folder))
        lane = Lane(planes, proxies, nursery)
        yield lane
        lane.operator.stop()
