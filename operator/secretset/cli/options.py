"""What the options of several commands have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from secretset.cli import complete


class LogFormat(StrEnum):
    """How log lines look."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """From which level on log lines are printed."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def run_until_stopped(command: str, work: Coroutine[Any, Any, None]) -> None:
    """Run one of the commands that end with a signal; exit code 2 if it is not configured well."""
    import uvloop

    from secretset import memory
    from secretset.kube.errors import ConfigError

    memory.return_blocks()
    memory.collect_seldom()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work)
    except ConfigError as error:
        typer.echo(f"secretset {command}: {error}", err=True)
        raise typer.Exit(2) from None


def namespace(given: str | None) -> str | None:
    """The callback of an option that names a namespace: refuses what can be none, and does not show it.

    Raises:
        typer.BadParameter: says the rule; typer adds the name of the option.
    """
    from secretset.domain import names

    if given is not None and not names.NAMESPACE_PATTERN.fullmatch(given):
        raise typer.BadParameter(f"can be no namespace, which is {names.NAMESPACE_RULE}")
    return given


def listed(text: str) -> frozenset[str]:
    """What an option with commas names."""
    return frozenset(part.strip() for part in text.split(",") if part.strip())


class OutputFormat(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


Kubeconfig = Annotated[
    Path | None,
    typer.Option(
        envvar="SECRETSET_KUBECONFIG",
        help="Kubeconfig of the hub. Absent: $KUBECONFIG, the pod's service account, or ~/.kube/config.",
    ),
]
Context = Annotated[
    str | None,
    typer.Option(
        envvar="SECRETSET_CONTEXT",
        help="Context of the kubeconfig to use.",
        autocompletion=complete.context_names,
    ),
]
Host = Annotated[str, typer.Option(envvar="SECRETSET_HOST", help="Address to listen at.")]
HealthPort = Annotated[
    int,
    typer.Option(
        envvar="SECRETSET_HEALTH_PORT",
        min=0,
        max=65535,
        help="Port of /healthz, /readyz and /metrics (HTTP); 0: a free one.",
    ),
]
LogFormatOption = Annotated[
    LogFormat, typer.Option("--log-format", envvar="SECRETSET_LOG_FORMAT", help="text for people, json for machines.")
]
LogLevelOption = Annotated[
    LogLevel,
    typer.Option("--log-level", envvar="SECRETSET_LOG_LEVEL", help="No level prints a value or an object's body."),
]
OperatorNamespaceOption = Annotated[
    str,
    typer.Option(
        "--operator-namespace",
        envvar="SECRETSET_NAMESPACE",
        callback=namespace,
        help="Where the operator publishes its keys on the hub.",
    ),
]
Organization = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        envvar="SECRETSET_ORGANIZATION",
        callback=namespace,
        help="The organization: a namespace of the hub. Absent: that of the kubeconfig's context, else default.",
        autocompletion=complete.organizations,
    ),
]
Output = Annotated[OutputFormat, typer.Option("--output", "-o", help="table for people, json and yaml for machines.")]
SealingKeysDir = Annotated[
    Path | None,
    typer.Option(
        envvar="SECRETSET_SEALING_KEYS_DIR",
        help="Folder with the sealing keys, where the operator has them from one instead of the Secret.",
    ),
]
SealingKekFiles = Annotated[
    list[Path] | None,
    typer.Option(
        envvar="SECRETSET_SEALING_KEK_FILE",
        help="File with a 32-byte key that sealing keys are wrapped with. Given more than once: the first one wraps, "
        "all of them unwrap.",
    ),
]
