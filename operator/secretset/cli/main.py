"""All commands of `secretset`, by what they are for. Each option is also an environment variable, named in its help."""

from __future__ import annotations

from typing import Annotated

import typer

from secretset import __version__
from secretset.cli.api import api
from secretset.cli.bind import bind
from secretset.cli.crds import crds
from secretset.cli.delete import delete
from secretset.cli.doctor import doctor
from secretset.cli.export import export
from secretset.cli.get import get
from secretset.cli.import_sets import import_sets
from secretset.cli.install import install
from secretset.cli.keys import keys
from secretset.cli.list_sets import list_sets
from secretset.cli.once import OnceCommand, ValuesCommand
from secretset.cli.operator import operator
from secretset.cli.policies import policies
from secretset.cli.pull_secrets import pull_secrets
from secretset.cli.regions import regions
from secretset.cli.reseal import reseal
from secretset.cli.restart import restart
from secretset.cli.seal import seal
from secretset.cli.set_values import set_values
from secretset.cli.status import status
from secretset.cli.tokens import tokens
from secretset.cli.uninstall import uninstall
from secretset.cli.unset import unset
from secretset.cli.wait import wait
from secretset.cli.webhook import webhook

_SETS, _WORKLOADS, _MANIFESTS = "Sets", "Workloads", "Manifests and moving in"
_PLATFORM, _PROCESSES = "For the platform team", "Processes"

app = typer.Typer(
    name="secretset",
    help="Secret sets as native Kubernetes Secrets in many regions, and one restart of what uses them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"secretset {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Secret sets as native Kubernetes Secrets in many regions, and one restart of what uses them."""
    del version


# An argument that begins with '-' may be a value: the command refuses it itself, without showing it.
_AS_THEY_ARE = {"ignore_unknown_options": True}
app.command("set", rich_help_panel=_SETS, cls=ValuesCommand, context_settings=_AS_THEY_ARE)(set_values)
app.command(rich_help_panel=_SETS)(unset)
app.command("list", rich_help_panel=_SETS)(list_sets)
app.command(rich_help_panel=_SETS)(get)
app.command(rich_help_panel=_SETS)(status)
app.command(rich_help_panel=_SETS)(wait)
app.command(rich_help_panel=_SETS)(delete)
app.add_typer(pull_secrets, rich_help_panel=_SETS)
app.command(rich_help_panel=_WORKLOADS)(bind)
app.command(rich_help_panel=_WORKLOADS)(restart)
app.command(rich_help_panel=_MANIFESTS, cls=OnceCommand)(seal)
app.command(rich_help_panel=_MANIFESTS)(reseal)
app.command("import", rich_help_panel=_MANIFESTS)(import_sets)
app.command(rich_help_panel=_MANIFESTS)(export)
app.command(rich_help_panel=_PLATFORM)(install)
app.command(rich_help_panel=_PLATFORM)(uninstall)
app.command(rich_help_panel=_PLATFORM)(doctor)
app.add_typer(regions, rich_help_panel=_PLATFORM)
app.add_typer(tokens, rich_help_panel=_PLATFORM)
app.add_typer(keys, rich_help_panel=_PLATFORM)
app.command(rich_help_panel=_PLATFORM)(crds)
app.command(rich_help_panel=_PLATFORM)(policies)
app.command(rich_help_panel=_PROCESSES)(operator)
app.command(rich_help_panel=_PROCESSES)(api)
app.command(rich_help_panel=_PROCESSES)(webhook)
