"""Large blocks go back to the system, whatever was freed before."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
from secretset import memory
from soak.inside import allocations
if {told}:
    memory.return_blocks()
before = allocations().hblks
for _ in range(2):
    block = bytearray(16 * 1024 * 1024)  # more than any heap has room for
    mapped = allocations().hblks - before
    del block
print(mapped)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="another C library than glibc since 2.33")
@pytest.mark.parametrize(("told", "mapped"), [(True, "1"), (False, "0")])
def test_a_block_is_mapped_on_its_own_although_one_was_freed_before(told: bool, mapped: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(told=told)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == mapped
