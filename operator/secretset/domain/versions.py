"""Resource versions, and revisions of content: which of two is the older one, and which are none."""

from __future__ import annotations

# A counter that somebody set as high as it goes must not make every pass write.
MOST_REVISIONS = 10**15


def older(candidate: str, known: str) -> bool:
    """Whether one resourceVersion is before another (comparable since KEP-5504; before, in practice, with etcd)."""
    return candidate.isdigit() and known.isdigit() and int(candidate) < int(known)


def revision(text: str | None) -> int:
    """A revision of content as it was noted; 0 for what is none, because anyone may have written it."""
    if not text or not text.isascii() or not text.isdigit() or len(text) > len(str(MOST_REVISIONS)):
        return 0
    return int(text) if int(text) <= MOST_REVISIONS else 0
