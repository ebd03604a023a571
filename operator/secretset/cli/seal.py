"""`secretset seal`: values become text that only the operator of one hub opens, in one key of one set."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from secretset.cli.options import Context, Kubeconfig, Output, OutputFormat, SealingKekFiles

_VALUES, _MANIFEST, _KEYS, _CHECK = "Values", "Manifests", "Keys", "Checks"


class SealedKind(StrEnum):
    """What values are sealed for."""

    SECRET_SET = "secretset"  # noqa: S105  (the name of a kind)
    IMAGE_PULL_SECRET = "imagepullsecret"  # noqa: S105


def seal(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Name of the set; with --check, files.", show_default=False),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace",
            "-n",
            envvar="SECRETSET_ORGANIZATION",
            help="Namespace of the set. Absent: the manifest's, else that of the kubeconfig's context.",
        ),
    ] = None,
    kind: Annotated[SealedKind, typer.Option(help="What the set is.")] = SealedKind.SECRET_SET,
    from_file: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[KEY=]PATH", help="A file's content; KEY is its name if left out.", rich_help_panel=_VALUES
        ),
    ] = None,
    from_env_file: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="All entries of a .env file.", rich_help_panel=_VALUES),
    ] = None,
    from_stdin: Annotated[
        str | None, typer.Option(metavar="KEY", help="All of standard input.", rich_help_panel=_VALUES)
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="Ask for it, without showing it.", rich_help_panel=_VALUES),
    ] = None,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Take empty values, too.", rich_help_panel=_VALUES)
    ] = False,
    value: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="Seen in lists of processes and in the shell's history.", rich_help_panel=_VALUES
        ),
    ] = None,
    file: Annotated[
        list[str] | None,
        typer.Option(
            "--file",
            "-f",
            metavar="PATH",
            help="A manifest to put the values into; without NAME, one whose every `value` is sealed. "
            "Printed, unless --in-place is given; - is standard input.",
            rich_help_panel=_MANIFEST,
        ),
    ] = None,
    in_place: Annotated[
        bool, typer.Option("--in-place", "-i", help="Change the files of -f.", rich_help_panel=_MANIFEST)
    ] = False,
    merge_into: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="The same as --in-place -f PATH.", rich_help_panel=_MANIFEST),
    ] = None,
    region: Annotated[
        str | None, typer.Option(help="Of a new manifest: its region.", rich_help_panel=_MANIFEST)
    ] = None,
    description: Annotated[
        str | None, typer.Option(help="Of a new manifest: what it is for.", rich_help_panel=_MANIFEST)
    ] = None,
    restart_policy: Annotated[
        Literal["Auto", "Never"] | None,
        typer.Option(help="Of a new manifest: whether workloads are restarted.", rich_help_panel=_MANIFEST),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Of a new ImagePullSecret: its registry.", rich_help_panel=_MANIFEST)
    ] = None,
    username: Annotated[
        str | None, typer.Option(help="Of a new ImagePullSecret: its user there.", rich_help_panel=_MANIFEST)
    ] = None,
    public_key: Annotated[
        Path | None,
        typer.Option(
            envvar="SECRETSET_PUBLIC_KEY",
            help="Public keys of the hub: what --print-public-key prints, or the ConfigMap secretset-public-keys. "
            "Absent: the hub is asked.",
            rich_help_panel=_KEYS,
        ),
    ] = None,
    print_public_key: Annotated[
        bool, typer.Option("--print-public-key", help="Print them, for --public-key.", rich_help_panel=_KEYS)
    ] = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    operator_namespace: Annotated[
        str,
        typer.Option(envvar="SECRETSET_NAMESPACE", help="The operator's own namespace.", rich_help_panel=_KEYS),
    ] = "secretset-system",
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Tell whether the sealed values of files are for this hub. Exit code 0: all of them, as far as public "
            "keys tell; 1: not all, or a file cannot be read; 2: wrong usage, there are no keys, or the hub could not "
            "be asked.",
            rich_help_panel=_CHECK,
        ),
    ] = False,
    opened: Annotated[
        bool,
        typer.Option("--open", help="With --check, open them with the hub's private keys.", rich_help_panel=_CHECK),
    ] = False,
    sealing_keys_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="SECRETSET_SEALING_KEYS_DIR", help="With --open, where these are instead.", rich_help_panel=_CHECK
        ),
    ] = None,
    sealing_kek_file: SealingKekFiles = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Seal values for a set, so that its manifest can be committed and nobody but the operator can open them.

    Example: secretset seal checkout -n shop --from-env-file .env > checkout.yaml
    """
    given, files = arguments or [], [*(file or []), *([merge_into] if merge_into else [])]
    in_place = in_place or merge_into is not None
    pull = kind is SealedKind.IMAGE_PULL_SECRET
    has_values = from_stdin is not None or any((from_file, from_env_file, prompt, value))
    for_new = any((region, description, restart_policy, host, username))
    _refuse(
        (check and has_values, "--check takes no values"),
        (check and not [*given, *files], "--check needs files"),
        (opened and not check, "--open belongs to --check"),
        (in_place and (check or not files or "-" in files), "--in-place needs -f and the path of a file"),
        (bool(file) and merge_into is not None, "--merge-into and -f are the same: give one of them"),
    )
    if not check and not print_public_key:
        _refuse(
            # What stands there may be a value, so it is not shown.
            (any("=" in each for each in given), "NAME has no '='; KEY=VALUE belongs behind --value"),
            (len(given) > 1, "takes one NAME; values come with --from-file, --prompt and the like"),
            (not given and not files, "needs NAME and values, or -f FILE"),
            (has_values and not given, "values need the NAME of their set"),
            (bool(given) and not has_values, "no values: use --from-file, --from-env-file, --from-stdin or --prompt"),
            (bool(given) and len(files) > 1, "the values of one set go into one file"),
            (from_stdin is not None and "-" in files, "standard input cannot be both a manifest and a value"),
            (bool(files) and for_new, "options of a new manifest do not go with a file that is there"),
            (not pull and bool(host or username), "--host and --username are for --kind imagepullsecret"),
            (pull and not files and not (host and username), "a new ImagePullSecret needs --host and --username"),
        )

    # What is below takes a while to import, and nobody who asks for help needs it.
    from secretset.cli import seal_run
    from secretset.cli.hub import NO_HUB, CommandError, fail
    from secretset.cli.seal_keys import Hub
    from secretset.domain.names import Kind

    try:
        run = seal_run.Run(
            hub=Hub(kubeconfig=kubeconfig, context=context, operator_namespace=operator_namespace),
            public_key=public_key,
            namespace=namespace or "",
            kind=Kind.IMAGE_PULL_SECRET if pull else Kind.SECRET_SET,
        )
        if print_public_key:
            run.print_public_key()
        elif check:
            private = seal_run.Private(folder=sealing_keys_dir, kek_files=sealing_kek_file or []) if opened else None
            raise typer.Exit(run.check([*given, *files], private, output))
        elif not given:
            run.seal_files(files, in_place=in_place)
        else:
            sources = seal_run.Sources(
                files=from_file or [],
                env_files=from_env_file or [],
                stdin=from_stdin,
                prompts=prompt or [],
                flags=value or [],
                allow_empty=allow_empty,
            )
            if files:
                run.merge(given[0], sources, files[0], in_place=in_place)
            else:
                restart = {"policy": restart_policy} if restart_policy else None
                spec = {"region": region, "description": description, "host": host, "username": username}
                run.print_new(given[0], sources, {**spec, "restart": restart})
    except CommandError as error:
        # What is wrong with a file is in what --check prints.
        fail("seal", str(error), NO_HUB if check else error.code)


def _refuse(*rules: tuple[bool, str]) -> None:
    """Usage that makes no sense: the first rule that holds is told."""
    for broken, text in rules:
        if broken:
            raise typer.BadParameter(text)
