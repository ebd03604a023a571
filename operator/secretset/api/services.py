"""The paths of Pipecat's deploy calls, as far as its CLI needs them; served with ``--services``.

A service becomes a Deployment in a region that is a namespace of the hub, with its set as environment variables.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Request
from pydantic import Field

from secretset.actions import services
from secretset.actions.services import Deployed
from secretset.api import bodies, docs
from secretset.api.audit import concerns
from secretset.api.auth import Place, TheOrganization
from secretset.api.errors import bad_request
from secretset.api.models import Answered, Asked, ErrorResponse
from secretset.domain.services import Service, told

_NAME = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
# resource.Quantity (apimachinery), but for exponents.
_QUANTITY = r"^[0-9]{1,12}(\.[0-9]{1,6})?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$"
# What Pipecat's cloud does with a service and nothing here does, by the name of its field.
_UNUSED = ("agentProfile", "krispViva", "maxSessionDuration", "websocketAuth")
_WRITES = docs.writes() | {
    409: {
        "model": ErrorResponse,
        "description": "A set is pending or failed (NOT_READY), or the name is taken: by a service that is there "
        "already, or by a Deployment that was not made here (TAKEN)",
    }
}

router = APIRouter(tags=["services"])


class Scaling(Asked):
    """How many pods run."""

    min_agents: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="The number of pods: nothing here scales by itself. 0 or absent: as many as there are, 1 at first.",
    )
    max_agents: int | None = Field(default=None, ge=1, le=1000, description="Read by nothing here.")


class Resources(Asked):
    """What a pod may use, as Kubernetes' quantities."""

    cpu: str | None = Field(default=None, pattern=_QUANTITY, examples=["500m"])
    memory: str | None = Field(default=None, pattern=_QUANTITY, examples=["1Gi"])


class ServiceRequest(Asked):
    """What a service is to be; what is absent stays as it is."""

    service_name: str = Field(pattern=_NAME, description="Also the name of its Deployment.", examples=["my-agent"])
    image: str | None = Field(
        default=None, min_length=1, max_length=1024, pattern=r"^\S+$", examples=["registry.example.com/my-agent:1"]
    )
    secret_set: str | None = Field(default=None, min_length=1, max_length=63, examples=["my-secrets"])
    image_pull_secret_set: str | None = Field(default=None, min_length=1, max_length=63, examples=["my-registry"])
    region: str | None = Field(
        default=None,
        min_length=1,
        max_length=63,
        description="A region that is a namespace of the hub. Absent: where the service is, else the default region.",
        examples=["us-west"],
    )
    auto_scaling: Scaling | None = None
    resources: Resources | None = None
    architecture: Literal["amd64", "arm64"] | None = Field(default=None, description="Of the nodes that it runs on.")
    force_redeploy: bool | None = Field(default=None, description="Its pods are made anew, whatever has changed.")
    build_id: str | None = Field(default=None, max_length=256, description="Refused: nothing is built here.")
    git: dict[str, Any] | None = Field(default=None, description="Refused: nothing is built here.")
    agent_profile: str | None = Field(default=None, description="Read by nothing here.")
    krisp_viva: dict[str, Any] | None = Field(default=None, description="Read by nothing here.")
    max_session_duration: int | None = Field(default=None, description="Read by nothing here.")
    websocket_auth: str | None = Field(default=None, description="Read by nothing here.")


TheService = Annotated[ServiceRequest, Depends(bodies.of(ServiceRequest))]


class Condition(Answered):
    """A condition of the Deployment; ``Degraded`` is ours."""

    type: str
    status: str
    reason: str
    message: str


class Problem(Answered):
    """Why a rollout will not end by itself."""

    code: str
    message: str


class ServiceView(Answered):
    """A service, as Pipecat's CLI reads it."""

    name: str
    region: str
    id: str
    created_at: str
    desired_deployment_id: str
    active_deployment_id: str
    reconciled_deployment_id: str
    ready: bool = Field(description="All its pods are of the newest form, and available.")
    available: bool
    active_deployment_ready: bool
    auto_scaling: dict[str, int]
    deployment: dict[str, Any]
    secret_set: str | None
    image_pull_secret_set: str | None
    conditions: list[Condition]
    errors: list[Problem]


class ServiceAnswer(Answered):
    """A service."""

    body: ServiceView
    warning: str | None = Field(default=None, description="What was not done, in words.")


@router.get("/services/{service}", summary="Show a service", responses=docs.statuses(400))
async def get_service(
    place: TheOrganization, service: Annotated[str, Path(description="The name of the service.", examples=["my-agent"])]
) -> ServiceAnswer:
    """How a service stands."""
    return _answer(await services.get(place.session, place.organization, service))


@router.post(
    "/services",
    summary="Create a service",
    status_code=201,
    responses=_WRITES,
    openapi_extra=docs.body(ServiceRequest),
)
async def create_service(request: Request, place: TheOrganization, body: TheService) -> ServiceAnswer:
    """Make a service with its sets bound: a Deployment; 409 while a set is pending or failed."""
    _concerned(request, body)
    return _answer(await services.create(place.session, _wanted(place, body), body.region), *_unused(body))


@router.put("/services", summary="Update a service", responses=_WRITES, openapi_extra=docs.body(ServiceRequest))
async def update_service(request: Request, place: TheOrganization, body: TheService) -> ServiceAnswer:
    """Change a service; a Deployment that was not made here is never changed: 409."""
    _concerned(request, body)
    found, changed = await services.update(place.session, _wanted(place, body), body.region)
    same = () if changed else ("Nothing was changed: the service is this already (forceRedeploy makes its pods anew).",)
    return _answer(found, *same, *_unused(body))


def _concerned(request: Request, body: ServiceRequest) -> None:
    bound = [each for each in (body.secret_set, body.image_pull_secret_set) if each is not None]
    concerns(request, service=body.service_name, region=body.region, sets=bound)


def _wanted(place: Place, body: ServiceRequest) -> Service:
    if body.build_id is not None or body.git is not None:
        raise bad_request("Nothing is built here: name an image")
    return Service(
        name=body.service_name,
        organization=place.organization,
        image=body.image,
        secret_set=body.secret_set,
        pull_secret=body.image_pull_secret_set,
        replicas=body.auto_scaling.min_agents if body.auto_scaling else None,
        architecture=body.architecture,
        resources=body.resources.model_dump(exclude_none=True) if body.resources else None,
        restarted_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
        if body.force_redeploy
        else None,
    )


def _unused(body: ServiceRequest) -> tuple[str, ...]:
    """That a field was sent which nothing here reads; empty objects, as the CLI sends them, say nothing."""
    sent = body.model_dump(by_alias=True, exclude_none=True)
    names = [name for name in _UNUSED if sent.get(name)]
    if body.auto_scaling and body.auto_scaling.max_agents is not None:
        names.append("autoScaling.maxAgents")
    return (f"Nothing here reads {', '.join(names)}.",) if names else ()


def _answer(found: Deployed, *warnings: str) -> ServiceAnswer:
    view = ServiceView.model_validate(told(found.obj, found.region))
    return ServiceAnswer(body=view, warning=" ".join(warnings) or None)
