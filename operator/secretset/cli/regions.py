"""`secretset regions`: where sets can live, and how those places are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secretset.cli import complete
from secretset.cli.options import Context, Kubeconfig, Organization, Output, OutputFormat

if TYPE_CHECKING:
    from secretset.actions.session import RegionView, Session
    from secretset.domain.regions import Organization as Place

_USABLE: dict[bool | None, str] = {True: "yes", False: "no", None: "unknown"}

regions = typer.Typer(
    name="regions", help="Where sets can live: the regions that the platform team made.", no_args_is_help=True
)


@regions.command("list")
def list_regions(
    namespace: Organization = None,
    output: Output = OutputFormat.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Show the regions: whether they are well, and whether the organization may use them.

    DEFAULT marks the one that a new set of the organization lives in if it names none. SETS counts those of all
    organizations: ready / pending / failed.

    Exit code 0: done; 2: the hub could not be asked, or you may not see regions.

    Example: secretset regions list -n shop
    """
    from secretset.cli.hub import show
    from secretset.cli.session import HubOptions, on_session

    options = HubOptions(kubeconfig=kubeconfig, context=context, namespace=namespace)
    rows = on_session("regions list", options, lambda session: _rows(session, options.organization))
    columns = {
        "NAME": lambda row: str(row["name"]),
        "DISPLAY NAME": lambda row: str(row.get("displayName", "")),
        "STATUS": lambda row: str(row["status"]),
        "USABLE": lambda row: _USABLE[row.get("usable")],
        "DEFAULT": lambda row: "yes" if row["default"] else "",
        "NAMESPACE": lambda row: str(row["namespace"]),
        "SETS": lambda row: " / ".join(str(row["sets"].get(phase, 0)) for phase in ("ready", "pending", "failed")),
        "VERSION": lambda row: str(row.get("serverVersion", "-")),
    }
    show(output, columns, rows)


@regions.command("show")
def show_region(
    name: Annotated[str, typer.Argument(help="Name of the region.", autocompletion=complete.region_names)],
    namespace: Organization = None,
    output: Output = OutputFormat.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Show one region: whether it answers, what the operator may do there, and where your Secrets are.

    Exit code 0: done; 1: there is no such region; 2: the hub could not be asked, or you may not see regions.

    Example: secretset regions show us-west -n shop -o json
    """
    from secretset.cli.session import HubOptions, on_session
    from secretset.cli.set_views import show_object

    options = HubOptions(kubeconfig=kubeconfig, context=context, namespace=namespace)

    async def one(session: Session) -> dict[str, Any]:
        from secretset.cli.hub import CommandError

        found = {row["name"]: row for row in await _rows(session, options.organization)}
        if name not in found:
            raise CommandError(f"there is no region '{name}': secretset regions list")
        return found[name]

    row = on_session("regions show", options, one)
    if output is OutputFormat.TABLE:
        _show(row, options.organization)
    else:
        show_object(output, row)


async def _rows(session: Session, organization: str) -> list[dict[str, Any]]:
    """The regions as one organization sees them.

    Raises:
        Forbidden: the user may not see them.
        KubeError: the hub did not answer.
    """
    from secretset.domain.regions import resolve
    from secretset.kube import pages, paths

    found = await session.regions()
    if not found:  # none there, or none to be seen: this tells the one from the other
        [_ async for _ in pages.pages(session.client, paths.REGIONS, {"limit": "1"})]
    place = await session.organization(organization)
    by_name = {each.name: each.record for each in found}
    default = resolve(named=None, settled=None, organization=place, regions=by_name)
    return [_row(each, organization, place, default) for each in found]


def _row(region: RegionView, organization: str, place: Place | None, default: str | None) -> dict[str, Any]:
    record, status = region.record, region.status
    seen = record.generation <= status.get("observedGeneration", -1)
    row: dict[str, Any] = {
        "name": region.name,
        "displayName": record.spec.display_name,
        "status": "decommissioned" if record.spec.decommissioned else status.get("phase") if seen else "pending",
        "reason": status.get("reason"),
        "message": status.get("message"),
        "usable": None if place is None else region.admits(place),
        "default": region.name == default,
        "namespace": record.namespace_for(organization),
        "cluster": "hub" if record.on_hub else "another",
        "serverVersion": status.get("serverVersion"),
        "replica": status.get("replica"),
        "lastContact": status.get("lastContact"),
        "sets": status.get("sets") or {},
        "conditions": status.get("conditions") or [],
    }
    return {name: value for name, value in row.items() if value is not None}


def _show(row: dict[str, Any], organization: str) -> None:
    from secretset.cli.page import Page
    from secretset.domain.ages import age

    now, page, sets = datetime.now(UTC), Page(), row["sets"]
    words = {True: "yes", False: "no: ask the platform team", None: "unknown: you may not see its labels"}
    page.title(f"Region {row['name']}")
    page.fields(
        {
            "Name": row.get("displayName", ""),
            "Status": f"{row['status']}{' (' + row['reason'] + ')' if row.get('reason') else ''}",
            "Why": row.get("message", ""),
            "Default": f"yes, for new sets of {organization} that name no region" if row["default"] else "no",
            "Usable": f"{words[row.get('usable')]} (organization {organization})",
            "Namespace": f"{row['namespace']}, on {'the hub' if row['cluster'] == 'hub' else 'another cluster'}",
            "Version": row.get("serverVersion", ""),
            "Last contact": f"{age(row['lastContact'], now)} ago" if "lastContact" in row else "",
            "Served by": row.get("replica", "no replica of the operator"),
            "Sets": ", ".join(f"{sets.get(phase, 0)} {phase}" for phase in ("ready", "pending", "failed")),
        }
    )
    page.title("Conditions")
    rows = [
        (str(c.get("type")), str(c.get("status")), age(c.get("lastTransitionTime"), now), str(c.get("message")))
        for c in row["conditions"]
    ]
    if rows:
        page.table(("CONDITION", "STATUS", "SINCE", "WHY"), rows)
    else:
        page.line("The operator has not looked at it yet.")
