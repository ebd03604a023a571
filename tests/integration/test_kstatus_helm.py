"""`helm --wait` of a chart with sets: it waits while one is pending, and does not when one has failed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from harness import OperatorProcess, Org, holds, value_from

# Helm gives up after this; whoever waits for Helm does so much earlier.
GIVES_UP = "10m"
FAST = 60.0


class Release:
    """A release of sets, each with a source of its own name."""

    def __init__(self, org: Org, folder: Path) -> None:
        self.org = org
        self._folder = folder
        (folder / "templates").mkdir()
        (folder / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": "team", "version": "0.1.0"}))

    def has(self, **sources: str) -> None:
        """Write the chart: names of sets, and of the Secrets that they read."""
        for name, source in sources.items():
            body = {
                "apiVersion": "secretset.dev/v1alpha1",
                "kind": "SecretSet",
                "metadata": {"name": name},
                "spec": {"data": {"A": value_from(source, "a")}},
            }
            (self._folder / "templates" / f"{name}.yaml").write_text(yaml.safe_dump(body))

    @contextmanager
    def runs(self, command: str) -> Iterator[subprocess.Popen[str]]:
        """Helm, meanwhile."""
        arguments = (command, "team", str(self._folder), "-n", self.org.name, "--wait", f"--timeout={GIVES_UP}")
        with subprocess.Popen(
            [*self.org.plane.command("helm"), *arguments],
            env=self.org.plane.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def ends(self, command: str) -> tuple[int, str]:
        """Exit code of Helm, and its errors; long before it gives up."""
        with self.runs(command) as process:
            return ended(process)

    def state(self) -> str:
        """As Helm has it."""
        done = subprocess.run(
            [*self.org.plane.command("helm"), "status", "team", "-n", self.org.name, "-o", "json"],
            env=self.org.plane.environment(),
            capture_output=True,
            check=True,
        )
        return str(json.loads(done.stdout)["info"]["status"])


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and errors; TimeoutExpired if it does not end soon."""
    _, errors = process.communicate(timeout=FAST)
    return process.returncode, errors


@pytest.fixture
def release(org: Org, operator: OperatorProcess, tmp_path: Path) -> Release:
    assert operator.running
    return Release(org, tmp_path)


def test_it_waits_while_a_set_is_pending(release: Release) -> None:
    release.has(app="later")
    with release.runs("install") as helm:
        release.org.reaches("pending", "SourceMissing")
        holds(lambda: helm.poll() is None, seconds=2)
        release.org.source("later")
        assert ended(helm) == (0, "")
    assert (release.state(), release.org.status()["phase"]) == ("deployed", "ready")


def test_it_fails_at_once_when_a_set_failed(release: Release) -> None:
    release.org.source("closed", labelled=False)
    release.has(app="closed")
    code, errors = release.ends("install")
    assert (code, release.state()) == (1, "failed")
    # What is wrong is what Helm says.
    assert release.org.status()["message"] in errors
    assert f"SecretSet/{release.org.name}/app not ready. status: Failed" in errors
    # Mended, and in an upgrade.
    release.org.source("closed")
    release.org.reaches("ready")
    assert release.ends("upgrade") == (0, "")
    release.org.source("other", labelled=False)
    release.has(app="other")
    assert release.ends("upgrade")[0] == 1
    release.org.source("other")
    assert release.ends("upgrade") == (0, "")
    assert release.state() == "deployed"


def test_a_failure_is_told_when_nothing_else_is_pending_any_more(release: Release) -> None:
    release.org.source("closed", labelled=False)
    release.has(app="closed", beside="later")
    with release.runs("install") as helm:
        release.org.reaches("failed", "SourceForbidden")
        release.org.reaches("pending", "SourceMissing", name="beside")
        holds(lambda: helm.poll() is None, seconds=2)
        release.org.source("later")
        code, errors = ended(helm)
    assert (code, "SecretSet/" in errors) == (1, True)
    assert "beside not ready" not in errors


def test_an_upgrade_waits_for_the_generation_that_it_made(release: Release) -> None:
    release.org.source("one")
    release.has(app="one")
    assert release.ends("install") == (0, "")
    release.has(app="two")
    with release.runs("upgrade") as helm:
        release.org.reaches("pending", "SourceMissing")
        holds(lambda: helm.poll() is None, seconds=1)
        release.org.source("two")
        assert ended(helm) == (0, "")
