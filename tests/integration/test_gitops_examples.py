"""examples/gitops: Argo CD and Flux are to apply what is there, all of it, in order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import manifest_checks
from harness import ROOT

pytestmark = pytest.mark.timeout(900)  # kubeconform may have to be built

GITOPS = ROOT / "examples" / "gitops"
WAVE = "argocd.argoproj.io/sync-wave"
FOLDERS = ("regions", "sets", "workloads")


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def test_each_folder_is_a_wave() -> None:
    waves = {
        folder: {
            each["metadata"]["annotations"][WAVE]
            for path in (GITOPS / "repository" / folder).iterdir()
            for each in documents(path)
        }
        for folder in FOLDERS
    }
    assert waves == {"regions": {"-1"}, "sets": {"0"}, "workloads": {"1"}}
    assert {path.name for path in (GITOPS / "repository").iterdir()} == set(FOLDERS)


def test_flux_waits_for_each_before_the_next() -> None:
    source, *steps = documents(GITOPS / "flux.yaml")
    assert [each["spec"]["path"] for each in steps] == [f"./repository/{folder}" for folder in FOLDERS]
    assert all(each["spec"]["wait"] is True for each in steps)
    named = [each["metadata"]["name"] for each in steps]
    needs = [[other["name"] for other in each["spec"].get("dependsOn", ())] for each in steps]
    assert needs == [[], [named[0]], [named[1]]]
    assert {each["spec"]["sourceRef"]["name"] for each in steps} == {source["metadata"]["name"]}
    # What sets live in does not go with a file.
    assert [each["spec"]["prune"] for each in steps] == [False, True, True]


def test_what_flux_and_clusters_are_given_has_their_form() -> None:
    files = [GITOPS / "flux.yaml", *sorted((GITOPS / "repository").rglob("*.yaml"))]
    assert manifest_checks.conform({str(path.relative_to(ROOT)): path.read_text() for path in files}) == []


def test_nothing_is_ignored() -> None:
    """No field of ours needs it (test_argo_cd_diff)."""
    (application,) = documents(GITOPS / "argo-cd.yaml")
    assert "ignoreDifferences" not in application["spec"]
    assert application["spec"]["source"]["directory"] == {"recurse": True}
