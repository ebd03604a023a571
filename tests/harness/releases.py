"""Charts as they were released, which an upgrade begins from."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import yaml

from harness.helm import CHART
from harness.process import ROOT

UNRELEASED = "unreleased"


def released() -> list[str]:
    """Tags of releases that have the chart, oldest first; where there is none yet, `UNRELEASED`.

    A clone without tags (`git fetch --tags`) and a folder without git have none either.
    """
    tags = _git("tag", "--list", "v*", "--sort=version:refname").decode().split()
    here = CHART.relative_to(ROOT)
    return [tag for tag in tags if _git("ls-tree", "--name-only", tag, f"{here}/Chart.yaml")] or [UNRELEASED]


def chart_of(release: str, folder: Path) -> Path:
    """Lay out the chart of a release in a folder.

    Args:
        release: a tag. `UNRELEASED` stands for the chart of the tree under a lower version: what it has to show is that
            an upgrade from version to version works, and nothing about differences between the two.
        folder: an empty one.
    """
    here = CHART.relative_to(ROOT)
    if release == UNRELEASED:
        shutil.copytree(CHART, folder / here)
        path = folder / here / "Chart.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"version": "0.0.1", "appVersion": "0.0.1"}))
    else:
        with tarfile.open(fileobj=io.BytesIO(_git("archive", release, str(here)))) as archive:
            archive.extractall(folder, filter="data")
    return folder / here


def _git(*args: str) -> bytes:
    return subprocess.run(["git", *args], cwd=ROOT, capture_output=True, check=False).stdout
