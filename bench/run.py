"""Runs the package `bench` for those who call a file: makes the project's root importable, and `tests/harness` too."""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    # Not beside, but instead of this folder: its modules are `bench.api`, not `api`.
    root = Path(__file__).resolve().parents[1]
    sys.path[:1] = [str(root), str(root / "tests")]
    runpy.run_module("bench", run_name="__main__", alter_sys=True)
