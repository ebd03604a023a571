"""The four commands of the README: from an empty cluster to a Deployment with secrets in its environment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness import ROOT, OperatorProcess, decoded, eventually
from harness.org import Org
from kubelab.plane import ControlPlane
from kubelab.pytest_plugin import ControlPlanes

SYSTEM = ("deployment", "secretset-operator", "-n", "secretset-system", "--ignore-not-found", "-o", "name")


def commands() -> list[str]:
    """What stands in the README there, without comments."""
    section = (ROOT / "README.md").read_text().partition("## From nothing to a Deployment with secrets")[2]
    block = section.partition("```sh\n")[2].partition("```")[0]
    return [re.sub(r"\s+#.*", "", line) for line in block.splitlines()]


@pytest.fixture
def plane(control_planes: ControlPlanes) -> ControlPlane:
    """An empty cluster; its nodes run nothing."""
    (plane,) = control_planes(["empty"], nodes=1)
    return plane


@pytest.fixture
def shell(tmp_path: Path) -> Path:
    """A user's folder, with `secretset` on the path."""
    script = tmp_path / "bin" / "secretset"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m secretset "$@"\n')
    script.chmod(0o755)
    return tmp_path


def run(plane: ControlPlane, folder: Path, command: str) -> subprocess.Popen[str]:
    environment = {**plane.environment(), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "NO_COLOR": "1"}
    return subprocess.Popen(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def again(plane: ControlPlane, folder: Path, command: str, *, code: int = 0) -> str:
    done = run(plane, folder, command)
    said = done.communicate(timeout=90)[0]
    assert done.returncode == code, said
    return said


def test_from_an_empty_cluster_in_under_five_commands(plane: ControlPlane, shell: Path, canaries: list[str]) -> None:
    canary = Org(plane, "default", canaries).canary()
    (shell / ".env").write_text(f"API_KEY='{canary}'\n")
    install, *others = commands()
    assert len(others) < 4
    assert all(line.startswith("secretset ") for line in [install, *others])
    printed = again(plane, shell, "secretset install --api --image other:1 --print")
    assert set(re.findall(r" image: (.+)", printed)) == {"other:1"}
    told = again(plane, shell, "secretset list", code=2)
    assert "the hub knows no secretsets: install it there with `secretset install`" in told
    first = run(plane, shell, install)
    # No kubelet runs the Deployment here, so its process is started by hand, with its account.
    eventually(lambda: plane.kubectl("get", *SYSTEM).stdout.strip() != "", seconds=60)
    process = OperatorProcess(plane)
    process.start()
    try:
        said = first.communicate(timeout=90)[0]
        assert first.returncode == 0, said
        for line in others:
            assert canary not in again(plane, shell, line)
        org = Org(plane, "default", canaries)
        web = org.get("deployment", "web", namespace="default-us-west")
        assert web is not None
        (container,) = web["spec"]["template"]["spec"]["containers"]
        assert container["envFrom"] == [{"secretRef": {"name": "checkout"}}]
        assert decoded(org.get("secret", "checkout", namespace="default-us-west")) == {"API_KEY": canary.encode()}
        told = again(plane, shell, "secretset install --region us-east")
        assert "note: 'us-west' stays the default region" in told
        assert "region/us-east created" in told
        assert not any("deployment/" in line and "unchanged" not in line for line in told.splitlines())
        plane.kubectl("delete", "region", "us-east")
        plane.kubectl("cordon", "node-0")  # no pod starts any more
        told = again(plane, shell, "secretset install --image other:1 --timeout 3", code=3)
        assert "Deployment 'secretset-operator' does not run yet" in told
    finally:
        assert process.stop() == 0
