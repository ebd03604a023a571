"""The paths of Pipecat's `regions register`, `show`, `delete`, `enroll-token`, and of `organizations default-region`.

All with the caller's own rights: who may not write Regions, as most may not, is refused by the hub.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, Field

from secretset.actions import organizations, region_admin
from secretset.actions.errors import Refused
from secretset.actions.session import RegionView
from secretset.api import bodies, docs
from secretset.api.audit import concerns
from secretset.api.auth import TheOrganization
from secretset.api.errors import bad_request
from secretset.api.models import Answered, Asked, Done, ErrorResponse
from secretset.domain import enrollment

# RFC 1123 label.
_LABEL = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_WRITES = docs.writes() | {
    409: {"model": ErrorResponse, "description": "The region is in use, or not this organization's alone"}
}
_NOT_KEPT = ("supportedArchitectures", "defaultArchitecture", "wsPublicEndpoint")

router = APIRouter(tags=["regions"])

RegionKey = Annotated[str, Path(description="The name of the Region.", examples=["pce-acme-us-east"])]


class RegionRequest(Asked):
    """What a region is to be; what is absent stays as it is."""

    region_key: str = Field(pattern=_LABEL, description="The name of the Region.", examples=["pce-acme-us-east"])
    display_name: str | None = Field(default=None, min_length=1, max_length=128, examples=["Acme, US East"])
    workloads_namespace: str | None = Field(
        default=None,
        pattern=_LABEL,
        description="Where sets are delivered to in its cluster. Absent at first: the organization's name.",
        examples=["agents"],
    )
    supported_architectures: list[str] | None = Field(default=None, description="Refused: not kept here.")
    default_architecture: str | None = Field(default=None, description="Refused: not kept here.")
    ws_public_endpoint: str | None = Field(default=None, description="Refused: not kept here.")


class RegionRecord(BaseModel):
    """A region, in the words of Pipecat's CLI."""

    region_key: str
    display_name: str
    enrollment_status: Literal["pending", "enrolled", "failed"] = Field(
        description="pending: no replica of the operator serves it yet, or its cluster does not answer."
    )
    reason: str | None = Field(description="Of the Region's status.")
    message: str | None = Field(description="Of the Region's status.")
    workloads_namespace: str | None
    decommissioned: bool
    intermediate_expires_at: None = None
    ws_public_endpoint: None = None
    supported_architectures: None = None
    default_architecture: None = None


class EnrollmentToken(Answered):
    """A token that cannot be read again."""

    token: str = Field(description="Of the hub account of the replica inside of the region.")
    expires_at: str = Field(description="RFC 3339; the replica needs a new one before.")
    namespace: str = Field(description="Of the account.")
    service_account: str = Field(description="The account.")


class PropertySchema(Answered):
    """What a property is, and may be."""

    type: Literal["string"] = "string"
    description: str
    current_value: str | None = None
    available_values: list[str]


class PropertySchemas(Answered):
    """The properties of an organization, by name."""

    properties: dict[str, PropertySchema]


@router.get(
    "/properties/schema",
    summary="Show what properties may be",
    responses=docs.statuses(400),
    response_model_exclude_none=True,
)
async def show_schema(place: TheOrganization) -> PropertySchemas:
    """The default region, and those that there are: what `pipecat cloud organizations default-region` reads."""
    regions = await organizations.regions(place.session, place.organization)
    try:
        current = await place.session.region_for(place.organization, None)
    except Refused:  # the default is not open to this organization
        current = None
    schema = PropertySchema(
        description="Where sets live that name no region: the namespace's annotation secretset.dev/default-region, "
        "else the default Region.",
        current_value=current,
        available_values=[each.name for each in regions],
    )
    return PropertySchemas(properties={"defaultRegion": schema})


@router.post(
    "/regions",
    summary="Register a region",
    status_code=201,
    responses={200: {"model": RegionRecord, "description": "It was there, and is what was asked for now"}, **_WRITES},
    openapi_extra=docs.body(RegionRequest),
)
async def register_region(
    request: Request,
    place: TheOrganization,
    body: Annotated[RegionRequest, Depends(bodies.of(RegionRequest))],
    response: Response,
) -> RegionRecord:
    """Make a Region that is served from inside of its cluster and admits this organization alone, or change it."""
    concerns(request, region=body.region_key)
    sent = body.model_dump(by_alias=True, exclude_none=True)
    if refused := [name for name in _NOT_KEPT if name in sent]:
        raise bad_request(f"{' and '.join(refused)}: nothing of that is kept here; leave it out")
    view, new = await region_admin.register(
        place.session,
        place.organization,
        body.region_key,
        display_name=body.display_name,
        namespace=body.workloads_namespace,
    )
    response.status_code = 201 if new else 200
    return _record(view)


@router.get("/regions/{region}", summary="Show a region", responses=docs.statuses(400))
async def show_region(place: TheOrganization, region: RegionKey) -> RegionRecord:
    """A region that this organization may use."""
    return _record(await region_admin.show(place.session, place.organization, region))


@router.delete("/regions/{region}", summary="Delete a region", responses=_WRITES)
async def delete_region(place: TheOrganization, region: RegionKey) -> Done:
    """Delete a region that was registered for this organization alone; 409 while sets live in it."""
    await region_admin.delete(place.session, place.organization, region)
    return Done()


@router.post(
    "/regions/{region}/enrollment-tokens",
    summary="Make a token for a region",
    status_code=201,
    responses=_WRITES,
)
async def enroll_region(place: TheOrganization, region: RegionKey) -> EnrollmentToken:
    """A token for the replica that is to serve a region from inside (docs/regions.md)."""
    token = await region_admin.enroll(place.session, place.organization, region)
    return EnrollmentToken(
        token=token.text, expires_at=token.expires_at, namespace=token.namespace, service_account=token.account
    )


def _record(view: RegionView) -> RegionRecord:
    return RegionRecord.model_validate(enrollment.told(view.record, view.status))
