"""`secretset list`, `get`, `export` and `delete`, and pull secrets, through a real shell."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import Org, eventually
from harness.manifests import env_from, value_from
from harness.sealed import published
from harness.shell import Shell

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"


@pytest.fixture
def shell(org: Org, tmp_path: Path) -> Shell:
    """A shell whose `secretset` is about the organization."""
    return Shell(org.plane, org.name, tmp_path)


def test_sets_are_shown_with_their_times_and_never_with_values(org: Org, shell: Shell) -> None:
    a, b = org.canary(), org.canary()
    shell.run(f"secretset set app A={a} B={b} --description 'for: [bold]all[/bold]' --metadata owner=ann")
    org.source("src", x=b)
    org.secret_set("src", data={"X": value_from("src", "x")}, region="us-west")
    org.reaches("ready", name="src")
    assert "there are none" in shell.run("secretset list --region us-east").said

    listed = shell.run("secretset list").out.splitlines()
    assert listed[0].split() == ["NAME", "KIND", "REGION", "STATUS", "KEYS", "CREATED", "UPDATED"]
    rows = [line.split() for line in listed[1:]]
    assert [row[:5] for row in rows] == [
        ["app", "SecretSet", "us-west", "ready", "2"],
        ["src", "SecretSet", "us-west", "ready", "1"],
    ]
    assert all(re.fullmatch(TIME, time) for row in rows for time in row[5:])
    everywhere = shell.run("secretset list -A --region us-west -o yaml").out
    mine = [row for row in yaml.safe_load(everywhere) if row["organization"] == org.name]
    assert [(row["name"], row["status"], [key["name"] for key in row["keys"]]) for row in mine] == [
        ("app", "ready", ["A", "B"]),
        ("src", "ready", ["X"]),
    ]
    assert all(
        re.fullmatch(TIME, key[each]) for row in mine for key in row["keys"] for each in ("createdAt", "updatedAt")
    )

    shown = shell.run("secretset get app").out
    current = published(org.plane).current
    assert current is not None
    assert "Status:      ready" in shown
    assert "Description: for: [bold]all[/bold]" in shown
    assert "Metadata:    owner=ann" in shown
    assert re.search(rf"^A +{TIME} +{TIME} +{current.kid}$", shown, re.MULTILINE)
    assert re.search(r" Secret src/x$", shell.run("secretset get src").out, re.MULTILINE)
    found = json.loads(shell.run("secretset get app -o json").out)
    assert [key["sealedFor"] for key in found["keys"]] == [current.kid] * 2
    assert "there is no set 'absent'" in shell.run("secretset get absent", code=1).said

    assert shell.run("secretset export").out == f"# {org.name}/app\nA=\nB=\n# {org.name}/src\nX=\n"
    exported = json.loads(shell.run("secretset export app -o json").out)
    assert [(each["name"], each["keys"]) for each in exported] == [("app", ["A", "B"])]
    assert not [value for value in (a, b, "hpke1") if value in everywhere + shown + json.dumps([found, exported])]


def test_a_watch_tells_of_each_change(org: Org, shell: Shell) -> None:
    rows: list[dict[str, Any]] = []

    def said(name: str, status: str, keys: int) -> Any:
        """Whether this comes next but for what is between; reads on until it does."""
        while True:
            assert process.stdout is not None
            rows.append(json.loads(process.stdout.readline()))
            if (rows[-1]["name"], rows[-1]["status"], len(rows[-1]["keys"])) == (name, status, keys):
                return rows[-1]

    shell.run(f"secretset set app A={org.canary()}")
    with shell.begun("secretset list --watch -o json") as process:
        assert said("app", "ready", 1)
        shell.run(f"secretset set app B={org.canary()}")
        assert said("app", "ready", 2)
        org.kubectl("delete", "secretset", "app")
        assert said("app", "deleted", 2)
    assert process.returncode == 130
    assert [row["status"] for row in rows if row["status"] == "failed"] == []


def test_a_watch_at_a_terminal_is_a_table(org: Org, shell: Shell) -> None:
    shell.run(f"secretset set app A={org.canary()}")
    with shell.terminal("secretset list --watch", code=130) as terminal:
        terminal.answer("ready", "\x03")
    assert re.search(r"app +SecretSet +us-west +ready", terminal.screen)


def test_there_is_no_colour_where_none_is_wanted(org: Org, shell: Shell) -> None:
    """https://no-color.org: other forms, such as bold, are no colours."""
    colour = re.compile(r"\x1b\[(?:\d+;)*(?:[34]\d|9[0-7]|10[0-7])(?:;\d+)*m")
    shell.run(f"secretset set app A={org.canary()}")
    for line, code in (
        ("secretset status app", 0),
        ("secretset doctor", 0),
        (f"secretset set app A={org.canary()}", 0),
        ("secretset set --help", 0),
        ("secretset set", 2),
    ):
        with shell.terminal(line, code=code) as coloured:
            pass
        with shell.terminal(f"NO_COLOR=1 {line}", code=code) as plain:
            pass
        assert colour.search(coloured.screen), line
        assert not colour.search(plain.screen), line


def test_delete_asks_and_names_who_uses_the_set(org: Org, shell: Shell) -> None:
    shell.run(f"secretset set app A={org.canary()}")
    org.deployment("web", env_from("app"))
    eventually(lambda: org.status()["workloads"]["bound"] == 1, "a bound workload")
    refused = shell.run("secretset delete app", code=1).said
    assert "1 workload uses it: Deployment web. Delete it?" in refused
    assert "was not deleted; where nobody can be asked, say --yes" in refused
    with shell.terminal("secretset delete app", code=1) as terminal:
        terminal.answer("Delete it? [y/N]: ", "n")
    assert org.managed() is not None
    with shell.terminal("secretset delete app") as terminal:
        terminal.answer("Delete it? [y/N]: ", "y")
    assert f"{org.name}/app: deleted" in terminal.screen
    assert (org.managed(), org.get("secretset", "app")) == (None, None)
    assert "there is no set 'app'" in shell.run("secretset delete app --yes", code=1).said


def test_pull_secrets_ask_for_credentials_and_show_none(org: Org, shell: Shell) -> None:
    def auths() -> dict[str, Any]:
        return dict(json.loads(org.values("docker-hub")[".dockerconfigjson"])["auths"])

    token, second = org.canary(), org.canary()
    line = "secretset image-pull-secrets set docker-hub"
    assert "needs the HOST of its registry" in shell.run(line, code=1).said
    assert "no terminal to ask at: use --username" in shell.run(f"{line} ghcr.io", code=1).said
    with shell.terminal(f"{line} https://index.docker.io/v1 --region us-west") as terminal:
        terminal.answer("Username: ", "hidden-bot")
        terminal.answer("Password or token: ", token)
        terminal.answer("Repeat for confirmation: ", token)
    assert "hidden-bot" not in terminal.screen
    assert token not in terminal.screen
    assert "created in us-west, ready" in terminal.screen
    auth = base64.b64encode(f"hidden-bot:{token}".encode()).decode()
    entry = {"username": "hidden-bot", "password": token, "auth": auth}
    assert auths() == {"https://index.docker.io/v1/": entry}

    # A pipeline changes the token alone; the line break of `echo` is not part of it.
    shell.run(f"{line} --password-stdin", stdin=f"{second}\n".encode())
    assert auths()["https://index.docker.io/v1/"]["password"] == second
    shell.run(f"{line} ghcr.io --username bot --password-stdin --service-account default", stdin=token.encode())
    assert {host: (each["username"], each["password"]) for host, each in auths().items()} == {"ghcr.io": ("bot", token)}
    shell.run(f"{line} --description 'of CI'")
    assert auths()["ghcr.io"]["password"] == token
    eventually(lambda: "docker-hub" in json.dumps(org.get("sa", "default", namespace=org.regional)), "the account")

    listed = shell.run("secretset image-pull-secrets list").out.splitlines()
    assert listed[0].split() == ["NAME", "HOST", "USERNAME", "REGION", "STATUS", "CREATED", "UPDATED"]
    assert listed[1].split()[:5] == ["docker-hub", "ghcr.io", "bot", "us-west", "ready"]
    assert "ImagePullSecret" in shell.run("secretset list").out
    assert "Host:        ghcr.io" in shell.run("secretset get docker-hub").out
    assert "is the name of an ImagePullSecret" in shell.run("secretset set docker-hub A=1", code=1).said
    assert "there is no set" in shell.run("secretset unset docker-hub password", code=1).said
    deleted = json.loads(shell.run("secretset image-pull-secrets delete docker-hub -y -o json").out)
    assert (deleted["name"], deleted["status"]) == ("docker-hub", "deleted")
    assert org.managed("docker-hub") is None
