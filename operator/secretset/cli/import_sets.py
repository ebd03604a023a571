"""`secretset import`: sets from what holds secrets already."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
from secretset.cli.set_options import TIMEOUT, NoWait, RegionOfNew, Timeout, tell

_FROM, _KEYS, _RESULT = "Where from", "Keys", "Result"


def import_sets(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Name of the set: needed with --from-env; else each has the name of what it is made of.",
            show_default=False,
        ),
    ] = None,
    namespace: Organization = None,
    from_env: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="A .env file; several become one set.", rich_help_panel=_FROM),
    ] = None,
    from_secret: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A Secret of a cluster.", rich_help_panel=_FROM)
    ] = None,
    selector: Annotated[
        str | None,
        typer.Option("--selector", "-l", metavar="LABELS", help="All Secrets with these.", rich_help_panel=_FROM),
    ] = None,
    from_context: Annotated[
        str | None,
        typer.Option(
            envvar="SECRETSET_FROM_CONTEXT",
            help="Context of the cluster with these Secrets. Absent: the hub.",
            rich_help_panel=_FROM,
        ),
    ] = None,
    from_kubeconfig: Annotated[
        Path | None,
        typer.Option(
            envvar="SECRETSET_FROM_KUBECONFIG", help="Its kubeconfig. Absent: the hub's.", rich_help_panel=_FROM
        ),
    ] = None,
    from_namespace: Annotated[
        str | None,
        typer.Option(
            envvar="SECRETSET_FROM_NAMESPACE",
            help="Namespace of the Secrets, and of SealedSecrets that name none. Absent: that of --namespace.",
            rich_help_panel=_FROM,
        ),
    ] = None,
    from_sealed_secret: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE", help="Manifest with SealedSecrets of Bitnami; - is standard input.", rich_help_panel=_FROM
        ),
    ] = None,
    recovery_private_key: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Private keys of the Sealed Secrets controller, as kubeseal takes them: PEM, or its Secrets.",
            rich_help_panel=_FROM,
        ),
    ] = None,
    rename: Annotated[
        list[str] | None, typer.Option(metavar="OLD=NEW", help="Give a key another name.", rich_help_panel=_KEYS)
    ] = None,
    skip_key: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Leave a key out.", rich_help_panel=_KEYS)
    ] = None,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Take values without a byte too.", rich_help_panel=_KEYS)
    ] = False,
    reserved_keys: Annotated[
        str,
        typer.Option(
            envvar="SECRETSET_RESERVED_KEYS",
            help="More names that sets may not use, separated by commas.",
            rich_help_panel=_KEYS,
        ),
    ] = "",
    region: RegionOfNew = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Of a set that is there: drop the keys that are not imported."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would be done.", rich_help_panel=_RESULT)
    ] = False,
    print_manifests: Annotated[
        bool,
        typer.Option("--print", help="Print sealed manifests, for Git, and store nothing.", rich_help_panel=_RESULT),
    ] = False,
    public_key: Annotated[
        Path | None,
        typer.Option(
            envvar="SECRETSET_PUBLIC_KEY",
            help="With --print: public keys of the hub (secretset seal --print-public-key), which is not asked then.",
            rich_help_panel=_RESULT,
        ),
    ] = None,
    no_wait: NoWait = False,
    timeout: Timeout = TIMEOUT,
    output: Output = OutputFormat.TABLE,
    operator_namespace: OperatorNamespaceOption = "secretset-system",
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Make sets of .env files, of Secrets that are there, or of SealedSecrets; pull secrets of those for registries.

    What a set cannot have is named, all of it, before anything is done: keys with other characters than letters,
    digits, '_' and '-', reserved names, empty values, and values of more than 16 KiB. Nothing is deleted where it was.

    Exit code 0: done; 1: not done, or not all of it, and why; 2: wrong usage, or a cluster could not be asked; 3:
    stored, but not all of it seen to be ready in time; 4: stored, but a set failed.

    Example: secretset import -n shop --from-secret database --rename tls.key=TLS_KEY --dry-run
    """
    in_cluster = bool(from_secret or selector)
    _refuse(
        (
            not (from_env or in_cluster or from_sealed_secret),
            "needs --from-env, --from-secret, --selector or --from-sealed-secret",
        ),
        (
            sum(map(bool, (from_env, in_cluster, from_sealed_secret))) > 1,
            "import .env files, Secrets and SealedSecrets one after another",
        ),
        (bool(from_env) and not name, "--from-env needs the NAME of the set"),
        (
            bool(from_sealed_secret) != bool(recovery_private_key),
            "--from-sealed-secret and --recovery-private-key need each other",
        ),
        (dry_run and print_manifests, "--print stores nothing either: leave --dry-run out"),
        (public_key is not None and not print_manifests, "--public-key belongs to --print"),
    )
    renamed = _renamed(rename or [])

    # What is below takes a while to import, and nobody who asks for help needs it.
    from secretset.cli import import_work
    from secretset.cli.import_run import Target
    from secretset.cli.import_sources import Sources
    from secretset.cli.session import HubOptions
    from secretset.domain import names
    from secretset.domain.imports import KeyRules

    options = HubOptions(
        kubeconfig=kubeconfig,
        context=context,
        namespace=namespace,
        operator_namespace=operator_namespace,
        reserved=names.RESERVED_KEYS | listed(reserved_keys),
    )
    rules = KeyRules(rename=renamed, skip=frozenset(skip_key or ()), reserved=options.reserved, allow_empty=allow_empty)
    origin = import_work.Origin(
        env_files=from_env or (),
        secrets=from_secret or (),
        selector=selector,
        context=from_context,
        kubeconfig=from_kubeconfig,
        namespace=from_namespace or options.organization,
        sealed=from_sealed_secret or (),
        private_keys=recovery_private_key or (),
    )
    result = import_work.Result(
        dry_run=dry_run,
        manifests=print_manifests,
        public_key=public_key,
        timeout=None if no_wait else timeout,
        output=output,
    )
    target = Target(organization=options.organization, region=region, overwrite=overwrite)
    raise typer.Exit(import_work.run(options, origin, Sources(rules, name or "", tell), name, target, result))


def _refuse(*rules: tuple[bool, str]) -> None:
    """Usage that makes no sense: the first rule that holds is told."""
    for broken, text in rules:
        if broken:
            raise typer.BadParameter(text)


def _renamed(given: list[str]) -> dict[str, str]:
    """New names of keys by old ones.

    Raises:
        typer.BadParameter: one is not ``OLD=NEW``, or a key is given twice.
    """
    pairs = [each.rpartition("=") for each in given]
    if not all(old and new for old, _, new in pairs):
        raise typer.BadParameter("must be OLD=NEW", param_hint="--rename")
    found = {old: new for old, _, new in pairs}
    if len(found) < len(pairs):
        raise typer.BadParameter("a key is given twice", param_hint="--rename")
    return found
