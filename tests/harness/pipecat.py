"""The real Pipecat CLI, from `.venv/pipecat` (`make setup` builds it), against an API of ours."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.org import Org
from harness.process import ROOT

PREFIX = "pcc_pat_"
PROGRAM = ROOT / ".venv/pipecat/bin/pipecat"


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a command printed.

    Attributes:
        out: standard output, which `PIPECAT_OUTPUT=json` keeps for JSON alone.
        text: both outputs, for people.
    """

    out: str
    text: str

    @property
    def json(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        """The body of the API's refusal."""
        found: dict[str, Any] = self.json["error"]
        return found


class Pipecat:
    """`pipecat cloud` as a user runs it: with nothing but its environment, in a folder of its own.

    Args:
        api: address of the API.
        token: of the user on the hub.
        organization: empty if it is left to the CLI.
        folder: where it is run.
    """

    def __init__(self, api: str, token: str, organization: str, folder: Path) -> None:
        self.token = token
        self.folder = folder
        self.environment = {
            "HOME": str(folder),
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            "PIPECAT_API_HOST": api,
            "PIPECAT_TOKEN": PREFIX + token.removeprefix(PREFIX),
            "PIPECAT_CONFIG_PATH": str(folder / "pipecatcloud.toml"),
            "PIPECAT_OUTPUT": "json",
        }
        if organization:
            self.environment["PIPECAT_ORG"] = organization

    def __call__(self, *arguments: str, code: int = 0, **environment: str) -> Said:
        """Run a command to its end, and see that it ends as it should.

        Raises:
            AssertionError: Pipecat's CLI is not there.
        """
        assert PROGRAM.exists(), f"Pipecat's CLI is not in {PROGRAM.parent}: run `make setup`"
        done = subprocess.run(
            [PROGRAM, "cloud", *arguments],
            env=self.environment | environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=90,
            text=True,
        )
        said = Said(out=done.stdout, text=done.stdout + done.stderr)
        assert done.returncode == code, said.text
        return said


def may_deploy(org: Org, account: str) -> None:
    """What the platform team gives an account besides its role (docs/pipecat.md)."""
    org.there("create", "role", "secretset-services", "--verb=get,create,update", "--resource=deployments.apps")
    grant = ("--role=secretset-services", f"--serviceaccount={org.name}:{account}")
    org.there("create", "rolebinding", "secretset-services", *grant)
