"""Whose rights count in the REST API: those of the token that a request comes with, and nobody else's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness import Org, eventually
from harness.api import NO_LIMIT, Api, ApiUser, Reply, served
from kubelab.plane import ControlPlane


@pytest.fixture
def editor(api: Api, org: Org) -> ApiUser:
    user = api.member(org)
    assert user.values("app", A=org.canary()).status == 202
    return user


def told(reply: Reply, name: str) -> tuple[int, bytes, dict[str, str]]:
    """All of an answer, but for its id and time, and the name that was asked for."""
    headers = {key.lower(): value for key, value in reply.headers.items()}
    del headers["x-request-id"], headers["date"]
    return reply.status, reply.raw.replace(name.encode(), b"NAME"), headers


def test_absent_and_not_yours_look_the_same(api: Api, org: Org, editor: ApiUser) -> None:
    stranger = api.member(org, "", name="stranger")

    def reads(user: ApiUser, name: str) -> list[tuple[int, bytes, dict[str, str]]]:
        path = f"/secrets/{name}"
        return [told(reply, name) for reply in (user.get(path), user.delete(path), user.delete(f"{path}/A"))]

    def writes(user: ApiUser, name: str) -> tuple[int, bytes, dict[str, str]]:
        return told(user.values(name, A=org.canary()), name)

    # Nor does what a stranger is told of what is there differ from what an editor is told of what is not.
    assert reads(stranger, "app") == reads(stranger, "nil") == reads(editor, "nil")
    assert writes(stranger, "app") == writes(stranger, "nil") == reads(stranger, "app")[0]
    assert {status for status, _, _ in reads(stranger, "app")} == {404}
    there, nowhere = (api.user(stranger.token, f"/v1/organizations/{name}") for name in (org.name, "no-such"))
    assert there.get("/secrets").error == (404, "NOT_FOUND", f"There is no organization '{org.name}'")
    assert nowhere.get("/secrets").error == (404, "NOT_FOUND", "There is no organization 'no-such'")
    assert api.user(stranger.token, "/v1/organizations/No_Such").get("/secrets").status == 404


def test_who_may_look_is_told_what_they_may_not_do(api: Api, org: Org, editor: ApiUser) -> None:
    viewer = api.member(org, "viewer")
    assert viewer.get("/secrets/app").status == 200
    before = org.get("secretset", "app")
    for reply in (
        viewer.values("app", A=org.canary()),
        viewer.values("new", A=org.canary()),
        viewer.delete("/secrets/app"),
        viewer.put("/secrets/app", {"description": "x"}),
    ):
        status, code, text = reply.error
        assert (status, code) == (403, "FORBIDDEN")
        assert "You may not" in text
    after = org.get("secretset", "app")
    assert before is not None
    assert after is not None
    assert after["spec"] == before["spec"]


def test_another_organization_is_out_of_reach(
    api: Api, editor: ApiUser, new_org: Callable[[str], Org], org: Org
) -> None:
    other = new_org(f"{org.name}-b").create()
    theirs = api.member(other)
    assert theirs.values("app", A=other.canary()).status == 202
    across = api.user(editor.token, f"/v1/organizations/{other.name}")
    assert across.get("/secrets/app").status == 404
    assert across.values("app", A=other.canary()).status == 404
    assert across.delete("/secrets/app").status == 404
    assert [each["name"] for each in theirs.get("/secrets").json["sets"]] == ["app"]
    # Without an organization in the path, each token has its own.
    for user, organization in ((editor, org), (theirs, other)):
        own = api.user(user.token, "/v1")
        assert own.put("/secrets/app", {"description": organization.name}).status == 202
        assert own.get("/secrets/app").json["description"] == organization.name


def test_who_asks(api: Api, org: Org, editor: ApiUser) -> None:
    me = f"system:serviceaccount:{org.name}:editor"
    mine = api.user(editor.token, "/v1")
    assert mine.get("/users").json == {"user": {"userId": me, "emails": []}}
    assert mine.get("/organizations").json == {"organizations": [{"name": org.name, "verboseName": org.name}]}
    # Pipecat's CLI wants a prefix; the hub does not know it.
    assert api.user(f"pcc_pat_{editor.token}", "/v1").get("/users").json == mine.get("/users").json
    assert api.user(f"pcc_pat_pcc_pat_{editor.token}", "/v1").get("/users").status == 401
    assert mine.get("/users").status == 200
    for path, code in (("/users", "401"), ("/organizations", "401"), ("/secrets", "UNAUTHORIZED")):
        assert api.user(None, "/v1").get(path).error == (401, code, "Unauthorized")


def test_organizations_of_who_may_list_namespaces(api: Api, org: Org, new_org: Callable[[str], Org]) -> None:
    new_org(f"{org.name}-b").create()
    user = api.member(org, "viewer", name="lister")
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": f"list-{org.name}"}}
    rules = [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list"]}]
    subject = {"kind": "ServiceAccount", "name": "lister", "namespace": org.name}
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": f"list-{org.name}"}
    org.apply(
        {**role, "kind": "ClusterRole", "rules": rules},
        {**role, "kind": "ClusterRoleBinding", "roleRef": ref, "subjects": [subject]},
    )
    mine = api.user(user.token, "/v1")
    expected = {"organizations": [{"name": org.name, "verboseName": org.name}]}
    eventually(lambda: mine.get("/organizations").json == expected, "the organization that it has a role in")


def test_a_token_that_is_revoked_ends(api: Api, org: Org, editor: ApiUser) -> None:
    assert editor.get("/secrets").status == 200
    org.kubectl("delete", "serviceaccount", "editor")
    eventually(lambda: editor.get("/secrets").status == 401, "the token refused", seconds=30)
    assert editor.get("/secrets").error == (401, "401", "Unauthorized")


def test_odd_tokens(api: Api, editor: ApiUser) -> None:
    def asked(header: str) -> int:
        return (
            api.user(None, editor.root).ask("GET", "/secrets", Authorization=header.encode().decode("latin-1")).status
        )

    odd = ("a b", "ü", "x" * 20_000, "a\tb", "=", "Bearer", f"{editor.token},x", "%0d%0aX: y")
    assert {token: asked(f"Bearer {token}") for token in odd} == dict.fromkeys(odd, 401)
    for header in (f"Basic {editor.token}", editor.token or "", "Bearer", ""):
        assert asked(header) == 401
    assert asked(f"Bearer {editor.token}\x7f") in {400, 401}  # no header at all (RFC 9110, 5.5)
    for header in (f"bearer {editor.token}", f"BEARER  {editor.token} "):
        assert asked(header) == 200


def test_the_api_does_nothing_in_a_name_of_its_own(api: Api, org: Org, editor: ApiUser) -> None:
    """Its kubeconfig is an administrator's: nothing of it may be used but the address."""
    (created,) = [
        event
        for event in org.plane.audit_events()
        if (ref := event["objectRef"]).get("namespace") == org.name
        and ref["resource"] == "secretsets"
        and event["verb"] == "create"
    ]
    assert created["user"]["username"] == f"system:serviceaccount:{org.name}:editor"
    stored = org.get("secretset", "app")
    assert stored is not None
    shown = org.kubectl("get", "secretset", "app", "-o", "json", "--show-managed-fields").stdout
    assert '"manager": "secretset-api"' in shown
    assert "admin" not in {line.get("who") for line in api.audit()}


def test_what_surrounds_sets_is_hidden_with_them(
    hub: ControlPlane, canaries: list[str], org: Org, new_org: Callable[[str], Org]
) -> None:
    theirs = new_org(f"{org.name}-b").create()
    with served(hub, canaries, "--services", *NO_LIMIT) as api:
        stranger, editor = api.member(org, "", name="stranger"), api.member(org)
        across = api.user(api.member(theirs).token, editor.root)
        hidden = (404, "NOT_FOUND", f"There is no organization '{org.name}'")
        service = {"serviceName": "agent", "image": "app:1"}
        for user in (stranger, across):
            for path in ("/regions", "/properties", "/properties/schema", "/regions/us-west", "/services/agent"):
                assert user.get(path).error == hidden, path
            for method, path, body in (
                ("POST", "/services", service),
                ("PUT", "/services", service),
                ("POST", "/regions", {"regionKey": "mine"}),
                ("DELETE", "/regions/us-west", None),
                ("POST", "/regions/us-west/enrollment-tokens", None),
            ):
                assert user.ask(method, path, body).error == hidden, path
        assert api.user(stranger.token, "/v1").get("/regions").error == hidden
        for path in ("/regions", "/properties", "/properties/schema", "/regions/us-west"):
            assert editor.get(path).status == 200, path
        assert editor.ask("POST", "/services", service).error[:2] == (403, "FORBIDDEN")


def test_a_region_is_for_an_organization_that_is_there(api: Api, org: Org) -> None:
    account = ("clusterrolebinding", f"{org.name}-platform")
    org.plane.kubectl("create", *account, "--clusterrole=cluster-admin", f"--serviceaccount={org.name}:platform")
    try:
        token = api.member(org, "", name="platform").token
        nowhere = api.user(token, "/v1/organizations/no-such")
        reply = nowhere.ask("POST", "/regions", {"regionKey": f"pce-{org.name}"})
        assert reply.error == (404, "NOT_FOUND", "There is no organization 'no-such'")
        assert org.get("region", f"pce-{org.name}") is None
    finally:
        org.plane.kubectl("delete", *account)
