"""Entry point of `secretset`, `kubectl-secretset` and `python -m secretset`."""

from __future__ import annotations

import os

from secretset.cli.main import app


def main() -> None:
    """Run the command line."""
    # A container's user often has neither an entry in passwd nor a $HOME, and the Kubernetes library asks for one.
    os.environ.setdefault("HOME", "/")
    app()


if __name__ == "__main__":
    main()
