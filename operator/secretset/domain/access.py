"""Access for people and pipelines: a ServiceAccount in an organization, bound to one of three ClusterRoles. Pure.

The roles are those of deploy/user-roles.yaml. A token is made by the API server for the account (TokenRequest), is
stored nowhere, and ends with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from secretset.domain import names

PIPECAT_PREFIX = "pcc_pat_"
"""What Pipecat's CLI wants in front of a token (facts.md); the REST API takes a token with and without it."""
SHORTEST_SECONDS, LONGEST_SECONDS = 600, 1 << 32
"""For how long the API server makes tokens (`TokenRequest`, spec.expirationSeconds)."""

_RBAC = "rbac.authorization.k8s.io"
_NAME_MAX = 63
_UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


class Role(StrEnum):
    """What an account may do with the sets of its organization."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"

    @property
    def cluster_role(self) -> str:
        """The ClusterRole that says so."""
        return f"secretset-{self.value}"


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountView:
    """One account.

    Attributes:
        created_at: when it was made, RFC 3339.
        expires_at: when the token that was made last ends, RFC 3339; None: none was made.
    """

    organization: str
    name: str
    uid: str
    role: Role
    created_at: str
    expires_at: str | None

    @classmethod
    def parse(cls, obj: Mapping[str, Any]) -> AccountView | None:
        """Read a ServiceAccount; None if it is not one of ours."""
        meta = obj["metadata"]
        try:
            role = Role((meta.get("labels") or {}).get(names.LABEL_ROLE, ""))
        except ValueError:
            return None
        return cls(
            organization=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            role=role,
            created_at=meta["creationTimestamp"],
            expires_at=(meta.get("annotations") or {}).get(names.ANNOTATION_TOKEN_EXPIRES),
        )

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "organization": self.organization,
            "name": self.name,
            "role": self.role.value,
            "createdAt": self.created_at,
            "expiresAt": self.expires_at,
        }


def is_valid_account(name: str) -> bool:
    """Whether an account may have a name: at most 63 characters of an RFC 1123 subdomain."""
    return len(name) <= _NAME_MAX and names.NAME_PATTERN.fullmatch(name) is not None


def account(namespace: str, name: str, role: Role) -> dict[str, Any]:
    """The ServiceAccount. Pods get no token of it by themselves."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": namespace, "labels": {names.LABEL_ROLE: role.value}},
        "automountServiceAccountToken": False,
    }


def binding_name(name: str) -> str:
    """The name of the RoleBinding of an account."""
    return f"secretset-{name}"


def binding(namespace: str, name: str, role: Role, uid: str | None = None) -> dict[str, Any]:
    """Its RoleBinding.

    Args:
        namespace: of both.
        name: of the account.
        role: that it gets.
        uid: of the account. The binding goes with it: another account of this name does not inherit the role. Absent,
            to ask whether it could be made.
    """
    owner = {"apiVersion": "v1", "kind": "ServiceAccount", "name": name, "uid": uid}
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {
            "name": binding_name(name),
            "namespace": namespace,
            "labels": {names.LABEL_ROLE: role.value},
            **({"ownerReferences": [owner]} if uid else {}),
        },
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role.cluster_role},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    }


def gives(obj: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a RoleBinding that is there gives what a wanted one would, to the same account."""
    return all(obj.get(field) == wanted[field] for field in ("roleRef", "subjects")) and (
        _owners(obj) == _owners(wanted)
    )


def seconds_of(text: str) -> int:
    """Read for how long a token is to be good: a number with one of `m`, `h`, `d`, `w`.

    Raises:
        ValueError: it is no such text, or the API server makes no such token; the message tells the rule.
    """
    found = re.fullmatch(r"(\d{1,10})([mhdw])", text, re.ASCII)
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
        raise ValueError("must be a number with m, h, d or w behind it, and at least 10m, such as 12h or 30d")
    return seconds


def _owners(obj: Mapping[str, Any]) -> list[Any]:
    return [owner.get("uid") for owner in obj["metadata"].get("ownerReferences") or ()]
