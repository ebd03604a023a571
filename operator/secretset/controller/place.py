"""Where a set lives, by what is known of the hub."""

from __future__ import annotations

from dataclasses import dataclass

from secretset.controller.context import Context
from secretset.domain import reasons, regions
from secretset.domain.record import SetRecord
from secretset.domain.regions import RegionRecord


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Where a set lives."""

    region: RegionRecord
    namespace: str


def place(context: Context, seen: SetRecord) -> Placed:
    """Where a set lives, by the rules of the platform team.

    Raises:
        Problem: nowhere, for now.
    """
    store = context.store
    name = store.region_of(seen)
    region = store.regions.get(name) if name else None
    organization = store.organizations.get(seen.key.namespace)
    if region is None:
        raise reasons.region_unknown(name)
    if organization is None:
        raise reasons.retrying(f"Namespace '{seen.key.namespace}' of the hub was not seen yet")
    namespace = regions.target_namespace(
        region,
        organization,
        regions=store.regions,
        organizations=store.organizations,
        operator_namespace=context.config.namespace,
    )
    return Placed(region=region, namespace=namespace)
