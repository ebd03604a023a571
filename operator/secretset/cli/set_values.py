"""`secretset set`: create a set, or put values into the one that is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secretset.cli.options import (
    Context,
    Kubeconfig,
    OperatorNamespaceOption,
    Organization,
    Output,
    OutputFormat,
    listed,
)
from secretset.cli.set_options import (
    TIMEOUT,
    Description,
    Metadata,
    NoWait,
    RegionOfNew,
    SetName,
    Timeout,
    check_name,
    metadata_of,
    tell,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secretset.cli.seal_values import Values
    from secretset.cli.set_arguments import Arguments
    from secretset.domain.names import Key

_VALUES = "Values"
_WAYS = "KEY=VALUE, a KEY that is asked for, --from-env FILE or --from-stdin KEY"


def set_values(
    ctx: typer.Context,
    name: SetName,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY[=VALUE]", help="Values; the last may be a KEY alone.", show_default=False),
    ] = None,
    from_env: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="All entries of a .env file but reserved names; $NAME in it stays as it is.",
            rich_help_panel=_VALUES,
        ),
    ] = None,
    from_stdin: Annotated[
        str | None, typer.Option(metavar="KEY", help="All of standard input.", rich_help_panel=_VALUES)
    ] = None,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Take empty values, too.", rich_help_panel=_VALUES)
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Remove the keys that are not given now; metadata likewise, if it is given."),
    ] = False,
    region: RegionOfNew = None,
    description: Description = None,
    metadata: Metadata = None,
    reserved_keys: Annotated[
        str,
        typer.Option(
            envvar="SECRETSET_RESERVED_KEYS",
            help="More names that the operator reserves, separated by commas.",
            rich_help_panel=_VALUES,
        ),
    ] = "",
    namespace: Organization = None,
    no_wait: NoWait = False,
    timeout: Timeout = TIMEOUT,
    output: Output = OutputFormat.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    operator_namespace: OperatorNamespaceOption = "secretset-system",
) -> None:
    """Create a set, or put values into the one that is there.

    Other keys stay as they are, unless --overwrite is given. The region is checked, and never changes. Values are
    sealed here, before they are sent, and arrive byte for byte. KEY=VALUE stands in lists of processes; a KEY alone, as
    the last argument, is asked for without showing what is typed. Without any values, .env, .env.local and
    .env.production of this folder are looked for, and you are asked.

    Exit code 0: done, and the set is ready; 1: not done; 2: wrong usage, or the hub could not be asked; 3: stored, but
    not seen to be ready in time; 4: stored, but the set failed.

    Example: secretset set checkout LOG_LEVEL=info API_KEY
    """
    check_name(name)
    # What is below takes a while to import, and nobody who asks for help needs it.
    from secretset.actions.sets import Wanted
    from secretset.cli.hub import CommandError, fail
    from secretset.cli.seal_values import Values
    from secretset.cli.session import HubOptions, on_session
    from secretset.cli.set_arguments import Arguments
    from secretset.cli.set_changes import changed, foreseen
    from secretset.cli.set_views import show_change
    from secretset.domain import names
    from secretset.domain.names import Key, Kind

    given = Arguments.parse(name, arguments or [], allow_empty=allow_empty, options=_options(ctx))
    has_values = bool(arguments or from_env or from_stdin is not None)
    labels = metadata_of(metadata)
    if overwrite and not has_values and (description is not None or labels is not None):
        raise typer.BadParameter("--overwrite replaces all values: give them")
    options = HubOptions(
        kubeconfig=kubeconfig,
        context=context,
        namespace=namespace,
        operator_namespace=operator_namespace,
        reserved=names.RESERVED_KEYS | listed(reserved_keys),
    )
    key = Key(Kind.SECRET_SET, options.organization, name)
    values = Values(key.kind, tell, reserved=options.reserved)

    try:
        if not has_values and description is None and labels is None:
            from_env = [_found(key)]
        _read(values, given, from_env or [], from_stdin)
        values.check_empty(allowed=allow_empty)
        if given.asked is not None:
            # Nobody types a value for a set that cannot be changed.
            on_session("set", options, lambda session: foreseen(session, key, region))
            values.from_prompt(given.asked, option="", instead="--from-stdin KEY or --from-env FILE")
            values.check_empty(allowed=allow_empty)
        if not values.content and from_env:
            raise CommandError("nothing is left to be put into the set")
    except CommandError as error:
        fail("set", str(error), error.code)
    wanted = Wanted(values=values.content, region=region, description=description, metadata=labels, overwrite=overwrite)
    limit = None if no_wait else timeout
    done, view = on_session("set", options, lambda session: changed(session, key, wanted, limit))
    show_change(output, view, done, waited=not no_wait)


def _found(key: Key) -> str:
    """The .env file of this folder that is to be taken."""
    from secretset.cli import env_files

    return env_files.chosen(Path(), f"{key.namespace}/{key.name}", _WAYS)


def _read(values: Values, given: Arguments, env_files: Sequence[str], stdin: str | None) -> None:
    """Read all values but the one that is asked for.

    Raises:
        CommandError: one cannot be had, or breaks a rule.
    """
    import sys

    from secretset.cli.env_files import warn_unless_ignored

    for path in env_files:
        values.from_env_file(path, option="--from-env", binary="--from-stdin KEY", without_reserved=True)
        warn_unless_ignored(path, tell)
    if given.pairs:
        tell(
            "note: values on the command line stand in lists of processes, and perhaps in the shell's history; a KEY "
            "alone is asked for, --from-stdin KEY and --from-env FILE are read"
        )
    for pair in given.pairs:
        values.from_flag(pair, option="", instead="")
    if stdin is not None:
        values.from_stdin(stdin, sys.stdin.buffer)


def _options(ctx: typer.Context) -> list[str]:
    return [option for parameter in ctx.command.params for option in parameter.opts if option.startswith("--")]
