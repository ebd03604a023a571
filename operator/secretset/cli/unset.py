"""`secretset unset`: take keys out of a set."""

from __future__ import annotations

from typing import Annotated

import typer

from secretset.cli import complete
from secretset.cli.options import Context, Kubeconfig, Organization, Output, OutputFormat
from secretset.cli.set_options import TIMEOUT, NoWait, SetName, Timeout, check_name


def unset(
    name: SetName,
    keys: Annotated[
        list[str],
        typer.Argument(metavar="KEY...", help="The keys.", show_default=False, autocompletion=complete.key_names),
    ],
    namespace: Organization = None,
    no_wait: NoWait = False,
    timeout: Timeout = TIMEOUT,
    output: Output = OutputFormat.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Take keys out of a set: all that are named, or none. The last key stays: delete the set instead.

    Exit code 0: done, and the set is ready; 1: not done; 2: wrong usage, or the hub could not be asked; 3: stored, but
    not seen to be ready in time; 4: stored, but the set failed.

    Example: secretset unset checkout API_KEY
    """
    check_name(name)
    from secretset.actions import sets
    from secretset.actions.session import Session
    from secretset.cli.session import HubOptions, on_session
    from secretset.cli.set_views import counted, show_change
    from secretset.cli.waiting import until_delivered
    from secretset.domain.names import Key, Kind
    from secretset.domain.set_view import SetView

    options = HubOptions(kubeconfig=kubeconfig, context=context, namespace=namespace)
    key = Key(Kind.SECRET_SET, options.organization, name)
    gone = list(dict.fromkeys(keys))

    async def done(session: Session) -> SetView:
        view = await sets.unset(session, key, gone)
        return view if no_wait else await until_delivered(session, view, timeout=timeout)

    view = on_session("unset", options, done)
    show_change(output, view, f"{counted(len(gone), 'key')} removed", waited=not no_wait)
