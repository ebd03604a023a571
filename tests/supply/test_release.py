"""One version everywhere, and the chart that is published."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pytest
import yaml

import release

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The files that say a version."""
    for name in ("pyproject.toml", "CHANGELOG.md", "README.md", "operator/secretset/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(release.ROOT / name, tmp_path / name)
    for name in (str(release.CHART), "deploy", "docs"):
        shutil.copytree(release.ROOT / name, tmp_path / name)
    return tmp_path


def test_all_places_say_one_version() -> None:
    assert release.differing() == []
    found = release.versions()
    assert {"deploy/operator.yaml, 1", "deploy/webhook.yaml, 1", "deploy/api.yaml, 1"} <= found.keys()
    assert "docs/install.md, 1" in found


@pytest.mark.parametrize(
    ("file", "old", "where"),
    [
        ("operator/secretset/__init__.py", '__version__ = "{}"', "secretset.__version__"),
        ("charts/secretset-operator/Chart.yaml", "\nversion: {}", "Chart.yaml, version"),
        ("charts/secretset-operator/Chart.yaml", "\nappVersion: {}", "Chart.yaml, appVersion"),
        ("deploy/operator.yaml", "secretset-operator:{}", "deploy/operator.yaml, 1"),
        ("docs/install.md", "secretset-operator:{}", "docs/install.md, 1"),
        ("docs/supply-chain.md", "\nVERSION={}", "docs/supply-chain.md, 1"),
    ],
)
def test_a_place_that_was_forgotten_is_named(copy: Path, file: str, old: str, where: str) -> None:
    version, text = release.versions(copy)["pyproject.toml"], (copy / file).read_text()
    assert old.format(version) in text
    (copy / file).write_text(text.replace(old.format(version), old.format("9.9.9"), 1))
    (wrong,) = release.differing(copy)
    assert where in wrong
    assert wrong.endswith(f"says 9.9.9, pyproject.toml {version}")


def test_a_tag_is_that_version_and_in_the_changelog(copy: Path) -> None:
    version = release.versions(copy)["pyproject.toml"]
    changes = copy / "CHANGELOG.md"
    changes.write_text(changes.read_text().replace(f"[{version}]", "[older]"))
    assert release.differing(copy, f"v{version}") == [f"CHANGELOG.md has no heading [{version}]"]
    changes.write_text(f"{changes.read_text()}\n## [{version}] - 2026-12-01\n")
    assert release.differing(copy, f"v{version}") == []
    assert release.differing(copy, version) == [f"the tag is {version}, pyproject.toml says {version}"]


def test_the_chart_that_is_published_names_its_image_by_digest(tmp_path: Path) -> None:
    made = release.chart("ghcr.io/somebody/secretset-operator", DIGEST, tmp_path)
    assert made == tmp_path / f"secretset-operator-{release.versions()['pyproject.toml']}.tgz"
    with tarfile.open(made) as archive:
        member = archive.extractfile("secretset-operator/values.yaml")
        assert member is not None
        image = yaml.safe_load(member.read())["image"]
    assert (image["repository"], image["digest"]) == ("ghcr.io/somebody/secretset-operator", DIGEST)


def test_a_tag_in_place_of_a_digest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="latest is no digest"):
        release.chart("ghcr.io/somebody/secretset-operator", "latest", tmp_path)
