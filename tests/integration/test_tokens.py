"""`secretset tokens`, and what the three roles may do: all of it as the API server answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from harness import ROOT, Org, eventually
from harness.shell import Shell
from kubelab.plane import ControlPlane
from kubelab.pytest_plugin import ControlPlanes

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete")
READING = {"get", "list", "watch"}
RBAC = "rbac.authorization.k8s.io"


@pytest.fixture(scope="module", autouse=True)
def roles(hub: ControlPlane) -> None:
    for file in ("user-roles", "regions-viewer"):
        hub.kubectl("apply", "-f", str(ROOT / f"deploy/{file}.yaml"))


class Tokens:
    """`secretset tokens` of an organization, and kubeconfigs with what it prints."""

    def __init__(self, org: Org, canaries: list[str], folder: Path) -> None:
        self.org = org
        self.shell = Shell(org.plane, org.name, folder)
        self._canaries = canaries
        self._folder = folder

    def create(self, name: str, role: str, *flags: str, shell: Shell | None = None) -> str:
        done = (shell or self.shell).run(f"secretset tokens create {name} --role {role} {' '.join(flags)}")
        token = done.out.strip()
        self._canaries.append(token)
        assert token not in done.said
        assert f"secretset tokens delete {name} -n {self.org.name}" in done.said
        return token

    def kubeconfig(self, token: str) -> Path:
        """What somebody with a token has: the address of the hub, and the token."""
        plane, path = self.org.plane, self._folder / f"kubeconfig-{len(list(self._folder.iterdir()))}"
        ca = base64.b64encode(plane.ca).decode()
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "hub", "cluster": {"server": plane.server, "certificate-authority-data": ca}}],
            "users": [{"name": "me", "user": {"token": token}}],
            "contexts": [{"name": "hub", "context": {"cluster": "hub", "user": "me"}}],
            "current-context": "hub",
        }
        path.write_text(yaml.safe_dump(document))
        return path

    def user(self, role: str, name: str = "") -> Path:
        return self.kubeconfig(self.create(name or f"some-{role}", role))

    def shell_of(self, kubeconfig: Path) -> Shell:
        folder = self._folder / f"of-{kubeconfig.name}"
        folder.mkdir()
        return Shell(self.org.plane, self.org.name, folder, kubeconfig=kubeconfig)


@pytest.fixture
def tokens(org: Org, canaries: list[str], tmp_path: Path) -> Tokens:
    return Tokens(org, canaries, tmp_path)


def may(plane: ControlPlane, user: Path, resource: str, namespace: str) -> set[str]:
    """The verbs that somebody may use on ``PLURAL.GROUP/SUBRESOURCE`` of a namespace."""
    text, _, subresource = resource.partition("/")
    plural, _, group = text.partition(".")
    attributes = {"resource": plural, "group": group, "subresource": subresource, "namespace": namespace}
    reviews = [
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {**attributes, "verb": verb}},
        }
        for verb in VERBS
    ]
    asked = ("create", "--validate=false", "-f", "-", "-o", 'jsonpath={.status.allowed}{"\\n"}')
    answers = plane.kubectl(*asked, kubeconfig=user, input=yaml.safe_dump_all(reviews)).stdout.split()
    assert len(answers) == len(VERBS)
    return {verb for verb, answer in zip(VERBS, answers, strict=True) if answer == "true"}


@pytest.mark.parametrize(
    ("role", "on_sets", "on_accounts", "on_bindings"),
    [
        ("viewer", READING, set(), set()),
        ("editor", set(VERBS), set(), set()),
        ("admin", set(VERBS), READING | {"create", "patch", "delete"}, READING | {"create", "delete"}),
    ],
)
def test_what_a_role_may_do(
    org: Org, tokens: Tokens, role: str, on_sets: set[str], on_accounts: set[str], on_bindings: set[str]
) -> None:
    user, plane = tokens.user(role), org.plane
    for resource in ("secretsets.secretset.dev", "imagepullsecrets.secretset.dev"):
        assert may(plane, user, resource, org.name) == on_sets
        assert may(plane, user, resource, "default") == set()
    assert may(plane, user, "serviceaccounts", org.name) == on_accounts
    assert may(plane, user, f"rolebindings.{RBAC}", org.name) == on_bindings
    assert may(plane, user, "events", org.name) == READING
    for namespace in (org.name, org.regional, "secretset-system", "default"):
        assert may(plane, user, "secrets", namespace) == set()
    assert may(plane, user, "namespaces", org.name) == {"get"}
    assert may(plane, user, "namespaces", "default") == set()
    assert may(plane, user, "regions.secretset.dev", "") == READING
    assert may(plane, user, "serviceaccounts/token", org.name) == ({"create"} if role == "admin" else set())


def test_an_editor_writes_and_a_viewer_looks_on(org: Org, tokens: Tokens, tmp_path: Path) -> None:
    viewer, editor = (tokens.shell_of(tokens.user(role)) for role in ("viewer", "editor"))
    value = org.canary()
    (tmp_path / "value").write_text(value)
    editor.run(f"secretset set app --from-stdin A < {tmp_path / 'value'}")
    assert org.values() == {"A": value.encode()}
    assert "app" in viewer.run("secretset list").out
    assert value not in viewer.run("secretset get app -o yaml").out
    assert "you may not" in viewer.run(f"secretset set app --from-stdin A < {tmp_path / 'value'}", code=2).said
    assert "you may not" in viewer.run("secretset delete app --yes", code=2).said
    assert "you may not" in editor.run("secretset tokens create other --role viewer", code=2).said
    editor.run("secretset delete app --yes")


def test_a_token_of_one_organization_sees_nothing_of_another(
    org: Org, new_org: Callable[[str], Org], tokens: Tokens
) -> None:
    other = new_org(f"{org.name}-other").create()
    other.source()
    other.secret_set("theirs")
    shell = tokens.shell_of(tokens.user("admin"))
    for line in ("list", "get theirs", "status theirs", "tokens list", "tokens create x --role viewer"):
        done = shell.run(f"secretset {line} -n {other.name}", code=2)
        assert "you may not" in done.said
        assert "theirs" not in done.out
    assert "you may not" in shell.run("secretset list -A", code=2).said


def test_an_admin_gives_what_they_have_and_no_more(org: Org, tokens: Tokens) -> None:
    admin = tokens.user("admin")
    theirs = tokens.shell_of(admin)
    for role in ("viewer", "editor", "admin"):
        given = tokens.kubeconfig(tokens.create(f"given-{role}", role, shell=theirs))
        assert may(org.plane, given, "secretsets.secretset.dev", org.name) >= READING
    for wider in ("edit", "secretset-operator", "cluster-admin"):
        refused = org.plane.kubectl(
            *("create", "rolebinding", "wider", f"--clusterrole={wider}", f"--serviceaccount={org.name}:default"),
            *("-n", org.name),
            kubeconfig=admin,
            check=False,
        )
        assert "attempting to grant RBAC permissions not currently held" in refused.stderr


def test_who_has_not_a_role_cannot_give_it_and_nothing_is_left_behind(org: Org, tokens: Tokens) -> None:
    rules = ("--verb=get,list,create,patch,delete", "--resource=serviceaccounts,serviceaccounts/token")
    org.kubectl("create", "role", "personnel", *rules, f"--resource=rolebindings.{RBAC}")
    org.kubectl("create", "rolebinding", "personnel", "--role=personnel", "--user=pat")
    shell = tokens.shell_of(org.plane.kubeconfig_for("pat"))
    done = shell.run("secretset tokens create friend --role viewer", code=1)
    assert "you may not give the role viewer" in done.said
    assert not done.out
    assert org.get("serviceaccount", "friend") is None
    assert org.get("rolebinding", "secretset-friend") is None


def test_another_token_of_the_same_account_and_its_end(org: Org, tokens: Tokens) -> None:
    first = tokens.create("ci", "editor", "--for", "12h")
    assert tokens.create("ci", "editor", "--pipecat").startswith("pcc_pat_ey")
    (row,) = json.loads(tokens.shell.run("secretset tokens list -o json").out)
    assert (row["name"], row["role"], row["organization"]) == ("ci", "editor", org.name)
    assert row["expiresAt"] > row["createdAt"]
    told = tokens.shell.run("secretset tokens create ci --role viewer", code=1).said
    assert "has the role editor" in told
    user = tokens.kubeconfig(first)
    assert "create" in may(org.plane, user, "secretsets.secretset.dev", org.name)

    assert "good for nothing" in tokens.shell.run("secretset tokens delete ci").said
    assert org.get("serviceaccount", "ci") is None
    assert org.get("rolebinding", "secretset-ci") is None
    # The API server remembers a token that it accepted for 10 s; the role is gone at once.
    gone = org.plane.kubectl("get", "secretsets", "-n", org.name, kubeconfig=user, check=False)
    assert "Forbidden" in gone.stderr or "Unauthorized" in gone.stderr
    assert "there is no account" in tokens.shell.run("secretset tokens delete ci", code=1).said
    assert json.loads(tokens.shell.run("secretset tokens list -o json").out) == []
    assert "there are no accounts" in tokens.shell.run("secretset tokens list").said


def test_an_account_that_is_made_anew_does_not_inherit_the_role(org: Org, tokens: Tokens) -> None:
    tokens.create("ci", "editor")
    org.kubectl("delete", "serviceaccount", "ci")
    eventually(lambda: org.get("rolebinding", "secretset-ci") is None, "the binding goes with its account")
    user = tokens.user("viewer", "ci")
    assert may(org.plane, user, "secretsets.secretset.dev", org.name) == READING


def test_what_others_made_is_left_alone(org: Org, tokens: Tokens) -> None:
    assert "was not made by" in tokens.shell.run("secretset tokens create default --role viewer", code=1).said
    assert "was not made by" in tokens.shell.run("secretset tokens delete default", code=1).said
    org.kubectl("create", "rolebinding", "secretset-ci", "--clusterrole=view", "--user=pat")
    assert "the RoleBinding 'secretset-ci'" in tokens.shell.run("secretset tokens create ci --role viewer", code=1).said
    assert org.get("serviceaccount", "ci") is None


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("create ci", 2, "--role"),
        ("create ci --role owner", 2, "owner"),
        ("create ci --role viewer --for 5m", 2, "at least 10m"),
        ("create ci --role viewer --for forever", 2, "at least 10m"),
        ("create Not_A_Name --role viewer", 1, "the name of an account is"),
        ("create ci --role viewer -n ../x", 2, "can be no namespace"),
        ("create ci --role viewer -n nowhere-at-all", 1, "there is no organization 'nowhere-at-all'"),
        ("delete ../x", 1, "there is no account"),
    ],
)
def test_what_cannot_be(tokens: Tokens, line: str, code: int, says: str) -> None:
    done = tokens.shell.run(f"secretset tokens {line}", code=code)
    assert says in done.said
    assert not done.out


def test_kubernetes_own_roles_get_ours(org: Org) -> None:
    plane = org.plane
    for role in ("view", "edit", "admin"):
        org.kubectl("create", "rolebinding", f"own-{role}", f"--clusterrole={role}", f"--user={role}-of-{org.name}")
        user = plane.kubeconfig_for(f"{role}-of-{org.name}")
        wanted = READING if role == "view" else set(VERBS)
        eventually(lambda u=user: may(plane, u, "secretsets.secretset.dev", org.name), "aggregated rules")  # type: ignore[misc]
        assert may(plane, user, "secretsets.secretset.dev", org.name) == wanted


def test_a_hub_without_the_roles_says_so(function_control_planes: ControlPlanes, tmp_path: Path) -> None:
    (plane,) = function_control_planes(["bare"])
    done = Shell(plane, "default", tmp_path).run("secretset tokens create ci --role viewer", code=1)
    assert "no ClusterRole secretset-viewer: apply deploy/user-roles.yaml" in done.said
    assert "ci" not in plane.kubectl("get", "serviceaccounts", "-n", "default").stdout.split()
