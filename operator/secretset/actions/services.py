"""Services: Deployments with a set bound, in regions that are namespaces of the hub, with the user's own rights there.

What Pipecat's deploy calls need, and no more. There are no credentials of other clusters here: `secretset bind` uses
the user's own for these.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from secretset.actions import sets
from secretset.actions.errors import Refused, Why
from secretset.actions.region_admin import organization_of
from secretset.actions.session import NO_ACCESS, RegionView, Session
from secretset.domain import names, services
from secretset.domain.gate import Standing
from secretset.domain.names import Key, Kind
from secretset.domain.services import Service
from secretset.domain.workloads import DEPLOYMENT
from secretset.kube import errors, paths

_ATTEMPTS = 6
_PAUSE = 0.05  # seconds before the second attempt; longer with each


@dataclass(frozen=True, kw_only=True, repr=False)
class Deployed:
    """A service as it is now.

    Attributes:
        region: where it runs.
        obj: its Deployment, as the API returned it.
    """

    region: str
    obj: Mapping[str, Any]


async def get(session: Session, organization: str, name: str) -> Deployed:
    """The service of a name, in whichever region it is.

    Raises:
        Refused: there is none that the user may see (``ABSENT``).
        KubeError: the hub did not answer.
    """
    found = await _found(session, organization, name)
    if found is None:
        raise _absent(organization, name)
    return found


async def create(session: Session, wanted: Service, region: str | None) -> Deployed:
    """Make a service with its sets bound.

    Args:
        session: the user's.
        wanted: the names of the sets in place of those of their Secrets.
        region: None: the organization's default.

    Raises:
        Refused: ``INVALID``; ``REGION_INVALID``: also a region in another cluster; ``NOT_READY``: a set is pending or
            failed; ``TAKEN``: there is a service of that name, or a Deployment that is none.
        KubeError: the hub refused or did not answer.
    """
    _check(wanted)
    if not wanted.image:
        raise Refused(Why.INVALID, "a new service needs an image: nothing is built here")
    there = await _found(session, wanted.organization, wanted.name)
    if there is not None:
        raise Refused(Why.TAKEN, f"Service '{wanted.name}' already exists in region '{there.region}'.")
    view = await _region(session, wanted.organization, await session.region_for(wanted.organization, region))
    bound = await _bound(session, wanted, view.name)
    namespace = _namespace(session, view, wanted.organization)
    try:
        obj = await session.client.create(paths.workloads(DEPLOYMENT, namespace), services.created(bound, namespace))
    except errors.AlreadyExists:
        raise _foreign(wanted.name, namespace) from None
    except errors.NotFound:
        raise Refused(
            Why.REGION_INVALID, f"The namespace '{namespace}' of region '{view.name}' is not there."
        ) from None
    except errors.Invalid:
        raise _unacceptable(wanted.name) from None
    return Deployed(region=view.name, obj=obj)


async def update(session: Session, wanted: Service, region: str | None) -> tuple[Deployed, bool]:
    """Change a service; what is not named stays as it is.

    Returns:
        The service, and whether anything was changed.

    Raises:
        Refused: as in `create`; ``ABSENT``; ``REGION_FIXED``: it is in another region; ``CONFLICT``.
        KubeError: the hub refused or did not answer.
    """
    _check(wanted)
    found = await get(session, wanted.organization, wanted.name)
    if region and region != found.region:
        raise Refused(
            Why.REGION_FIXED,
            f"Service already exists in region '{found.region}'. Cannot change region to '{region}'.",
        )
    bound = await _bound(session, wanted, found.region)
    path = paths.workloads(DEPLOYMENT, found.obj["metadata"]["namespace"], wanted.name)
    obj = found.obj
    for attempt in range(_ATTEMPTS):
        if not services.is_ours(obj, wanted.organization):
            raise _foreign(wanted.name, obj["metadata"]["namespace"])
        body = services.changed(obj, bound)
        if body == obj:
            return Deployed(region=found.region, obj=obj), False
        try:
            return Deployed(region=found.region, obj=await session.client.replace(path, body)), True
        except errors.NotFound:
            raise _absent(wanted.organization, wanted.name) from None
        except errors.Invalid:
            raise _unacceptable(wanted.name) from None
        except errors.Conflict:  # its status has changed, mostly
            await asyncio.sleep(_PAUSE * 2**attempt)
        try:
            obj = await session.client.get(path)
        except errors.NotFound:
            raise _absent(wanted.organization, wanted.name) from None
    raise Refused(Why.CONFLICT, f"Service '{wanted.name}' was modified concurrently. Please retry.")


def _check(wanted: Service) -> None:
    # A name is a label of pods too, so it is shorter than that of a Deployment may be.
    if not names.NAMESPACE_PATTERN.fullmatch(wanted.name):
        raise Refused(Why.INVALID, "the name of a service is 1 to 63 lower-case letters, digits and '-'")


async def _found(session: Session, organization: str, name: str) -> Deployed | None:
    """The service; None if the user sees none."""
    if not names.NAMESPACE_PATTERN.fullmatch(name):
        return None
    place = await organization_of(session, organization)
    views = [each for each in await session.regions() if each.record.on_hub and each.admits(place)]
    found = await asyncio.gather(*(_look(session, view, organization, name) for view in views))
    return next(filter(None, found), None)


async def _look(session: Session, view: RegionView, organization: str, name: str) -> Deployed | None:
    namespace = view.record.namespace_for(organization)
    if not _usable(session, namespace):
        return None
    try:
        obj = await session.client.get(paths.workloads(DEPLOYMENT, namespace, name))
    except (errors.NotFound, errors.Forbidden):
        return None
    return Deployed(region=view.name, obj=obj) if services.is_ours(obj, organization) else None


async def _region(session: Session, organization: str, name: str | None) -> RegionView:
    """The region of that name, if services can be put there."""
    if name is None:
        raise Refused(Why.REGION_INVALID, "there is no default region: name one")
    place = await organization_of(session, organization)
    view = next((each for each in await session.regions() if each.name == name), None)
    if view is None or not view.admits(place):
        raise Refused(Why.REGION_INVALID, NO_ACCESS)
    if not view.record.on_hub:
        raise Refused(
            Why.REGION_INVALID,
            f"Region '{name}' is another cluster, and this API holds no credentials of regions: make the Deployment "
            "there with kubectl, and bind it with `secretset bind`.",
        )
    return view


def _namespace(session: Session, view: RegionView, organization: str) -> str:
    namespace = view.record.namespace_for(organization)
    if not _usable(session, namespace):
        raise Refused(Why.REGION_INVALID, NO_ACCESS)
    return namespace


def _usable(session: Session, namespace: str) -> bool:
    """Whether a region may lead there at all (`domain.regions.target_namespace`)."""
    fits = names.NAMESPACE_PATTERN.fullmatch(namespace) is not None
    return fits and not namespace.startswith("kube-") and namespace != session.operator_namespace


async def _bound(session: Session, wanted: Service, region: str) -> Service:
    """The same with the names of Secrets in place of those of sets, which are ready, and in this region."""
    return replace(
        wanted,
        secret_set=await _secret(session, wanted.organization, Kind.SECRET_SET, wanted.secret_set, region),
        pull_secret=await _secret(session, wanted.organization, Kind.IMAGE_PULL_SECRET, wanted.pull_secret, region),
    )


async def _secret(session: Session, organization: str, kind: Kind, name: str | None, region: str) -> str | None:
    if name is None:
        return None
    try:
        view = await sets.get(session, Key(kind, organization, name))
    except Refused as refused:
        raise Refused(Why.INVALID, str(refused)) from None
    if view.region is not None and view.region != region:
        raise Refused(
            Why.REGION_INVALID,
            f"Secret set '{name}' is in region '{view.region}', and the service in '{region}': they must be in the "
            "same region.",
        )
    standing = Standing.parse(kind, view.obj)
    if not standing.usable:
        raise Refused(Why.NOT_READY, standing.refusal)
    return (view.secret_ref or {}).get("name") or name


def _absent(organization: str, name: str) -> Refused:
    shown = f"'{name}'" if names.NAMESPACE_PATTERN.fullmatch(name) else "of that name"
    return Refused(Why.ABSENT, f"there is no service {shown} in '{organization}'")


def _unacceptable(name: str) -> Refused:
    return Refused(
        Why.INVALID, f"the hub refuses the Deployment '{name}': by its image or resources, or by rules of its own"
    )


def _foreign(name: str, namespace: str) -> Refused:
    return Refused(
        Why.TAKEN,
        f"There is a Deployment '{name}' in namespace '{namespace}' that was not made here: it is not changed.",
    )
