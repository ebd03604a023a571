"""What the operator needs to be allowed: deploy/ grants exactly that, and a lack is told in one way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from secretset.domain import rights
from secretset.domain.rights import Missing, Right
from secretset.domain.workloads import WORKLOAD_KINDS

DEPLOY = Path(__file__).parents[2] / "deploy"
BIND_POLICY = {
    "apiGroups": ["admissionregistration.k8s.io"],
    "resources": ["mutatingadmissionpolicies", "mutatingadmissionpolicybindings"],
    "resourceNames": ["secretset-bind"],
    "verbs": ["get"],
}
ALL = rights.needed(WORKLOAD_KINDS, pull_secrets=True)


def rules_of(file: str, name: str, kind: str = "ClusterRole") -> list[dict[str, Any]]:
    documents = [document for document in yaml.safe_load_all((DEPLOY / file).read_text()) if document]
    (role,) = [one for one in documents if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return list(role["rules"])


def granted(rules: list[dict[str, Any]]) -> list[Right]:
    """Every right of the rules, as often as it is there."""
    return sorted(
        Right(verb, group, resource)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    )


def test_the_role_of_a_regional_namespace_grants_what_is_needed_and_no_more() -> None:
    rules = rules_of("regional-namespace.yaml", "secretset-regional-namespace", "Role")
    assert granted(rules) == sorted(ALL)
    assert all({*rule} == {"apiGroups", "resources", "verbs"} for rule in rules)


def test_the_role_of_a_region_cluster_grants_namespaces_and_a_look_at_the_bind_policy() -> None:
    *rules, look = rules_of("region-cluster.yaml", "secretset-operator-region")
    assert granted(rules) == [*rights.cluster_rights(create_namespaces=False)]
    assert look == BIND_POLICY


def test_the_role_on_the_hub_covers_a_region_there() -> None:
    rules = rules_of("rbac.yaml", "secretset-operator")
    assert {*rights.cluster_rights(create_namespaces=False)} < {*granted(rules)}
    # Nothing else is granted on admission: who may write policies there could change every pod.
    assert [rule for rule in rules if "admissionregistration.k8s.io" in rule["apiGroups"]] == [BIND_POLICY]


def test_pull_secrets_take_service_accounts_more() -> None:
    without = rights.needed(WORKLOAD_KINDS, pull_secrets=False)
    assert ALL[: len(without)] == without
    assert {right.resource for right in without} == {"secrets", "pods", *(kind.plural for kind in WORKLOAD_KINDS)}
    assert [(right.verb, right.resource) for right in ALL[len(without) :]] == [
        ("list", "serviceaccounts"),
        ("watch", "serviceaccounts"),
        ("patch", "serviceaccounts"),
    ]


def test_workloads_are_asked_for_in_their_group() -> None:
    assert Right("patch", "apps", "deployments") in ALL
    assert Right("patch", "argoproj.io", "rollouts") in ALL
    assert {right.group for right in ALL} == {"", "apps", "argoproj.io"}


def test_nothing_is_asked_for_kinds_that_a_cluster_does_not_serve() -> None:
    plain = [kind for kind in WORKLOAD_KINDS if not kind.optional]
    assert {*ALL} - {*rights.needed(plain, pull_secrets=True)} == {
        Right(verb, "argoproj.io", "rollouts") for verb in ("get", "list", "watch", "patch")
    }


def test_only_who_creates_namespaces_needs_that_right() -> None:
    assert rights.cluster_rights(create_namespaces=False) == (Right("get", "", "namespaces"),)
    assert rights.cluster_rights(create_namespaces=True) == (
        Right("get", "", "namespaces"),
        Right("create", "", "namespaces"),
    )


def rule(verbs: str = "get", groups: str = "apps", resources: str = "deployments", **more: Any) -> dict[str, Any]:
    return {"verbs": verbs.split(), "apiGroups": groups.split(","), "resources": resources.split(), **more}


@pytest.mark.parametrize(
    ("given_rule", "expected"),
    [
        (rule(), True),
        (rule("list get", "batch,apps", "jobs deployments"), True),
        (rule("*"), True),
        (rule(groups="*"), True),
        (rule(resources="*"), True),
        (rule("*", "*", "*"), True),
        (rule(resourceNames=[]), True),
        (rule(resourceNames=None), True),
        (rule("list"), False),
        (rule(groups=""), False),
        (rule(resources="deployments/status"), False),
        (rule(resources="deployments/*"), False),
        (rule(resources="*/status"), False),
        (rule(resourceNames=["web"]), False),
        (rule("*", "*", "*", resourceNames=["web"]), False),
        # As the API leaves out what is empty: a rule for paths has neither groups nor resources.
        ({"verbs": ["get"]}, False),
        ({"verbs": ["*"], "apiGroups": None, "resources": None}, False),
    ],
)
def test_what_a_rule_shows(given_rule: dict[str, Any], expected: bool) -> None:
    assert rights.shown([given_rule], Right("get", "apps", "deployments")) is expected
    assert rights.shown([rule("watch"), given_rule], Right("get", "apps", "deployments")) is expected


def test_the_parts_of_a_right_must_stand_in_one_rule() -> None:
    apart = [rule("get", "apps", "daemonsets"), rule("list", "apps", "deployments")]
    assert not rights.shown(apart, Right("get", "apps", "deployments"))
    assert not rights.shown([], Right("get", "apps", "deployments"))


def lacks(namespace: str | None, *wanted: Right) -> list[Missing]:
    return [Missing(right, namespace) for right in wanted]


CREATE, UPDATE, PATCH = (
    Right("create", "", "secrets"),
    Right("update", "", "secrets"),
    Right("patch", "apps", "deployments"),
)
NAMESPACES = Right("get", "", "namespaces")


@pytest.mark.parametrize(
    ("missing", "text"),
    [
        ([], ""),
        (lacks("shop", CREATE), "may not create secrets in namespace 'shop'"),
        (
            lacks("shop", UPDATE, PATCH, CREATE, UPDATE),
            "may not create, update secrets in namespace 'shop'; may not patch deployments in namespace 'shop'",
        ),
        (
            [*lacks("team", CREATE), *lacks("shop", CREATE), *lacks(None, NAMESPACES)],
            (
                "may not get namespaces in the whole cluster; may not create secrets in namespace 'shop'; "
                "may not create secrets in namespace 'team'"
            ),
        ),
    ],
)
def test_what_is_told(missing: list[Missing], text: str) -> None:
    assert rights.tell(missing) == text


def test_a_long_list_is_cut_and_counted() -> None:
    missing = [lack for number in range(10) for lack in lacks(f"shop-{number}", CREATE, UPDATE, PATCH)]
    told = rights.tell(missing).split("; ")
    assert told[0] == "may not create, update secrets in namespace 'shop-0'"
    assert (len(told), told[-1]) == (9, "and 12 more")
    assert "and" not in rights.tell(missing, limit=20)
    assert rights.tell(missing, limit=19).endswith("; and 1 more")


@given(
    st.lists(st.builds(Missing, st.sampled_from([*ALL, NAMESPACES]), st.sampled_from([None, "a", "b", "c"]))), st.data()
)
def test_the_order_in_which_it_is_found_makes_no_difference(missing: list[Missing], data: st.DataObject) -> None:
    told = rights.tell(missing, limit=3)
    assert rights.tell(data.draw(st.permutations(missing)), limit=3) == told
    assert rights.tell([*missing, *missing], limit=3) == told
    assert bool(told) == bool(missing)
