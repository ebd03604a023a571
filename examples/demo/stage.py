"""The stage: two control planes and the operator as a process of its own, with the rights that deploy/ gives it."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from kubelab.plane import ControlPlane

ROOT = Path(__file__).resolve().parents[2]
HUB, EU = "demo-hub", "demo-eu-central"
ORGANIZATION, US_NAMESPACE, EU_NAMESPACE = "shop", "shop-us-west", "shop"
_ACCOUNT = ("secretset-system", "secretset-operator")


class Failed(Exception):
    """A step of the demo did not happen."""


class Stage:
    """Everything that the demo runs on."""

    def __init__(self) -> None:
        self.hub = ControlPlane(HUB, nodes=1, audit=True)
        self.eu = ControlPlane(EU, nodes=1, audit=True)
        self._operator: subprocess.Popen[bytes] | None = None

    def start(self, *, leash: bool) -> None:
        """Start both control planes side by side."""
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda plane: plane.start(leash=leash), (self.hub, self.eu)))

    def stop(self) -> None:
        """End the operator and both control planes."""
        if self._operator is not None:
            self._operator.terminate()
            self._operator.wait(20)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(ControlPlane.stop, (self.hub, self.eu)))

    @property
    def log(self) -> Path:
        """The operator's log."""
        return self.hub.data_dir / "operator.log"

    def install(self) -> None:
        """What deploy/ installs, by kubectl; the operator itself runs as a process instead of a pod."""
        hub, eu = self.hub.kubectl, self.eu.kubectl
        hub("apply", "--server-side", "-k", str(ROOT / "crds"))
        hub("apply", "-f", str(ROOT / "deploy/namespace.yaml"), "-f", str(ROOT / "deploy/rbac.yaml"))
        eu("apply", "-f", str(ROOT / "deploy/region-cluster.yaml"))
        for kubectl, namespace in ((hub, ORGANIZATION), (hub, US_NAMESPACE), (eu, EU_NAMESPACE)):
            kubectl("create", "namespace", namespace)
        hub("apply", "-f", str(ROOT / "deploy/organization.yaml"))
        regional = (ROOT / "deploy/regional-namespace.yaml").read_text()
        hub("apply", "-f", "-", input=regional)
        eu("apply", "-f", "-", input=regional.replace(f"namespace: {US_NAMESPACE}", f"namespace: {EU_NAMESPACE}"))
        credentials = self.eu.service_account_kubeconfig(*_ACCOUNT)
        hub(
            "create", "secret", "generic", "region-eu-central", "-n", "secretset-system",
            f"--from-file=kubeconfig={credentials}",
        )  # fmt: skip

    def start_operator(self, *, leash: bool) -> None:
        """Run the real operator with its own service account; it ends with this process unless the demo is kept."""
        kubeconfig = self.hub.service_account_kubeconfig(*_ACCOUNT)
        command = [sys.executable, "-m", "secretset", "operator", "--kubeconfig", str(kubeconfig), "--port", "0"]
        if leash:
            command = [sys.executable, "-m", "kubelab.leashed", *command]
        with self.log.open("ab") as log:
            self._operator = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if leash else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (self.hub.data_dir / "operator.pid").write_text(str(self._operator.pid))

    def seal(self, name: str, key: str, value: str) -> str:
        """A manifest of a set with one sealed value, made by `secretset seal` with the hub's public key."""
        command = [sys.executable, "-m", "secretset", "seal", name, "-n", ORGANIZATION, "--from-stdin", key]
        command += ["--kubeconfig", str(self.hub.kubeconfig), "--region", "us-west"]
        done = subprocess.run(command, input=value, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode != 0:
            raise Failed(f"`secretset seal` failed: {done.stderr}")
        return done.stdout

    def kill_operator(self) -> None:
        """End the operator as a crash does."""
        if self._operator is not None:
            os.killpg(self._operator.pid, signal.SIGKILL)
            self._operator.wait()

    def object(self, plane: ControlPlane, *args: str) -> dict[str, Any] | None:
        """One object as kubectl prints it; None if it is not there."""
        done = plane.kubectl("get", *args, "-o", "json", "--ignore-not-found")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def values(self, plane: ControlPlane, namespace: str, name: str) -> dict[str, str] | None:
        """The values of a Secret."""
        secret = self.object(plane, "secret", name, "-n", namespace)
        return secret and {key: base64.b64decode(text).decode() for key, text in (secret.get("data") or {}).items()}


def wait_for(what: str, check: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait until something is so, and return it.

    Raises:
        Failed: it was not within the time.
    """
    deadline = time.monotonic() + seconds
    while not (found := check()):
        if time.monotonic() > deadline:
            raise Failed(f"{what}: did not happen within {seconds:.0f} s")
        time.sleep(0.05)
    return found
