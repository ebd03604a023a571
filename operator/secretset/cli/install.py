"""`secretset install`: from an empty cluster to an operator that works, in one command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from secretset import __version__
from secretset.cli.options import Context, Kubeconfig, Organization
from secretset.cli.set_options import TIMEOUT, NoWait, Timeout

if TYPE_CHECKING:
    from secretset.actions.session import Session
    from secretset.cli.install_manifests import Manifest

_SERVED_SECONDS = 30.0
_SYSTEM = "secretset-system"


def install(
    region: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Make a Region of this name too, a namespace of the hub, with what one organization (--namespace) "
            "needs there; the default, unless there is one. Absent: none; docs/install.md tells how to add regions.",
        ),
    ] = None,
    namespace: Organization = None,
    image: Annotated[
        str, typer.Option(envvar="SECRETSET_IMAGE", help="The image to run, in a registry that the cluster can reach.")
    ] = f"secretset-operator:{__version__}",
    webhook: Annotated[
        bool,
        typer.Option(
            "--webhook/--no-webhook",
            help="With the webhook that seals plain values before they are stored. Without, they are refused.",
        ),
    ] = True,
    api: Annotated[bool, typer.Option("--api/--no-api", help="With the REST API.")] = False,
    show: Annotated[
        bool, typer.Option("--print", help="Print the manifests instead, for `kubectl apply -f -`.")
    ] = False,
    no_wait: NoWait = False,
    timeout: Timeout = TIMEOUT,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Install the operator on the cluster of the kubeconfig: CRDs, roles, Deployments; again: bring them up to date.

    Needs the rights of a cluster's administrator. It applies what deploy/ holds, server-side, so that an object that is
    there is changed only where it differs. For Helm, Argo CD and Flux see docs/install.md.

    Exit code 0: the operator works; 1: something was refused; 2: wrong usage, or the cluster could not be asked; 3: it
    was not ready when the time was over.

    Example: secretset install --region us-west --image registry.example.com/secretset-operator:0.1.0
    """
    from secretset.cli import install_manifests as manifests
    from secretset.cli.hub import CommandError, fail
    from secretset.cli.session import HubOptions, on_session

    options = HubOptions(kubeconfig=kubeconfig, context=context, namespace=namespace)
    try:
        crds = manifests.crds()
        files = (
            *manifests.BASE,
            *manifests.POLICIES,
            *(manifests.WEBHOOK if webhook else ()),
            *(manifests.API if api else ()),
            *manifests.NETWORK,
        )
        rest = manifests.of_files(files, image)
        place = manifests.region(region, options.organization) if region else []
    except CommandError as error:
        fail("install", str(error), error.code)
    if show:
        _print([*crds, *rest, *place])
        return
    wait = 0.0 if no_wait else timeout
    on_session("install", options, lambda session: _installed(session, crds, rest, place, wait))
    organization = f" -n {namespace}" if namespace else ""
    typer.echo("Next: " + (f"secretset set NAME{organization}" if region else "add a Region (docs/install.md)"))


async def _installed(
    session: Session, crds: list[Manifest], rest: list[Manifest], place: list[Manifest], wait: float
) -> None:
    from secretset.actions import helm, install
    from secretset.cli.hub import CommandError
    from secretset.cli.waiting import NOT_READY, line

    if owner := await helm.release_of(session.client, (obj for obj in rest if obj["kind"] != "Namespace")):
        raise CommandError(
            f"the operator is there already, by the Helm release '{owner.name}', which would lose its settings: "
            f"helm upgrade {owner.name} -n {owner.namespace}"
        )

    with line("installing") as show_line:

        async def apply(objects: list[Manifest]) -> None:
            async for done in install.apply(session.client, objects):
                show_line(f"installing: {done.kind} {done.name}")
                typer.echo(f"{done.kind.lower()}/{done.name} {done.outcome}")

        await apply(crds)
        if not await install.custom_resources_served(session.client, seconds=_SERVED_SECONDS):
            raise CommandError("the hub does not serve the new kinds: look at `kubectl get crd`", NOT_READY)
        await apply(rest)
        await apply(await _unlike_those_there(session, place))
        if not wait:
            return
        show_line("waiting for the operator")
        deployments = [obj["metadata"]["name"] for obj in rest if obj["kind"] == "Deployment"]
        if missing := await install.missing(session.client, _SYSTEM, deployments, seconds=wait):
            raise CommandError(
                f"everything is applied, but after {wait:g} s {missing}: look at `kubectl get pods -n {_SYSTEM}` (can "
                "the cluster pull the image?)",
                NOT_READY,
            )
        if not await install.sets_taken(session.client, seconds=_SERVED_SECONDS):
            raise CommandError("the hub does not take new sets yet (503): look at its API server's log", NOT_READY)
        typer.echo("The operator works.")


async def _unlike_those_there(session: Session, place: list[Manifest]) -> list[Manifest]:
    """A region to begin with, and what belongs to it, beside the regions that there are.

    Raises:
        CommandError: there is one of its name, which is no namespace of the hub.
    """
    from secretset.cli.hub import CommandError

    regions = {each.name: each.record for each in await session.regions()}
    for obj in place:
        name = obj["metadata"]["name"]
        if obj["kind"] != "Region":
            continue
        if name in regions and not regions[name].on_hub:
            raise CommandError(f"there is a region '{name}' already, on another cluster: choose another --region")
        others = sorted(each for each, record in regions.items() if record.spec.default and each != name)
        if others:
            del obj["spec"]["default"]
            typer.echo(f"note: '{others[0]}' stays the default region; say --region {name} for sets there", err=True)
    return place


def _print(objects: list[Manifest]) -> None:
    import sys

    import yaml

    sys.stdout.write(yaml.safe_dump_all(objects, sort_keys=False, width=120, allow_unicode=True, explicit_start=True))
