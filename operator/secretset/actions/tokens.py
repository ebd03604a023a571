"""Give somebody access to an organization: an account with a role, and tokens of it. With the rights of who gives it.

RBAC lets nobody give what they do not have (its escalation check), so this cannot be used to get further.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from secretset.actions.errors import Refused, Why
from secretset.actions.session import Session
from secretset.domain import access, names
from secretset.domain.access import AccountView, Role
from secretset.kube import access as reviews
from secretset.kube import errors, pages, paths
from secretset.kube.client import MERGE_PATCH


@dataclass(frozen=True, kw_only=True, repr=False)
class Issued:
    """A token, which is kept nowhere else.

    Attributes:
        account: whose it is.
        token: itself.
        expires_at: when it ends, RFC 3339. The API server may make it shorter than was asked for.
    """

    account: AccountView
    token: str
    expires_at: str


async def create(session: Session, namespace: str, name: str, role: Role, *, seconds: int) -> Issued:
    """Make an account and a token of it; of an account that is there with this role, another token.

    Args:
        session: of who gives access.
        namespace: the organization.
        name: of the account.
        role: that it gets.
        seconds: for how long the token is to be good, see `access.seconds_of`.

    Raises:
        Refused: ``INVALID``, ``OTHER_KIND`` (the name is taken), ``NO_ORGANIZATION`` or ``CONFLICT``.
        KubeError: the hub refused or did not answer.
    """
    _check(namespace, name)
    found = await _account(session, namespace, name)
    if found is None:
        await _check_role(session, namespace, name, role)
        found = await _created(session, namespace, name, role)
    elif found.role is not role:
        raise Refused(
            Why.OTHER_KIND,
            f"the account '{name}' has the role {found.role}: choose another name, or delete it first",
        )
    await _bind(session, found)
    path = paths.core("serviceaccounts", namespace, name)
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": seconds},
    }
    status = (await session.client.create(f"{path}/token", request))["status"]
    noted = {"uid": found.uid, "annotations": {names.ANNOTATION_TOKEN_EXPIRES: status["expirationTimestamp"]}}
    account = AccountView.parse(await session.client.patch(path, {"metadata": noted}, MERGE_PATCH))
    return Issued(account=account or found, token=status["token"], expires_at=status["expirationTimestamp"])


async def list_accounts(session: Session, namespace: str | None) -> list[AccountView]:
    """The accounts of an organization, or of all (None), by name.

    Raises:
        KubeError: the hub refused or did not answer.
    """
    path = paths.core("serviceaccounts", namespace)
    query = {"labelSelector": names.LABEL_ROLE}
    found = [AccountView.parse(obj) async for obj in pages.items(session.client, path, query)]
    return sorted((each for each in found if each is not None), key=lambda each: (each.organization, each.name))


async def delete(session: Session, namespace: str, name: str) -> AccountView:
    """Take an account away: its role at once, and with it all of its tokens.

    Raises:
        Refused: ``ABSENT``, or ``OTHER_KIND``: it is not one of ours.
        KubeError: the hub refused or did not answer.
    """
    found = await _account(session, namespace, name) if access.is_valid_account(name) else None
    if found is None:
        raise Refused(Why.ABSENT, f"there is no account of that name in '{namespace}'")
    path = paths.role_bindings(namespace, access.binding_name(name))
    binding = await _get(session, path)
    if binding is not None and access.gives(binding, access.binding(namespace, name, found.role, found.uid)):
        await _gone(session, path, binding["metadata"]["uid"])
    await _gone(session, paths.core("serviceaccounts", namespace, name), found.uid)
    return found


def _check(namespace: str, name: str) -> None:
    if not names.NAMESPACE_PATTERN.fullmatch(namespace):
        raise Refused(Why.INVALID, "the organization is no name of a namespace")
    if not access.is_valid_account(name):
        raise Refused(Why.INVALID, "the name of an account is 1 to 63 lower-case letters, digits, '-' and '.'")


async def _account(session: Session, namespace: str, name: str) -> AccountView | None:
    obj = await _get(session, paths.core("serviceaccounts", namespace, name))
    if obj is None:
        return None
    found = AccountView.parse(obj)
    if found is None:
        raise Refused(
            Why.OTHER_KIND,
            f"the ServiceAccount '{name}' in '{namespace}' was not made by `secretset tokens`: choose another name",
        )
    return found


async def _check_role(session: Session, namespace: str, name: str, role: Role) -> None:
    """Find out before anything is made whether the role is there, and may be given."""
    try:
        await session.client.get(paths.cluster_role(role.cluster_role))
    except errors.NotFound:
        raise Refused(
            Why.INVALID, f"this hub has no ClusterRole {role.cluster_role}: apply deploy/user-roles.yaml there"
        ) from None
    except errors.Forbidden:
        pass  # who may use it need not be able to read it
    path, body = paths.role_bindings(namespace), access.binding(namespace, name, role)
    try:
        await session.client.request("POST", path, body=body, params={"dryRun": "All"})
    except errors.AlreadyExists:
        await _earlier_binding(session, namespace, name)
    except errors.NotFound:
        raise Refused(
            Why.NO_ORGANIZATION, f"there is no organization '{namespace}', or no ClusterRole {role.cluster_role}"
        ) from None
    except errors.Forbidden:
        if await reviews.may(session.client, "create", "rolebindings", group=paths.RBAC, namespace=namespace):
            raise Refused(
                Why.INVALID,
                f"you may not give the role {role} in '{namespace}': RBAC lets nobody give rights they do not have",
            ) from None
        raise


async def _created(session: Session, namespace: str, name: str, role: Role) -> AccountView:
    try:
        obj = await session.client.create(
            paths.core("serviceaccounts", namespace), access.account(namespace, name, role)
        )
    except errors.AlreadyExists:
        raise Refused(Why.CONFLICT, f"somebody else makes the account '{name}' just now; try again") from None
    except errors.NotFound:
        raise Refused(Why.NO_ORGANIZATION, f"there is no organization '{namespace}'") from None
    made = AccountView.parse(obj)
    if made is None:
        raise Refused(Why.INVALID, f"something on the hub takes the label {names.LABEL_ROLE} away")
    return made


async def _bind(session: Session, account: AccountView) -> None:
    """Make sure that an account has its role, and that no binding of an earlier one of its name is in the way."""
    wanted = access.binding(account.organization, account.name, account.role, account.uid)
    path = paths.role_bindings(account.organization, access.binding_name(account.name))
    found = await _earlier_binding(session, account.organization, account.name)
    if found is not None:
        if access.gives(found, wanted):
            return
        await _gone(session, path, found["metadata"]["uid"])
    try:
        await session.client.create(paths.role_bindings(account.organization), wanted)
    except errors.AlreadyExists:
        raise Refused(Why.CONFLICT, f"somebody else binds the account '{account.name}' just now; try again") from None


async def _earlier_binding(session: Session, namespace: str, name: str) -> dict[str, Any] | None:
    """The RoleBinding that has the name of an account's: its own, or that of an account which is gone.

    Raises:
        Refused: it is somebody else's (``OTHER_KIND``).
    """
    found = await _get(session, paths.role_bindings(namespace, access.binding_name(name)))
    if found is not None and names.LABEL_ROLE not in (found["metadata"].get("labels") or {}):
        raise Refused(
            Why.OTHER_KIND,
            f"the RoleBinding '{access.binding_name(name)}' in '{namespace}' was not made by `secretset tokens`: "
            "choose another name",
        )
    return found


async def _get(session: Session, path: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = await session.client.get(path)
    except errors.NotFound:
        return None
    return found


async def _gone(session: Session, path: str, uid: str) -> None:
    try:
        await session.client.delete(path, uid=uid)
    except errors.NotFound:
        pass
    except errors.Conflict:
        raise Refused(Why.CONFLICT, "it was made anew meanwhile; try again") from None
