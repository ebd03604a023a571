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

from harness import OPERATOR_ACCOUNT, install_hub
from harness.script import BUILT, needs_npm
from kubelab.plane import ControlPlane

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65532  # the user of the image


@pytest.fixture(scope="module")
def environment() -> Iterator[Path]:
    """The environment that the image carries; readable for the image's user."""
    # Not in the folder of the tests, which is for one user alone.
    folder = Path(tempfile.mkdtemp(prefix="secretset-image-", dir="/tmp"))
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


# What the image does not have, of what this machine does.
SHELLS = ["sh", "bash", "dash", "rbash"]
# Nothing can be written but /mnt, nobody is root, and there is no shell: the image, and what the pod of
# deploy/operator.yaml is given.
_SEAL = (
    "mount --make-rprivate / && mount -o remount,ro,bind / && mount -t tmpfs -o mode=1777 tmpfs /mnt "
    f"&& for shell in {' '.join(SHELLS)}; do for folder in /bin /usr/bin; do "
    "[ ! -e $folder/$shell ] || mount --bind /dev/null $folder/$shell || exit; done; done "
    f'&& exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups "$@"'
)
SEALED = ["unshare", "-m", "sh", "-c", _SEAL, "sh"]


def command(environment: Path, *args: str) -> list[str]:
    """The entry point, sealed off as far as this machine lets us."""
    try:
        possible = subprocess.run([*SEALED, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        possible = False
    return [*(SEALED if possible else []), str(environment / "bin/secretset"), *args]


def surroundings(environment: Path) -> dict[str, str]:
    """The image's environment variables."""
    path = f"{environment}/bin:{os.environ['PATH']}"
    return {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/mnt", "TMPDIR": "/mnt"}


def run(environment: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run the entry point to its end."""
    return subprocess.run(
        command(environment, *args),
        env=surroundings(environment),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(300)
def test_the_entry_point_works_in_an_empty_environment(environment: Path) -> None:
    version = run(environment, "--version")
    assert version.returncode == 0, version.stderr
    assert re.fullmatch(r"secretset \d+\.\d+\.\d+\n", version.stdout)
    crds = run(environment, "crds")
    assert crds.stdout.count("kind: CustomResourceDefinition") == 3
    assert "name: secretset-webhook" in run(environment, "install", "--print").stdout
    help_text = run(environment, "operator", "--help")
    assert "SECRETSET_NAMESPACE" in help_text.stdout
    operator = run(environment, "operator", "--kubeconfig", "/nowhere")
    assert operator.returncode == 2
    assert operator.stderr.splitlines()[-1] == "secretset operator: there is no kubeconfig at '/nowhere'"


@pytest.mark.timeout(300)
def test_the_operator_runs_without_root_on_a_read_only_disk(environment: Path, control_plane: ControlPlane) -> None:
    install_hub(control_plane)
    kubeconfig = environment.parent / "kubeconfig"
    kubeconfig.write_bytes(control_plane.service_account_kubeconfig(*OPERATOR_ACCOUNT).read_bytes())
    kubeconfig.chmod(0o644)
    line = command(environment, "operator", "--kubeconfig", str(kubeconfig), "--port", "0", "--log-format", "json")
    with subprocess.Popen(
        line,
        env=surroundings(environment),
        cwd="/",
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        try:
            told = next((text for text in process.stderr if '"event": "ready"' in text), None)
            assert told is not None
            if line[0] == "unshare":
                assert Path(f"/proc/{process.pid}").stat().st_uid == NOBODY
        finally:
            process.terminate()
        assert process.wait(20) == 0


def test_no_build_tools_are_left(environment: Path) -> None:
    installed = {path.name.split("-")[0].lower() for path in environment.glob("lib/*/site-packages/*.dist-info")}
    assert not installed & {"pip", "setuptools", "wheel", "hatchling", "pytest", "mypy", "kubelab"}
    assert {"secretset_operator", "kopf", "kubernetes"} <= installed


@pytest.mark.timeout(300)
def test_no_shell_is_there(environment: Path) -> None:
    line = command(environment)
    if line[0] != "unshare":
        pytest.skip("this machine lets nobody mount")
    for shell in filter(shutil.which, SHELLS):
        done = subprocess.run([*line[:-1], shell, "-c", "true"], capture_output=True)
        assert done.returncode == 126, f"{shell} was run, or is not there: then it proves nothing"


@needs_npm
def test_the_dashboard_and_its_script_are_in_the_wheel(environment: Path) -> None:
    (web,) = environment.glob("lib/python3*/site-packages/secretset/web")
    assert {each.name for each in (web / "static").iterdir()} == {"dashboard.css", "dashboard.js", "icon.svg"}
    assert (web / "static/dashboard.js").read_bytes() == BUILT.read_bytes()


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


def test_the_image_is_pinned_described_and_without_what_could_be_used_against_it() -> None:
    text = (ROOT / "Dockerfile").read_text()
    (base,) = re.findall(r"^ARG BASE=(.*)$", text, re.MULTILINE)
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}", base)
    *before, last = re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]
    assert {stage.split()[0] for stage in before} == {"${BASE}"}
    assert last.split()[0] == "scratch"
    labels = set(re.findall(r"org\.opencontainers\.image\.(\w+)=", last))
    assert labels == {"title", "description", "licenses", "version", "revision", "source"}
    assert f"USER {NOBODY}:{NOBODY}" in last
    removed = set(" ".join(re.findall(r"rm -f (.*?)(?: \\)?$", text, re.MULTILINE)).split())
    assert {f"/usr/bin/{shell}" for shell in SHELLS} <= removed
