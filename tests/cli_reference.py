"""docs/cli-reference.md: the help of every command, as typer itself makes a page of it. `make generate` writes it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "cli-reference.md"
_TITLE, _HEAD = "# `secretset`\n", "# Reference of commands\n\nMade by `make generate`; [cli.md](cli.md) explains.\n"


def rendered() -> str:
    """The page as the code makes it."""
    # No setting of whoever runs this may show as a default.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SECRETSET_")}
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "page.md"
        subprocess.run(
            [
                sys.executable,
                "-m",
                "typer",
                "secretset.cli.main",
                "utils",
                "docs",
                "--name",
                "secretset",
                "--output",
                made,
            ],
            check=True,
            capture_output=True,
            env=environment,
        )
        text = made.read_text()
    # Markdown needs these as they are, and people read the text as well.
    for escaped, plain in (("&#x27;", "'"), ("&quot;", '"')):
        text = text.replace(escaped, plain)
    return _HEAD + text.removeprefix(_TITLE).rstrip("\n") + "\n"


if __name__ == "__main__":
    PAGE.write_text(rendered())
