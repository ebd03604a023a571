"""ServiceAccounts: attach what is wanted, detach what we attached, leave what others wrote."""

from typing import Any

import pytest

from secretset.domain import accounts
from secretset.domain.accounts import Account

MARK = "pull.secretset.dev/reg"


def patch(note: str | None, *listed: str) -> Any:
    """The list is atomic: a patch carries all of it, and the version that it was made for."""
    references = [{"name": name} for name in listed] or None
    return {"metadata": {"resourceVersion": "7", "annotations": {MARK: note}}, "imagePullSecrets": references}


def account(name: str = "default", *pull: str, mark: str | None = None) -> Account:
    marks = {} if mark is None else {"reg": mark}
    return Account(namespace="ns", name=name, resource_version="7", pull_secrets=pull, marks=marks)


@pytest.mark.parametrize(
    ("seen", "wanted", "expected"),
    [
        (account(), ["default"], patch("me", "reg")),
        (account("default", "z", "a"), ["default"], patch("me", "z", "a", "reg")),
        (account("default", mark="me"), ["default"], patch("me", "reg")),  # somebody took it out again
        (account("default", "reg", mark="me"), ["default"], None),
        (account("default", "reg"), ["default"], None),  # attached by somebody else
        (account("default", "reg", mark="me"), [], patch(None)),
        (account("default", "z", "reg", "a", mark="me"), [], patch(None, "z", "a")),
        (account("default", mark="me"), ["other"], patch(None)),
        (account("default", "reg"), [], None),
        (account("default", "reg", mark="another installation"), [], None),
        (account(), [], None),
    ],
)
def test_a_patch_attaches_or_detaches_only_what_is_ours(seen: Account, wanted: list[str], expected: Any) -> None:
    found = accounts.patches(secret="reg", wanted=wanted, accounts=[seen], installation="me")
    assert found == ({} if expected is None else {"default": expected})


def test_each_account_gets_its_own_patch() -> None:
    seen = [account("a"), account("b", "reg", mark="me"), account("c")]
    found = accounts.patches(secret="reg", wanted=["a"], accounts=seen, installation="me")
    assert found == {"a": patch("me", "reg"), "b": patch(None)}


def test_wanted_accounts_that_do_not_exist_are_named() -> None:
    assert accounts.missing(["b", "a", "default"], [account()]) == ["a", "b"]
    assert accounts.missing([], [account()]) == []


def test_an_account_is_read_with_our_marks_only() -> None:
    meta: dict[str, Any] = {
        "namespace": "ns",
        "name": "default",
        "resourceVersion": "7",
        "annotations": {MARK: "me", "theirs": "x"},
    }
    assert accounts.parse({"metadata": meta, "imagePullSecrets": [{"name": "reg"}, {}]}) == account(
        "default", "reg", mark="me"
    )
    del meta["annotations"]
    assert accounts.parse({"metadata": meta, "imagePullSecrets": None}) == account()
