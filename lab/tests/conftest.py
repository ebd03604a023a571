"""What the tests of the lab share: a home of their own, and the command line as a user runs it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def lab_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, so that a test sees no planes but its own."""
    monkeypatch.setenv("KUBELAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def cli(lab_home: Path) -> Iterator[Cli]:
    """Runs `kubelab ARGS…`; at the end, stops what is left."""

    def run(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "kubelab", *args]
        return subprocess.run(
            command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=120
        )

    yield run
    run("down", "--all")
