"""SecretSet: named values that become one Opaque Secret."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from secretset.domain import names
from secretset.domain.models.common import ROOT_RULES, CommonSpec, Model, SecretValue, cel, rules
from secretset.domain.models.status import SetStatus


class SecretSetSpec(CommonSpec):
    """What a SecretSet should be."""

    data: dict[str, SecretValue] = Field(
        description=f"The values by key. A key is {names.KEY_RULE}, case-sensitive; a value is at "
        "most 16,384 bytes and arrives byte for byte.",
        min_length=1,
        max_length=names.KEYS_MAX,
        json_schema_extra=rules(
            cel(
                "self.all(k, k.matches('^[a-zA-Z0-9_-]{1,64}$'))",
                f"a key is {names.KEY_RULE}",
            ),
            cel(
                f"self.map(k, has(self[k].sealed) ? self[k].sealed.size() : 0).sum() <= {names.SEALED_MAX_BYTES}",
                f"the sealed values are together longer than {names.SEALED_MAX_BYTES:,} bytes: split the set",
            ),
        ),
    )


class SecretSet(Model):
    """Named values that the operator delivers as one Secret to the set's region."""

    model_config = ConfigDict(json_schema_extra=ROOT_RULES)

    metadata: dict[str, Any]
    spec: SecretSetSpec = Field(description="What the set should be.")
    status: SetStatus | None = Field(default=None, description="What it is. Written by the operator.")
