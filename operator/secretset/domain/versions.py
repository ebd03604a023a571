"""Resource versions: which of two is the older one."""

from __future__ import annotations


def older(candidate: str, known: str) -> bool:
    """Whether one resourceVersion is before another (comparable since KEP-5504; before, in practice, with etcd)."""
    return candidate.isdigit() and known.isdigit() and int(candidate) < int(known)
