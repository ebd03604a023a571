"""Pipecat's own CLI against the API: who somebody is, regions, and all that is done with secrets."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from harness import Org
from harness.api import Api, token_of
from harness.pipecat import Pipecat


def test_who_somebody_is(org: Org, pipecat: Pipecat) -> None:
    found = pipecat("auth", "whoami").json
    assert found["user"]["userId"] == f"system:serviceaccount:{org.name}:editor"
    assert found["organization"] == {"name": org.name, "verbose_name": org.name}
    assert found["dailyApiKey"] is None
    assert pipecat("organizations", "list").json == {"organizations": [{"name": org.name, "verboseName": org.name}]}


def test_an_organization_that_is_not_named(org: Org, api: Api, pipecat: Pipecat, tmp_path: Path) -> None:
    value = org.canary()
    pipecat("secrets", "set", "app", f"A={value}", "--skip")
    bare = Pipecat(api.url, pipecat.token, "", tmp_path)
    assert [each["name"] for each in bare("secrets", "list").json["secretSets"]] == ["app"]


def test_who_is_nobody_is_asked_to_log_in(org: Org, api: Api, tmp_path: Path) -> None:
    nobody = Pipecat(api.url, "nonsense", org.name, tmp_path)
    said = nobody("secrets", "list", code=1)
    assert said.error["code"] == "401"
    assert "pipecat cloud auth login" in said.text


def test_regions(org: Org, pipecat: Pipecat) -> None:
    found = {each["code"]: each for each in pipecat("regions", "list").json["regions"]}
    assert found["us-west"]["display_name"]
    assert pipecat("organizations", "properties", "list").json == {"defaultRegion": "us-west"}
    said = pipecat("organizations", "default-region", PIPECAT_OUTPUT="plain")
    assert "Default region: us-west" in said.text
    said = pipecat("secrets", "set", "app", f"A={org.canary()}", "--skip", "--region", "nowhere", code=1)
    assert "Invalid region 'nowhere'" in said.text
    assert org.get("secretset", "app") is None


def test_a_set_from_its_first_key_to_its_end(org: Org, pipecat: Pipecat) -> None:
    first, second, third = org.canary(), org.canary(), org.canary()
    assert "No secret sets" in pipecat("secrets", "list", code=1).text
    said = pipecat("secrets", "set", "app", f"ONE={first}", f"two-2={second}", "--skip", "--region", "us-west")
    assert "created successfully in us-west" in said.text
    assert not [value for value in (first, second) if value in said.text]
    org.reaches("ready", "Synced")
    assert org.values() == {"ONE": first.encode(), "two-2": second.encode()}

    listed = pipecat("secrets", "list").json["secretSets"]
    assert [(each["name"], each["type"], each["region"], each["status"]) for each in listed] == [
        ("app", "secret", "us-west", "ready")
    ]
    assert pipecat("secrets", "list", "--region", "us-west").json["secretSets"] == listed
    shown = pipecat("secrets", "list", "app").json
    assert [each["fieldName"] for each in shown["secrets"]] == ["ONE", "two-2"]
    assert (shown["region"], shown["status"]) == ("us-west", "ready")
    assert "Secret keys for set app (status: ready)" in pipecat("secrets", "list", "app", PIPECAT_OUTPUT="plain").text

    said = pipecat("secrets", "set", "app", f"ONE={third}", "--skip")
    assert "modified successfully" in said.text
    org.reaches("ready", "Synced")
    assert org.values() == {"ONE": third.encode(), "two-2": second.encode()}

    pipecat("secrets", "unset", "app", "two-2", "--skip")
    assert "Key not found" in pipecat("secrets", "unset", "app", "two-2", "--skip", code=1).text
    org.reaches("ready", "Synced")
    assert org.values() == {"ONE": third.encode()}
    said = pipecat("secrets", "unset", "app", "ONE", "--skip", code=1)
    assert "Cannot remove the last key; delete the set instead." in said.text
    assert org.values() == {"ONE": third.encode()}

    pipecat("secrets", "delete", "app", "--skip")
    org.kubectl("wait", "--for=delete", "secretset/app", "--timeout=20s")
    assert org.managed() is None
    assert "No set found" in pipecat("secrets", "delete", "app", "--skip", code=1).text
    assert "No secrets sets with name 'app'" in pipecat("secrets", "list", "app", code=1).text


def test_a_region_never_changes(org: Org, pipecat: Pipecat) -> None:
    org.region("us-east", displayName="US East")
    try:
        pipecat("secrets", "set", "app", f"A={org.canary()}", "--skip")
        said = pipecat("secrets", "set", "app", f"A={org.canary()}", "--skip", "--region", "us-east", code=1)
        expected = "Secret already exists in region 'us-west'. Cannot change region to 'us-east'."
        assert said.error == {"error": expected, "code": "GENERIC_BAD_REQUEST"}
    finally:
        org.forget_regions()


def test_a_pull_secret(org: Org, pipecat: Pipecat) -> None:
    secret, other = org.canary(), f"{org.canary()}:with:colons"
    host = "https://index.docker.io/v1"
    said = pipecat("secrets", "image-pull-secret", "registry", host, f"ann:{secret}", "--skip", "--region", "us-west")
    assert "created successfully in us-west" in said.text
    assert secret not in said.text
    org.reaches("ready", "Synced", name="registry", kind="imagepullsecret")
    assert docker(org, "registry") == {"https://index.docker.io/v1/": ("ann", secret)}
    listed = pipecat("secrets", "list").json["secretSets"]
    assert [(each["name"], each["type"], each["status"]) for each in listed] == [
        ("registry", "imagePullSecret", "ready")
    ]
    assert pipecat("secrets", "list", "registry", code=1).error["code"] == "GENERIC_BAD_REQUEST"

    said = pipecat("secrets", "image-pull-secret", "registry", host, f"ben:{other}", "--skip")
    assert "updated successfully" in said.text
    org.reaches("ready", "Synced", name="registry", kind="imagepullsecret")
    assert docker(org, "registry") == {"https://index.docker.io/v1/": ("ben", other)}

    said = pipecat("secrets", "set", "registry", f"A={org.canary()}", "--skip", code=1)
    assert said.error["code"] == "GENERIC_BAD_REQUEST"
    pipecat("secrets", "delete", "registry", "--skip")
    org.kubectl("wait", "--for=delete", "imagepullsecret/registry", "--timeout=20s")


def test_the_other_kind_of_set_is_refused(org: Org, pipecat: Pipecat) -> None:
    pipecat("secrets", "set", "app", f"A={org.canary()}", "--skip")
    said = pipecat("secrets", "image-pull-secret", "app", "ghcr.io", f"ann:{org.canary()}", "--skip", code=1)
    assert said.error == {
        "error": "Cannot update existing regular secrets to image pull secrets",
        "code": "GENERIC_BAD_REQUEST",
    }


@pytest.mark.parametrize("name", ["LIVEKIT_URL", "LIVEKIT_API_KEY"])
def test_a_reserved_name(org: Org, pipecat: Pipecat, name: str) -> None:
    said = pipecat("secrets", "set", "app", f"{name}={org.canary()}", "--skip", code=1)
    assert said.error["code"] == "GENERIC_BAD_REQUEST"
    assert name in said.error["error"]
    assert org.get("secretset", "app") is None


def test_somebody_else_sees_nothing(org: Org, pipecat: Pipecat, api: Api, tmp_path: Path) -> None:
    pipecat("secrets", "set", "app", f"A={org.canary()}", "--skip")
    stranger = Pipecat(api.url, token_of(org, "stranger", ""), org.name, tmp_path)
    assert "No secrets sets with name 'app'" in stranger("secrets", "list", "app", code=1).text
    stranger("secrets", "set", "app", f"A={org.canary()}", "--skip", code=1)
    assert "No set found" in stranger("secrets", "delete", "app", "--skip", code=1).text
    assert org.get("secretset", "app") is not None


def docker(org: Org, name: str) -> dict[str, tuple[str, str]]:
    """Who logs in where, by the managed Secret of a pull secret."""
    found = json.loads(org.values(name)[".dockerconfigjson"])["auths"]
    for entry in found.values():
        assert base64.b64decode(entry["auth"]).decode() == f"{entry['username']}:{entry['password']}"
    return {host: (entry["username"], entry["password"]) for host, entry in found.items()}
