"""Metrics of a region as a whole: when they begin, and when they end."""

from __future__ import annotations

import contextlib

from secretset import telemetry

_COUNTERS = (telemetry.RESTARTS, telemetry.WAVES, telemetry.COALESCED, telemetry.DRIFT, telemetry.SWEPT)


def begin(region: str) -> None:
    """Let the counters of a region stand at 0: of one that begins with 1, a query misses the first increment."""
    for counter in _COUNTERS:
        counter.labels(region)


def forget(region: str) -> None:
    """End the counters of a Region that was deleted."""
    for counter in _COUNTERS:
        with contextlib.suppress(KeyError):
            counter.remove(region)
