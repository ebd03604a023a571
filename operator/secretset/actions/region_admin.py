"""Regions that are registered for one organization: made, changed, shown and taken away with the user's own rights.

Who may write Regions is of the platform team, as RBAC says. No role is ever granted here: the account of the replica
inside of a region gets its rights from deploy/agent-hub.yaml.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from secretset.actions import sets
from secretset.actions.errors import Refused, Why
from secretset.actions.session import RegionView, Session
from secretset.domain import enrollment, names
from secretset.domain.regions import Organization, RegionRecord, selects
from secretset.kube import errors, paths
from secretset.kube.client import MERGE_PATCH

# docs/regions.md: the agent's kubeconfig is to be made anew before.
TOKEN_SECONDS = 90 * 86400


@dataclass(frozen=True, kw_only=True, repr=False)
class Token:
    """What a replica inside of a region logs in to the hub with.

    Attributes:
        text: the token; never logged.
        expires_at: RFC 3339.
    """

    text: str
    expires_at: str
    namespace: str
    account: str


async def register(
    session: Session, organization: str, name: str, *, display_name: str | None = None, namespace: str | None = None
) -> tuple[RegionView, bool]:
    """Make a Region that is served from inside of its cluster and admits one organization, or change that one.

    Args:
        session: the user's.
        organization: that it admits.
        name: of the Region.
        display_name: None leaves what is there.
        namespace: that sets are delivered to; None leaves what is there, and else is the organization's name.

    Returns:
        The Region, and whether it is new.

    Raises:
        Refused: ``INVALID``; ``TAKEN``: there is a Region of that name which was not registered for this organization;
            ``NO_ORGANIZATION``: as far as the user may see namespaces.
        KubeError: the hub refused or did not answer.
    """
    if not names.NAMESPACE_PATTERN.fullmatch(name):
        raise Refused(Why.INVALID, "the key of a region is 1 to 63 lower-case letters, digits and '-'")
    if not names.NAMESPACE_PATTERN.fullmatch(organization):
        raise _no_organization(organization)
    if namespace is not None and not names.NAMESPACE_PATTERN.fullmatch(namespace):
        raise Refused(Why.INVALID, "the namespace of workloads is 1 to 63 lower-case letters, digits and '-'")
    if display_name is not None and len(display_name) > 128:
        raise Refused(Why.INVALID, "the display name is longer than 128 characters")
    await _exists(session, organization)
    try:
        body = enrollment.created(name, organization, display_name=display_name, namespace=namespace)
        return _view(await session.client.create(paths.REGIONS, body)), True
    except errors.AlreadyExists:
        view = await _read(session, name)
    if view is None or not enrollment.belongs_to(view.record, organization):
        raise Refused(Why.TAKEN, f"there is a region '{name}' that was not registered for '{organization}' alone")
    wanted = {"displayName": display_name, "namespace": namespace}
    spec = {field: value for field, value in wanted.items() if value is not None}
    if not spec:
        return view, False
    guard = {"resourceVersion": view.obj["metadata"]["resourceVersion"]}
    try:
        patched = await session.client.patch(paths.region(name), {"metadata": guard, "spec": spec}, MERGE_PATCH)
    except errors.Conflict:
        raise Refused(Why.CONFLICT, f"Region '{name}' was modified concurrently. Please retry.") from None
    return _view(patched), False


async def show(session: Session, organization: str, name: str) -> RegionView:
    """A Region that an organization may use, of whichever sort.

    Raises:
        Refused: ``ABSENT``, also where it does not admit the organization.
        KubeError: the hub refused or did not answer.
    """
    view = await _read(session, name)
    place = await organization_of(session, organization)
    if view is None or not selects(view.record.spec.organizations, place.labels):
        raise _absent(organization, name)
    return view


async def delete(session: Session, organization: str, name: str) -> None:
    """Take away a Region that was registered for an organization.

    Raises:
        Refused: ``ABSENT``; ``TAKEN``: it is not this organization's alone; ``IN_USE``: sets live in it; ``CONFLICT``.
        KubeError: the hub refused or did not answer.
    """
    view = await _own(session, organization, name)
    living = await sets.list_sets(session, organization, region=name)
    if living:
        some = ", ".join(f"'{each.name}'" for each in living[:5])
        more = f" and {len(living) - 5} more" if len(living) > 5 else ""
        raise Refused(Why.IN_USE, f"Region '{name}' is in use by {some}{more}: delete these secret sets first.")
    meta = view.obj["metadata"]
    try:
        await session.client.delete(paths.region(name), uid=meta["uid"], resource_version=meta["resourceVersion"])
    except errors.NotFound:
        raise _absent(organization, name) from None
    except errors.Conflict:
        raise Refused(Why.CONFLICT, f"Region '{name}' was modified concurrently. Please retry.") from None


async def enroll(session: Session, organization: str, name: str) -> Token:
    """A token of the account that serves a region from inside, which somebody has made with deploy/agent-hub.yaml.

    Raises:
        Refused: ``ABSENT``, ``TAKEN``; ``INVALID``: there is no such account yet.
        KubeError: the hub refused or did not answer.
    """
    await _own(session, organization, name)
    who = enrollment.account(name)
    path = f"{paths.core('serviceaccounts', session.operator_namespace, who)}/token"
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": TOKEN_SECONDS},
    }
    try:
        status: dict[str, Any] = (await session.client.create(path, request))["status"]
    except errors.NotFound:
        raise Refused(
            Why.INVALID,
            f"there is no account '{who}' in '{session.operator_namespace}': apply deploy/agent-hub.yaml for region "
            f"'{name}' first (docs/regions.md, \"Serve a region from inside\")",
        ) from None
    return Token(
        text=status["token"],
        expires_at=status["expirationTimestamp"],
        namespace=session.operator_namespace,
        account=who,
    )


async def organization_of(session: Session, name: str) -> Organization:
    """An organization; of one that the user may not see, what all namespaces have.

    Raises:
        KubeError: the hub did not answer.
    """
    return await session.organization(name) or Organization(
        name=name, created="", labels={enrollment.NAME_LABEL: name}, default_region=None
    )


async def _exists(session: Session, organization: str) -> None:
    """Refuse what would admit a namespace that is made later, by somebody else perhaps."""
    try:
        await session.client.get(paths.core("namespaces", None, organization))
    except errors.NotFound:
        raise _no_organization(organization) from None
    except errors.Forbidden:  # they are told nothing
        return


async def _own(session: Session, organization: str, name: str) -> RegionView:
    """A Region that was registered for an organization alone."""
    view = await show(session, organization, name)
    if not enrollment.belongs_to(view.record, organization):
        raise Refused(
            Why.TAKEN, f"Region '{name}' was not registered for '{organization}' alone: it is the platform team's."
        )
    return view


async def _read(session: Session, name: str) -> RegionView | None:
    if not names.NAMESPACE_PATTERN.fullmatch(name):
        return None
    try:
        obj = await session.client.get(paths.region(name))
    except (errors.NotFound, errors.Forbidden):
        return None
    record = RegionRecord.parse(obj)
    return None if record is None else RegionView(record=record, status=obj.get("status") or {}, obj=obj)


def _view(obj: dict[str, Any]) -> RegionView:
    """A Region that was just written.

    Raises:
        Refused: the hub's CRD makes something else of it (``INVALID``).
    """
    record = RegionRecord.parse(obj)
    if record is None:
        raise Refused(Why.INVALID, "the hub's rules for Regions are newer than this program's")
    return RegionView(record=record, status=obj.get("status") or {}, obj=obj)


def _no_organization(name: str) -> Refused:
    shown = f"'{name}'" if names.NAMESPACE_PATTERN.fullmatch(name) else "of that name"
    return Refused(Why.NO_ORGANIZATION, f"there is no organization {shown}")


def _absent(organization: str, name: str) -> Refused:
    shown = f"'{name}'" if names.NAMESPACE_PATTERN.fullmatch(name) else "of that name"
    return Refused(Why.ABSENT, f"there is no region {shown} for '{organization}'")
