"""`secretset bind`: have a workload use sets, in the cluster of their region."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secretset.cli import complete
from secretset.cli.options import Context, Kubeconfig, Organization, Output, OutputFormat
from secretset.cli.set_options import TIMEOUT, Timeout, texts

if TYPE_CHECKING:
    from secretset.actions.bind import Place
    from secretset.actions.session import Session
    from secretset.cli.deploy_file import Wish
    from secretset.domain.set_view import SetView
    from secretset.kube.client import Client

_NAMED = "DEPLOYMENT NAME..."


@dataclass(frozen=True, kw_only=True)
class _Request:
    """What the options say."""

    wish: Wish
    organization: str
    annotate: bool
    image: str | None
    wait: bool
    timeout: float
    kubeconfig: Path | None
    region_kubeconfig: Path | None
    region_context: str | None


def bind(
    workload: Annotated[
        str | None,
        typer.Argument(
            metavar="DEPLOYMENT",
            help="Name of a Deployment in the region, or KIND/NAME: statefulset/db, daemonset/x.",
        ),
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME...",
            help="Names of sets, and of pull secrets, of one region.",
            autocompletion=complete.set_names,
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="A pcc-deploy.toml, instead of the arguments: its agent_name, secret_set and image_credentials.",
        ),
    ] = None,
    annotation: Annotated[
        bool,
        typer.Option(
            "--annotation",
            help="Bind by the annotation secretset.dev/bind of the pod template, where the region's cluster carries it "
            "out. Absent: by an envFrom in each container.",
        ),
    ] = False,
    image: Annotated[
        str | None,
        typer.Option(
            callback=texts,
            help="Make the Deployment if it is not there, of this image. One that is there keeps its own.",
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the sets are ready, instead of refusing one that is pending.")
    ] = False,
    timeout: Timeout = TIMEOUT,
    region_context: Annotated[
        str | None,
        typer.Option(
            envvar="SECRETSET_REGION_CONTEXT",
            help="Context of the region's cluster. Absent: the hub, for a region that is a namespace of the hub.",
        ),
    ] = None,
    region_kubeconfig: Annotated[
        Path | None,
        typer.Option(
            envvar="SECRETSET_REGION_KUBECONFIG", help="Kubeconfig of the region's cluster. Absent: that of the hub."
        ),
    ] = None,
    namespace: Organization = None,
    output: Output = OutputFormat.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Give a workload the values of sets as environment variables, and pull secrets for its images.

    It adds what is missing to each container and init container, exactly once, with your own rights in the region:
    you need to get and patch the workload there. Where all is there already, nothing is written. Kubernetes then
    rolls the pods; from then on the operator restarts them when a set changes. With --image, a Deployment that is not
    there is made.

    What Argo CD or Helm keeps should say so in its manifest instead (docs/binding.md), or the next sync takes it away.

    Exit code 0: it is bound; 1: it could not be, and why; 2: wrong usage, or the hub or the region could not be asked
    or refused; 3: a set is pending (with --wait: still, when the time was over); 4: a set failed.

    Example: secretset bind web checkout -n shop --wait
    """
    from secretset.cli.deploy_file import Wish, read
    from secretset.cli.hub import NO_HUB, CommandError, fail
    from secretset.cli.session import HubOptions, on_session
    from secretset.cli.set_views import show_object

    options = HubOptions(kubeconfig=kubeconfig, context=context, namespace=namespace)
    if file is not None and (workload or names):
        fail("bind", "--from FILE stands for the arguments: name the workload and its sets in one way", NO_HUB)
    if file is None and not (workload and names):
        fail("bind", f"say what to bind: secretset bind {_NAMED}, or --from pcc-deploy.toml", NO_HUB)
    try:
        wish = (
            read(file) if file is not None else Wish(workload=workload or "", names=tuple(dict.fromkeys(names or ())))
        )
    except CommandError as error:
        fail("bind", str(error), error.code)
    request = _Request(
        wish=wish,
        organization=options.organization,
        annotate=annotation,
        image=image,
        wait=wait,
        timeout=timeout,
        kubeconfig=kubeconfig,
        region_kubeconfig=region_kubeconfig,
        region_context=region_context,
    )
    told = on_session("bind", options, lambda session: _bound(session, request))
    sets = ", ".join(told["sets"])
    if output is not OutputFormat.TABLE:
        show_object(output, told)
    elif told["changed"]:
        typer.echo(f"{told['workload']} uses {sets} now: {', '.join(told['touched'])}.")
    else:
        typer.echo(f"{told['workload']} uses {sets} already; nothing was changed.")


async def _bound(session: Session, request: _Request) -> dict[str, Any]:
    """Carry it out, and tell what was done, as JSON values."""
    from secretset.actions import bind
    from secretset.actions.bind import WorkloadName
    from secretset.cli.hub import CommandError

    workload = WorkloadName.parse(request.wish.workload)
    views = await _ready(session, await _views(session, request), request)
    place = await bind.place_of(session, views)
    if request.wish.region not in {None, place.region}:
        raise CommandError(
            f"the file says region '{request.wish.region}', but its sets live in '{place.region}': a workload uses "
            "sets of its own region"
        )
    if request.annotate and not place.annotatable:
        raise CommandError(
            f"region '{place.region}' does not say that its cluster carries out the annotation: leave out "
            f"--annotation, or see `secretset regions show {place.region}` (BindPolicy)"
        )
    async with _region(session, place, request) as client:
        done = await bind.bind(client, workload, place, views, annotate=request.annotate, image=request.image)
    return {
        "workload": str(workload),
        "region": place.region,
        "namespace": place.namespace,
        "sets": [view.name for view in views],
        "changed": bool(done.operations),
        "touched": list(done.touched),
    }


async def _views(session: Session, request: _Request) -> list[SetView]:
    """The sets that are wanted, as they stand.

    Raises:
        Refused: one of them is not there.
    """
    from secretset.actions import sets
    from secretset.domain.names import Key

    wish, organization = request.wish, request.organization
    found = [await sets.find(session, organization, name) for name in wish.names]
    return found + [await sets.get(session, Key(kind, organization, name)) for kind, name in wish.kinds.items()]


async def _ready(session: Session, views: Sequence[SetView], request: _Request) -> list[SetView]:
    """The sets once all are ready; what is waited for has one time together.

    Raises:
        CommandError: one is not; with an exit code that tells why.
    """
    from secretset.cli.waiting import Deadline, until_ready

    found, deadline = [], Deadline(request.timeout)
    for each in views:
        view = each
        if request.wait and not view.going:
            view = await until_ready(session, view.key, generation=view.generation, timeout=deadline.left())
        _check(view)
        found.append(view)
    return found


def _check(view: SetView) -> None:
    """Refuse a set that is not ready.

    Raises:
        CommandError: with an exit code that tells why.
    """
    from secretset.cli.hub import CommandError
    from secretset.cli.waiting import NOT_READY, SET_FAILED, standing
    from secretset.domain.reasons import Phase

    if view.usable:
        return
    if view.going:
        raise CommandError(f"{view.key} is being deleted: create it again first", SET_FAILED)
    if view.phase is Phase.FAILED:
        raise CommandError(f"{view.key} failed: {standing(view)}", SET_FAILED)
    raise CommandError(f"{view.key} is not ready yet ({standing(view)}): --wait waits for it", NOT_READY)


@asynccontextmanager
async def _region(session: Session, place: Place, request: _Request) -> AsyncIterator[Client]:
    """The cluster of the region, as the user may use it; what goes wrong there is told of there.

    Raises:
        CommandError: it is not known, could not be asked, or refused.
    """
    from secretset.actions import bind
    from secretset.cli.hub import NO_HUB, CommandError
    from secretset.cli.session import MANAGER
    from secretset.kube import credentials, errors
    from secretset.kube.client import Client

    try:
        if request.region_context is None and request.region_kubeconfig is None:
            if not place.on_hub:
                why = "is another cluster" if place.on_hub is False else "cannot be seen by you"
                raise CommandError(
                    f"region '{place.region}' {why}: say how to reach it, by --region-context or --region-kubeconfig",
                    NO_HUB,
                )
            yield session.client
            return
        path = request.region_kubeconfig or request.kubeconfig
        found = await credentials.load(str(path) if path else None, request.region_context)
        async with Client(found, name="region", manager=MANAGER) as client:
            await bind.check_cluster(client, place)
            yield client
    except errors.Forbidden as error:
        what = f"{error.verb} {error.resource}".strip() or "do that"
        where = f"namespace '{place.namespace}' of region '{place.region}'"
        raise CommandError(f"you may not {what} in {where} (RBAC of its cluster)", NO_HUB) from None
    except errors.ConfigError as error:
        raise CommandError(f"region '{place.region}': {error}", NO_HUB) from None
    except errors.KubeError as error:
        raise CommandError(f"region '{place.region}' could not be asked: {error}", NO_HUB) from None
