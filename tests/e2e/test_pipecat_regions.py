"""`pipecat cloud regions register`, `show`, `delete` and `enroll-token` against the API."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness import (
    OPERATOR_ACCOUNT,
    ROOT,
    OperatorProcess,
    Org,
    decoded,
    eventually,
    namespace,
    regional_role,
)
from harness.pipecat import Pipecat
from kubelab import kubeconfig
from kubelab.plane import ControlPlane


@pytest.fixture
def key(org: Org) -> Iterator[str]:
    """The key of a region of the test's own; it is taken away."""
    key = f"pce-{org.name}"
    yield key
    org.kubectl("delete", "secretset", "--all", "--timeout=20s")
    org.plane.kubectl("delete", "region", key, "--ignore-not-found")


def test_a_region_from_its_registration_to_its_end(org: Org, platform: Pipecat, key: str) -> None:
    assert "not found" in platform("regions", "show", key, code=1).text
    record = platform("regions", "register", key, "--display-name", "Acme, East").json["region"]
    assert record["region_key"] == key
    assert (record["display_name"], record["enrollment_status"]) == ("Acme, East", "pending")
    assert record["workloads_namespace"] is None
    found = org.get("region", key)
    assert found is not None
    assert found["spec"] == {
        "displayName": "Acme, East",
        "cluster": {"inCluster": True},
        "organizations": {"matchLabels": {"kubernetes.io/metadata.name": org.name}},
    }
    # Once more: what is not named stays.
    record = platform("regions", "register", key, "--workloads-namespace", "agents").json["region"]
    assert (record["display_name"], record["workloads_namespace"]) == ("Acme, East", "agents")
    assert platform("regions", "show", key).json["region"]["workloads_namespace"] == "agents"
    assert "Workloads namespace\tagents" in platform("regions", "show", key, PIPECAT_OUTPUT="plain").text
    assert key in {each["code"] for each in platform("regions", "list").json["regions"]}

    platform("secrets", "set", "app", f"A={org.canary()}", "--skip", "--region", key)
    said = platform("regions", "delete", key, "--yes", code=1)
    assert said.error == {
        "error": f"Region '{key}' is in use by 'app': delete these secret sets first.",
        "code": "IN_USE",
    }
    assert org.get("region", key) is not None
    org.kubectl("annotate", "secretset", "app", "secretset.dev/abandon=true")
    platform("secrets", "delete", "app", "--skip")
    org.kubectl("wait", "--for=delete", "secretset/app", "--timeout=20s")
    assert platform("regions", "delete", key, "--yes").json["deleted"] == key
    assert org.get("region", key) is None
    assert platform("regions", "delete", key, "--yes", code=1).error["code"] == "NOT_FOUND"


def test_a_token_for_the_replica_inside(org: Org, platform: Pipecat, key: str, canaries: list[str]) -> None:
    platform("regions", "register", key)
    said = platform("regions", "enroll-token", key, code=1)
    assert "apply deploy/agent-hub.yaml" in said.error["error"]
    agent = (ROOT / "deploy/agent-hub.yaml").read_text().replace("eu-bank", key)
    org.apply(*yaml.safe_load_all(agent))
    found = platform("regions", "enroll-token", key).json
    canaries.append(found["token"])
    claims = json.loads(base64.urlsafe_b64decode(found["token"].split(".")[1] + "=="))
    assert claims["sub"] == f"system:serviceaccount:secretset-system:secretset-agent-{key}"
    assert 80 * 86400 < claims["exp"] - claims["iat"] <= 90 * 86400
    # It is good for what deploy/agent-hub.yaml gives, and for nothing else.
    assert may(org, found["token"], "get", "secretset-sealing-keys")
    assert not may(org, found["token"], "list", "")
    assert not may(org, found["token"], "get", "another")


def test_the_replica_inside_serves_the_region(
    org: Org, platform: Pipecat, key: str, canaries: list[str], abroad: ControlPlane, tmp_path: Path
) -> None:
    workloads = f"{org.name}-agents"
    abroad.kubectl("apply", "-f", "-", input=yaml.safe_dump_all([namespace(workloads), *regional_role(workloads)]))
    org.apply(*yaml.safe_load_all((ROOT / "deploy/agent-hub.yaml").read_text().replace("eu-bank", key)))
    platform("regions", "register", key, "--workloads-namespace", workloads)
    token = platform("regions", "enroll-token", key).json["token"]
    canaries.append(token)
    hub = kubeconfig.write(
        tmp_path / "hub",
        plane=org.plane.name,
        server=org.plane.server,
        ca=org.plane.ca,
        user=kubeconfig.token_user(token),
    )
    there = abroad.service_account_kubeconfig(*OPERATOR_ACCOUNT)
    flags = ("--replica", key, "--regions", key, "--region-kubeconfig", str(there))
    agent = OperatorProcess(org.plane, *flags, kubeconfig=hub)
    agent.start()
    try:

        def standing() -> str:
            return str(platform("regions", "show", key).json["region"]["enrollment_status"])

        eventually(lambda: standing() == "enrolled", "the region is enrolled", seconds=30)
        value = org.canary()
        platform("secrets", "set", "app", f"A={value}", "--skip", "--region", key)
        org.reaches("ready", "Synced")
        found = json.loads(abroad.kubectl("get", "secret", "app", "-n", workloads, "-o", "json").stdout)
        assert decoded(found) == {"A": value.encode()}
        platform("secrets", "delete", "app", "--skip")
        org.kubectl("wait", "--for=delete", "secretset/app", "--timeout=20s")
    finally:
        assert agent.stop() == 0


def test_a_region_of_the_platform_team_stays_theirs(org: Org, platform: Pipecat) -> None:
    assert platform("regions", "show", "us-west").json["region"]["enrollment_status"] == "enrolled"
    for command in (("register", "us-west"), ("delete", "us-west", "--yes"), ("enroll-token", "us-west")):
        assert platform("regions", *command, code=1).error["code"] == "TAKEN"
    other = org.region(f"pce-other-{org.name}", organizations={"matchLabels": {"kubernetes.io/metadata.name": "other"}})
    try:
        assert "not found" in platform("regions", "show", other, code=1).text
        assert platform("regions", "delete", other, "--yes", code=1).error["code"] == "NOT_FOUND"
        assert platform("regions", "enroll-token", other, code=1).error["code"] == "NOT_FOUND"
        assert platform("regions", "register", other, code=1).error["code"] == "TAKEN"
    finally:
        org.forget_regions()


def test_what_is_not_kept_here_is_refused(org: Org, platform: Pipecat, key: str) -> None:
    for option in (
        ("--architectures", "amd64"),
        ("--default-architecture", "amd64"),
        ("--ws-public-endpoint", "wss://a"),
    ):
        said = platform("regions", "register", key, *option, code=1)
        assert "nothing of that is kept here" in said.error["error"]
    for wrong in ("Upper", "a.b", "-a", "a" * 64):
        assert platform("regions", "register", "--", wrong, code=1).error["code"] == "GENERIC_BAD_REQUEST"
    assert org.get("region", key) is None


def test_an_editor_is_refused(org: Org, pipecat: Pipecat, key: str) -> None:
    assert pipecat("regions", "register", key, code=1).error["code"] == "FORBIDDEN"
    assert org.get("region", key) is None
    org.region(
        key, cluster={"inCluster": True}, organizations={"matchLabels": {"kubernetes.io/metadata.name": org.name}}
    )
    assert pipecat("regions", "show", key).json["region"]["region_key"] == key
    assert pipecat("regions", "delete", key, "--yes", code=1).error["code"] == "FORBIDDEN"
    assert pipecat("regions", "enroll-token", key, code=1).error["code"] == "FORBIDDEN"


def may(org: Org, token: str, verb: str, secret: str) -> bool:
    """Whether the owner of a token may do something with a Secret of the operator's namespace."""
    about = {"namespace": "secretset-system", "verb": verb, "resource": "secrets", "name": secret}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": about},
    }
    request = urllib.request.Request(
        f"{org.plane.server}/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        data=json.dumps(review).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    trust = ssl.create_default_context(cadata=org.plane.ca.decode())
    with urllib.request.urlopen(request, context=trust, timeout=10) as answer:
        return bool(json.loads(answer.read())["status"]["allowed"])
