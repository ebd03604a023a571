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
        pull_secrets: names in its imagePullSecrets, in their order.
        marks: names of those that the operator attached, with the id of its installation.
    """

    namespace: str
    name: str
    resource_version: str
    pull_secrets: tuple[str, ...]
    marks: Mapping[str, str]


def parse(obj: Mapping[str, Any]) -> Account:
    """Read a ServiceAccount object of the API."""
    meta = obj["metadata"]
    prefix = names.PULL_MARK_PREFIX
    return Account(
        namespace=meta["namespace"],
        name=meta["name"],
        resource_version=meta["resourceVersion"],
        pull_secrets=tuple(ref["name"] for ref in obj.get("imagePullSecrets") or () if ref.get("name")),
        marks={k[len(prefix) :]: v for k, v in (meta.get("annotations") or {}).items() if k.startswith(prefix)},
    )


def missing(wanted: Collection[str], accounts: Iterable[Account]) -> list[str]:
    """The wanted ServiceAccounts that do not exist."""
    return sorted(set(wanted) - {account.name for account in accounts})


def patches(
    *, secret: str, wanted: Collection[str], accounts: Iterable[Account], installation: str
) -> dict[str, dict[str, Any]]:
    """The merge patches that attach and detach a pull secret, by the name of the ServiceAccount.

    The API knows this list as a whole only (it is atomic), so a patch carries all of it and names the version that it
    was made for: an entry that somebody else adds meanwhile is not lost.

    Only what the operator attached is detached: a reference that somebody else wrote stays theirs.
    """
    mark = names.PULL_MARK_PREFIX + secret
    out: dict[str, dict[str, Any]] = {}
    note: str | None
    for account in accounts:
        others = [name for name in account.pull_secrets if name != secret]
        if account.name in wanted and secret not in account.pull_secrets:
            listed, note = [*others, secret], installation
        elif account.name not in wanted and account.marks.get(secret) == installation:
            listed, note = others, None
        else:
            continue
        out[account.name] = {
            "metadata": {"resourceVersion": account.resource_version, "annotations": {mark: note}},
            "imagePullSecrets": [{"name": name} for name in listed] or None,
        }
    return out
