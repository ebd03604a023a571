"""`python -m bench` for those who call a file: makes the project's root importable, and nothing else."""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    # Not beside, but instead of this folder: its modules are `bench.api`, not `api`.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    runpy.run_module("bench", run_name="__main__", alter_sys=True)
