"""What the options of several commands have in common."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


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
Context = Annotated[str | None, typer.Option(envvar="SECRETSET_CONTEXT", help="Context of the kubeconfig to use.")]
OperatorNamespace = Annotated[
    str,
    typer.Option("--namespace", "-n", envvar="SECRETSET_NAMESPACE", help="The operator's own namespace on the hub."),
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
