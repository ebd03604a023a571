"""The installation: one operator with its id and its fingerprint keys, kept together in one Secret of its namespace.

A rebuilt hub that brings this Secret along adopts its managed Secrets in the regions; a clone with another id does not
touch them. Losing it means that all managed Secrets look foreign: back it up.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from secretset.domain import names
from secretset.domain.fingerprint import Keyring, key_id
from secretset.domain.observed import decode_data, encode_data
from secretset.kube import errors, paths
from secretset.kube.client import Client

log = structlog.get_logger(__name__)

SECRET_NAME = "secretset-installation"  # noqa: S105  (a name)
_ID, _CURRENT, _PREFIX = "id", "fingerprint-current", "fingerprint-key-"


@dataclass(frozen=True, kw_only=True, repr=False)
class Installation:
    """Who we are to the managed Secrets."""

    id: str
    keyring: Keyring


async def load_or_create(client: Client, namespace: str) -> Installation:
    """Read the installation, or make it if this is the first start. Two replicas that start at once agree on one.

    Raises:
        ConfigError: the Secret is there but damaged; it must be restored, never overwritten.
        KubeError: the hub could not be asked.
    """
    path = paths.secrets(namespace, SECRET_NAME)
    try:
        return parse(decode_data(await client.get(path)))
    except errors.Absent:
        key = secrets.token_bytes(32)
        content = {_ID: str(uuid.uuid4()).encode(), _CURRENT: key_id(key).encode(), _PREFIX + key_id(key): key}
        try:
            await client.create(paths.secrets(namespace), manifest(namespace, content))
        except errors.AlreadyExists:
            return parse(decode_data(await client.get(path)))
        created = parse(content)
        log.info("a new installation", id=created.id, secret=f"{namespace}/{SECRET_NAME}")
        return created


def manifest(namespace: str, content: Mapping[str, bytes]) -> dict[str, Any]:
    """The Secret that holds an installation."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": SECRET_NAME,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/part-of": names.FIELD_MANAGER},
        },
        "type": names.TYPE_OPAQUE,
        "data": encode_data(content),
    }


def parse(content: Mapping[str, bytes]) -> Installation:
    """Read what the Secret holds.

    Raises:
        ConfigError: it is damaged.
    """
    try:
        keys = {name.removeprefix(_PREFIX): key for name, key in content.items() if name.startswith(_PREFIX)}
        current = content[_CURRENT].decode()
        if current not in keys or any(len(key) < 32 for key in keys.values()):
            raise KeyError(current)
        return Installation(id=str(uuid.UUID(content[_ID].decode())), keyring=Keyring(keys=keys, current=current))
    except (KeyError, ValueError):
        raise errors.ConfigError(
            f"Secret '{SECRET_NAME}' in the operator's namespace is damaged: restore it from a backup; "
            "without it the managed Secrets are not recognised"
        ) from None
