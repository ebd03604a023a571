"""What there is beside sets: the caller, their organizations, and the regions of one."""

from __future__ import annotations

from fastapi import APIRouter

from secretset.actions import organizations
from secretset.actions.errors import Refused
from secretset.api import docs
from secretset.api.auth import TheCaller, TheOrganization
from secretset.api.models import (
    EmailAddress,
    Organization,
    OrganizationList,
    Properties,
    PropertiesAnswer,
    RegionInfo,
    RegionList,
    User,
    UserAnswer,
)

router = APIRouter(tags=["organizations"])
of_caller = APIRouter(tags=["organizations"])


@of_caller.get("/organizations", summary="List organizations", responses=docs.statuses())
async def list_organizations(caller: TheCaller) -> OrganizationList:
    """The organizations in which the caller may list sets, as far as the hub tells.

    Who may not list namespaces sees their own, if they are a service account; Kubernetes does not tell of others.
    """
    found = await organizations.visible(caller.session, own=caller.own_organization)
    return OrganizationList(organizations=[Organization(name=name, verbose_name=name) for name in found])


@of_caller.get("/users", summary="Show the caller", responses=docs.statuses())
async def show_user(caller: TheCaller) -> UserAnswer:
    """Who the hub says that the caller is."""
    emails = [EmailAddress(email_address=caller.name)] if "@" in caller.name else []
    return UserAnswer(user=User(user_id=caller.name, emails=emails))


@router.get("/regions", summary="List regions", responses=docs.statuses(400))
async def list_regions(place: TheOrganization) -> RegionList:
    """The regions that sets of the organization may be made in."""
    found = await organizations.regions(place.session, place.organization)
    return RegionList(
        regions=[RegionInfo(code=each.name, display_name=each.record.spec.display_name or each.name) for each in found]
    )


@router.get("/properties", summary="Show properties", responses=docs.statuses(400))
async def show_properties(place: TheOrganization) -> PropertiesAnswer:
    """What holds for an organization: the region of sets that name none."""
    try:
        region = await place.session.region_for(place.organization, None)
    except Refused:  # the default is not open to this organization
        region = None
    return PropertiesAnswer(properties=Properties(default_region=region))
