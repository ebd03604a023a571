"""Workloads that a region's API server did not let us restart: each is tried again by itself, more and more seldom."""

from __future__ import annotations

import time
from collections.abc import Mapping

from secretset.domain.restarts import Refusal

_FIRST, _LAST = 1.0, 60.0  # seconds between attempts


class Refusals:
    """Who was refused, why, and until when it is left alone."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, float, float]] = {}  # uid to why, the seconds waited, and until when

    def note(self, uid: str, why: str) -> None:
        """A restart was refused."""
        _, before, _ = self._known.get(uid, ("", _FIRST / 2, 0.0))
        pause = min(2 * before, _LAST)
        self._known[uid] = why, pause, time.monotonic() + pause

    def forget(self, uid: str) -> None:
        """A workload was restarted, or is gone."""
        self._known.pop(uid, None)

    def now(self) -> Mapping[str, Refusal]:
        """Those that are to be left alone now."""
        at = time.monotonic()
        return {uid: Refusal(why, until - at) for uid, (why, _, until) in self._known.items() if until > at}
