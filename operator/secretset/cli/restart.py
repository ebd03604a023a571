"""`secretset restart`: restart what uses a set, by the operator's own rules."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Annotated

import typer

from secretset.cli.options import Context, Kubeconfig, Organization, Output, OutputFormat
from secretset.cli.set_options import NoWait, SetName, Timeout, check_name

if TYPE_CHECKING:
    from secretset.actions.session import Session
    from secretset.domain.set_view import SetView

_TIMEOUT = 600.0  # seconds; as long as the progress deadline of a Deployment is by default

_NOT_SEEN = (
    "note: one that is paused, lacks a key that it needs, or may not be restarted is held when it is its turn: the "
    "status of the set does not tell before"
)
_COLUMNS = ("WORKLOAD", "STATE", "RESTARTS", "WHY")


def restart(
    name: SetName,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Tell which workloads use it, and which of them are known to be held, and why."),
    ] = False,
    no_wait: NoWait = False,
    timeout: Timeout = _TIMEOUT,
    namespace: Organization = None,
    output: Output = OutputFormat.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Restart all workloads that use a set once, as if its content had changed.

    The operator does it by the rules of every restart: budget and maxConcurrent, windows, pauses, and a rollout that
    stalls stops the others. It needs no right in the region: you need to patch the set. It is done also where the
    restart policy is Never.

    A dry run knows what the set's status and its window say. Whether a workload is paused, lacks a key that it needs,
    or may not be restarted, the operator finds out when it is its turn: it is held then, and told of.

    Exit code 0: all were restarted; 1: a rollout stalled, or there is no such set; 2: the hub could not be asked, or
    refused; 3: not all were through in time, or some are held, or the set is pending, and nothing was asked for; 4: the
    set failed, or is being deleted, and nothing was asked for.

    Example: secretset restart checkout -n shop --dry-run
    """
    check_name(name)
    from secretset.cli.session import HubOptions, on_session
    from secretset.cli.set_views import counted, show_object

    options = HubOptions(kubeconfig=kubeconfig, context=context, namespace=namespace)

    async def work(session: Session) -> SetView:
        from secretset.actions import sets
        from secretset.actions.restart import restart

        view = await sets.find(session, options.organization, name)
        if dry_run:
            return view
        _check(view)
        asked = await restart(session, view)
        return asked if no_wait else await _through(session, asked, timeout)

    view = on_session("restart", options, work)
    if dry_run:
        _show_dry_run(view, output)
        return
    if output is not OutputFormat.TABLE:
        show_object(output, view.to_json())
    elif no_wait:
        typer.echo(f"The operator restarts what uses {view.key}: secretset status {view.name} -n {view.organization}")
    else:
        bound = int(view.workloads.get("bound") or 0)
        typer.echo(f"{counted(bound, 'workload')} restarted." if bound else f"No workload uses {view.key}.")


def _check(view: SetView) -> None:
    """Make sure that a request would be carried out.

    Raises:
        CommandError: the set is not ready.
    """
    from secretset.cli.hub import CommandError
    from secretset.cli.waiting import NOT_READY, SET_FAILED
    from secretset.domain.reasons import Phase

    if not view.usable:
        code = SET_FAILED if view.going or view.phase is Phase.FAILED else NOT_READY
        raise CommandError(f"{_unusable(view)}; nothing was asked for", code)


def _unusable(view: SetView) -> str:
    """Why nothing restarts for a set, as a part of a sentence."""
    from secretset.cli.waiting import standing

    return f"{view.key} " + ("is being deleted" if view.going else f"is not ready ({standing(view)})")


async def _through(session: Session, asked: SetView, timeout: float) -> SetView:  # noqa: ASYNC109
    """Follow a restart that was asked for, as `_followed` does.

    Raises:
        CommandError: as there; also where the hub refused or did not answer: it is asked for in any case.
    """
    from secretset.cli.waiting import not_followed
    from secretset.kube.errors import KubeError

    try:
        return await _followed(session, asked, timeout)
    except KubeError as error:
        raise not_followed(f"the restart for {asked.key} is asked for", error) from None


async def _followed(session: Session, asked: SetView, timeout: float) -> SetView:  # noqa: ASYNC109
    """Follow a restart until nobody is restarting.

    Raises:
        CommandError: it did not come to that, or not for all.
        KubeError: the hub refused or did not answer at first.
    """
    from secretset.actions.follow import follow
    from secretset.cli.hub import CommandError
    from secretset.cli.waiting import NOT_READY, line
    from secretset.domain.asked_restart import Stage, stage

    view = asked
    with line(f"{asked.name}: waiting for the operator") as show, contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout), contextlib.aclosing(follow(session, asked.key)) as views:
            async for each in views:
                if each is None or each.uid != asked.uid:
                    raise CommandError(f"{asked.key} was deleted meanwhile")
                view = each
                show(f"{view.name}: {_counts(view)}")
                match stage(view, asked):
                    case Stage.DONE:
                        return view
                    case Stage.HELD:
                        raise CommandError(f"not all were restarted: {_worst(view)}", NOT_READY)
                    case Stage.STALLED:
                        raise CommandError(f"a rollout does not get on: {_worst(view)}")
    raise CommandError(
        f"not all were restarted after {timeout:g} s ({_counts(view)}). It goes on by itself: secretset status "
        f"{view.name} -n {view.organization}",
        NOT_READY,
    )


def _counts(view: SetView) -> str:
    counts = view.workloads
    states = ("current", "restarting", "held", "stalled")
    told = ", ".join(f"{counts[state]} {state}" for state in states if counts.get(state))
    return told or "no workload is known to use it"


def _worst(view: SetView) -> str:
    """Those that do not get on, and why."""
    from secretset.cli.hub import plain
    from secretset.domain.asked_restart import items, named

    found = [
        f"{named(i)} is {i['state']}: {i.get('message') or ''}" for i in items(view) if i.get("state") != "current"
    ]
    more = f" And {len(found) - 3} more." if len(found) > 3 else ""
    return plain(" ".join(found[:3]) + more)


def _show_dry_run(view: SetView, output: OutputFormat) -> None:
    from secretset.cli.hub import show
    from secretset.cli.page import Page
    from secretset.domain.asked_restart import UNLESS_HELD, foresee, unlisted

    found = foresee(view, time.time())
    if output is not OutputFormat.TABLE:
        show(output, {}, [each.to_json() for each in found])
    elif found:
        Page().table(_COLUMNS, [(each.workload, each.state, each.restarts, each.why) for each in found])
    else:
        typer.echo(f"No workload uses {view.key}.")
    if any(each.restarts == UNLESS_HELD for each in found):
        typer.echo(_NOT_SEEN, err=True)
    if rest := unlisted(view):
        typer.echo(f"secretset restart: and {rest} more, which the status does not list", err=True)
    if not view.usable:
        typer.echo(f"secretset restart: {_unusable(view)}: nothing would be asked for", err=True)
