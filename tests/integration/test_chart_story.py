"""The chart's README, line by line: from an empty cluster to sets that are ready, an upgrade, and away again."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness import ROOT, OperatorProcess, decoded, eventually
from harness.api import ApiUser
from harness.helm import CHART, NAMESPACE, RELEASE, SETS, delivered, found, hook_pods, listed, sets_are_taken
from kubelab.plane import ControlPlane
from kubelab.ports import free_ports
from kubelab.pytest_plugin import ControlPlanes

# helm waits for pods and regions, and there are many commands.
pytestmark = pytest.mark.timeout(600)


def commands(title: str) -> list[list[str]]:
    """The blocks of commands in a section of the README."""
    text = (CHART / "README.md").read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return [
        [line.strip() for line in block.splitlines()]
        for block in re.findall(r"(?:^    .+\n)+", text, flags=re.MULTILINE)
    ]


@pytest.fixture
def plane(control_planes: ControlPlanes) -> ControlPlane:
    """An empty cluster."""
    (plane,) = control_planes(["stranger"], nodes=1)
    return plane


@pytest.fixture
def path(plane: ControlPlane, tmp_path: Path) -> Path:
    """A folder with helm and kubectl."""
    for program in ("helm", "kubectl"):
        script = tmp_path / program
        script.write_text(f'#!/bin/sh\nexec {shlex.join(plane.command(program))} "$@"\n')
        script.chmod(0o755)
    return tmp_path


class Stranger:
    """Somebody at the root of the repository, with helm, kubectl and an administrator's kubeconfig."""

    def __init__(self, plane: ControlPlane, path: Path) -> None:
        self._environment = {**plane.environment(), "PATH": f"{path}:{os.environ['PATH']}"}

    def start(self, line: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-c", line],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def types(self, line: str) -> str:
        """Returns what was printed; what fails fails the test."""
        return self.ended(self.start(line), line)

    @staticmethod
    def ended(process: subprocess.Popen[str], line: str) -> str:
        said = process.communicate(timeout=120)[0]
        assert process.returncode == 0, f"{line}\n{said}"
        return said


class Processes:
    """Operator, webhook and API with the accounts that the chart made, in the place of their pods.

    Attributes:
        port: of the webhook.
    """

    def __init__(self, plane: ControlPlane) -> None:
        (self.port,) = free_ports(1)
        flags = {
            "operator": ("--quiet-seconds", "0.2"),
            "webhook": ("--self-signed", "--health-port", "0", "--port", str(self.port)),
            "api": ("--health-port", "0"),
        }
        self._of = {
            part: OperatorProcess(
                plane,
                *more,
                kubeconfig=plane.service_account_kubeconfig(NAMESPACE, f"secretset-{part}"),
                command=part,
            )
            for part, more in flags.items()
        }
        for process in self._of.values():
            process.start()

    def api(self) -> str:
        """Where the API listens."""
        return str(re.findall(r'"api": ?"(https?://[^"]+)"', self._of["api"].log.read_text())[-1])

    def stop(self) -> None:
        """End what runs of them."""
        assert [process.stop() for process in self._of.values() if process.running] in ([], [0, 0, 0])


@pytest.fixture
def started(plane: ControlPlane) -> Iterator[list[Processes]]:
    """Put processes in, and they end with the test."""
    started: list[Processes] = []
    yield started
    for each in started:
        each.stop()


@contextmanager
def asked(plane: ControlPlane, port: int) -> Iterator[None]:
    """Have the API server ask the webhook by URL: no Service leads anywhere here."""
    where = ("mutatingwebhookconfiguration", "secretset-seal")

    def replace(config: Any) -> None:
        change = [{"op": "replace", "path": "/webhooks/0/clientConfig", "value": config}]
        plane.kubectl("patch", *where, "--type=json", "-p", json.dumps(change))

    eventually(lambda: "caBundle" in found(plane, *where)["webhooks"][0]["clientConfig"], "the webhook's CA")
    before = found(plane, *where)["webhooks"][0]["clientConfig"]
    replace({"url": f"https://localhost:{port}/seal", "caBundle": before["caBundle"]})
    try:
        yield
    finally:
        replace(before)


def ready(plane: ControlPlane) -> None:
    kinds = ("secretsets,imagepullsecrets", "--all", "-n", "shop")
    plane.kubectl("wait", *kinds, "--for=jsonpath={.status.phase}=ready", "--timeout=30s")


def value(plane: ControlPlane, name: str) -> dict[str, bytes]:
    return decoded(found(plane, "secret", name, "-n", "shop-us-west"))


def test_a_stranger_installs_uses_upgrades_and_uninstalls(
    plane: ControlPlane, path: Path, started: list[Processes]
) -> None:
    stranger = Stranger(plane, path)
    (install, *use), (label, *_) = commands("Install")
    line = stranger.start(install)
    parts = [f"secretset-{part}" for part in ("operator", "webhook", "api")]
    deployments = ("deployments", *parts, "-n", NAMESPACE, "-o", "name", "--ignore-not-found")
    eventually(
        lambda: len(plane.kubectl("get", *deployments).stdout.split()) == 3 or line.poll() is not None, seconds=60
    )
    processes = Processes(plane)
    started.append(processes)
    notes = stranger.ended(line, install)
    assert "Next: kubectl get regions" in notes
    sets_are_taken(plane)
    for each in use:
        stranger.types(each)
    assert "Warning" not in stranger.types(label)  # of pods that are there
    ready(plane)
    names = plane.kubectl("get", "secretsets,imagepullsecrets", "-n", "shop", "-o", "name").stdout.split()
    assert {tuple(name.split(".secretset.dev/")) for name in names} == SETS
    assert value(plane, "checkout")["API_KEY"] == b"change-me"

    sealed_at_admission(plane, processes)
    set_by_the_api(plane, processes)

    (lines,) = commands("Upgrade")
    for each in lines:
        stranger.types(each)
    ready(plane)
    env = found(plane, "deployment", RELEASE, "-n", NAMESPACE)["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "SECRETSET_MAX_ROLLOUTS", "value": "5"} in env
    assert {each["metadata"]["name"] for each in found(plane, "regions")["items"]} == {"us-west", "eu-central"}

    (away, uninstall), (*everything, namespaces) = commands("Uninstall")
    stranger.types(away)
    assert delivered(plane) == set()
    processes.stop()
    with hook_pods(plane) as printed:
        assert "kept due to the resource policy" in stranger.types(uninstall)
    assert printed == ["There are no sets.\n"]
    for each in (*everything, namespaces):
        stranger.types(each)
    nothing_is_left(plane)


def sealed_at_admission(plane: ControlPlane, processes: Processes) -> None:
    """A plain value is sealed by the webhook before it is stored."""
    plain = secrets.token_hex(16)
    meta = {"name": "plain", "namespace": "shop"}
    obj = {"apiVersion": "secretset.dev/v1alpha1", "kind": "SecretSet", "metadata": meta}
    obj["spec"] = {"data": {"A": {"value": plain}}}
    with asked(plane, processes.port):
        plane.kubectl("apply", "-f", "-", input=json.dumps(obj))
    ready(plane)
    stored = plane.kubectl("get", "secretset", "plain", "-n", "shop", "-o", "yaml").stdout
    assert plain not in stored
    assert "hpke1." in stored
    assert value(plane, "plain") == {"A": plain.encode()}


def set_by_the_api(plane: ControlPlane, processes: Processes) -> None:
    """The API serves whoever has a role in the organization, with their token."""
    plane.kubectl("create", "serviceaccount", "ci", "-n", "shop")
    role = ("--clusterrole=secretset-editor", "--serviceaccount=shop:ci")
    plane.kubectl("create", "rolebinding", "ci", "-n", "shop", *role)
    token = plane.kubectl("create", "token", "ci", "-n", "shop").stdout.strip()
    user = ApiUser(api=processes.api(), token=token, root="/v1/organizations/shop")
    plain = secrets.token_hex(16)
    assert user.values("by-api", A=plain).status == 202
    eventually(lambda: user.get("/secrets/by-api").json["status"] == "ready", "ready", seconds=20)
    assert value(plane, "by-api") == {"A": plain.encode()}
    assert base64.b64encode(plain.encode()).decode() not in json.dumps(user.get("/secrets/by-api").json)


def nothing_is_left(plane: ControlPlane) -> None:
    """No object of the chart, no CRD, and no namespace, whether it goes or not."""
    kinds = plane.kubectl("api-resources", "--verbs=list", "-o", "name").stdout.split()
    assert not [each for each in kinds if each.endswith(".secretset.dev")]
    assert listed(plane, "app.kubernetes.io/part-of=secretset-operator") == set()
    namespaces = {each["metadata"]["name"] for each in found(plane, "namespaces")["items"]}
    assert namespaces == {"default", "kube-node-lease", "kube-public", "kube-system"}
