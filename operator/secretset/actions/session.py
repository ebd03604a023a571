"""The hub as one user sees it: its regions, its organizations, and the keys to seal with."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from secretset.actions.errors import Refused, Why
from secretset.controller import key_store
from secretset.domain import names
from secretset.domain.regions import Organization, RegionRecord, resolve, selects
from secretset.domain.sealing_keys import CONFIG_MAP_NAME, PublicKeys
from secretset.kube import errors, pages, paths
from secretset.kube.client import Client

# seeds/003, invalidRegion.
NO_ACCESS = "Invalid region or organization does not have access"


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class RegionView:
    """A Region as a user may see it.

    Attributes:
        record: what its spec says.
        status: ``status`` of the object; empty if nobody has looked.
        obj: the object as the API returned it.
    """

    record: RegionRecord
    status: Mapping[str, Any]
    obj: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name."""
        return self.record.name

    def admits(self, organization: Organization) -> bool:
        """Whether sets of an organization may be made there."""
        return not self.record.spec.decommissioned and selects(self.record.spec.organizations, organization.labels)


class KeyCache:
    """Public keys for some seconds: they are no secret, and the same for all users of a hub."""

    SECONDS = 30.0  # the webhook's patience is 90: a key is retired later than anybody seals for it

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._found: PublicKeys | None = None
        self._until = 0.0

    async def read(self, client: Client, namespace: str) -> PublicKeys | None:
        """What is published; None if nothing is.

        Raises:
            KubeError: the hub refused or did not answer.
        """
        if self._found is None or self._clock() >= self._until:
            self._found = await key_store.published(client, namespace)
            self._until = self._clock() + self.SECONDS
        return self._found


class Session:
    """The hub as one user sees it.

    Args:
        client: with the user's credentials.
        operator_namespace: where the operator publishes its keys.
        keys: shared among the sessions of a process.
        reserved: names that no key may have.
    """

    def __init__(
        self,
        client: Client,
        *,
        operator_namespace: str = "secretset-system",
        keys: KeyCache | None = None,
        reserved: Collection[str] = names.RESERVED_KEYS,
    ) -> None:
        self.client = client
        self.operator_namespace = operator_namespace
        self.reserved = reserved
        self._keys = keys or KeyCache()

    async def public_keys(self) -> PublicKeys:
        """The keys to seal with; there is a current one.

        Raises:
            Refused: none are published (``NO_KEYS``), or the operator lost the newest (``NOT_HELD``).
            KubeError: the hub refused or did not answer.
        """
        found = await self._keys.read(self.client, self.operator_namespace)
        if found is not None and not found.held:
            raise Refused(
                Why.NOT_HELD,
                "the operator does not have the private key of the newest sealing key, and nobody could open what is "
                "sealed for it. Platform team: secretset keys restore",
            )
        if found is None or found.current is None:
            raise Refused(
                Why.NO_KEYS,
                f"there are no public keys in the ConfigMap '{self.operator_namespace}/{CONFIG_MAP_NAME}': does the "
                "operator run on this hub?",
            )
        return found

    async def regions(self) -> list[RegionView]:
        """The regions by name; none if the user may not see them.

        Raises:
            KubeError: the hub did not answer.
        """
        found: list[RegionView] = []
        try:
            async for obj in pages.items(self.client, paths.REGIONS):
                record = RegionRecord.parse(obj)
                if record is not None:
                    found.append(RegionView(record=record, status=obj.get("status") or {}, obj=obj))
        except errors.Forbidden:
            return []
        return sorted(found, key=lambda each: each.name)

    async def organization(self, name: str) -> Organization | None:
        """An organization; None if there is none of that name, or the user may not see it.

        Raises:
            KubeError: the hub did not answer.
        """
        if not names.NAMESPACE_PATTERN.fullmatch(name):
            return None
        try:
            return Organization.parse(await self.client.get(paths.core("namespaces", None, name)))
        except (errors.NotFound, errors.Forbidden):
            return None

    async def region_for(self, organization: str, wanted: str | None) -> str | None:
        """The region for a new set: what was wanted, else the default (design.md, ``spec.region``).

        Returns:
            Its name; None if there is no default, or the user may not see regions: the operator decides then.

        Raises:
            Refused: there is no such region, or the organization may not use it (``REGION_INVALID``).
            KubeError: the hub did not answer.
        """
        regions = {each.name: each for each in await self.regions()}
        if not regions:
            return wanted
        place = await self.organization(organization)
        chosen = resolve(
            named=wanted,
            settled=None,
            organization=place,
            regions={name: each.record for name, each in regions.items()},
        )
        if chosen is None:
            return None
        region = regions.get(chosen)
        if region is None or (place is not None and not region.admits(place)):
            raise Refused(Why.REGION_INVALID, NO_ACCESS)
        return chosen
