"""`secretset tokens`: access to an organization for a person or a pipeline, without a login of their own at the hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from secretset.cli import complete
from secretset.cli.options import Context, Kubeconfig, Organization, Output, OutputFormat
from secretset.cli.set_options import AllOrganizations, tell
from secretset.domain.access import Role

if TYPE_CHECKING:
    from secretset.actions.session import Session
    from secretset.actions.tokens import Issued
    from secretset.domain.access import AccountView

tokens = typer.Typer(
    name="tokens",
    help="Give people and pipelines access to an organization: create, list, delete.",
    no_args_is_help=True,
)

AccountName = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="Name of the account, such as ci or ann.",
        show_default=False,
        autocompletion=complete.account_names,
    ),
]


@tokens.command()
def create(
    name: AccountName,
    role: Annotated[
        Role,
        typer.Option(
            envvar="SECRETSET_ROLE",
            help="viewer sees sets, editor changes them, admin gives access too. None of them reads values.",
            show_default=False,
        ),
    ],
    duration: Annotated[
        str,
        typer.Option(
            "--for",
            envvar="SECRETSET_TOKEN_FOR",
            metavar="DURATION",
            help="For how long it is good: a number with m, h, d or w. The API server may make it shorter.",
        ),
    ] = "30d",
    pipecat: Annotated[
        bool,
        typer.Option(
            "--pipecat",
            envvar="SECRETSET_TOKEN_PIPECAT",
            help="Put pcc_pat_ in front, as Pipecat's CLI wants it. The REST API takes both forms; the hub itself, and "
            "so a kubeconfig, only the one without.",
        ),
    ] = False,
    namespace: Organization = None,
    output: Output = OutputFormat.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Make an account with a role in one organization, and print a token of it: the one thing on standard output.

    It is a ServiceAccount, bound to the ClusterRole secretset-ROLE. The token is stored nowhere: hand it on to where
    the pipeline keeps its own. Asked again, it makes another token; `secretset tokens delete` ends all of them.

    Exit code 0: done; 1: not done, and why; 2: wrong usage, or the hub could not be asked, or refused.

    Example: secretset tokens create ci --role editor --for 90d -n shop | gh secret set SECRETSET_TOKEN
    """
    from secretset.actions import tokens as actions
    from secretset.cli.session import HubOptions, on_session
    from secretset.domain import access

    try:
        seconds = access.seconds_of(duration)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--for") from None
    options = HubOptions(kubeconfig=kubeconfig, context=context, namespace=namespace)

    async def make(session: Session) -> Issued:
        return await actions.create(session, options.organization, name, role, seconds=seconds)

    issued = on_session("tokens create", options, make)
    token = f"{access.PIPECAT_PREFIX if pipecat else ''}{issued.token}"
    where = issued.account.organization
    if output is OutputFormat.TABLE:
        typer.echo(token)
    else:
        from secretset.cli.set_views import show_object

        show_object(output, {**issued.account.to_json(), "expiresAt": issued.expires_at, "token": token})
    tell(f"{role} of '{where}' until {issued.expires_at}; to end it before: secretset tokens delete {name} -n {where}")


@tokens.command("list")
def list_accounts(
    namespace: Organization = None,
    all_namespaces: AllOrganizations = False,
    output: Output = OutputFormat.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """List the accounts that were made with `secretset tokens`; never their tokens, which are stored nowhere.

    Exit code 0: done; 2: wrong usage, or the hub could not be asked, or refused.

    Example: secretset tokens list -n shop
    """
    from secretset.actions import tokens as actions
    from secretset.cli.hub import show
    from secretset.cli.session import HubOptions, on_session

    options = HubOptions(kubeconfig=kubeconfig, context=context, namespace=namespace)

    async def read(session: Session) -> list[AccountView]:
        return await actions.list_accounts(session, None if all_namespaces else options.organization)

    found = on_session("tokens list", options, read)
    if not found and output is OutputFormat.TABLE:
        tell("there are no accounts: secretset tokens create NAME --role viewer|editor|admin")
        return
    columns = {"NAME": "name", "ROLE": "role", "CREATED": "createdAt", "LAST TOKEN UNTIL": "expiresAt"}
    if all_namespaces:
        columns = {"ORGANIZATION": "organization", **columns}
    show(output, {title: _cell(field) for title, field in columns.items()}, [each.to_json() for each in found])


@tokens.command()
def delete(
    name: AccountName,
    namespace: Organization = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Delete an account: its role is gone at once, and all of its tokens with it, wherever they are.

    Exit code 0: done; 1: not done, and why; 2: wrong usage, or the hub could not be asked, or refused.

    Example: secretset tokens delete ci -n shop
    """
    from secretset.actions import tokens as actions
    from secretset.cli.session import HubOptions, on_session

    options = HubOptions(kubeconfig=kubeconfig, context=context, namespace=namespace)

    async def end(session: Session) -> AccountView:
        return await actions.delete(session, options.organization, name)

    gone = on_session("tokens delete", options, end)
    tell(f"the account '{gone.name}' of '{gone.organization}' is deleted, and its tokens are good for nothing")


def _cell(field: str) -> Any:
    return lambda row: row[field] or "-"
