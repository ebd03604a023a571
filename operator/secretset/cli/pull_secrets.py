"""`secretset image-pull-secrets`: credentials of registries, as pull secrets in their regions."""

from __future__ import annotations

from typing import Annotated

import typer

from secretset.cli.delete import delete_on
from secretset.cli.list_sets import OfRegion, WatchOption, list_on
from secretset.cli.options import (
    Context,
    Kubeconfig,
    OperatorNamespaceOption,
    Organization,
    Output,
    OutputFormat,
)
from secretset.cli.set_options import (
    TIMEOUT,
    AllOrganizations,
    Description,
    Metadata,
    NoWait,
    RegionOfNew,
    SetName,
    Timeout,
    Yes,
    check_name,
    metadata_of,
    texts,
)

_CREDENTIALS = "Credentials"
_SET = "image-pull-secrets set"
_NO_HOST = "a new pull secret needs the HOST of its registry, such as ghcr.io or https://index.docker.io/v1/"

pull_secrets = typer.Typer(
    name="image-pull-secrets",
    help="Credentials of registries, as pull secrets in their regions: set, list, delete.",
    no_args_is_help=True,
)


@pull_secrets.command("set")
def set_pull_secret(
    name: SetName,
    host: Annotated[
        str | None,
        typer.Argument(
            metavar="[HOST]",
            help="The registry: a host, or a URI such as https://index.docker.io/v1/. Absent: as it is.",
            show_default=False,
        ),
    ] = None,
    username: Annotated[
        str | None,
        typer.Option(
            envvar="SECRETSET_REGISTRY_USERNAME",
            help="User there. Absent: it is asked for.",
            rich_help_panel=_CREDENTIALS,
        ),
    ] = None,
    password_stdin: Annotated[
        bool,
        typer.Option(
            "--password-stdin",
            help="Read the token from standard input, without the line break at its end, instead of asking for it.",
            rich_help_panel=_CREDENTIALS,
        ),
    ] = False,
    service_account: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            callback=texts,
            help="ServiceAccount in the region whose pods pull with it; those that are given are all that do. Can be "
            "given more than once.",
        ),
    ] = None,
    region: RegionOfNew = None,
    description: Description = None,
    metadata: Metadata = None,
    namespace: Organization = None,
    no_wait: NoWait = False,
    timeout: Timeout = TIMEOUT,
    output: Output = OutputFormat.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    operator_namespace: OperatorNamespaceOption = "secretset-system",
) -> None:
    """Create a pull secret, or give the one that is there new credentials.

    Username and token are asked for, without showing what is typed, unless options give them. Where nothing but
    --service-account, --description or --metadata is given, the credentials stay as they are; with --password-stdin
    alone, the username does.

    Exit code 0: done, and the pull secret is ready; 1: not done; 2: wrong usage, or the hub could not be asked;
    3: stored, but not seen to be ready in time; 4: stored, but it failed.

    Example: secretset image-pull-secrets set docker-hub https://index.docker.io/v1/ --region us-west
    """
    check_name(name)
    labels = metadata_of(metadata)
    from secretset.actions.sets import Wanted
    from secretset.cli import pull_credentials
    from secretset.cli.hub import CommandError, fail
    from secretset.cli.session import HubOptions, on_session
    from secretset.cli.set_changes import changed, foreseen
    from secretset.cli.set_views import show_change
    from secretset.domain.names import PASSWORD, Key, Kind

    options = HubOptions(
        kubeconfig=kubeconfig, context=context, namespace=namespace, operator_namespace=operator_namespace
    )
    key = Key(Kind.IMAGE_PULL_SECRET, options.organization, name)
    others = any(each is not None for each in (service_account, description, labels))
    values: dict[str, bytes] = {}
    try:
        pull_credentials.check(host, username)
        found = on_session(_SET, options, lambda session: foreseen(session, key, region))
        if found is None and host is None:
            raise CommandError(_NO_HOST)
        if host is not None or username is not None or password_stdin or not others:
            if username is None and not (password_stdin and found is not None):
                username = pull_credentials.username()
            values = {PASSWORD: pull_credentials.token(stdin=password_stdin)}
    except CommandError as error:
        fail(_SET, str(error), error.code)
    wanted = Wanted(
        values=values,
        region=region,
        description=description,
        metadata=labels,
        host=host,
        username=username,
        service_accounts=service_account,
    )
    limit = None if no_wait else timeout
    done, view = on_session(_SET, options, lambda session: changed(session, key, wanted, limit))
    show_change(output, view, done, waited=not no_wait)


@pull_secrets.command("list")
def list_pull_secrets(
    namespace: Organization = None,
    all_organizations: AllOrganizations = False,
    region: OfRegion = None,
    watch: WatchOption = False,
    output: Output = OutputFormat.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """List pull secrets: registry and user, region, status, and when they were created and updated; never a password.

    Exit code 0: listed; 2: wrong usage, or the hub could not be asked; 130: ended while it watched.

    Example: secretset image-pull-secrets list -A --region us-west
    """
    from secretset.cli.session import HubOptions
    from secretset.domain.names import Kind

    list_on(
        "image-pull-secrets list",
        HubOptions(kubeconfig=kubeconfig, context=context, namespace=namespace),
        everywhere=all_organizations,
        region=region,
        watch=watch,
        output=output,
        kind=Kind.IMAGE_PULL_SECRET,
    )


@pull_secrets.command("delete")
def delete_pull_secret(
    name: SetName,
    yes: Yes = False,
    namespace: Organization = None,
    no_wait: NoWait = False,
    timeout: Timeout = TIMEOUT,
    output: Output = OutputFormat.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Delete a pull secret, and its Secret in the region with it. You are asked first.

    Exit code 0: it is gone; 1: it was not deleted; 2: wrong usage, or the hub could not be asked; 3: it is being
    deleted, but was not seen to be gone in time.

    Example: secretset image-pull-secrets delete docker-hub
    """
    check_name(name)
    from secretset.cli.session import HubOptions
    from secretset.domain.names import Kind

    options = HubOptions(kubeconfig=kubeconfig, context=context, namespace=namespace)
    delete_on(
        "image-pull-secrets delete",
        options,
        name,
        yes=yes,
        timeout=None if no_wait else timeout,
        output=output,
        kind=Kind.IMAGE_PULL_SECRET,
    )
