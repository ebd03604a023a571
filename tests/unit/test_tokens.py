"""Accounts of people and pipelines: their objects, and for how long their tokens are good."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from harness import ROOT
from secretset.domain import access
from secretset.domain.access import AccountView, Role


def stored(**changes: Any) -> dict[str, Any]:
    """An account as the API returns it."""
    obj = access.account("shop", "ci", Role.EDITOR)
    obj["metadata"] |= {"uid": "u1", "creationTimestamp": "2026-01-01T00:00:00Z", **changes}
    return obj


def test_an_account_is_read_as_it_was_written() -> None:
    view = AccountView.parse(stored(annotations={"secretset.dev/token-expires": "2026-02-01T00:00:00Z"}))
    assert view is not None
    assert view.to_json() == {
        "organization": "shop",
        "name": "ci",
        "role": "editor",
        "createdAt": "2026-01-01T00:00:00Z",
        "expiresAt": "2026-02-01T00:00:00Z",
    }
    assert access.account("shop", "ci", Role.EDITOR)["automountServiceAccountToken"] is False


@pytest.mark.parametrize("labels", [None, {}, {"secretset.dev/role": "owner"}, {"other": "viewer"}])
def test_another_account_is_none_of_ours(labels: Any) -> None:
    assert AccountView.parse(stored(labels=labels)) is None


def test_a_binding_goes_with_its_account() -> None:
    bound = access.binding("shop", "ci", Role.EDITOR, "u1")
    assert bound["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "ServiceAccount", "name": "ci", "uid": "u1"}
    ]
    assert "ownerReferences" not in access.binding("shop", "ci", Role.EDITOR)["metadata"]
    assert access.gives(bound, access.binding("shop", "ci", Role.EDITOR, "u1"))
    for other in (
        access.binding("shop", "ci", Role.EDITOR, "u2"),
        access.binding("shop", "ci", Role.VIEWER, "u1"),
        access.binding("shop", "ann", Role.EDITOR, "u1"),
        access.binding("shop", "ci", Role.EDITOR),
    ):
        assert not access.gives(bound, other)


def test_each_role_is_shipped() -> None:
    shipped = yaml.safe_load_all((ROOT / "deploy/user-roles.yaml").read_text())
    assert [each["metadata"]["name"] for each in shipped] == [role.cluster_role for role in Role]


def test_each_role_holds_all_of_the_one_before() -> None:
    """Else RBAC would not let an admin give it."""

    def rights(role: dict[str, Any]) -> set[tuple[str, str, str]]:
        return {
            (group, resource, verb)
            for rule in role["rules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }

    viewer, editor, admin = map(rights, yaml.safe_load_all((ROOT / "deploy/user-roles.yaml").read_text()))
    assert viewer < editor < admin


@pytest.mark.parametrize(("text", "seconds"), [("10m", 600), ("12h", 43_200), ("30d", 2_592_000), ("2w", 1_209_600)])
def test_for_how_long(text: str, seconds: int) -> None:
    assert access.seconds_of(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "9m", "10", "1s", "-1d", "1.5h", "1h30m", " 1h", "1h\n", "d", "0d", "99999999d", "٣d", "1y", "1D"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="at least 10m"):
        access.seconds_of(text)


@pytest.mark.parametrize(
    ("name", "valid"),
    [("ci", True), ("a", True), ("a.b-c", True), ("x" * 63, True), ("x" * 64, False), ("", False), ("A", False)],
)
def test_names_of_accounts(name: str, valid: bool) -> None:
    assert access.is_valid_account(name) is valid
    assert not access.is_valid_account(f"{name}/../x")
