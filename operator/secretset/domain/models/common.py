"""What the specs of both kinds share: values, restart rules, and the CEL rules that belong to them.

Two rules hold for every field that may carry a secret: no `pattern`, `enum` or `format`, and a CEL rule on the string
itself is `FORBIDDEN` (the API server echoes what fails any other to the client; of an object it echoes nothing). And no
default anywhere in a spec: peers' objects drifted in Argo CD for ever because of defaulted list entries.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from secretset.domain.sealing import PREFIX, TEXT_MIN

REGION_MAX = 63

# Reasons of a CEL rule: how the message begins. Only these two never show the value that failed.
FORBIDDEN = "FieldValueForbidden"
REQUIRED = "FieldValueRequired"


def cel(
    rule: str, message: str, *, expression: str | None = None, field: str | None = None, reason: str | None = None
) -> dict[str, Any]:
    """One entry of ``x-kubernetes-validations``.

    Args:
        rule: the CEL expression that must hold.
        message: what the user sees if it does not.
        expression: a CEL string that replaces the message where it can name the culprit.
        field: the path that the API server reports, if it is not the place of the rule.
        reason: `FORBIDDEN` or `REQUIRED`; absent is "Invalid value", which shows the value if it is not an object.
    """
    entry: dict[str, Any] = {"rule": rule, "message": message}
    if expression is not None:
        entry["messageExpression"] = expression
    if field is not None:
        entry["fieldPath"] = field
    if reason is not None:
        entry["reason"] = reason
    return entry


def rules(*entries: dict[str, Any]) -> dict[str, Any]:
    """The ``json_schema_extra`` that carries CEL rules into the CRD."""
    return {"x-kubernetes-validations": list(entries)}


class Model(BaseModel):
    """Base of all API models: camelCase on the wire; unknown fields are ignored, as the API server prunes them."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


# RFC 1123 subdomain: what a Secret may be called.
_SUBDOMAIN = "[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*"


def _subdomain(name: str) -> str:
    if re.fullmatch(_SUBDOMAIN, name) is None:
        raise ValueError("not an RFC 1123 subdomain")
    return name


class SecretKeyRef(Model):
    """One key of a Secret of the same namespace."""

    # The name becomes part of a URL: `../../OTHER/secrets/NAME` would lead to another namespace. Refused twice, so
    # that an object which was stored under other CRDs is not read either.
    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                f"self.name.matches('^{_SUBDOMAIN}$')",
                "must be the name of a Secret: lower-case letters, digits, '-' and '.'",
                field=".name",
                reason=FORBIDDEN,
            )
        )
    )

    name: Annotated[str, AfterValidator(_subdomain)] = Field(
        description="Name of the Secret.", min_length=1, max_length=253
    )
    key: str = Field(description="Key in that Secret.", min_length=1, max_length=253)


class ValueFrom(Model):
    """Where a value is read from."""

    secret_key_ref: SecretKeyRef = Field(
        description='A key of a Secret in the same namespace that carries the label secretset.dev/source: "true". '
        "A change of that Secret reaches the region at once."
    )


class SecretValue(Model):
    """One value: exactly one of its fields."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "!has(self.value)",
                "plain text is never stored: seal it with 'secretset seal', reference a Secret with valueFrom, "
                "or install the sealing webhook",
                field=".value",
                reason=FORBIDDEN,
            ),
            cel(
                "!has(self.value) || type(self.value) == string",
                "must be text: put the number in quotes",
                field=".value",
                reason=FORBIDDEN,
            ),
            cel(
                "[has(self.sealed), has(self.valueFrom), has(self.value)].filter(x, x).size() == 1",
                "needs exactly one of sealed, valueFrom and value",
            ),
            cel(
                # All that the CEL budget affords for so many values; the webhook and the operator look at the rest.
                f"!has(self.sealed) || (self.sealed.startsWith('{PREFIX}') && self.sealed.size() >= {TEXT_MIN})",
                f"must begin with '{PREFIX}' and be {TEXT_MIN:,} characters long at least: make it with "
                "'secretset seal'",
                field=".sealed",
                reason=FORBIDDEN,
            ),
        )
    )

    sealed: str | None = Field(
        default=None, description="The value, sealed for this set and key by `secretset seal` (hpke1.…)."
    )
    value_from: ValueFrom | None = Field(default=None, description="The value is read from a Secret.")
    value: str | None = Field(
        default=None,
        description="Write-only: the sealing webhook turns it into `sealed` before it is stored; without the webhook "
        "it is refused. Text: a number is put in quotes.",
        # A number gets as far as the rules: a server-side apply shows what it cannot convert, the rules do not.
        json_schema_extra={"x-kubernetes-int-or-string": True},
    )


# Go's form of a duration (metav1.Duration) as far as windows need it: "4h", "1h30m", "90m".
DURATION_PATTERN = "([0-9]{1,6}[hms]){1,3}"
WINDOW_MIN_SECONDS = 60
WINDOW_MAX_SECONDS = 7 * 86400
DURATION_RULE = "must be a time from 1m to 168h, such as '4h' or '1h30m'"


class RestartWindow(Model):
    """When restarts may happen, in the words of a CronJob; `domain.windows` reads what no schema can check."""

    schedule: str = Field(
        min_length=1,
        max_length=128,
        description="When the window opens: minute, hour, day of month, month and day of week, such as '0 2 * * 6', or "
        "@hourly, @daily, @weekly, @monthly, @yearly.",
    )
    duration: str = Field(
        max_length=16,
        description="How long it stays open each time, such as '4h' or '1h30m': one minute to seven days.",
        json_schema_extra=rules(
            cel(
                f"self.matches('^{DURATION_PATTERN}$') && duration(self) >= duration('{WINDOW_MIN_SECONDS}s')"
                f" && duration(self) <= duration('{WINDOW_MAX_SECONDS}s')",
                DURATION_RULE,
            )
        ),
    )
    time_zone: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="IANA name of the time zone that the schedule is in, such as Europe/Berlin. Absent: UTC.",
    )


class RestartSpec(Model):
    """When and how the workloads that use the Secret are restarted."""

    policy: Literal["Auto", "Never"] | None = Field(
        default=None,
        description="Auto restarts the workloads that use what changed, Never leaves them. Absent: Auto for a "
        "SecretSet, Never for an ImagePullSecret.",
    )
    quiet_seconds: int | None = Field(
        default=None,
        ge=0,
        le=3600,
        description="Restart only after this many seconds without a further change. Absent: the operator's setting.",
    )
    max_wait_seconds: int | None = Field(
        default=None,
        ge=0,
        le=86400,
        description="Restart at the latest this many seconds after the first change. Absent: the operator's setting.",
    )
    max_concurrent: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="At most this many workloads of the set roll at a time. Absent: no limit.",
    )
    window: RestartWindow | None = Field(
        default=None,
        description="Restarts begin only while this window is open; content is delivered at once all the same. Absent: "
        "at any time.",
    )


class CommonSpec(Model):
    """The fields of a spec that both kinds have."""

    region: str | None = Field(
        default=None,
        min_length=1,
        max_length=REGION_MAX,
        description="Name of the Region that the Secret lives in, for ever. Absent: the namespace's default "
        "(annotation secretset.dev/default-region), else the default Region; status.region tells which.",
    )
    description: str | None = Field(default=None, max_length=1024, description="What it is for, in a few words.")
    metadata: dict[str, str] | None = Field(
        default=None, description="Free text by name (owner, ticket, …), shown by the CLI, the API and the page."
    )
    restart: RestartSpec | None = Field(default=None, description="What to restart when the content changes, and how.")
    deletion_policy: Literal["Delete", "Retain"] | None = Field(
        default=None,
        description="What becomes of the Secret in the region when this object is deleted. Absent: Delete.",
    )


_MOVED = '"Secret already exists in region \'" + {old} + "\'. Cannot change region to \'" + self.spec.region + "\'."'

# Rules of the whole object: the name (seeds/003, setName; its characters are those that the API server
# demands of every name), and the region that never changes (there: regionMismatch).
ROOT_RULES = rules(
    cel(
        "self.metadata.name.size() >= 3 && self.metadata.name.size() <= 63",
        "must be 3 to 63 characters long",
        field=".metadata.name",
    ),
    cel(
        "!has(oldSelf.spec.region) || has(self.spec.region)",
        "cannot be removed: a set lives in one region, for ever",
        field=".spec.region",
        reason=FORBIDDEN,
    ),
    cel(
        "!has(oldSelf.spec.region) || !has(self.spec.region) || self.spec.region == oldSelf.spec.region",
        "cannot be changed: create a second set for the other region",
        expression=_MOVED.format(old="oldSelf.spec.region"),
        field=".spec.region",
        reason=FORBIDDEN,
    ),
    cel(
        "has(oldSelf.spec.region) || !has(self.spec.region) || !has(oldSelf.status) || !has(oldSelf.status.region)"
        " || self.spec.region == oldSelf.status.region",
        "must name the region that the set already lives in",
        expression=_MOVED.format(old="oldSelf.status.region"),
        field=".spec.region",
        reason=FORBIDDEN,
    ),
)
