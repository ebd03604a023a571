"""Who asks: the bearer token of a request, and the hub as its owner sees it.

A token goes to the hub and nowhere else; no signature is checked and no claim is read here. The hub tells the name,
which decides nothing but what the log says and, on the paths without one, which organization is meant.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Path, Request
from fastapi.security import HTTPBearer

from secretset.actions import organizations
from secretset.actions.session import KeyCache, Session
from secretset.api.config import ApiConfig
from secretset.api.errors import bad_request, no_organization, unauthorized
from secretset.domain import names
from secretset.kube import errors, whoami
from secretset.kube.callers import Callers

PREFIX = "pcc_pat_"
"""What Pipecat's CLI wants its tokens to begin with; no part of ours."""

# RFC 6750, 2.1: b64token. What else there is could not be a header's value, or not of one line.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_LONGEST = 16_384  # characters
_NAME_SECONDS = 60.0
_ACCEPTED_SECONDS = 3600.0
_KNOWN_MAX = 10_000  # tokens

_scheme = HTTPBearer(
    auto_error=False,
    scheme_name="bearer",
    description="A token that the hub accepts: of a service account (`secretset tokens create`), or of the cluster's "
    f"OIDC provider. `{PREFIX}` in front of it is left out.",
)


def bearer(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The token of a request; None if it has none, more than one, or what can be none."""
    found = [value for name, value in headers if name == b"authorization"]
    if len(found) != 1:
        return None
    scheme, _, token = found[0].decode("latin-1").strip().partition(" ")
    token = token.strip().removeprefix(PREFIX)
    usable = scheme.lower() == "bearer" and len(token) <= _LONGEST and _TOKEN.fullmatch(token)
    return token if usable else None


class Known:
    """Those who asked lately, by a keyed digest of their token; tokens themselves are not kept.

    A name is believed for a minute; that the hub accepted the token, which decides nothing but whom a request counts
    for, is remembered for an hour after it last did.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._found: OrderedDict[str, tuple[str, float]] = OrderedDict()  # and when the hub said so

    def digest(self, token: str) -> str:
        """What a token is remembered by."""
        return hashlib.blake2b(token.encode(), key=self._key, digest_size=16).hexdigest()

    def name(self, token: str) -> str | None:
        """Whose it is; None if that is not known, or not any more."""
        name, said = self._found.get(self.digest(token), (None, 0.0))
        return name if self._clock() < said + _NAME_SECONDS else None

    def accepted(self, token: str) -> bool:
        """Whether the hub accepted it lately; each use asks again, once the name is not known any more."""
        found = self._found.get(self.digest(token))
        return found is not None and self._clock() < found[1] + _ACCEPTED_SECONDS

    def remember(self, token: str, name: str) -> None:
        """Whose it is, as the hub said just now."""
        digest = self.digest(token)
        self._found[digest] = (name, self._clock())
        self._found.move_to_end(digest)
        if len(self._found) > _KNOWN_MAX:
            self._found.popitem(last=False)

    def forget(self, token: str) -> None:
        """The hub does not accept it any more."""
        self._found.pop(self.digest(token), None)


@dataclass(frozen=True, kw_only=True, repr=False)
class Hub:
    """What the requests of one process share; nobody's rights are among it."""

    config: ApiConfig
    callers: Callers
    keys: KeyCache
    known: Known


@dataclass(frozen=True, kw_only=True, repr=False)
class Caller:
    """Who asks.

    Attributes:
        name: the user's name on the hub; empty if the hub does not tell.
        session: the hub as they see it.
    """

    name: str
    session: Session

    @property
    def own_organization(self) -> str | None:
        """Where a service account lives; None of others."""
        return whoami.service_account_namespace(self.name)


@dataclass(frozen=True, kw_only=True, repr=False)
class Place:
    """Where something is done: an organization, as its caller sees it.

    Attributes:
        organization: can be the name of a namespace; whether there is one, RBAC and the hub tell.
    """

    organization: str
    caller: Caller

    @property
    def session(self) -> Session:
        """The hub as the caller sees it."""
        return self.caller.session


async def caller(request: Request, _: Annotated[object, Depends(_scheme)]) -> AsyncIterator[Caller]:
    """Who asks.

    Raises:
        Answer: 401.
        KubeError: the hub refused or did not answer.
    """
    hub: Hub = request.app.state.hub
    token = bearer(request.headers.raw)
    if token is None:
        raise unauthorized(request.url.path)
    async with hub.callers.client(token) as client:
        try:
            name = hub.known.name(token)
            if name is None:
                try:
                    name = await whoami.username(client)
                except errors.Forbidden:
                    name = ""
                hub.known.remember(token, name)
            request.state.who = name
            session = Session(
                client,
                operator_namespace=hub.config.operator_namespace,
                keys=hub.keys,
                reserved=hub.config.reserved_keys,
            )
            yield Caller(name=name, session=session)
        except errors.Unauthorized:
            hub.known.forget(token)
            raise


TheCaller = Annotated[Caller, Depends(caller)]


async def session(caller: TheCaller) -> Session:
    """The hub as its caller sees it."""
    return caller.session


TheSession = Annotated[Session, Depends(session)]


async def place(request: Request, caller: TheCaller) -> Place:
    """The organization that the path names, or, where it names none, that of the service account that asks.

    Raises:
        Answer: 404: no organization can have that name; 400: none is named, and no service account asks.
    """
    organization = request.path_params.get("organization")
    if organization is None:
        organization = caller.own_organization
        if organization is None:
            raise bad_request(
                "Only the token of a service account has an organization of its own: use the paths under "
                "/v1/organizations/{organization}"
            )
    elif not names.NAMESPACE_PATTERN.fullmatch(organization):
        raise no_organization(organization)
    request.state.organization = organization
    return Place(organization=organization, caller=caller)


ThePlace = Annotated[Place, Depends(place)]


async def organization(place: ThePlace) -> Place:
    """The same, where what is asked for is not in the organization: to who may list sets there, as all roles may.

    Raises:
        Answer: as `place`; 404: they may not.
        KubeError: the hub refused or did not answer.
    """
    if not await organizations.sees(place.session, place.organization):
        raise no_organization(place.organization)
    return place


TheOrganization = Annotated[Place, Depends(organization)]


async def named(
    organization: Annotated[str, Path(description="The organization: a namespace of the hub.", examples=["my-team"])],
) -> None:
    """Has the organization in a path described; `place` reads it."""
    del organization
