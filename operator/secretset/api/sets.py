"""Secret sets and image pull secrets: list, put, get, delete, and take a key out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from secretset.actions import sets
from secretset.actions.errors import Refused, Why
from secretset.actions.sets import Wanted
from secretset.api import bodies, docs
from secretset.api.auth import Place, ThePlace
from secretset.api.errors import bad_request
from secretset.api.models import Accepted, Done, SetDetail, SetList, SetSummary
from secretset.domain import names
from secretset.domain.names import Key, Kind

router = APIRouter(tags=["secrets"])

# seeds/003, invalidImagePullSecretUpdate and cannotChangeSecretType.
_PULL_SECRET_UPDATE = "Must provide isImagePullSecret, host, and secretValue to update an image pull secret"  # noqa: S105
_KIND_IS_FIXED = "Cannot update existing regular secrets to image pull secrets"

SetName = Annotated[
    str,
    Path(
        description="Name of the secret set",
        examples=["my-secrets"],
        json_schema_extra={"pattern": f"^{names.NAME_PATTERN.pattern}$", "minLength": 3, "maxLength": 63},
    ),
]


@router.get("/secrets", summary="List secret sets", responses=docs.statuses(400), response_model_exclude_none=True)
async def list_sets(
    place: ThePlace, region: Annotated[str | None, Query(description="Those of this region only.")] = None
) -> SetList:
    """All sets of an organization, of both kinds, by name; never a value."""
    found = await sets.list_sets(place.session, place.organization, region=region or None)
    return SetList(sets=[SetSummary.of(view) for view in found])


@router.get(
    "/secrets/{name}", summary="Show a secret set", responses=docs.statuses(400), response_model_exclude_none=True
)
async def get_set(request: Request, place: ThePlace, name: SetName) -> SetDetail:
    """One set: whether it is ready, and its keys with the times when they changed; never a value.

    Under /v1/organizations an image pull secret is a 400, which is how Pipecat's CLI tells the two apart.
    """
    view = await sets.find(place.session, place.organization, name)
    if view.key.kind is Kind.IMAGE_PULL_SECRET and "organization" in request.path_params:
        raise bad_request(f"'{name}' is an image pull secret, which has no keys to show")
    return SetDetail.of(view)


@router.put(
    "/secrets/{name}",
    summary="Create or update a secret set",
    status_code=202,
    responses=docs.writes(),
    openapi_extra=docs.PUT_BODY,
)
async def put_set(request: Request, place: ThePlace, name: SetName) -> Accepted:
    """Create a secret set or update an existing one: keys that are not named stay, unless `overwrite` is true.

    The answer is 202 once the values are stored, sealed; then they are provisioned into the region. Poll
    `GET /secrets/{name}` until `status` is `ready` before binding it to a deploy.
    """
    try:
        kind, wanted = await bodies.read(request, name)
    except bodies.Incomplete as body:
        raise await _incomplete(place, name, meant=body.meant) from None
    request.state.keys = tuple(wanted.values) if kind is Kind.SECRET_SET else ()
    if not names.is_valid_name(name):
        raise bad_request("The name of a set is 3 to 63 lower-case letters, digits, '-' and '.'")
    if kind is None:
        kind = (await sets.find(place.session, place.organization, name)).key.kind
    stored = await _put(place, Key(kind, place.organization, name), wanted)
    return Accepted(region=stored.view.region or "")


@router.delete("/secrets/{name}", summary="Delete a secret set", responses=docs.writes())
async def delete_set(place: ThePlace, name: SetName) -> Done:
    """Delete a set, of either kind, with all its keys, and what it is in its region."""
    await sets.delete(place.session, await sets.find(place.session, place.organization, name))
    return Done()


@router.delete("/secrets/{name}/{key}", summary="Take a key out of a secret set", responses=docs.writes())
async def delete_key(
    request: Request, place: ThePlace, name: SetName, key: Annotated[str, Path(description="Name of the secret key")]
) -> Done:
    """Take one key out of a set. The last one stays: delete the set instead."""
    request.state.keys = (key,)
    view = await sets.find(place.session, place.organization, name)
    if view.key.kind is Kind.IMAGE_PULL_SECRET:
        raise bad_request(f"'{name}' is an image pull secret, which has no keys: delete it as a whole")
    await sets.unset(place.session, view.key, [key])
    return Done()


async def _put(place: Place, key: Key, wanted: Wanted) -> sets.Stored:
    try:
        return await sets.put(place.session, key, wanted)
    except Refused as refused:
        if refused.why is not Why.OTHER_KIND:
            raise
        raise bad_request(_KIND_IS_FIXED if key.kind is Kind.IMAGE_PULL_SECRET else _PULL_SECRET_UPDATE) from None


async def _incomplete(place: Place, name: str, *, meant: bool) -> Exception:
    """What is wrong with half of an image pull secret: that depends on what is there."""
    try:
        view = await sets.find(place.session, place.organization, name)
    except Refused:
        return bad_request()
    if view.key.kind is Kind.IMAGE_PULL_SECRET:
        return bad_request(_PULL_SECRET_UPDATE)
    return bad_request(_KIND_IS_FIXED) if meant else bad_request()
