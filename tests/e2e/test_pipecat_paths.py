"""The paths of services and regions, asked for what Pipecat's CLI would not ask for."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from harness import Org
from harness.api import Api, ApiUser
from harness.pipecat import may_deploy

AGENT = {"serviceName": "agent", "image": "app:1"}


@pytest.fixture
def user(org: Org, api: Api) -> ApiUser:
    may_deploy(org, "editor")
    return api.member(org)


def generation(org: Org) -> int:
    found = org.get("deployment", "agent", namespace=org.regional)
    assert found is not None
    return int(found["metadata"]["generation"])


def test_one_after_the_other(org: Org, user: ApiUser) -> None:
    assert user.put("/services", AGENT).error == (404, "NOT_FOUND", f"There is no service 'agent' in '{org.name}'")
    made = user.ask("POST", "/services", {**AGENT, "krispViva": {}, "autoScaling": {"minAgents": 0}})
    assert made.status == 201
    assert (made.json["body"]["region"], made.json["warning"]) == ("us-west", None)
    expected = "Service 'agent' already exists in region 'us-west'."
    assert user.ask("POST", "/services", AGENT).error == (409, "TAKEN", expected)
    before = generation(org)
    changed = user.put("/services", {"serviceName": "agent", "image": "app:2", "agentProfile": "agent-2x"})
    assert changed.status == 200
    assert changed.json["warning"] == "Nothing here reads agentProfile."
    assert generation(org) == before + 1
    same = user.put("/services", {"serviceName": "agent"})
    assert same.json["warning"].startswith("Nothing was changed")
    assert generation(org) == before + 1
    assert user.get("/services/agent").json["body"]["deployment"]["manifest"]["spec"]["image"] == "app:2"


def test_a_service_stays_in_its_region(org: Org, user: ApiUser) -> None:
    east = org.region(f"{org.name}-east")
    try:
        user.ask("POST", "/services", AGENT)
        expected = f"Service already exists in region 'us-west'. Cannot change region to '{east}'."
        assert user.put("/services", {**AGENT, "region": east}).error == (400, "GENERIC_BAD_REQUEST", expected)
        status, _, text = user.ask("POST", "/services", {**AGENT, "serviceName": "other", "region": east}).error
        # Nobody may deploy there, and the namespace is not there either.
        assert (status, text) == (403, "You may not create deployments there (RBAC of the hub)")
    finally:
        org.forget_regions()


def test_a_region_whose_namespace_is_missing(org: Org, api: Api) -> None:
    east = org.region(f"{org.name}-east")
    binding = ("clusterrolebinding", f"{org.name}-admin")
    org.plane.kubectl("create", *binding, "--clusterrole=cluster-admin", f"--serviceaccount={org.name}:admin")
    try:
        status, _, text = api.member(org, "admin").ask("POST", "/services", {**AGENT, "region": east}).error
        assert (status, text) == (400, f"The namespace '{org.name}-{east}' of region '{east}' is not there.")
    finally:
        org.plane.kubectl("delete", *binding)
        org.forget_regions()


@pytest.mark.parametrize("namespace", ["kube-system", "secretset-system"])
def test_a_region_that_leads_where_nobody_may(org: Org, user: ApiUser, namespace: str) -> None:
    region = org.region(f"{org.name}-odd", namespace=namespace)
    try:
        refused = user.ask("POST", "/services", {**AGENT, "region": region}).error
        assert refused == (400, "GENERIC_BAD_REQUEST", "Invalid region or organization does not have access")
    finally:
        org.forget_regions()


def test_a_region_of_others(org: Org, user: ApiUser) -> None:
    region = org.region(f"{org.name}-theirs", organizations={"matchLabels": {"team": "other"}})
    try:
        for name in (region, "nowhere", "../us-west"):
            refused = user.ask("POST", "/services", {**AGENT, "region": name}).error
            assert refused == (400, "GENERIC_BAD_REQUEST", "Invalid region or organization does not have access")
    finally:
        org.forget_regions()


WRONG: list[dict[str, Any]] = [
    {},
    {"serviceName": "agent"},
    {**AGENT, "serviceName": "Agent"},
    {**AGENT, "serviceName": "../agent"},
    {**AGENT, "serviceName": "a" * 64},
    {**AGENT, "image": ""},
    {**AGENT, "image": "a b"},
    {**AGENT, "image": 1},
    {**AGENT, "autoScaling": {"minAgents": -1}},
    {**AGENT, "autoScaling": {"minAgents": "1"}},
    {**AGENT, "resources": {"cpu": "much"}},
    {**AGENT, "architecture": "riscv"},
    {**AGENT, "git": {"repo": "a/b"}},
    {**AGENT, "secretSet": "../x"},
    {**AGENT, "secretSet": "not-there"},
    {**AGENT, "imagePullSecretSet": "not-there"},
]


@pytest.mark.parametrize("body", WRONG, ids=itertools.count())
def test_what_is_wrong_is_refused(org: Org, user: ApiUser, body: dict[str, Any]) -> None:
    status, code, _ = user.ask("POST", "/services", body).error
    assert (status, code) == (400, "GENERIC_BAD_REQUEST")
    assert org.get("deployment", "agent", namespace=org.regional) is None


def test_a_set_of_the_other_kind(org: Org, user: ApiUser) -> None:
    assert user.values("app", A=org.canary()).status == 202
    org.reaches("ready", "Synced")
    status, _, text = user.ask("POST", "/services", {**AGENT, "imagePullSecretSet": "app"}).error
    assert (status, text) == (400, f"There is no set 'app' in '{org.name}'")


def test_changes_at_the_same_time_are_all_kept(org: Org, user: ApiUser) -> None:
    user.ask("POST", "/services", AGENT)
    changes = [{"image": "app:2"}, {"architecture": "arm64"}, {"autoScaling": {"minAgents": 3}}]
    with ThreadPoolExecutor() as pool:
        replies = list(pool.map(lambda change: user.put("/services", {"serviceName": "agent", **change}), changes))
    assert [reply.status for reply in replies] == [200, 200, 200]
    found = org.get("deployment", "agent", namespace=org.regional)
    assert found is not None
    spec = found["spec"]["template"]["spec"]
    assert found["spec"]["replicas"] == 3
    assert spec["containers"][0]["image"] == "app:2"
    assert spec["nodeSelector"] == {"kubernetes.io/arch": "arm64"}


def test_a_stranger_learns_nothing(org: Org, api: Api, user: ApiUser) -> None:
    user.ask("POST", "/services", AGENT)
    stranger = api.member(org, "")
    there, absent = stranger.get("/services/agent"), stranger.get("/services/absent")
    assert there.error[0] == absent.error[0] == 404
    assert there.error[2] == absent.error[2].replace("absent", "agent")
    assert stranger.put("/services", AGENT).error == there.error
    assert generation(org) == 1


@pytest.mark.parametrize(
    "path", ["/services/../x", "/services/A", "/services/%2e%2e%2fx", "/regions/A", "/regions/a.b"]
)
def test_what_can_be_no_name_is_not_there(user: ApiUser, path: str) -> None:
    assert user.get(path).error[0] == 404


def test_what_properties_may_be(org: Org, user: ApiUser) -> None:
    org.kubectl("annotate", "namespace", org.name, "secretset.dev/default-region=us-west")
    schema = user.get("/properties/schema").json["properties"]["defaultRegion"]
    assert (schema["type"], schema["currentValue"]) == ("string", "us-west")
    assert "us-west" in schema["availableValues"]
