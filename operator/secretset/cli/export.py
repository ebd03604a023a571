"""`secretset export`: which keys sets have, as the `.env` file that somebody else is to fill in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from secretset.cli import complete
from secretset.cli.options import Context, Kubeconfig, Organization, Output, OutputFormat
from secretset.cli.set_options import check_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secretset.actions.session import Session
    from secretset.domain.set_view import SetView


def export(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Names of sets. Absent: all of the organization.",
            show_default=False,
            autocompletion=complete.set_names,
        ),
    ] = None,
    namespace: Organization = None,
    output: Output = OutputFormat.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Print the names of sets and of their keys, and no value: values leave the hub for their region alone.

    What is printed is a .env file to be filled in, such as .env.example; json and yaml have region and description,
    too. Pull secrets are left out: `secretset image-pull-secrets list` shows them.

    Exit code 0: printed; 1: there is no such set; 2: wrong usage, or the hub could not be asked.

    Example: secretset export checkout > .env.example
    """
    for name in names or ():
        check_name(name)
    from secretset.cli.hub import show
    from secretset.cli.session import HubOptions, on_session

    options = HubOptions(kubeconfig=kubeconfig, context=context, namespace=namespace)
    views = on_session("export", options, lambda session: _views(session, options.organization, names or ()))
    if output is not OutputFormat.TABLE:
        show(output, {}, [_names_of(view) for view in views])
        return
    for view in views:
        typer.echo("\n".join([f"# {view.organization}/{view.name}", *(f"{key.name}=" for key in view.keys)]))


async def _views(session: Session, organization: str, names: Sequence[str]) -> list[SetView]:
    from secretset.actions import sets
    from secretset.domain.names import Key, Kind

    if not names:
        return await sets.list_sets(session, organization, kind=Kind.SECRET_SET)
    return [await sets.get(session, Key(Kind.SECRET_SET, organization, name)) for name in dict.fromkeys(names)]


def _names_of(view: SetView) -> dict[str, object]:
    found = {
        "organization": view.organization,
        "name": view.name,
        "region": view.region,
        "description": view.description,
        "metadata": dict(view.metadata) or None,
        "keys": [key.name for key in view.keys],
    }
    return {name: value for name, value in found.items() if value is not None}
