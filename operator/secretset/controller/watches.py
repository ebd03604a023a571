"""The watches of a region: what is followed there, and where what they see goes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from secretset.controller.view import RegionView
from secretset.domain import names
from secretset.domain.workloads import WorkloadKind
from secretset.kube import paths
from secretset.kube.client import Client
from secretset.kube.scoped import ScopedWatch

# Called with its namespace (empty for all) when a watch begins to fail, or is back.
OnLink = Callable[[str], None]


def secrets(client: Client, seen: RegionView, on_link: OnLink) -> ScopedWatch:
    """Of managed Secrets."""
    return ScopedWatch(
        client,
        resource="secrets",
        group="",
        path=paths.secrets,
        on_upsert=seen.see_secret,
        on_delete=seen.miss_secret,
        on_link=on_link,
        on_relist=seen.doubt_secrets,
        remembered=seen.known_secrets,
        label_selector=names.MANAGED_SELECTOR,
    )


def accounts(client: Client, seen: RegionView, on_link: OnLink) -> ScopedWatch:
    """Of ServiceAccounts."""
    return ScopedWatch(
        client,
        resource="serviceaccounts",
        group="",
        path=partial(paths.core, "serviceaccounts"),
        on_upsert=seen.see_account,
        on_delete=seen.miss_account,
        on_link=on_link,
        on_relist=seen.doubt_accounts,
        remembered=seen.known_accounts,
    )


def workloads(client: Client, kind: WorkloadKind, seen: RegionView, on_link: OnLink) -> ScopedWatch:
    """Of workloads of one kind."""
    return ScopedWatch(
        client,
        resource=kind.plural,
        group=kind.group,
        path=partial(paths.workloads, kind),
        on_upsert=partial(seen.see_workload, kind),
        on_delete=partial(seen.miss_workload, kind),
        on_link=on_link,
        on_relist=partial(seen.doubt_workloads, kind),
        remembered=partial(seen.known_workloads, kind),
    )
