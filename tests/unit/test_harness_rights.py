"""The comparison of what is granted with what is used: it can fail, in every way that it is there for."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from harness.rights import (
    Exceptions,
    Known,
    Refusal,
    Right,
    account_of,
    exceptions,
    granted,
    not_refused,
    told,
    too_few,
    too_many,
    used_of,
)
from harness.rights_log import Collected
from harness.rights_session import is_whole, known

RBAC = "rbac.authorization.k8s.io"
GROUPS = ["system:serviceaccounts", "system:serviceaccounts:secretset-system"]


def role(name: str, *rules: dict[str, Any], kind: str = "Role") -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name}, "rules": list(rules)}


def rule(verbs: str, *resources: str, group: str = "", **more: Any) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": list(resources), "verbs": verbs.split(), **more}


def bind(role: str, account: str = "secretset-operator", *, kind: str = "Role", **subject: str) -> dict[str, Any]:
    who = {"kind": "ServiceAccount", "name": account, "namespace": "secretset-system", **subject}
    return {
        "kind": f"{kind}Binding",
        "metadata": {"name": f"of-{role}"},
        "roleRef": {"kind": kind, "name": role},
        "subjects": [who],
    }


def right(verb: str, resource: str, name: str = "", *, role: str = "Role keep", account: str = "") -> Right:
    return Right(account or "secretset-operator", role, "", resource, verb, name)


GRANTS = granted(
    [
        role("keep", rule("get list", "secrets"), rule("update", "secrets", resourceNames=["keys", "more"])),
        bind("keep"),
        role("look", rule("get", "namespaces"), kind="ClusterRole"),
        bind("look", kind="ClusterRole"),
    ]
)
LOOK = right("get", "namespaces", role="ClusterRole look")
ALL = {
    *(right("get", "secrets"), right("list", "secrets"), LOOK),
    *(right("update", "secrets", "keys"), right("update", "secrets", "more")),
}


def test_each_part_of_a_rule_is_a_right_of_each_account() -> None:
    assert GRANTS.rights == ALL
    assert GRANTS.everywhere == {LOOK}


def test_agents_are_one_account_and_strangers_none() -> None:
    assert account_of("system:serviceaccount:secretset-system:secretset-agent-eu-bank") == "secretset-agent"
    assert account_of("system:serviceaccount:secretset-system:secretset-webhook") == "secretset-webhook"
    assert account_of("system:serviceaccount:shop:secretset-operator") is None
    theirs = bind("keep", namespace="shop")
    everybody = {**bind("keep"), "subjects": [{"kind": "Group", "name": "system:authenticated"}]}
    assert granted([role("keep", rule("get", "secrets")), theirs, everybody]).rights == frozenset()


@pytest.mark.parametrize(
    "wild",
    [rule("*", "secrets"), rule("get", "*"), rule("get", "x", group="*"), {"nonResourceURLs": ["/"], "verbs": ["get"]}],
)
def test_what_cannot_be_compared_is_refused(wild: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a rule with wildcards"):
        granted([role("wild", wild), bind("wild")])
    with pytest.raises(ValueError, match="binds the Role gone"):
        granted([bind("gone")])


def test_all_that_is_used_and_nothing_else_is_well() -> None:
    assert too_many(GRANTS, ALL, Exceptions()) == []
    # Objects have names that no rule names.
    assert used_of(GRANTS, {right("get", "secrets", "keys")}) == {right("get", "secrets")}


def test_a_right_that_nothing_used_is_told() -> None:
    left = {*ALL} - {right("list", "secrets"), right("update", "secrets", "more")}
    assert too_many(GRANTS, left, Exceptions()) == [
        "granted, and never used: secretset-operator by Role keep: list secrets",
        "granted, and never used: secretset-operator by Role keep: update secrets 'more'",
    ]
    # Another role, or another account, does not make up for it.
    other = {right("list", "secrets", role="Role other"), right("list", "secrets", account="secretset-webhook")}
    assert len(too_many(GRANTS, left | other, Exceptions())) == 2


def test_what_everybody_may_counts_for_an_account_that_may_it_by_itself_too() -> None:
    everybody = {**bind("all"), "subjects": [{"kind": "Group", "name": "system:authenticated"}]}
    grants = granted([role("keep", rule("list", "pods")), bind("keep"), role("all", rule("list", "pods")), everybody])
    assert grants.rights == {right("list", "pods")}
    assert used_of(grants, {right("list", "pods", role="Role all")}) == grants.rights
    assert used_of(grants, {right("list", "pods", role="Role all", account="secretset-webhook")}) == frozenset()
    assert used_of(grants, {right("get", "pods", role="Role all")}) == frozenset()
    assert used_of(grants, {right("list", "pods", role="Role other")}) == frozenset()


def test_an_exception_holds_as_long_as_it_is_needed() -> None:
    one = Known("secretset-operator", "Role keep", "secrets", "list", "rare")
    other = Known("secretset-operator", "Role keep", "pods", "list", "rare")
    left = ALL - {right("list", "secrets")}
    assert too_many(GRANTS, left, Exceptions(unused=[one])) == []
    (used,) = too_many(GRANTS, ALL, Exceptions(unused=[one]))
    assert used.startswith("an exception that is not needed, for it is used: ")
    assert (
        too_many(GRANTS, left, Exceptions(sometimes=[one])) == too_many(GRANTS, ALL, Exceptions(sometimes=[one])) == []
    )
    (gone,) = too_many(GRANTS, ALL, Exceptions(sometimes=[other]))
    assert [gone] == too_many(GRANTS, ALL, Exceptions(unused=[other]))
    assert "for it is not granted: secretset-operator by Role keep: list pods" in gone


def test_what_the_chart_never_grants_may_not_be_tried() -> None:
    def tried(verb: str, resource: str, *, namespaced: bool = True, name: str = "") -> Refusal:
        return Refusal("secretset-operator", namespaced, "", resource, verb, name)

    expected = [
        tried("list", "secrets"),
        tried("get", "namespaces", namespaced=False),
        tried("update", "secrets", name="keys"),
    ]
    assert too_few(GRANTS, expected, Exceptions()) == []
    wrong = [
        tried("delete", "secrets"),
        tried("list", "secrets", namespaced=False),
        tried("update", "secrets", name="other"),
        tried("get", "secrets/status"),
    ]
    said = too_few(GRANTS, [*expected, *wrong], Exceptions())
    assert said == [f"tried, and never granted: {each}" for each in sorted(wrong)]
    entry = Known("secretset-operator", "", "secrets", "delete", "on purpose")
    assert len(too_few(GRANTS, wrong, Exceptions(refused=[entry]))) == 3
    assert not_refused(wrong, Exceptions(refused=[entry])) == []
    assert len(not_refused([], Exceptions(refused=[entry]))) == 1


def test_the_file_of_exceptions_is_read_whole_or_not_at_all() -> None:
    entry = {"account": "a", "role": "r", "resource": "secrets", "verbs": ["get", "list"], "reason": "rare"}
    read = exceptions({"unused": [entry], "sometimes": [], "refused": None})
    assert [(each.verb, each.reason) for each in read.unused] == [("get", "rare"), ("list", "rare")]
    for wrong in ({**entry, "reason": ""}, {**entry, "verb": "x"}, {"account": "a"}):
        with pytest.raises(ValueError, match="an entry has"):
            exceptions({"unused": [], "sometimes": [wrong], "refused": []})
    with pytest.raises(ValueError, match="three lists"):
        exceptions({"unused": []})
    assert all(len(each.reason) > 10 for each in (*known().unused, *known().sometimes, *known().refused))


# --- the audit log


def event(**changes: Any) -> bytes:
    made = {
        "kind": "Event",
        "verb": "get",
        "requestURI": "/api/v1/namespaces/secretset-system/secrets/secretset-sealing-keys?x=y",
        "user": {"username": "system:serviceaccount:secretset-system:secretset-operator", "groups": GROUPS},
        "userAgent": "secretset-operator/0.1.0",
        "objectRef": {
            "resource": "secrets",
            "namespace": "secretset-system",
            "name": "secretset-sealing-keys",
            "apiVersion": "v1",
        },
        "annotations": {
            "authorization.k8s.io/decision": "allow",
            "authorization.k8s.io/reason": 'RBAC: allowed by RoleBinding "secretset-operator/secretset-system" of Role'
            ' "secretset-operator" to ServiceAccount "secretset-operator/secretset-system"',
        },
        **changes,
    }
    return json.dumps(made).encode() + b"\n"


REFUSED = {"authorization.k8s.io/decision": "forbid", "authorization.k8s.io/reason": ""}


def test_who_did_what_by_which_role_is_read_from_the_audit_log() -> None:
    found = Collected()
    other = {"username": "admin", "groups": ["system:masters"]}
    stand_in = {"username": "replica-a", "groups": ["secretset-stand-ins"]}
    status = {"resource": "secretsets", "subresource": "status", "apiGroup": "secretset.dev", "name": "app"}
    found.read(
        [
            *(event(), event(), event(user=other), event(userAgent="kubectl/v1.36"), event()[:-9]),
            event(user=stand_in, verb="update", objectRef=status),
            event(annotations=REFUSED, verb="delete"),
            event(objectRef=None),
        ]
    )
    keys = Right("secretset-operator", "Role secretset-operator", "", "secrets", "get", "secretset-sealing-keys")
    assert found.uses == {
        keys: 2,
        Right("secretset-operator", "Role secretset-operator", "secretset.dev", "secretsets/status", "update", ""): 1,
    }
    (refusal,) = found.refusals
    assert told(refusal) == "delete secrets 'secretset-sealing-keys'"
    assert found.examples[refusal] == "/api/v1/namespaces/secretset-system/secrets/secretset-sealing-keys"
    again = Collected.of(json.loads(json.dumps(found.plain())))
    assert (again.uses, again.refusals, again.examples) == (found.uses, found.refusals, found.examples)
    again.add(found)
    assert again.uses[keys] == 4


# --- when


def asked(**changes: Any) -> Any:
    """The configuration of `make test`, but for these."""
    option: dict[str, Any] = {
        "whole": True,
        "keyword": "",
        "markexpr": "not chaos",
        **dict.fromkeys(("deselect", "ignore", "ignore_glob"), None),
        "maxfail": 0,
        "lf": False,
        "collectonly": False,
        **changes,
    }
    source = option.pop("args_source", pytest.Config.ArgsSource.TESTPATHS)
    return SimpleNamespace(option=SimpleNamespace(**option), args_source=source)


def test_only_a_run_of_everything_is_held_for_one() -> None:
    assert is_whole(asked())
    for part in (
        {"whole": False},
        {"args_source": pytest.Config.ArgsSource.ARGS},
        {"keyword": "rights"},
        {"markexpr": "chaos"},
        {"deselect": ["tests/unit/test_rights.py::test_x"]},
        {"ignore": ["tests/e2e"]},
        {"maxfail": 1},
        {"lf": True},
        {"collectonly": True},
    ):
        assert not is_whole(asked(**part)), part
