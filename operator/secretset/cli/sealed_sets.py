"""The sealed values of the hub's sets, as commands see them: read from the objects, whatever else is in them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

from secretset.cli.hub import NO_HUB, CommandError
from secretset.domain import json_patch
from secretset.domain.loose import mapping
from secretset.domain.names import PASSWORD, Key, Kind
from secretset.kube import errors, pages, paths
from secretset.kube.client import Client


class NotInstalled(CommandError):
    """The hub knows no sets."""

    def __init__(self) -> None:
        super().__init__("the CRDs are not installed on this hub: `secretset install`, or another --context", NO_HUB)


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
            return json_patch.pointer("spec", PASSWORD, "sealed")
        return json_patch.pointer("spec", "data", key, "sealed")


def sealed_set(kind: Kind, obj: Mapping[str, Any]) -> SealedSet:
    """What is sealed in an object; one that was stored under other CRDs may have any form."""
    meta, spec = obj["metadata"], mapping(obj.get("spec"))
    entries = mapping(spec.get("data")) if kind is Kind.SECRET_SET else {PASSWORD: spec.get(PASSWORD)}
    texts = {key: mapping(entry).get("sealed") for key, entry in entries.items()}
    values = {key: text for key, text in texts.items() if isinstance(text, str)}
    return SealedSet(Key(kind, meta["namespace"], meta["name"]), values, obj)


async def sealed_sets(client: Client, namespace: str | None = None) -> AsyncIterator[SealedSet]:
    """All objects of ours that have a sealed value, on the hub or in one namespace.

    Raises:
        NotInstalled: there are no such kinds.
        KubeError: the hub refused or did not answer.
    """
    for kind in Kind:
        try:
            async for obj in pages.items(client, paths.custom_list(kind, namespace)):
                found = sealed_set(kind, obj)
                if found.values:
                    yield found
        except errors.NotFound:
            raise NotInstalled from None
