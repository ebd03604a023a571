"""What is printed for people: ages, and text of others that a terminal must not obey; and what a deploy file says."""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from secretset.actions.bind import WorkloadName
from secretset.actions.errors import Refused
from secretset.cli import deploy_file
from secretset.cli.hub import CommandError
from secretset.cli.page import Page
from secretset.domain.ages import age
from secretset.domain.names import Kind

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (7199, "119m"),
        (7200, "2h"),
        (172_799, "47h"),
        (864_000, "10d"),
    ],
)
def test_ages(seconds: int, expected: str) -> None:
    assert age((NOW - timedelta(seconds=seconds)).isoformat(), NOW) == expected
    assert age((NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ"), NOW) == expected


@pytest.mark.parametrize("text", [None, "", "yesterday"])
def test_no_age(text: str | None) -> None:
    assert age(text, NOW) == "-"


def test_a_page_cuts_nothing_off_and_obeys_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    page = Page()
    page.title("One [bold]two[/]")
    page.fields({"Name": "x" * 300, "Gone": "", "Evil": "a\x1b[31mb\rc"})
    page.table(("A", "B"), [("ready", "y" * 300), ("[red]", "z")])
    page.title("Two")
    text = out.getvalue()
    assert "One [bold]two[/]" in text
    assert "x" * 300 in text
    assert "y" * 300 in text
    assert "[red]" in text
    assert "Gone" not in text
    assert not {"\x1b", "\r"} & set(text)


def test_a_deploy_file(tmp_path: Path) -> None:
    file = tmp_path / "pcc-deploy.toml"
    file.write_text(
        'agent_name = "bot"\nsecret_set = "one"\nimage_pull_secret = "two"\nregion = "us"\n[scaling]\nx = 1\n'
    )
    wish = deploy_file.read(file)
    assert (wish.workload, wish.names, wish.region) == ("bot", (), "us")
    assert wish.kinds == {Kind.SECRET_SET: "one", Kind.IMAGE_PULL_SECRET: "two"}
    file.write_text('agent_name = "bot"\nimage_credentials = "one"\nimage_pull_secret = "one"\nsecret_set = ""\n')
    assert deploy_file.read(file).kinds == {Kind.IMAGE_PULL_SECRET: "one"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"agent_name = ",
        b'agent_name = "bot"',
        b'secret_set = "one"',
        b'agent_name = 5\nsecret_set = "one"',
        b'agent_name = "bot"\nsecret_set = ["one"]',
        b'agent_name = "bot"\nimage_credentials = "one"\nimage_pull_secret = "two"',
        b'agent_name = "\xff"',
    ],
)
def test_a_deploy_file_that_says_nothing(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "pcc-deploy.toml"
    file.write_bytes(content)
    with pytest.raises(CommandError) as caught:
        deploy_file.read(file)
    assert caught.value.code == 2
    assert str(file) in str(caught.value)


def test_names_of_workloads() -> None:
    assert {str(WorkloadName.parse(text)) for text in ("web", "deploy/web", "Deployment/web", "deployments/web")} == {
        "deployment/web"
    }
    assert str(WorkloadName.parse("sts/db")) == "statefulset/db"
    assert str(WorkloadName.parse("rollout/x.y")) == "rollout/x.y"
    for text in ("", "/web", "pod/web", "Web", "a/b/c", "../web", "deploy/", "web?x"):
        with pytest.raises(Refused):
            WorkloadName.parse(text)
