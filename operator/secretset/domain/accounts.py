"""ServiceAccounts that a pull secret is attached to: which to patch, decided from what is seen of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from secretset.domain import names


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """What is kept of a ServiceAccount.

    Attributes:
        pull_secrets: names in its imagePullSecrets.
        marks: names of those that the operator attached, with the id of its installation.
    """

    namespace: str
    name: str
    pull_secrets: frozenset[str]
    marks: Mapping[str, str]


def parse(obj: Mapping[str, Any]) -> Account:
    """Read a ServiceAccount object of the API."""
    meta = obj["metadata"]
    prefix = names.PULL_MARK_PREFIX
    return Account(
        namespace=meta["namespace"],
        name=meta["name"],
        pull_secrets=frozenset(ref["name"] for ref in obj.get("imagePullSecrets") or () if ref.get("name")),
        marks={k[len(prefix) :]: v for k, v in (meta.get("annotations") or {}).items() if k.startswith(prefix)},
    )


def missing(wanted: Collection[str], accounts: Iterable[Account]) -> list[str]:
    """The wanted ServiceAccounts that do not exist."""
    return sorted(set(wanted) - {account.name for account in accounts})


def patches(
    *, secret: str, wanted: Collection[str], accounts: Iterable[Account], installation: str
) -> dict[str, dict[str, Any]]:
    """The strategic merge patches that attach and detach a pull secret, by the name of the ServiceAccount.

    Only what the operator attached is detached: a reference that somebody else wrote stays theirs.
    """
    mark = names.PULL_MARK_PREFIX + secret
    out: dict[str, dict[str, Any]] = {}
    for account in accounts:
        if account.name in wanted:
            if secret not in account.pull_secrets:
                out[account.name] = {
                    "metadata": {"annotations": {mark: installation}},
                    "imagePullSecrets": [{"name": secret}],
                }
        elif account.marks.get(secret) == installation:
            out[account.name] = {
                "metadata": {"annotations": {mark: None}},
                "imagePullSecrets": [{"$patch": "delete", "name": secret}],
            }
    return out
