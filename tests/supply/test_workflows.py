"""The workflows of GitHub: no action that can change under us, no right without need, no text that becomes code."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from go_tools import tool

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yaml"))
# All that a job of ours may write, and which jobs do.
WRITERS = {
    ("release", "wheel"): {"id-token", "attestations"},
    ("release", "image"): {"packages", "id-token", "attestations", "artifact-metadata"},
    ("release", "chart"): {"packages", "id-token", "attestations", "artifact-metadata"},
    ("release", "release"): {"contents", "id-token"},
}

Job = dict[str, Any]


def jobs() -> dict[tuple[str, str], Job]:
    """Every job, by workflow and name."""
    return {
        (path.stem, name): job for path in WORKFLOWS for name, job in yaml.safe_load(path.read_text())["jobs"].items()
    }


def steps() -> list[dict[str, Any]]:
    """All steps."""
    return [step for job in jobs().values() for step in job.get("steps", ())]


def test_actionlint_finds_nothing() -> None:
    said = subprocess.run(
        [tool("actionlint"), "-shellcheck=", "-pyflakes=", *WORKFLOWS], cwd=ROOT, capture_output=True, text=True
    )
    assert said.stdout == ""
    assert said.returncode == 0


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_and_say_their_version(path: Path) -> None:
    used = re.findall(r"^\s*(?:- )?uses: (.*)$", path.read_text(), re.MULTILINE)
    foreign = [each for each in used if not each.startswith("./")]
    assert [each for each in foreign if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)] == []


def test_one_action_has_one_commit() -> None:
    used = {step["uses"] for step in steps() if "uses" in step}
    assert len(used) == len({each.partition("@")[0] for each in used})


def test_every_job_has_only_the_rights_that_it_needs() -> None:
    for path in WORKFLOWS:
        assert yaml.safe_load(path.read_text())["permissions"] == {}, path.name
    for key, job in jobs().items():
        written = {right for right, level in job["permissions"].items() if level == "write"}
        assert written == WRITERS.get(key, set()), key
        assert set(job["permissions"].values()) <= {"read", "write"}, key


def test_the_token_is_not_left_in_the_checkout_and_every_job_ends() -> None:
    for step in steps():
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
    assert [key for key, job in jobs().items() if "uses" not in job and "timeout-minutes" not in job] == []


def test_no_expression_stands_in_a_script() -> None:
    assert [step["run"] for step in steps() if "${{" in step.get("run", "")] == []


def test_a_release_is_made_of_nothing_that_another_run_left() -> None:
    release = [job for (workflow, _), job in jobs().items() if workflow == "release"]
    assert not [step for job in release for step in job.get("steps", ()) if "actions/cache@" in step.get("uses", "")]
    (cache,) = [step for step in jobs()[("ci", "test")]["steps"] if "actions/cache@" in step.get("uses", "")]
    assert cache["if"] == "github.ref_type != 'tag'"


def test_what_workflows_make_is_a_target_of_the_makefile() -> None:
    asked = {
        target
        for step in steps()
        for line in re.findall(r"^\s*make (.*)$", step.get("run", ""), re.MULTILINE)
        for target in re.findall(r"(?<!\S)[a-z-]+(?!\S*=)", line)
    }
    assert asked >= {"check", "test", "audit", "sbom", "wheel", "plane", "venv"}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert asked <= targets
