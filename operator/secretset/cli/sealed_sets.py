"""The sealed values of the hub's sets, as commands see them: read from the objects, whatever else is in them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

from secretset.domain.names import Key, Kind
from secretset.kube import pages, paths
from secretset.kube.client import Client


class SealedSet(NamedTuple):
    """One object of ours.

    Attributes:
        values: the text of each sealed value, by key (of a pull secret: `password`).
        obj: the object.
    """

    key: Key
    values: Mapping[str, str]
    obj: Mapping[str, Any]

    def path(self, key: str) -> str:
        """Where the text of a value stands, as a JSON pointer (RFC 6901)."""
        if self.key.kind is Kind.IMAGE_PULL_SECRET:
            return "/spec/password/sealed"
        return f"/spec/data/{key.replace('~', '~0').replace('/', '~1')}/sealed"


def sealed_set(kind: Kind, obj: Mapping[str, Any]) -> SealedSet:
    """What is sealed in an object; one that was stored under other CRDs may have any form."""
    meta, spec = obj["metadata"], _mapping(obj.get("spec"))
    entries = _mapping(spec.get("data")) if kind is Kind.SECRET_SET else {"password": spec.get("password")}
    texts = {key: _mapping(entry).get("sealed") for key, entry in entries.items()}
    values = {key: text for key, text in texts.items() if isinstance(text, str)}
    return SealedSet(Key(kind, meta["namespace"], meta["name"]), values, obj)


async def sealed_sets(client: Client, namespace: str | None = None) -> AsyncIterator[SealedSet]:
    """All objects of ours that have a sealed value, on the hub or in one namespace.

    Raises:
        KubeError: the hub refused or did not answer.
    """
    for kind in Kind:
        async for obj in pages.items(client, paths.custom_list(kind, namespace)):
            found = sealed_set(kind, obj)
            if found.values:
                yield found


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
