"""What becomes of memory that C code gives back, TLS above all: 256 KiB for each connection, and those come and go."""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD = -3
_BLOCK = 128 * 1024  # bytes; what glibc begins with


def return_blocks() -> None:
    """Have the C library return each large block to the system as soon as it is free.

    By itself glibc does so only until one of them was freed for the first time. Then it takes all blocks of that size
    from its heap, which grows with each storm of connections and cannot shrink, because small things lie in between
    (mallopt(3), M_MMAP_THRESHOLD). Other libraries have no such call, and no such heap.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_M_MMAP_THRESHOLD, _BLOCK)
