"""How memory is given back: large blocks at once, and what refers to itself seldom enough."""

from __future__ import annotations

import ctypes
import gc

_M_MMAP_THRESHOLD = -3
_BLOCK = 128 * 1024  # bytes; what glibc begins with
_YOUNG = 20_000  # objects; about a page of a list


def return_blocks() -> None:
    """Have the C library return each large block to the system as soon as it is free.

    TLS above all has some: 256 KiB for each connection, and those come and go. By itself glibc does so only until one
    of them was freed for the first time. Then it takes all blocks of that size from its heap, which grows with each
    storm of connections and cannot shrink, because small things lie in between (mallopt(3), M_MMAP_THRESHOLD). Other
    libraries have no such call, and no such heap.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_M_MMAP_THRESHOLD, _BLOCK)


def collect_seldom() -> None:
    """Have Python look for cycles after 20,000 new objects, not after 700.

    A page of a list is some 20,000 objects that live on, and nearly all that dies is freed without being looked for. By
    itself Python walked over everything that is remembered again and again while it read, which took half of the
    processor time of a comparison with 10,000 sets (bench/README.md).
    """
    gc.set_threshold(_YOUNG)
