"""`secretset delete`: take a set away, and its Secret in the region with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from secretset.cli.options import Context, Kubeconfig, Organization, Output, OutputFormat
from secretset.cli.set_options import TIMEOUT, NoWait, SetName, Timeout, Yes, check_name

if TYPE_CHECKING:
    from secretset.actions.session import Session
    from secretset.cli.session import HubOptions
    from secretset.domain.names import Kind
    from secretset.domain.set_view import SetView

_NAMED = 10  # workloads that the question names


def delete(
    name: SetName,
    yes: Yes = False,
    namespace: Organization = None,
    no_wait: NoWait = False,
    timeout: Timeout = TIMEOUT,
    output: Output = OutputFormat.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Delete a set, and its Secret in the region with it.

    You are asked first, and told which workloads use it. They go on as they run; what starts afterwards lacks the
    values, or does not start.

    Exit code 0: it is gone; 1: it was not deleted; 2: wrong usage, or the hub could not be asked; 3: it is being
    deleted, but was not seen to be gone in time.

    Example: secretset delete checkout
    """
    check_name(name)
    from secretset.cli.session import HubOptions

    options = HubOptions(kubeconfig=kubeconfig, context=context, namespace=namespace)
    delete_on("delete", options, name, yes=yes, timeout=None if no_wait else timeout, output=output)


def delete_on(
    command: str,
    options: HubOptions,
    name: str,
    *,
    yes: bool,
    timeout: float | None,
    output: OutputFormat,
    kind: Kind | None = None,
) -> None:
    """Delete a set for a command.

    Args:
        command: its name.
        options: the hub.
        name: of the set.
        yes: do not ask.
        timeout: seconds to wait until it is gone; None: do not wait.
        output: the form of what is said of it.
        kind: None: either.
    """
    from secretset.actions import sets
    from secretset.cli.hub import fail
    from secretset.cli.session import on_session
    from secretset.cli.set_views import show_object
    from secretset.cli.waiting import not_followed
    from secretset.kube.errors import KubeError

    view = on_session(command, options, lambda session: _meant(session, options.organization, name, kind))
    if not yes:
        try:
            agreed = typer.confirm(f"{_consequences(view)} Delete it?", err=True)
        except typer.Abort:
            agreed = False
            typer.echo(err=True)
        if not agreed:
            fail(command, f"{view.key} was not deleted; where nobody can be asked, say --yes")

    async def done(session: Session) -> None:
        await sets.delete(session, view)
        if timeout is not None:
            try:
                await until_gone(session, view, timeout=timeout)
            except KubeError as error:
                raise not_followed(f"{view.key} is being deleted", error) from None

    on_session(command, options, done)
    state = "deleting" if timeout is None else "deleted"
    if output is OutputFormat.TABLE:
        typer.echo(f"{view.organization}/{view.name}: {state}")
    else:
        show_object(output, {**view.to_json(), "status": state})


async def _meant(session: Session, organization: str, name: str, kind: Kind | None) -> SetView:
    """The set that is to be deleted.

    Raises:
        CommandError: a set and a pull secret both bear the name.
        Refused: there is none.
        KubeError: the hub refused or did not answer.
    """
    from secretset.actions import sets
    from secretset.actions.errors import Refused, Why
    from secretset.cli.hub import CommandError
    from secretset.domain.names import Key

    if kind is not None:
        return await sets.get(session, Key(kind, organization, name))
    view = await sets.find(session, organization, name)
    try:
        await sets.get(session, Key(view.key.kind.twin, organization, name))
    except Refused as error:
        if error.why is not Why.ABSENT:
            raise
        return view
    raise CommandError(
        f"a SecretSet and an ImagePullSecret of '{organization}' both bear the name '{name}', and which one is meant "
        f"cannot be told: `secretset image-pull-secrets delete {name} -n {organization}` deletes the pull secret, "
        f"`kubectl delete secretset {name} -n {organization}` the set"
    )


async def until_gone(session: Session, view: SetView, *, timeout: float) -> None:  # noqa: ASYNC109  (as in `until_ready`)
    """Wait until a set that is being deleted is gone.

    Raises:
        CommandError: the time was over (``NOT_READY``).
        KubeError: the hub refused or did not answer at first.
    """
    import asyncio
    import contextlib

    from secretset.actions.follow import follow
    from secretset.cli.hub import CommandError
    from secretset.cli.waiting import NOT_READY, line

    why = ""
    with line(f"{view.name}: waiting until it is gone") as show, contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout), contextlib.aclosing(follow(session, view.key)) as views:
            async for each in views:
                if each is None or each.uid != view.uid:
                    return
                blocked = each.condition("DeletionBlocked") or {}
                why = f": {blocked.get('message')}" if blocked.get("status") == "True" else ""
                show(f"{view.name}: being deleted{why}")
    raise CommandError(f"{view.key} was not gone after {timeout:g} s{why}; it goes on by itself", NOT_READY)


def _consequences(view: SetView) -> str:
    """What goes with a set, and who uses it, in sentences."""
    from secretset.cli.hub import plain
    from secretset.cli.set_views import counted

    where = f" in {view.region}" if view.region else ""
    kept = (view.obj.get("spec") or {}).get("deletionPolicy") == "Retain"
    what = f"{view.key} has {counted(len(view.keys), 'key')}{where}" + (
        ", where its Secret is retained" if kept else ""
    )
    bound = view.workloads.get("bound", 0)
    if not bound:
        return f"{what}; no workload is known to use it."
    items = (view.workloads.get("items") or ())[:_NAMED]
    listed = ", ".join(plain(f"{each['kind']} {each['name']}") for each in items)
    more = f" and {bound - len(items)} more" if bound > len(items) else ""
    return f"{what}; {counted(bound, 'workload')} use{'s' if bound == 1 else ''} it: {listed}{more}."
