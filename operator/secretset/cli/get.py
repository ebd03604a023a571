"""`secretset get`: one set, with its keys."""

from __future__ import annotations

from secretset.cli.options import Context, Kubeconfig, Organization, Output, OutputFormat
from secretset.cli.set_options import SetName, check_name


def get(
    name: SetName,
    namespace: Organization = None,
    output: Output = OutputFormat.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Show a set: its region and status, and when each key was created and updated. Values are never shown.

    SEALED FOR is the sealing key that opens the value (`secretset keys list`), or the Secret that it is read from.

    Exit code 0: shown; 1: there is no such set; 2: wrong usage, or the hub could not be asked.

    Example: secretset get checkout -o json
    """
    check_name(name)
    from secretset.actions import sets
    from secretset.cli.session import HubOptions, on_session
    from secretset.cli.set_views import show_set

    options = HubOptions(kubeconfig=kubeconfig, context=context, namespace=namespace)
    show_set(output, on_session("get", options, lambda session: sets.find(session, options.organization, name)))
