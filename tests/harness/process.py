"""The operator as a process, with the service account and the roles of deploy/, and what it wrote."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from harness.waiting import eventually
from kubelab.plane import ControlPlane

ROOT = Path(__file__).resolve().parents[2]
OPERATOR_ACCOUNT = ("secretset-system", "secretset-operator")
# Reviews of access are questions; Leases are the replicas' heartbeat; Events are best effort.
APART = frozenset({"events", "leases", "selfsubjectaccessreviews", "selfsubjectrulesreviews"})
USER = "system:serviceaccount:secretset-system:secretset-operator"


def install_hub(plane: ControlPlane) -> None:
    """CRDs, namespace and roles, as deploy/ has them."""
    plane.kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
    plane.kubectl("apply", "-f", str(ROOT / "deploy/namespace.yaml"), "-f", str(ROOT / "deploy/rbac.yaml"))
    for plural in ("secretsets", "imagepullsecrets", "regions"):
        plane.kubectl("wait", "--for=condition=Established", f"crd/{plural}.secretset.dev", "--timeout=20s")


def install_region_cluster(plane: ControlPlane) -> None:
    """What another cluster needs to be a region."""
    plane.kubectl("apply", "-f", str(ROOT / "deploy/region-cluster.yaml"))


class OperatorProcess:
    """The operator, or another command, as a process; ends with the tests, whatever ends them.

    Args:
        plane: the hub.
        flags: more options.
        kubeconfig: of the hub; absent, that of the account of deploy/.
        code: Python that is run instead of ``-m secretset``: an operator that something was done to.
        command: of `secretset`.
    """

    def __init__(
        self,
        plane: ControlPlane,
        *flags: str,
        kubeconfig: Path | None = None,
        code: str | None = None,
        command: str = "operator",
    ) -> None:
        self.plane = plane
        self.log = plane.data_dir / f"{command}-{secrets.token_hex(3)}.log"
        self._command = command
        self._flags = flags
        self._program = ("-m", "secretset") if code is None else ("-c", code)
        self._kubeconfig = kubeconfig or plane.service_account_kubeconfig(*OPERATOR_ACCOUNT)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        """Start, and wait until it says that it is ready."""
        already = self._count_ready()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "kubelab.leashed"),
                    *(sys.executable, *self._program, self._command, "--kubeconfig", str(self._kubeconfig)),
                    *("--port", "0", "--log-level", "debug", "--log-format", "json", *self._flags),
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # A kubeconfig of whoever runs the tests must not be mixed in.
                env={key: value for key, value in os.environ.items() if key != "KUBECONFIG"},
            )
        if wait:
            eventually(lambda: self._count_ready() > already, f"readiness of secretset {self._command}", seconds=30)

    def stop(self) -> int:
        """SIGTERM; returns the exit code. Who was held still, by a test that failed meanwhile, goes on to hear it."""
        process = self._running()
        process.terminate()
        self.resume()
        return self._ended(process)

    def ends(self) -> int:
        """Wait until it ends by itself; returns the exit code."""
        return self._ended(self._running())

    def kill(self) -> None:
        """As a crash ends it."""
        process = self._running()
        os.killpg(process.pid, signal.SIGKILL)
        self._ended(process)

    def restart(self) -> None:
        """Kill and start again."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Hold it still, as a starved node does; `resume` lets it go on."""
        os.killpg(self._running().pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.killpg(self._running().pid, signal.SIGCONT)

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def url(self, path: str) -> str:
        """Of the newest process."""
        found = re.findall(r'"address": ?"(http://[^"]+)"', self.log.read_text())
        return f"{found[-1]}{path}"

    def fetch(self, path: str) -> tuple[int, str]:
        """GET a path of its HTTP server."""
        try:
            with urllib.request.urlopen(self.url(path), timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def lines(self) -> list[dict[str, Any]]:
        """Its log."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def writes(self) -> list[dict[str, Any]]:
        """Audit events of what it wrote to the hub."""
        return writes(self.plane)

    def _count_ready(self) -> int:
        return self.log.read_text().count('"event": "ready"') if self.log.exists() else 0

    def _ended(self, process: subprocess.Popen[bytes]) -> int:
        code = process.wait(20)
        assert process.stdin is not None
        process.stdin.close()
        self._process = None
        return code

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process


def writes(plane: ControlPlane, *, user: str = USER) -> list[dict[str, Any]]:
    """Audit events of a user's writes, but for those that are counted apart."""
    return [
        event
        for event in plane.audit_events()
        if event["user"].get("username") == user  # a request that was not authenticated has none
        and event["objectRef"]["resource"] not in APART
    ]


def described(events: list[dict[str, Any]]) -> list[str]:
    """Audit events as ``verb resource[/subresource] name``, for assertions that read well."""
    return [
        " ".join(
            filter(
                None,
                (
                    event["verb"],
                    "/".join(filter(None, (event["objectRef"]["resource"], event["objectRef"].get("subresource")))),
                    event["objectRef"].get("name"),
                ),
            )
        )
        for event in events
    ]
