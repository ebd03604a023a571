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


def test_a_page_of_a_list_is_read_without_looking_for_cycles_in_it() -> None:
    program = """
import gc
from secretset import memory
memory.collect_seldom()
gc.collect()
runs = sum(each["collections"] for each in gc.get_stats())
page = [{"metadata": {"name": str(number), "labels": {}}} for number in range(6000)]
print(sum(each["collections"] for each in gc.get_stats()) - runs)
for _ in range(30000):  # it still finds what refers to itself
    loop = []
    loop.append(loop)
print(sum(each["collected"] for each in gc.get_stats()) > 20000)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["0", "True"]
