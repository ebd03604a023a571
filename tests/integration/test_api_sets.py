"""Secret sets through the REST API, on both roads: with the organization in the path, and without."""

from __future__ import annotations

import base64
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from harness import Org, decoded, eventually
from harness.api import Api, ApiUser

ROADS = pytest.mark.parametrize("road", ["/v1", "/v1/organizations/{organization}"])
ODD = " \n=\"'\\\\n ü鍵🔑\t\u2028 ${A} $(B) "
WRITERS = 50
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@pytest.fixture
def road() -> str:
    return "/v1/organizations/{organization}"


@pytest.fixture
def user(api: Api, org: Org, road: str) -> ApiUser:
    return api.member(org, root=road.format(organization=org.name))


def ready(user: ApiUser, name: str = "app") -> dict[str, Any]:
    """Poll as seeds/001 says."""

    def check() -> dict[str, Any] | None:
        found: dict[str, Any] = user.get(f"/secrets/{name}").json
        return found if found["status"] == "ready" else None

    answer: dict[str, Any] = eventually(check, f"{name} ready")
    return answer


def basic(username: str, token: str) -> str:
    return base64.b64encode(f"{username}:{token}".encode()).decode()


@ROADS
def test_the_life_of_a_set(org: Org, user: ApiUser) -> None:
    first, second, third = org.canary(), f"{org.canary()}{ODD}{org.canary()}", org.canary()
    reply = user.values("app", A=first, B=second)
    assert (reply.status, reply.json) == (202, {"status": "OK", "region": "us-west"})
    before = ready(user)
    assert [each["fieldName"] for each in before["secrets"]] == ["A", "B"]
    assert org.values() == {"A": first.encode(), "B": second.encode()}
    assert user.put("/secrets/app", {"name": "app", "secretKey": "C", "secretValue": third}).status == 202
    after = ready(user)
    assert [each["fieldName"] for each in after["secrets"]] == ["A", "B", "C"]
    assert after["secrets"][0] == before["secrets"][0]
    assert after["revision"] == before["revision"] + 1
    (listed,) = user.get("/secrets").json["sets"]
    assert listed["type"] == "secret"
    assert [key["name"] for key in listed["keys"]] == ["A", "B", "C"]
    assert listed["keys"] == [{"name": each.pop("fieldName"), **each} for each in after["secrets"]]
    times = [(key["createdAt"], key["updatedAt"]) for key in listed["keys"]]
    assert all(RFC_3339.fullmatch(each) for each in (listed["createdAt"], listed["updatedAt"], *sum(times, ())))
    assert listed["createdAt"] == before["createdAt"] <= before["updatedAt"] <= listed["updatedAt"]
    time.sleep(1.1)  # the second is another
    # A key's own time moves with its value, and with nothing else.
    assert user.values("app", A=org.canary()).status == 202
    last = ready(user)
    assert (last["createdAt"], last["updatedAt"] > after["updatedAt"]) == (after["createdAt"], True)
    changed, same, _ = last["secrets"]
    assert changed["createdAt"] == times[0][0]
    assert changed["updatedAt"] > times[0][1]
    assert (same["createdAt"], same["updatedAt"]) == times[1]
    assert user.delete("/secrets/app/B").json == {"status": "OK"}
    eventually(lambda: sorted(org.values()) == ["A", "C"], "B gone")
    assert user.delete("/secrets/app/B").status == 404
    assert user.delete("/secrets/app").json == {"status": "OK"}
    eventually(lambda: user.get("/secrets/app").status == 404, "the set gone")
    assert user.get("/secrets").json == {"sets": []}


@ROADS
def test_an_image_pull_secret(org: Org, user: ApiUser, road: str) -> None:
    token = f"{org.canary()}:with:colons"
    body = {"isImagePullSecret": True, "host": "https://ghcr.io/team", "secretValue": basic("ann", token)}
    assert user.put("/secrets/pull", body).json == {"status": "OK", "region": "us-west"}
    org.reaches("ready", "Synced", name="pull", kind="imagepullsecret")
    config = json.loads(decoded(org.managed("pull"))[".dockerconfigjson"])
    assert config["auths"]["https://ghcr.io/team/"]["username"] == "ann"
    assert config["auths"]["https://ghcr.io/team/"]["password"] == token
    (listed,) = user.get("/secrets").json["sets"]
    assert (listed["type"], listed["host"], listed["username"]) == ("imagePullSecret", "https://ghcr.io/team/", "ann")
    assert listed["keys"] == []
    shown = user.get("/secrets/pull")
    if road == "/v1":
        assert (shown.json["status"], shown.json["type"], shown.json["secrets"]) == ("ready", "imagePullSecret", [])
    else:  # how Pipecat's CLI tells the two apart
        assert shown.error == (400, "GENERIC_BAD_REQUEST", "'pull' is an image pull secret, which has no keys to show")
    again = org.canary()
    assert user.put("/secrets/pull", body | {"secretValue": basic("bob", again)}).status == 202
    eventually(lambda: again in str(decoded(org.managed("pull"))), "the new token")
    assert user.delete("/secrets/pull/password").status == 400
    assert user.delete("/secrets/pull").status == 200


def test_merge_and_overwrite(org: Org, user: ApiUser) -> None:
    about = {"description": "of the shop", "metadata": {"owner": "ann", "ticket": "T-1"}}
    entries = [{"secretKey": key, "secretValue": org.canary()} for key in "ABC"]
    assert user.put("/secrets/app", {"secrets": entries, **about}).status == 202
    shown = ready(user)
    assert {name: shown[name] for name in about} == about
    assert "message" not in shown
    # What is left out stays as it is; what is said of the metadata is merged.
    assert user.put("/secrets/app", {"metadata": {"ticket": "T-2"}}).status == 202
    shown = user.get("/secrets/app").json
    assert shown["metadata"] == {"owner": "ann", "ticket": "T-2"}
    assert shown["description"] == "of the shop"
    assert len(shown["secrets"]) == 3
    only = {"secrets": [{"secretKey": "D", "secretValue": org.canary()}], "overwrite": True}
    assert user.put("/secrets/app", only).status == 202
    assert [each["fieldName"] for each in ready(user)["secrets"]] == ["D"]
    eventually(lambda: list(org.values()) == ["D"], "the others gone")


def test_what_breaks_a_rule_is_told_and_changes_nothing(org: Org, user: ApiUser) -> None:
    value = org.canary()
    assert user.values("app", A=value).status == 202
    ready(user)

    def told(body: Any, name: str = "app") -> str:
        status, code, text = user.put(f"/secrets/{name}", body).error
        assert (status, code) == (400, "GENERIC_BAD_REQUEST")
        return text

    def batch(*keys: str) -> dict[str, Any]:
        return {"secrets": [{"secretKey": key, "secretValue": value} for key in keys]}

    before = org.get("secretset", "app")
    assert told(batch("B", "B")) == "Duplicate key 'B'"
    assert "LIVEKIT_URL" in told(batch("LIVEKIT_URL"))
    assert "1 to 64" in told(batch("no name"))
    assert told(batch()) == "Invalid request format"
    assert told({"secrets": [{"secretKey": "B", "secretValue": "x" * 16_385}]}).startswith("The value of 'B' is longer")
    assert "3 to 63" in told(batch("B"), name="No_Name")
    large = [{"secretKey": f"K{number}", "secretValue": "x" * 16_000} for number in range(70)]
    assert "1,000,000 bytes together" in told({"secrets": large})
    assert "1,000,000 bytes together" in told({"secrets": large}, name="new")
    assert told({"metadata": {"a": "x" * 1025}}) == "Invalid request format"
    assert told({"secretKey": "B", "secretValue": value, "name": "other"}).startswith("The name in the body")
    assert user.delete("/secrets/app/A").error == (
        400,
        "GENERIC_BAD_REQUEST",
        "Cannot remove the last key; delete the set instead.",
    )
    assert user.put("/secrets/none", {"description": "of nothing"}).error[:2] == (404, "NOT_FOUND")
    assert org.get("secretset", "app") == before
    assert user.get("/secrets").json["sets"][0]["name"] == "app"


def test_a_failed_set_says_why(org: Org, user: ApiUser) -> None:
    org.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "taken", "namespace": org.regional}})
    assert user.values("taken", A=org.canary()).status == 202
    org.reaches("failed", "NameConflict", name="taken")
    shown = user.get("/secrets/taken").json
    assert (shown["status"], shown["reason"]) == ("failed", "NameConflict")
    assert "belongs to somebody else" in shown["errorMessage"]
    assert user.get("/secrets").json["sets"][0]["errorMessage"] == shown["errorMessage"]


def test_what_is_being_deleted_is_neither_ready_nor_changed(org: Org, user: ApiUser) -> None:
    assert user.values("app", A=org.canary()).status == 202
    ready(user)
    held = '[{"op": "add", "path": "/metadata/finalizers/-", "value": "example.com/held"}]'
    org.kubectl("patch", "secretset", "app", "--type=json", "-p", held)
    assert user.delete("/secrets/app").status == 200
    shown = user.get("/secrets/app").json
    assert (shown["status"], shown["deleting"]) == ("pending", True)
    assert user.values("app", B=org.canary()).error == (
        409,
        "CONFLICT",
        "Secret set 'app' is being deleted. Please retry.",
    )
    org.kubectl("patch", "secretset", "app", "--type=merge", "-p", '{"metadata": {"finalizers": []}}')
    eventually(lambda: user.get("/secrets/app").status == 404, "the set gone")
    assert user.values("app", B=org.canary()).status == 202


def test_regions(org: Org, user: ApiUser) -> None:
    assert {"code": "us-west", "display_name": "us-west"} in user.get("/regions").json["regions"]
    assert user.get("/properties").json == {"properties": {"defaultRegion": "us-west"}}
    assert user.values("app", A=org.canary()).status == 202
    assert [each["name"] for each in user.get("/secrets?region=us-west").json["sets"]] == ["app"]
    assert user.get("/secrets?region=elsewhere").json == {"sets": []}


def test_of_many_writers_none_is_lost(org: Org, user: ApiUser) -> None:
    values = {f"KEY_{number}": org.canary() for number in range(WRITERS)}
    with ThreadPoolExecutor(WRITERS) as pool:
        replies = list(pool.map(lambda item: user.values("app", **{item[0]: item[1]}), values.items()))
    assert {reply.status for reply in replies} == {202}
    assert len(ready(user)["secrets"]) == WRITERS
    expected = {key: value.encode() for key, value in values.items()}
    eventually(lambda: org.values() == expected, "all values")


def test_of_many_writers_of_one_key_one_is_the_last(org: Org, user: ApiUser) -> None:
    values = [org.canary() for _ in range(20)]
    user.values("app", A=org.canary())
    with ThreadPoolExecutor(len(values)) as pool:
        replies = list(pool.map(lambda value: user.values("app", A=value), values))
    refused = [reply.error for reply in replies if reply.status != 202]
    assert set(refused) <= {(409, "CONFLICT", "Secret set 'app' was modified concurrently. Please retry.")}
    accepted = [value.encode() for value, reply in zip(values, replies, strict=True) if reply.status == 202]
    ready(user)
    assert org.values()["A"] in accepted
