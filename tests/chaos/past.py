"""A second API server of a plane, which can be frozen in the past: its link to the store goes dead."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import urllib3

from chaos.faults import Where
from chaos.lane import FAR
from chaos.trouble import Trouble
from harness.proxy import Proxy
from harness.waiting import eventually
from kubelab import binary
from kubelab.components import APISERVER, Plan, Ports
from kubelab.layout import Folder
from kubelab.plane import ControlPlane
from kubelab.ports import free_ports

_LOOKS = 3.0  # seconds of the past that the operator gets to see when there is nothing to do


class Past:
    """The second API server of a plane.

    Args:
        plane: the plane.
        port: where it listens.
        link: between it and the store.
    """

    def __init__(self, plane: ControlPlane, port: int, link: Proxy) -> None:
        self.server = f"https://127.0.0.1:{port}"
        self._link = link
        trusted = ssl.create_default_context(cadata=plane.ca.decode())
        token = plane.kubectl("create", "token", "past", "-n", "default", "--duration=24h").stdout.strip()
        self._pool = urllib3.HTTPSConnectionPool(
            "127.0.0.1", port, ssl_context=trusted, headers={"Authorization": f"Bearer {token}"}, retries=False
        )

    def ready(self) -> bool:
        """Whether it serves."""
        try:
            return self._pool.request("GET", "/readyz", timeout=2).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def freeze(self, namespace: str) -> None:
        """Stay as it is, as soon as it knows of a namespace."""
        eventually(lambda: self._knows(namespace), "the second API server's cache")
        self._link.black_hole(forgets=False)

    def thaw(self) -> None:
        """Go on; nothing is lost."""
        self._link.up()

    def _knows(self, namespace: str) -> bool:
        """Its cache is asked: not what the store has, but what it knows."""
        path = f"/api/v1/namespaces/{namespace}?resourceVersion=0"
        return bool(self._pool.request("GET", path, timeout=5).status == 200)


# Who reads at both; applied, because modules come and go with whoever takes over their tests.
_ACCOUNT = {"name": "past", "namespace": "default"}
_READER = (
    {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _ACCOUNT},
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "past"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", **_ACCOUNT}],
    },
)


@contextmanager
def second_api_server(plane: ControlPlane) -> Iterator[Past]:
    """Start one beside the plane's own; it ends with this, or with this process."""
    (port,) = free_ports(1)
    folder = Folder(plane.data_dir)
    with Proxy("127.0.0.1", plane.ports["etcd"]) as link, folder.log("kube-apiserver-past").open("ab") as log:
        plan = Plan(folder=folder, options=plane.options, ports=Ports(apiserver=port, etcd=link.port, etcd_peer=0))
        argv = [*binary.programs().argv(APISERVER), *plan.flags(APISERVER)]
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "kubelab.leashed", *argv],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=plan.environment(),
        )
        try:
            plane.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": _READER}))
            past = Past(plane, port, link)
            eventually(past.ready, "the second API server", seconds=60)
            yield past
        finally:
            link.up()
            process.communicate()


class Stale(Trouble):
    """The operator's way leads to an API server that is frozen in the past, and back.

    Args:
        pasts: by plane.
        plane: whose.
        kinds: of requests that go there; the others go to the plane's own, as through a balancer.
        later: as soon as what users did has come true (else before they do it): it goes back to before that.
    """

    wide = True
    patience = 60.0

    def __init__(self, pasts: Mapping[str, Past], plane: str, *kinds: Where, later: bool = False) -> None:
        self.pasts = pasts
        self.plane = plane
        self.far = plane == FAR
        self.kinds = kinds
        self.later = later

    def prepare(self) -> None:
        self.pasts[self.plane].freeze(self.done.scene.name if self.plane != "hub" else self.done.scene.regional())

    def begin(self) -> None:
        if not self.later:
            self._turn_off()

    def end(self) -> None:
        if not self.later:
            self._turn_back()

    def rewind(self) -> bool:
        if not self.later:
            return False
        self._turn_off()
        self.lane.operator.resync()
        time.sleep(_LOOKS)
        self._turn_back()
        return True

    def over(self) -> None:
        self._turn_back()

    def _turn_off(self) -> None:
        self.lane.proxies[self.plane].divert(self.pasts[self.plane].server, *self.kinds)

    def _turn_back(self) -> None:
        self.lane.proxies[self.plane].divert()
        self.pasts[self.plane].thaw()
