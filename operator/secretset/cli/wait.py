"""`secretset wait`: until a set is ready, or gone."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secretset.cli.options import Context, Kubeconfig, Organization, Output, OutputFormat
from secretset.cli.set_options import TIMEOUT, SetName, Timeout, check_name, tell

if TYPE_CHECKING:
    from secretset.actions.session import Session


class Until(StrEnum):
    """What can be waited for."""

    READY = "ready"
    DELETED = "deleted"


def wait(
    name: SetName,
    until: Annotated[Until, typer.Option("--for", help="What to wait for.")] = Until.READY,
    timeout: Timeout = TIMEOUT,
    namespace: Organization = None,
    output: Output = OutputFormat.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Wait until a set, or a pull secret, is ready in its region, or until it is gone.

    Ready is the newest generation: after a `kubectl apply` it waits for what was applied. A set that failed ends the
    waiting at once. `--for deleted` waits until the set and its Secret are gone; one that is not there is gone already.

    Exit code 0: it is so; 1: there is no such set, or it was deleted meanwhile; 2: the hub could not be asked, or
    refused; 3: the time was over; 4: the set failed.

    Example: secretset wait checkout -n shop --for ready --timeout 60
    """
    check_name(name)
    from secretset.actions import sets
    from secretset.actions.errors import Refused, Why
    from secretset.cli.delete import until_gone
    from secretset.cli.hub import CommandError
    from secretset.cli.session import HubOptions, on_session
    from secretset.cli.set_views import show_object
    from secretset.cli.waiting import until_ready

    options = HubOptions(kubeconfig=kubeconfig, context=context, namespace=namespace)

    async def ready(session: Session) -> tuple[str, dict[str, Any]]:
        view = await sets.find(session, options.organization, name)
        if view.going:
            raise CommandError(f"{view.key} is being deleted")
        done = await until_ready(session, view.key, generation=view.generation, timeout=timeout)
        return f"{done.key} is ready in {done.region}.", done.to_json()

    async def deleted(session: Session) -> tuple[str, dict[str, Any]]:
        gone = {"organization": options.organization, "name": name, "status": "deleted"}
        try:
            view = await sets.find(session, options.organization, name)
        except Refused as error:
            if error.why is not Why.ABSENT:
                raise
            return "It is gone.", gone
        if not view.going:
            tell(f"nobody has deleted {view.key} yet")
        await until_gone(session, view, timeout=timeout)
        return f"{view.key} is gone.", gone

    text, found = on_session("wait", options, ready if until is Until.READY else deleted)
    if output is OutputFormat.TABLE:
        typer.echo(text)
    else:
        show_object(output, found)
