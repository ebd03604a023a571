"""The REST API against its own OpenAPI document: schemathesis makes requests of it, and checks the answers by it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import Org
from harness.api import NO_LIMIT, Api, served, token_of
from kubelab.plane import ControlPlane
from secretset.api.config import ORGANIZATION

# Not checked: `positive_data_acceptance`. No schema tells which keys a platform reserves, which regions there are, what
# of a set's kind is fixed, or that base64 holds a colon; such requests are a 400, as they are in seeds/003.
_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
    "ignored_auth",
)
_CONFIG = """
headers = {{ Authorization = "Bearer ${{SCHEMATHESIS_TOKEN}}" }}

[parameters]
"path.organization" = "{organization}"
"""


@pytest.fixture
def serve(hub: ControlPlane, canaries: list[str]) -> Iterator[Callable[..., Api]]:
    with ExitStack() as stack:
        yield lambda *flags: stack.enter_context(served(hub, canaries, *NO_LIMIT, *flags))


@dataclass(frozen=True, kw_only=True)
class Checker:
    """schemathesis, in the name of a token."""

    api: Api
    organization: str
    token: str
    folder: Path

    def run(self, *flags: str) -> set[tuple[str, int]]:
        """Ask all that the document allows, and more.

        Returns:
            What was asked and how it ended: the method with the part of the path that is below the organization.

        Raises:
            AssertionError: an answer is not as the document says.
        """
        config = self.folder / "schemathesis.toml"
        config.write_text(_CONFIG.format(organization=self.organization))
        done = subprocess.run(
            [
                *(sys.executable, "-W", "ignore", "-m", "schemathesis.cli", "--config-file", str(config), "--no-color"),
                *("run", f"{self.api.url}/openapi.json", "--checks", ",".join(_CHECKS), "--seed", "1"),
                *("--generation-deterministic", "--phases", "examples,coverage,fuzzing", *flags),
                *("--warnings", "off"),  # one worker: with more, the parser of Python 3.11 fails at times
            ],
            env=os.environ | {"SCHEMATHESIS_TOKEN": self.token},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=550,
        )
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
        return {(line["action"].replace(f"{ORGANIZATION}/", ""), line["outcome"]) for line in self.api.audit()}


@pytest.mark.timeout(600)
def test_all_that_the_document_allows_and_more(
    serve: Callable[..., Api], org: Org, new_org: Callable[[str], Org], tmp_path: Path
) -> None:
    api = serve("--services")
    mine = new_org(f"{org.name}-doc").create()  # without sets of anybody else
    token = token_of(mine, "editor", "editor")
    found = Checker(api=api, organization=mine.name, token=token, folder=tmp_path).run("--max-examples", "20")
    outcomes = {status for _, status in found}
    assert {200, 202, 400, 401, 404, 405} <= outcomes
    assert 500 not in outcomes


@pytest.fixture
def platform(org: Org, new_org: Callable[[str], Org]) -> Iterator[tuple[Org, str]]:
    """An organization, and a token that may make Regions there, and Deployments in its regional namespace."""
    mine = new_org(f"{org.name}-svc").create()
    token = token_of(mine, "deployer", "editor")
    mine.there("create", "role", "deployer", "--verb=get,create,update", "--resource=deployments.apps")
    account = f"--serviceaccount={mine.name}:deployer"
    mine.there("create", "rolebinding", "deployer", "--role=deployer", account)
    role = f"{mine.name}-regions"
    verbs, resource = "--verb=get,list,create,patch,delete", "--resource=regions.secretset.dev"
    mine.plane.kubectl("create", "clusterrole", role, verbs, resource)
    mine.plane.kubectl("create", "clusterrolebinding", role, f"--clusterrole={role}", account)
    yield mine, token
    for kind in ("clusterrolebinding", "clusterrole"):
        mine.plane.kubectl("delete", kind, role)
    regions = json.loads(mine.plane.kubectl("get", "regions", "-o", "json").stdout)["items"]
    admitted = {"matchLabels": {"kubernetes.io/metadata.name": mine.name}}
    made = [each["metadata"]["name"] for each in regions if each["spec"].get("organizations") == admitted]
    if made:
        mine.plane.kubectl("delete", "region", *made)


@pytest.mark.timeout(600)
def test_regions_and_services_for_who_may_make_them(
    serve: Callable[..., Api], platform: tuple[Org, str], tmp_path: Path
) -> None:
    mine, token = platform
    api = serve("--services")
    user = api.user(token, f"/v1/organizations/{mine.name}")
    # Those of the document's examples.
    assert user.values("my-secrets", A=mine.canary()).status == 202
    pull = {"isImagePullSecret": True, "host": "ghcr.io", "secretValue": "dXNlcjp0b2tlbg=="}
    assert user.put("/secrets/my-registry", pull).status == 202
    mine.reaches("ready", "Synced", name="my-secrets")
    mine.reaches("ready", "Synced", name="my-registry", kind="imagepullsecret")
    found = Checker(api=api, organization=mine.name, token=token, folder=tmp_path).run(
        "--max-examples", "20", "--include-path-regex", "/(regions|services)"
    )
    done = {
        ("POST services", 201),
        ("PUT services", 200),
        ("GET services/{service}", 200),
        ("POST regions", 201),
        ("POST regions", 200),
        ("GET regions/{region}", 200),
        ("DELETE regions/{region}", 200),
    }
    assert done <= found, done - found
    assert not {asked for asked, status in found if status == 500}


def test_every_status_is_documented(api: Api) -> None:
    document = json.loads(api.user(None).get("/openapi.json").raw)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            statuses = set(operation["responses"])
            expected = {"401", "404", "405", "429", "500", "503", "504"}
            if method in {"put", "post", "delete", "patch"}:
                expected |= {"400", "403", "408", "409", "413"}
            assert expected <= statuses, (method, path)
            assert operation["security"] == [{"bearer": []}]
            for status, response in operation["responses"].items():
                if status[0] in "45":
                    reference = response["content"]["application/json"]["schema"]["$ref"]
                    assert reference == "#/components/schemas/ErrorResponse", (method, path, status)
    put = document["paths"]["/v1/secrets/{name}"]["put"]
    assert {"202", "400", "401", "409", "500"} <= set(put["responses"])
