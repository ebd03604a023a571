"""Entry point of `secretset`, `kubectl-secretset` and `python -m secretset`."""

from __future__ import annotations

from secretset.cli.main import app


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
