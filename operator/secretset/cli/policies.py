"""`secretset policies`: print the policy that binds pods by their annotation, or say whether a cluster has it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from secretset.domain.policies import BindPolicy

FILE = "bind-policy.yaml"
_ABSENT, _UNSUPPORTED, _UNKNOWN = 1, 2, 3


def policies(
    output: Annotated[
        Path | None,
        typer.Option("--output-dir", "-d", help=f"Write {FILE} into this folder instead of printing."),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Print nothing but whether a cluster has it. Exit code 0: yes; 1: no, or another version's; "
            "2: the cluster does not support it; 3: that could not be found out.",
        ),
    ] = False,
    kubeconfig: Annotated[
        Path | None,
        typer.Option(
            envvar="SECRETSET_KUBECONFIG",
            help="With --check, of the cluster. Absent: $KUBECONFIG, the pod's service account, or ~/.kube/config.",
        ),
    ] = None,
    context: Annotated[
        str | None, typer.Option(envvar="SECRETSET_CONTEXT", help="With --check, context of the kubeconfig to use.")
    ] = None,
) -> None:
    """Print the admission policy that binds pods by the annotation secretset.dev/bind.

    Apply it to each cluster that workloads run on, as somebody who may write admission policies: the operator may not.

    Example: secretset policies | kubectl apply --server-side -f -
    """
    if check:
        text, code = asyncio.run(_checked(str(kubeconfig) if kubeconfig else None, context))
        typer.echo(text)
        raise typer.Exit(code)
    if output is None:
        sys.stdout.write(_rendered())
    else:
        output.mkdir(parents=True, exist_ok=True)
        (output / FILE).write_text(_rendered())


def _rendered() -> str:
    """The policy and its binding as YAML."""
    import yaml

    from secretset.domain.policies import bind_policy, bind_policy_binding

    class Dumper(yaml.SafeDumper):
        """One that writes text of several lines as such."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    documents: list[Any] = [bind_policy(), bind_policy_binding()]
    head = "# Binds pods by the annotation secretset.dev/bind (docs/binding.md). Made by `secretset policies`.\n"
    return head + yaml.dump_all(documents, Dumper=Dumper, sort_keys=False, width=120, allow_unicode=True)


async def _checked(kubeconfig: str | None, context: str | None) -> tuple[str, int]:
    """What to say of a cluster, and the exit code."""
    from secretset.domain.policies import describe
    from secretset.kube import bind_policy, credentials, errors
    from secretset.kube.client import Client

    try:
        async with Client(await credentials.load(kubeconfig, context), name="cluster") as client:
            found = await bind_policy.look(client)
            version = str((await client.get("/version")).get("gitVersion") or "")
    except errors.KubeError as error:
        return f"secretset policies: the cluster could not be asked: {error}", _UNKNOWN
    return f"{found}: {describe(found, version)}", _code(found)


def _code(found: BindPolicy) -> int:
    from secretset.domain.policies import BindPolicy

    codes = {
        BindPolicy.INSTALLED: 0,
        BindPolicy.NOT_SUPPORTED: _UNSUPPORTED,
        BindPolicy.NOT_ALLOWED: _UNKNOWN,
    }
    return codes.get(found, _ABSENT)
