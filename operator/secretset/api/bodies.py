"""Bodies of requests: read, told apart and turned into what the actions want.

Read here and not by the framework, which does so before it asks whose request it is: strangers are not waited for,
names that stand twice are refused, and nothing of it gets into an error.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NoReturn, TypeVar

from fastapi import Request
from pydantic import ValidationError

from secretset.actions.sets import Wanted
from secretset.api.auth import TheOrganization
from secretset.api.errors import bad_request
from secretset.api.models import (
    Asked,
    Details,
    DetailsRequest,
    ImagePullSecretRequest,
    RegularSecretsRequest,
    SingleSecretRequest,
)
from secretset.domain import names, payload, reasons
from secretset.domain.names import PASSWORD, Kind

FORMS: tuple[type[Asked], ...] = (
    RegularSecretsRequest,
    SingleSecretRequest,
    ImagePullSecretRequest,
    DetailsRequest,
)
"""All forms of the body of `PUT /secrets/{name}`."""

_Form = TypeVar("_Form", bound=Asked)
_OVERWRITE = "overwrite goes with 'secrets': it takes away the keys that are not among them"
_NOT_CREDENTIALS = "secretValue of an image pull secret must be the base64 of 'username:token'"


class Incomplete(Exception):
    """Less than all of an image pull secret.

    Attributes:
        meant: it can be nothing else, whatever there is.
    """

    def __init__(self, *, meant: bool) -> None:
        super().__init__()
        self.meant = meant


async def read(request: Request, name: str) -> tuple[Kind | None, Wanted]:
    """What a request wants of the set of this name.

    Returns:
        The kind, which is None where only details are to be changed, and the rest.

    Raises:
        Answer: 400.
        Incomplete: see there.
    """
    return parse(await _json(request), name)


def of(form: type[_Form]) -> Callable[..., Awaitable[_Form]]:
    """A dependency: the body of a request, of one form, once it is known who asks, and that they may look there.

    Raises:
        Answer: 400.
    """

    async def read_one(request: Request, place: TheOrganization) -> _Form:
        del place
        found: _Form = _valid(form, await _json(request))
        return found

    return read_one


def parse(body: Mapping[str, Any], name: str) -> tuple[Kind | None, Wanted]:
    """The same of a document; see `read`."""
    batch, single = "secrets" in body, "secretKey" in body
    if not batch and body.get("overwrite") is True:
        raise bad_request(_OVERWRITE)
    pull = body.get("isImagePullSecret") is True
    if pull and (batch or single):
        raise bad_request()
    if pull and body.get("host") and body.get("secretValue"):
        return Kind.IMAGE_PULL_SECRET, _of_pull_secret(_valid(ImagePullSecretRequest, body))
    if batch and (single or "secretValue" in body):
        raise bad_request()
    if not (batch or single) and _of_pull_secret_alone(body):
        raise Incomplete(meant=pull or "host" in body)
    if batch:
        return Kind.SECRET_SET, _of_batch(_valid(RegularSecretsRequest, body))
    if single:
        return Kind.SECRET_SET, _of_single(_valid(SingleSecretRequest, body), name)
    details = _valid(DetailsRequest, body)
    if details.description is None and details.metadata is None:
        raise bad_request()
    return None, Wanted(**_details(details))


def _of_pull_secret_alone(body: Mapping[str, Any]) -> bool:
    """Whether there is a field that, without a key, only image pull secrets have; `false` says nothing of details."""
    if "host" in body or "secretValue" in body:
        return True
    details = body.get("description") is not None or body.get("metadata") is not None
    return "isImagePullSecret" in body and not (details and body["isImagePullSecret"] is False)


def _of_batch(body: RegularSecretsRequest) -> Wanted:
    values: dict[str, bytes] = {}
    for each in body.secrets:
        if each.secret_key in values:
            raise bad_request(f"Duplicate key '{each.secret_key}'")
        values[each.secret_key] = each.secret_value.encode()
    return Wanted(values=values, overwrite=body.overwrite, **_details(body))


def _of_single(body: SingleSecretRequest, name: str) -> Wanted:
    if body.name not in {None, name}:
        raise bad_request("The name in the body is another than in the path")
    return Wanted(values={body.secret_key: body.secret_value.encode()}, **_details(body))


def _of_pull_secret(body: ImagePullSecretRequest) -> Wanted:
    try:
        host = payload.normalize_host(body.host)
    except reasons.Problem:
        raise bad_request("host is not a registry: write a URI such as https://index.docker.io/v1/") from None
    username, password = _credentials(body.secret_value)
    return Wanted(values={PASSWORD: password}, host=host, username=username, **_details(body))


def _credentials(text: str) -> tuple[str, bytes]:
    """User name and token of base64 as Pipecat's CLI makes it; line breaks in it are fine, as `base64` adds them."""
    try:
        username, separator, token = base64.b64decode("".join(text.split()), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        _refuse_credentials()
    if not (separator and username and token):
        _refuse_credentials()
    return username, token.encode()


def _refuse_credentials() -> NoReturn:
    raise bad_request(_NOT_CREDENTIALS) from None


def _details(body: Details) -> dict[str, Any]:
    return {"region": body.region, "description": body.description, "metadata": body.metadata}


def _valid(form: type[Any], body: Mapping[str, Any]) -> Any:
    try:
        return form.model_validate(body)
    except ValidationError as error:
        for each in error.errors(include_url=False, include_context=False, include_input=False):
            if each["type"] == "string_pattern_mismatch" and "secretKey" in each["loc"]:
                raise bad_request(_KEY_RULE) from None
        raise bad_request() from None


_KEY_RULE = f"A key is 1 to 64 letters, digits, '_' and '-' ({names.KEY_PATTERN})"


async def _json(request: Request) -> Mapping[str, Any]:
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if not (kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))):
        raise bad_request()
    raw = await request.body()
    try:
        body = json.loads(raw, object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise bad_request() from None
    if not isinstance(body, dict):
        raise bad_request()
    return body


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object in which no name stands twice: which of two values counts, programs do not agree on (RFC 8259, 4).

    Nor may it hold half of a surrogate pair, which is no character, and has no bytes.
    """
    for name, value in pairs:
        f"{name}{value if isinstance(value, str) else ''}".encode()  # raises UnicodeEncodeError, a ValueError
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found


def _refuse(_: str) -> NoReturn:
    raise ValueError
