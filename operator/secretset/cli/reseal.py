"""`secretset reseal`: seal the values of sets on the hub anew, for the key that is current."""

from __future__ import annotations

from typing import Annotated

import typer

from secretset.cli.options import (
    Context,
    Kubeconfig,
    OperatorNamespaceOption,
    Output,
    OutputFormat,
    SealingKekFiles,
    SealingKeysDir,
)


def reseal(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Names of sets in --namespace. Absent: all there.")
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="The organization whose sets are resealed.")
    ] = None,
    everywhere: Annotated[bool, typer.Option("--all", "-A", help="The sets of all organizations.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Open the values and tell, but change nothing.")] = False,
    operator_namespace: OperatorNamespaceOption = "secretset-system",
    sealing_keys_dir: SealingKeysDir = None,
    sealing_kek_file: SealingKekFiles = None,
    output: Output = OutputFormat.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Seal values on the hub anew, for the newest key: after a rotation, before an older key is retired.

    Each value is opened where it is and sealed for the same place; nothing of it is shown or written anywhere else.
    Content, fingerprints and revisions stay what they are, and nothing restarts. Values under the newest key are left
    as they are, so it can be repeated at any time. A manifest in Git holds the old text still: seal it anew there too,
    or the next apply brings that back.

    Needs the right to read the Secrets `secretset-installation` and `secretset-sealing-keys`, as the platform team has,
    and to get, list and patch sets.

    Exit code 0: all values are under the newest key; 1: some could not be opened, or changed all the time; 2: the hub
    could not be asked.

    Example: secretset reseal --all --dry-run
    """
    from secretset.cli.hub import NO_HUB, fail, on_hub
    from secretset.cli.reseal_sets import Scope, resealed
    from secretset.cli.set_views import show_object

    if everywhere == bool(namespace) or (everywhere and names):
        fail("reseal", "say which sets: --namespace N, NAME... with --namespace N, or --all", NO_HUB)
    scope = Scope(
        namespace=namespace,
        names=frozenset(names or ()),
        operator_namespace=operator_namespace,
        folder=sealing_keys_dir,
        kek_files=tuple(sealing_kek_file or ()),
        dry_run=dry_run,
    )
    outcome = on_hub("reseal", kubeconfig, context, lambda hub: resealed(hub, scope))
    for line in outcome.problems:
        typer.echo(f"secretset reseal: {line}", err=True)
    if output is not OutputFormat.TABLE:
        show_object(output, {**outcome.to_json(), "dryRun": dry_run})
    else:
        typer.echo(outcome.summary(dry_run=dry_run))
    raise typer.Exit(outcome.code)
