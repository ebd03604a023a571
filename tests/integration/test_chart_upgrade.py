"""Upgrades of the chart: from every release, with CRDs that changed, and back again."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness import ROOT, OperatorProcess
from harness.helm import (
    CHART,
    NAMESPACE,
    RELEASE,
    SETS,
    Helm,
    apply_examples,
    delivered,
    example_values,
    found,
    installed,
)
from harness.releases import UNRELEASED, chart_of, released
from kubelab.plane import ControlPlane
from kubelab.pytest_plugin import ControlPlanes

# helm waits for pods and regions, and there are many commands.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def plane(function_control_planes: ControlPlanes) -> ControlPlane:
    (plane,) = function_control_planes(["upgrade"], nodes=1)
    return plane


@pytest.fixture
def helm(plane: ControlPlane) -> Helm:
    plane.kubectl("apply", "-f", str(ROOT / "deploy/namespace.yaml"))
    return Helm(plane)


@pytest.fixture(params=released())
def release(request: pytest.FixtureRequest) -> str:
    """Each that there was."""
    return str(request.param)


@pytest.fixture
def process(helm: Helm, release: str, tmp_path: Path) -> Iterator[OperatorProcess]:
    """An operator of today with the rights that the chart of a release gave: it is what is rolled out first."""
    with installed(helm, chart=chart_of(release, tmp_path)) as process:
        yield process


def test_an_upgrade_from_every_release_keeps_sets_and_regions(
    helm: Helm, process: OperatorProcess, plane: ControlPlane, tmp_path: Path
) -> None:
    apply_examples(plane)
    secrets = {
        name: found(plane, "secret", name, "-n", namespace)["metadata"]["uid"] for namespace, name in delivered(plane)
    }
    uids = {each["metadata"]["uid"] for each in found(plane, "regions")["items"]}
    other = example_values() | {
        # The other one is taken out of the values, and stays.
        "regions": [{"name": "us-west", "default": True, "displayName": "West"}],
        "operator": {"settings": {"workers": 4}},
    }
    helm.upgrade(with_newer_crds(tmp_path), other)
    crds = found(plane, "customresourcedefinitions")["items"]
    assert [each["metadata"]["labels"].get("newer") for each in crds] == ["yes"] * 3
    assert all(each["spec"]["versions"][0]["additionalPrinterColumns"][-1]["name"] == "Newer" for each in crds)
    assert {each["metadata"]["uid"] for each in found(plane, "regions")["items"]} == uids
    assert found(plane, "region", "us-west")["spec"]["displayName"] == "West"

    helm.run("rollback", RELEASE, "1", "--wait", "--timeout=60s")
    assert found(plane, "region", "us-west")["spec"]["displayName"] == "US West"
    crds = found(plane, "customresourcedefinitions")["items"]
    assert [each["metadata"]["labels"].get("newer") for each in crds] == ["yes"] * 3
    helm.upgrade()
    for kind, name in SETS:
        assert found(plane, kind, name, "-n", "shop")["status"]["phase"] == "ready"
    assert secrets == {
        name: found(plane, "secret", name, "-n", namespace)["metadata"]["uid"] for namespace, name in delivered(plane)
    }
    assert found(plane, "deployment", RELEASE, "-n", NAMESPACE)["status"]["observedGeneration"] > 1
    assert process.running


def with_newer_crds(folder: Path) -> Path:
    """The chart of the tree, whose CRDs have something that no other version has."""
    newer = folder / "newer"
    shutil.copytree(CHART, newer)
    for path in (newer / "crds").iterdir():
        crd = yaml.safe_load(path.read_text())
        crd["metadata"]["labels"]["newer"] = "yes"
        crd["spec"]["versions"][0]["additionalPrinterColumns"].append(
            {"name": "Newer", "type": "string", "jsonPath": ".metadata.uid", "priority": 1}
        )
        path.write_text(yaml.safe_dump(crd))
    return newer


def test_releases_are_read_from_tags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What will be done once there are some is done here with a repository of one's own."""
    repository = tmp_path / "repository"
    shutil.copytree(CHART, repository / CHART.relative_to(ROOT))

    def git(*args: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *who, *args], cwd=repository, check=True, capture_output=True)

    git("init", "-q")
    (repository / "README.md").write_text("before there was a chart\n")
    git("add", "README.md")
    git("commit", "-q", "-m", "one")
    git("tag", "v0.0.9")
    git("add", ".")
    git("commit", "-q", "-m", "two")
    monkeypatch.setattr("harness.releases.ROOT", repository)
    monkeypatch.setattr("harness.releases.CHART", repository / CHART.relative_to(ROOT))
    assert released() == [UNRELEASED]
    git("tag", "v0.10.0")
    git("tag", "v0.9.0")
    assert released() == ["v0.9.0", "v0.10.0"]
    chart = chart_of("v0.10.0", tmp_path / "out")
    assert (chart / "templates/operator.yaml").read_text() == (CHART / "templates/operator.yaml").read_text()
