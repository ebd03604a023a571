"""The command line, as a user runs it: what it prints where, and what it says when it cannot."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kubelab import ControlPlane

Cli = Callable[..., subprocess.CompletedProcess[str]]


def test_a_plane_from_up_to_down(cli: Cli, lab_home: Path) -> None:
    up = cli("up", "demo", "--nodes", "2")
    assert up.returncode == 0, up.stderr
    kubeconfig = Path(up.stdout.splitlines()[-1])
    assert kubeconfig.is_relative_to(lab_home)
    assert kubeconfig.stat().st_mode & 0o777 == 0o600
    assert (lab_home / "planes" / "demo").stat().st_mode & 0o777 == 0o700

    (listed,) = json.loads(cli("list", "--output", "json").stdout)
    assert listed["name"] == "demo"
    assert listed["owner"] == "shell"
    assert set(listed["pids"]) == {
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kwok",
    }
    assert "demo" in cli("list").stdout
    assert str(kubeconfig) in cli("list").stdout

    nodes = cli("kubectl", "demo", "get", "nodes", "-o", "name")
    assert nodes.stdout.split() == ["node/node-0", "node/node-1"]
    assert cli("kubectl", "demo", "get", "pod", "absent").returncode == 1
    assert "v1.36" in cli("kubectl", "demo", "version").stdout
    assert cli("helm", "demo", "list").returncode == 0

    taken = cli("up", "demo")
    assert taken.returncode == 1
    assert taken.stderr == "kubelab: a plane named 'demo' is running; stop it with: kubelab down demo\n"

    assert cli("down", "demo").returncode == 0
    assert list((lab_home / "planes").iterdir()) == []
    assert not any(Path(f"/proc/{pid}").exists() for pid in listed["pids"].values())


def test_down_all_spares_planes_of_running_processes(cli: Cli) -> None:
    assert cli("up", "by-hand", "--no-controllers").returncode == 0
    with ControlPlane("owned", controllers=False) as plane:
        assert cli("down", "--all").stderr == "stopped by-hand\n"
        assert plane.kubectl("get", "namespaces").returncode == 0


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["down", "absent"], "no plane is named 'absent' (none is running; start one with: kubelab up absent)"),
        (["kubectl", "absent", "get", "pods"], "no plane is named 'absent'"),
        (["up", "Not_A_Name"], "'Not_A_Name' cannot be the name of a plane"),
        (["up", "x", "--nodes", "1", "--no-controllers"], "nodes need the controllers"),
        (["down"], "name one plane, or give --all"),
        (["down", "x", "--all"], "name one plane, or give --all"),
    ],
)
def test_a_mistake_is_answered_with_a_sentence(cli: Cli, args: list[str], text: str) -> None:
    done = cli(*args)
    assert done.returncode != 0
    assert text in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_plane_that_cannot_start_says_why_and_leaves_nothing(lab_home: Path) -> None:
    with pytest.raises(Exception, match="unknown flag: --no-such-flag"):
        ControlPlane("broken", extra_apiserver_args=("--no-such-flag",)).start()
    assert list((lab_home / "planes").iterdir()) == []


@pytest.mark.parametrize("command", ["", "build", "up", "down", "list", "kubectl", "helm"])
def test_every_command_explains_itself(cli: Cli, command: str) -> None:
    done = cli(*command.split(), "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout
