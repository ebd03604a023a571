"""Pages that take values: a new set, more keys, others. Values are sealed in the browser; what arrives here is sealed.

A value that is not is refused unread: the fields that people type into have no names, and are never sent.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from secretset.actions import explain, sets
from secretset.actions.errors import Refused, Why
from secretset.actions.session import Session
from secretset.actions.sets import Wanted
from secretset.api.auth import TheCaller, ThePlace
from secretset.api.errors import bad_request, no_organization
from secretset.domain import names
from secretset.domain.names import PASSWORD, Key, Kind
from secretset.web.scope import may
from secretset.web.sets import back, seen
from secretset.web.signin import form
from secretset.web.templates import page

router = APIRouter()

_SEALED = "sealed."  # before a key, in the name of a field
_FIELDS = names.KEYS_MAX + 16
_ANSWER_SECONDS = 6.0  # that a preview waits for the operator
_KINDS = {"set": Kind.SECRET_SET, "pull-secret": Kind.IMAGE_PULL_SECRET}


@dataclass(frozen=True, kw_only=True)
class _Sealing:
    """What a page needs to seal with, or why it cannot."""

    key: str = ""
    problem: str = ""


@router.get("/new/{kind}")
async def new(request: Request, caller: TheCaller, kind: str, organization: str = "") -> Response:
    """The form of a new set."""
    wanted = _kind(kind)
    place = organization if names.NAMESPACE_PATTERN.fullmatch(organization) else caller.own_organization or ""
    regions = [each.name for each in await caller.session.regions()]
    allowed = not place or await may(caller.session, "create", wanted, place)
    return page(
        request,
        "new.html",
        kind=wanted,
        organization=place,
        regions=regions,
        allowed=allowed,
        sealing=await _sealing(caller.session),
        PASSWORD=PASSWORD,
    )


@router.post("/new/{kind}")
async def create(request: Request, caller: TheCaller, kind: str) -> Response:
    """Make it."""
    fields = await form(request, _FIELDS)
    organization = fields.get("organization", "").strip()
    if not names.NAMESPACE_PATTERN.fullmatch(organization):
        raise no_organization(organization)
    request.state.organization = organization
    key = Key(_kind(kind), organization, fields.get("name", "").strip())
    request.state.set = key.name
    wanted = Wanted(
        sealed=_sealed(request, fields),
        region=fields.get("region", "").strip() or None,
        description=fields.get("description", "").strip() or None,
        host=fields.get("host", "").strip() or None,
        username=fields.get("username", "").strip() or None,
        service_accounts=_words(fields.get("accounts", "")) or None,
    )
    if not wanted.sealed:
        raise _nothing()
    return back((await sets.put(caller.session, key, wanted, uid="")).view)


@router.get("/sets/{organization}/{name}/values")
async def edit(
    request: Request, place: ThePlace, name: str, key: Annotated[list[str] | None, Query()] = None
) -> Response:
    """The form that adds keys and replaces values."""
    view = await sets.find(place.session, place.organization, name)
    return page(
        request,
        "values.html",
        view=view,
        wanted=[each for each in key or () if names.is_valid_key(each)][: names.KEYS_MAX],
        sealing=await _sealing(place.session),
        allowed=await may(place.session, "patch", view.key.kind, view.organization),
        PASSWORD=PASSWORD,
    )


@router.post("/sets/{organization}/{name}/values")
async def change(request: Request, place: ThePlace, name: str) -> Response:
    """Add them, or replace them: other keys stay as they are."""
    fields = await form(request, _FIELDS)
    view = await sets.find(place.session, place.organization, name)
    wanted = Wanted(sealed=_sealed(request, fields))
    if not wanted.sealed:
        raise _nothing()
    return back((await sets.put(place.session, view.key, wanted, uid=fields.get("uid", "-"))).view)


@router.post("/sets/{organization}/{name}/preview")
async def preview(request: Request, place: ThePlace, name: str) -> Response:
    """What a change of some keys would restart."""
    view = await seen(request, place, name)
    keys = [each for each in (await form(request)).get("keys", "").split(",") if names.is_valid_key(each)]
    if not keys:
        raise bad_request("Nothing was asked: type a key first")
    found = await explain.explain(place.session, view, keys, seconds=_ANSWER_SECONDS)
    return page(request, "preview.html", view=view, keys=keys, found=found)


async def _sealing(session: Session) -> _Sealing:
    try:
        keys = await session.public_keys()
    except Refused as refused:
        return _Sealing(problem=f"No value can be sealed now: {refused}.")
    newest = keys.keys[0]  # there is one: public_keys
    content = {
        "kid": newest.kid,
        "installation": keys.installation,
        "publicKey": base64.b64encode(newest.public.raw).decode(),
    }
    return _Sealing(key=orjson.dumps(content).decode())


def _sealed(request: Request, fields: dict[str, str]) -> dict[str, str]:
    found = {name.removeprefix(_SEALED): text for name, text in fields.items() if name.startswith(_SEALED)}
    request.state.keys = tuple(found)
    return found


def _kind(word: str) -> Kind:
    kind = _KINDS.get(word)
    if kind is None:
        raise Refused(Why.ABSENT, "There is no such page, or you may not see it")
    return kind


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _nothing() -> Exception:
    return bad_request(
        "Nothing was stored: no sealed value arrived. Values are sealed by the page's script: is it allowed to run?"
    )
