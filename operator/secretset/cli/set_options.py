"""What the commands for sets have in common: their options, and how one that is used wrongly is told."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from secretset.cli import complete

_WAITING = "Waiting"


def encodable(text: str) -> bool:
    """Whether it is text that UTF-8 can hold; a word of the command line with other bytes is not (PEP 383)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def texts(given: Any) -> Any:
    """The callback of an option whose texts are stored: refuses what is none, and does not show it.

    Raises:
        typer.BadParameter: says the rule; typer adds the name of the option.
    """
    if not all(encodable(each) for each in ([given] if isinstance(given, str) else given or ())):
        raise typer.BadParameter("is not UTF-8 text")
    return given


SetName = Annotated[
    str,
    typer.Argument(metavar="NAME", help="Name of the set.", show_default=False, autocompletion=complete.set_names),
]
AllOrganizations = Annotated[bool, typer.Option("--all-namespaces", "-A", help="Those of all organizations.")]
RegionOfNew = Annotated[
    str | None,
    typer.Option(
        envvar="SECRETSET_REGION",
        callback=texts,
        help="The region that a new set lives in, for ever. Absent: the default of the organization, or of the hub.",
        autocompletion=complete.region_names,
    ),
]
Description = Annotated[str | None, typer.Option(callback=texts, help="What the set is for, in a few words.")]
Metadata = Annotated[
    list[str] | None,
    typer.Option(
        metavar="K=V",
        callback=texts,
        help="Free text by name (owner, ticket, …). Others stay. Can be given more than once.",
    ),
]
NoWait = Annotated[
    bool,
    typer.Option(
        "--no-wait",
        envvar="SECRETSET_NO_WAIT",
        help="Return once it is stored, and do not wait until the operator has done its part.",
        rich_help_panel=_WAITING,
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        envvar="SECRETSET_TIMEOUT", min=0, help="Seconds to wait at most.", rich_help_panel=_WAITING, metavar="SECONDS"
    ),
]
TIMEOUT = 120.0
"""Seconds that a command waits if it is told nothing else."""
Yes = Annotated[bool, typer.Option("--yes", "-y", envvar="SECRETSET_YES", help="Do not ask.")]


def check_name(name: str) -> None:
    """Refuse what can be no name of a set. It is not shown: it may be ``KEY=VALUE``, whose NAME was forgotten.

    Raises:
        typer.BadParameter: says the rule.
    """
    from secretset.domain import names

    if not names.is_valid_name(name):
        raise typer.BadParameter(
            "is 3 to 63 lower-case letters, digits, '-' and '.', with a letter or digit at both ends and beside each "
            "'.'; values come behind it",
            param_hint="NAME",
        )


def metadata_of(given: list[str] | None) -> dict[str, str] | None:
    """What ``--metadata`` says; None if it is not given.

    Raises:
        typer.BadParameter: one is not ``K=V``, or a name is given twice.
    """
    if not given:
        return None
    pairs = [each.partition("=") for each in given]
    if not all(name and separator for name, separator, _ in pairs):
        raise typer.BadParameter("must be K=V", param_hint="--metadata")
    found = {name: text for name, _, text in pairs}
    if len(found) < len(pairs):
        raise typer.BadParameter("a name is given twice", param_hint="--metadata")
    return found


def tell(text: str) -> None:
    """Show a note on the error stream."""
    typer.echo(text, err=True)
