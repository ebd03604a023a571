"""`secretset uninstall`: away with the operator, unless sets are still there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from secretset.cli.options import Context, Kubeconfig

if TYPE_CHECKING:
    from secretset.actions.uninstall import Remaining
    from secretset.kube.client import Client


def uninstall(
    check: Annotated[
        bool,
        typer.Option("--check", help="Only say whether sets are still there; needs no right but to list them."),
    ] = False,
    keep_sets: Annotated[
        bool,
        typer.Option(
            "--keep-sets",
            help="Although sets are there. They and their Secrets stay as they are, and none can be deleted until an "
            "operator is installed again.",
        ),
    ] = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Take away what `secretset install` made: Deployments, roles, webhooks, policies. Refuses while sets are there.

    The operator takes the Secrets of deleted sets out of the regions and lets go of them, so sets go first, while it
    runs. CRDs, Regions, the namespace secretset-system with the keys of the installation, and roles that were granted
    in other namespaces stay: docs/uninstall.md has the commands that take them away too.

    Exit code 0: it is gone (--check: there are no sets); 1: sets are there, or it belongs to a Helm release; 2: wrong
    usage, or the hub could not be asked or refused.

    Example: secretset uninstall --check && secretset uninstall
    """
    from secretset import telemetry
    from secretset.cli.hub import NO_HUB, fail, on_hub

    if check and keep_sets:
        fail("uninstall", "--check changes nothing, so there is nothing that --keep-sets could leave", NO_HUB)
    telemetry.configure_logging(level="critical", form="text")
    on_hub("uninstall", kubeconfig, context, lambda client: _uninstalled(client, check=check, keep_sets=keep_sets))


async def _uninstalled(client: Client, *, check: bool, keep_sets: bool) -> None:
    from secretset.actions import helm
    from secretset.actions import uninstall as actions
    from secretset.cli import install_manifests as manifests
    from secretset.cli.hub import CommandError

    found = await actions.remaining(client)
    if found.total and not keep_sets:
        raise CommandError(_refusal(found))
    if check:
        typer.echo("There are no sets.")
        return
    objects = manifests.removable()
    if owner := await helm.release_of(client, objects):
        raise CommandError(
            f"it belongs to the Helm release '{owner.name}': helm uninstall {owner.name} -n {owner.namespace}"
        )
    async for done in actions.delete(client, objects):
        typer.echo(f"{done.kind.lower()}/{done.name} deleted")
    if found.total:
        note = f"note: sets stay ({_named(found)}), and cannot be deleted until an operator is there again"
        typer.echo(note, err=True)


def _refusal(found: Remaining) -> str:
    return (
        f"sets are still there ({_named(found)}). Without an operator they could not be deleted, and their Secrets "
        "would stay in the regions. Delete them while it runs, and wait until they are gone:\n"
        "  kubectl delete secretsets,imagepullsecrets --all --all-namespaces\n"
        "To leave them as they are: secretset uninstall --keep-sets, or helm uninstall --no-hooks"
    )


def _named(found: Remaining) -> str:
    more = found.total - len(found.examples)
    return ", ".join(found.examples) + (f" and {more} more" if more > 0 else "")
