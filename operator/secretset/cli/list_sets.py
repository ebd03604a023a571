"""`secretset list`: sets, and how they stand; once, or as they change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from secretset.cli.options import Context, Kubeconfig, Organization, Output, OutputFormat
from secretset.cli.set_options import AllOrganizations

if TYPE_CHECKING:
    from secretset.cli.session import HubOptions
    from secretset.domain.names import Kind

OfRegion = Annotated[str | None, typer.Option("--region", help="Those of one region.")]
WatchOption = Annotated[
    bool, typer.Option("--watch", "-w", help="Go on, and show what changes: until you end it with Ctrl-C.")
]


def list_sets(
    namespace: Organization = None,
    all_organizations: AllOrganizations = False,
    region: OfRegion = None,
    watch: WatchOption = False,
    output: Output = OutputFormat.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """List sets and pull secrets: name, region, status, when they were created and updated. Values are never shown.

    json and yaml also have the keys of each, with their times. With --watch, a terminal shows the table as it is;
    elsewhere, and for machines, each change is a line (json) or a document (yaml) of its own.

    Exit code 0: listed; 2: wrong usage, or the hub could not be asked; 130: ended while it watched.

    Example: secretset list -A --region us-west --watch
    """
    from secretset.cli.session import HubOptions

    options = HubOptions(kubeconfig=kubeconfig, context=context, namespace=namespace)
    list_on("list", options, everywhere=all_organizations, region=region, watch=watch, output=output)


def list_on(
    command: str,
    options: HubOptions,
    *,
    everywhere: bool,
    region: str | None,
    watch: bool,
    output: OutputFormat,
    kind: Kind | None = None,
) -> None:
    """List sets for a command.

    Args:
        command: its name.
        options: the hub.
        everywhere: in all organizations.
        region: None: of all.
        watch: go on as they change.
        output: the form.
        kind: None: both.
    """
    from secretset.actions import sets
    from secretset.cli import list_watch
    from secretset.cli.session import on_session
    from secretset.cli.set_views import show_sets

    where = None if everywhere else options.organization
    if watch:
        list_watch.run(command, options, where, kind=kind, region=region, output=output)
        return
    views = on_session(command, options, lambda session: sets.list_sets(session, where, kind=kind, region=region))
    show_sets(output, views, kind=kind, organizations=everywhere)
    if not views:
        typer.echo("there are none" + ("" if where is None else f" in '{where}'"), err=True)
