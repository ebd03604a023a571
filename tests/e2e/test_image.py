"""What the Dockerfile does, without a container engine: wheel, pinned requirements, an empty environment, no root."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65532  # the user of the image


@pytest.fixture(scope="module")
def environment() -> Iterator[Path]:
    """The environment that the image carries; readable for the image's user."""
    folder = Path(tempfile.mkdtemp(prefix="secretset-image-"))
    folder.chmod(0o755)
    try:
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "dist"], cwd=ROOT, check=True
        )
        target = folder / "secretset"
        venv.create(target, with_pip=True)
        pip: list[str | Path] = [target / "bin/pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "-r", ROOT / "requirements/runtime.txt"], check=True)
        subprocess.run([*pip, "--no-deps", *(folder / "dist").glob("*.whl")], check=True)
        subprocess.run([target / "bin/pip", "uninstall", "-qy", "setuptools", "pip"], check=True)
        yield target
    finally:
        shutil.rmtree(folder)


def run(environment: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run the entry point as the image's user (if we may change users), with nothing of ours in its environment."""
    other = os.geteuid() == 0
    return subprocess.run(
        [environment / "bin/secretset", *args],
        env={"PATH": f"{environment}/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        user=NOBODY if other else None,
        group=NOBODY if other else None,
        extra_groups=[] if other else None,
    )


@pytest.mark.timeout(300)
def test_the_entry_point_works_in_an_empty_environment(environment: Path) -> None:
    version = run(environment, "--version")
    assert version.returncode == 0, version.stderr
    assert re.fullmatch(r"secretset \d+\.\d+\.\d+\n", version.stdout)
    crds = run(environment, "crds")
    assert crds.stdout.count("kind: CustomResourceDefinition") == 3
    help_text = run(environment, "operator", "--help")
    assert "SECRETSET_NAMESPACE" in help_text.stdout
    operator = run(environment, "operator", "--kubeconfig", "/nowhere")
    assert operator.returncode == 2
    assert operator.stderr.splitlines()[-1] == "secretset operator: there is no kubeconfig at '/nowhere'"


def test_no_build_tools_are_left(environment: Path) -> None:
    installed = {path.name.split("-")[0].lower() for path in environment.glob("lib/*/site-packages/*.dist-info")}
    assert not installed & {"pip", "setuptools", "wheel", "hatchling", "pytest", "mypy", "kubelab"}
    assert {"secretset_operator", "kopf", "kubernetes"} <= installed


def test_the_dockerfile_copies_what_is_there() -> None:
    text = (ROOT / "Dockerfile").read_text()
    sources = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    names = [name for group in sources for name in group.split()]
    assert names
    assert all((ROOT / name).exists() for name in names)
    allowed = {
        line[1:].rstrip("/") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    assert {name.rstrip("/") for name in names} == allowed
    assert f"USER {NOBODY}:{NOBODY}" in text
