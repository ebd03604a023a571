"""`secretset crds`: the CustomResourceDefinitions of this version."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def crds(
    output: Annotated[
        Path | None,
        typer.Option("--output-dir", "-d", help="Write one file for each kind into this folder instead of printing."),
    ] = None,
) -> None:
    """Print the CustomResourceDefinitions of this version.

    Example: secretset crds | kubectl apply --server-side -f -
    """
    import yaml

    from secretset.domain.crd import DEFINITIONS, render

    for definition in DEFINITIONS:
        text = yaml.safe_dump(render(definition), sort_keys=False, width=120, allow_unicode=True)
        if output is None:
            sys.stdout.write(f"---\n{text}")
        else:
            output.mkdir(parents=True, exist_ok=True)
            (output / f"{definition.plural}.yaml").write_text(text)
