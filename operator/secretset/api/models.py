"""What is sent and answered, as seeds/003 and Pipecat's CLI have it, and our own fields beside those."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from secretset.domain import names
from secretset.domain.names import Kind
from secretset.domain.reasons import Phase
from secretset.domain.set_view import KeyView, SetView

SECRET = "secret"  # noqa: S105  (the name of a type)
IMAGE_PULL_SECRET = "imagePullSecret"  # noqa: S105


class Answered(BaseModel):
    """Base of what is answered: camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class Asked(BaseModel):
    """Base of what is sent: nothing is converted, and fields that are not known are left alone, as there."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=False, frozen=True, strict=True, hide_input_in_errors=True
    )


class ErrorResponse(BaseModel):
    """Why something is not done; never anything of what was sent but names."""

    error: str = Field(description="Error message")
    code: str = Field(description="Error code")


# --- sent

Region = Annotated[
    str,
    Field(
        min_length=1,
        max_length=63,
        description="The region where the set will be created. If not specified, defaults to the organization's "
        "default region. Cannot be changed after creation.",
        examples=["us-west"],
    ),
]
Value = Annotated[str, Field(description="Value of the secret; at most 16,384 bytes, stored byte for byte.")]
KeyName = Annotated[
    str, Field(min_length=1, max_length=64, pattern=names.KEY_PATTERN, description="Name of the secret key")
]


def _false(value: bool) -> bool:
    if value:
        raise ValueError("not false")
    return value


# A `Literal[False]` would take a 0.
No = Annotated[bool, AfterValidator(_false), WithJsonSchema({"type": "boolean", "const": False})]
_Name = Annotated[str, Field(min_length=1, max_length=128)]
_Text = Annotated[str, Field(max_length=1024)]


class Details(Asked):
    """What may be said of a set beside its values; what is left out stays as it is."""

    region: Region | None = None
    description: str | None = Field(default=None, max_length=1024, description="What it is for, in a few words.")
    metadata: dict[_Name, _Text] | None = Field(
        default=None, max_length=64, description="Free text by name (owner, ticket, …), merged into what is there."
    )


class SecretEntry(Asked):
    """One key with its value."""

    secret_key: KeyName
    secret_value: Value


class RegularSecretsRequest(Details):
    """Keys with their values."""

    secrets: list[SecretEntry] = Field(
        min_length=1, max_length=names.KEYS_MAX, description="Array of secret key-value pairs, each key once"
    )
    is_image_pull_secret: No = False
    overwrite: bool = Field(default=False, description="Keys, and metadata, that are not named are taken away.")


class SingleSecretRequest(Details):
    """One key, as Pipecat's CLI sends them."""

    name: str | None = Field(default=None, description="The set's name once more.")
    secret_key: KeyName
    secret_value: Value
    is_image_pull_secret: No = False
    overwrite: No = Field(default=False, description="Of the form with `secrets` alone.")


class ImagePullSecretRequest(Details):
    """A registry's credentials."""

    is_image_pull_secret: Literal[True] = Field(description="Must be true for image pull secrets")
    host: str = Field(
        min_length=1,
        max_length=2048,
        description="Host URL. A trailing slash will be added automatically if not present.",
        examples=["https://index.docker.io/v1/"],
        json_schema_extra={"format": "uri"},
    )
    secret_value: str = Field(description="base64 of `username:token`; split at the first colon.")
    overwrite: No = Field(default=False, description="Of the form with `secrets` alone.")


class DetailsRequest(Details):
    """Description and metadata of a set that is there."""

    overwrite: No = Field(default=False, description="Of the form with `secrets` alone.")


# --- answered


class Done(Answered):
    """It is done."""

    status: Literal["OK"] = "OK"


class Accepted(Done):
    """The values are stored, and on their way to the region."""

    region: str = Field(
        description="The region where the secret set was created or exists. Empty: the operator has not chosen yet, "
        "and no region may be seen."
    )


class SetKey(Answered):
    """One key of a set, never its value."""

    name: str
    created_at: str | None = Field(default=None, description="When it was first delivered (RFC 3339).")
    updated_at: str | None = Field(default=None, description="When its value last changed (RFC 3339).")


class FieldName(Answered):
    """One key of a set, as Pipecat's CLI reads it."""

    field_name: str
    created_at: str | None = Field(default=None, description="When it was first delivered (RFC 3339).")
    updated_at: str | None = Field(default=None, description="When its value last changed (RFC 3339).")
    source: str | None = Field(default=None, description="`NAME/KEY` of the Secret that the value is read from.")


class SetInfo(Answered):
    """What there is to know of a set, but for its keys."""

    name: str
    type: Literal["secret", "imagePullSecret"]
    region: str = Field(description="Empty: the operator has not chosen yet.")
    status: Phase
    error_message: str | None = Field(default=None, description="Why it is not ready, and what to do.")
    reason: str | None = Field(default=None, description="The same as one word (docs/reasons.md).")
    description: str | None = None
    metadata: dict[str, str] | None = None
    host: str | None = Field(default=None, description="Of an image pull secret: its registry.")
    username: str | None = Field(default=None, description="Of an image pull secret: its user there.")
    created_at: str = Field(description="When the set was made (RFC 3339).")
    updated_at: str | None = Field(default=None, description="When its content last changed (RFC 3339).")
    revision: int | None = Field(default=None, description="Grows with each change of the content.")
    deleting: bool | None = Field(default=None, description="True: it is being deleted.")


class SetSummary(SetInfo):
    """A set in a list."""

    keys: list[SetKey]

    @classmethod
    def of(cls, view: SetView) -> SetSummary:
        """What is shown of a view."""
        keys = [SetKey(**_times(key), name=key.name) for key in _shown(view)]
        return cls(**_info(view), keys=keys)


class SetList(Answered):
    """All sets of an organization, of both kinds."""

    sets: list[SetSummary]


class SetDetail(SetInfo):
    """One set with its keys, never their values."""

    secrets: list[FieldName]

    @classmethod
    def of(cls, view: SetView) -> SetDetail:
        """What is shown of a view."""
        keys = [FieldName(**_times(key), field_name=key.name, source=key.source) for key in _shown(view)]
        return cls(**_info(view), secrets=keys)


class Organization(Answered):
    """A namespace of the hub."""

    name: str
    verbose_name: str


class OrganizationList(Answered):
    """The organizations that the caller may see."""

    organizations: list[Organization]


class EmailAddress(Answered):
    """Where Pipecat's CLI looks for a name to show."""

    email_address: str


class User(Answered):
    """The caller."""

    user_id: str = Field(description="The user's name on the hub.")
    emails: list[EmailAddress] = Field(description="The same, if it is an address.")


class UserAnswer(Answered):
    """The caller, as the hub knows them."""

    user: User


class RegionInfo(BaseModel):
    """A region that sets of the organization may be made in."""

    code: str
    display_name: str


class RegionList(Answered):
    """The regions of an organization; none, if the caller may not see regions."""

    regions: list[RegionInfo]


class Properties(Answered):
    """What holds for an organization."""

    default_region: str | None = Field(description="Null: there is none, or the caller may not see regions.")


class PropertiesAnswer(Answered):
    """What holds for an organization."""

    properties: Properties


def _info(view: SetView) -> dict[str, Any]:
    pull = view.key.kind is Kind.IMAGE_PULL_SECRET
    return {
        "name": view.name,
        "type": IMAGE_PULL_SECRET if pull else SECRET,
        "region": view.region or "",
        # What goes is nothing to bind to any more (seeds/001, "ready").
        "status": Phase.PENDING if view.going and view.phase is Phase.READY else view.phase,
        "error_message": _trouble(view),
        "reason": view.reason or None,
        "description": view.description,
        "metadata": dict(view.metadata) or None,
        "host": view.host,
        "username": view.username,
        "created_at": view.created_at,
        "updated_at": view.updated_at,
        "revision": view.revision,
        "deleting": True if view.going else None,
    }


def _trouble(view: SetView) -> str | None:
    if view.phase is not Phase.READY and view.message:
        return view.message
    return "The set is being deleted." if view.going else None


def _shown(view: SetView) -> tuple[KeyView, ...]:
    """The keys; the one of a pull secret has no name that anybody chose, nor can it be unset."""
    return () if view.key.kind is Kind.IMAGE_PULL_SECRET else view.keys


def _times(key: KeyView) -> Mapping[str, Any]:
    return {"created_at": key.created_at, "updated_at": key.updated_at}
