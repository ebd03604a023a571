"""The organizations that a user may work in, and the regions there."""

from __future__ import annotations

import asyncio

from secretset.actions.session import RegionView, Session
from secretset.domain import names
from secretset.kube import access, errors, pages, paths
from secretset.kube.client import METADATA_ONLY

_AT_A_TIME = 16
_KUBERNETES = "kube-"


async def visible(session: Session, *, own: str | None) -> list[str]:
    """The names of the organizations in which the user may list sets.

    Kubernetes does not tell who may not list namespaces in which ones they may do something.

    Args:
        session: the user's.
        own: the namespace that a service account lives in; what is found for who may not list them.

    Raises:
        KubeError: the hub did not answer.
    """
    client = session.client
    try:
        listed = [
            str(obj["metadata"]["name"]) async for obj in pages.items(client, paths.NAMESPACES, accept=METADATA_ONLY)
        ]
    except errors.Forbidden:
        return [own] if own else []
    # Kubernetes' namespaces and the operator's own are for no sets (domain.regions).
    found = sorted(name for name in listed if not name.startswith(_KUBERNETES) and name != session.operator_namespace)
    if await sees(session, None):
        return found
    few = asyncio.Semaphore(_AT_A_TIME)

    async def mine(name: str) -> bool:
        async with few:
            return await sees(session, name)

    allowed = await asyncio.gather(*map(mine, found))
    return [name for name, yes in zip(found, allowed, strict=True) if yes]


async def regions(session: Session, organization: str) -> list[RegionView]:
    """The regions that sets of an organization may be made in, by name; none if the user may not see regions.

    Of an organization that the user may not see it is not known which of them it may use: all are shown then.

    Raises:
        KubeError: the hub did not answer.
    """
    place = await session.organization(organization)
    return [
        each
        for each in await session.regions()
        if (each.admits(place) if place is not None else not each.record.spec.decommissioned)
    ]


async def sees(session: Session, organization: str | None) -> bool:
    """Whether the user may list the sets of an organization, or, without one, of all.

    Raises:
        KubeError: the hub refused or did not answer.
    """
    return await access.may(session.client, "list", "secretsets", group=names.GROUP, namespace=organization)
