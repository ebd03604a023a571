"""ImagePullSecret: one registry's credentials that become one kubernetes.io/dockerconfigjson Secret."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from secretset.domain.models.common import FORBIDDEN, ROOT_RULES, CommonSpec, Model, SecretValue, cel, rules
from secretset.domain.models.status import SetStatus


class ImagePullSecretSpec(CommonSpec):
    """What an ImagePullSecret should be."""

    host: str = Field(
        description="The registry: a URI such as https://index.docker.io/v1/, or a bare host such as ghcr.io.",
        json_schema_extra=rules(
            cel("self.size() >= 1 && self.size() <= 2048", "must be 1 to 2,048 characters long", reason=FORBIDDEN),
            cel(
                "!self.contains('@')",
                "must not carry credentials: they belong into username and password",
                reason=FORBIDDEN,
            ),
        ),
    )
    username: str = Field(
        description="User name at the registry.",
        json_schema_extra=rules(
            cel("self.size() >= 1 && self.size() <= 1024", "must be 1 to 1,024 characters long", reason=FORBIDDEN),
            # People paste `user:password` here.
            cel(
                "!self.contains(':')",
                "must not contain ':' (registries split user and password there)",
                reason=FORBIDDEN,
            ),
        ),
    )
    password: SecretValue = Field(description="Password or token at the registry.")
    service_accounts: list[Annotated[str, Field(min_length=1, max_length=253)]] | None = Field(
        default=None,
        max_length=64,
        description="ServiceAccounts of the target namespace whose imagePullSecrets get this Secret.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )


class ImagePullSecret(Model):
    """A registry's credentials that the operator delivers as one pull secret to their region."""

    model_config = ConfigDict(json_schema_extra=ROOT_RULES)

    metadata: dict[str, Any]
    spec: ImagePullSecretSpec = Field(description="What the pull secret should be.")
    status: SetStatus | None = Field(default=None, description="What it is. Written by the operator.")
