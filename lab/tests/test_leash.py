"""Nothing outlives its owner: however the owner, or the supervisor, ends."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kubelab import ControlPlane, layout

Cli = Callable[..., subprocess.CompletedProcess[str]]

OWNER = """
    import os, time
    from kubelab import ControlPlane
    plane = ControlPlane("owned", controllers=False)
    plane.start(lambda step: print(step, flush=True))
    if {fork} and os.fork() == 0:
        time.sleep({fork})
        os._exit(0)
    print("ready", *plane.pids.values(), flush=True)
    time.sleep(600)
"""


def _owner(fork: int = 0) -> subprocess.Popen[str]:
    script = textwrap.dedent(OWNER.format(fork=fork))
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


def _read_until(process: subprocess.Popen[str], word: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(word):
            return line
    raise AssertionError(f"the owner ended without '{word}'")


def _kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def _is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _wait_for_end(pids: list[int], folder: Path, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while folder.exists() or any(_is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "something is left"
        time.sleep(0.05)


def test_killing_the_owner_ends_everything_and_deletes_the_data(lab_home: Path) -> None:
    owner = _owner()
    pids = [int(pid) for pid in _read_until(owner, "ready").split()[1:]]
    folder = lab_home / "planes" / "owned"
    pids.append(layout.Folder(folder).read_state()["supervisor"])
    assert len(pids) == 3
    assert folder.exists()
    _kill(owner)
    _wait_for_end(pids, folder)


def test_killing_the_owner_of_a_plane_that_is_starting_does_too(lab_home: Path) -> None:
    owner = _owner()
    _read_until(owner, "the API server")
    assert (lab_home / "planes" / "owned").exists()
    _kill(owner)
    _wait_for_end([], lab_home / "planes" / "owned")


def test_a_process_that_the_owner_forked_does_not_keep_the_plane_alive(lab_home: Path) -> None:
    owner = _owner(fork=30)
    pids = [int(pid) for pid in _read_until(owner, "ready").split()[1:]]
    _kill(owner)
    _wait_for_end(pids, lab_home / "planes" / "owned")


def test_killing_the_supervisor_kills_its_programs_and_the_next_command_cleans_up(cli: Cli, lab_home: Path) -> None:
    assert cli("up", "orphan", "--no-controllers").returncode == 0
    state = layout.find("orphan").read_state()
    os.kill(state["supervisor"], signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(_is_alive(pid) for pid in state["pids"].values()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (lab_home / "planes" / "orphan").exists()
    assert cli("list", "-o", "json").stdout.strip() == "[]"
    assert not (lab_home / "planes" / "orphan").exists()


def test_sigterm_ends_a_plane(cli: Cli, lab_home: Path) -> None:
    assert cli("up", "polite", "--no-controllers").returncode == 0
    state = layout.find("polite").read_state()
    os.kill(state["supervisor"], signal.SIGTERM)
    _wait_for_end(list(state["pids"].values()), lab_home / "planes" / "polite")


def test_a_port_that_was_taken_meanwhile_is_replaced(
    lab_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        (tmp_path / "sitecustomize.py").write_text(
            textwrap.dedent(f"""
                import kubelab.ports
                real, given = kubelab.ports.free_ports, [{port}]
                def free_ports(count):
                    taken = [given.pop()] if given else []
                    return [*taken, *real(count)][:count]
                kubelab.ports.free_ports = free_ports
            """)
        )
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        with ControlPlane("late", controllers=False) as plane:
            assert plane.ports["apiserver"] != port
            plane.kubectl("get", "namespaces")
