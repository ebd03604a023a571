"""What only the process itself can tell: its tasks, and its objects by type. Added to its metrics from outside.

The operator is run by this module (`harness.OperatorProcess(code=…)`), so what is shipped has nothing of it.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from secretset import telemetry
from secretset.__main__ import main

CODE = "from soak.inside import run; run()"
TASKS, OBJECTS, SERIES, ALLOCATED = "soak_tasks", "soak_objects", "soak_series", "soak_allocated_bytes"
_NAMED = 40
# Those behind which there is memory, or a descriptor, that is no object: told however few there are.
_HEAVY = ("SSLContext", "_SSLContext", "SSLProtocol", "TCPTransport", "ClientSession", "Client", "socket", "Watch")


class Allocations(ctypes.Structure):
    """What mallinfo2(3) returns."""

    _fields_ = (
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd")),
        *((name, ctypes.c_size_t) for name in ("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")),
    )


def allocations() -> Allocations:
    """Of all heaps of the C library; of another one than glibc since 2.33, nothing."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallinfo2"):
        return Allocations()
    library.mallinfo2.restype = Allocations
    found: Allocations = library.mallinfo2()
    return found


def allocated() -> float:
    """Bytes that C code, TLS above all, holds by malloc: no object shows them, and no fragmentation moves them."""
    found = allocations()
    return float(found.uordblks + found.hblkhd)


class Inside(Collector):
    """Counts when it is asked."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The tasks of all loops that are not done, all objects, those of the commonest types, and all series."""
        gc.collect()  # garbage that waits for its turn is no growth
        found = gc.get_objects()
        pending = [each for each in found if isinstance(each, asyncio.Task) and not each.done()]
        yield GaugeMetricFamily(TASKS, "Tasks that are not done.", value=len(pending))
        types = Counter(type(each).__qualname__ for each in found)
        counts = GaugeMetricFamily(OBJECTS, "Objects that the collector of garbage knows.", labels=["type"])
        for name in {*_HEAVY, *(name for name, _ in types.most_common(_NAMED))}:
            counts.add_metric([name], types[name])
        counts.add_metric(["(all)"], len(found))
        yield counts
        del found, pending
        series = sum(len(metric.samples) for each in telemetry.METRICS for metric in each.collect())
        yield GaugeMetricFamily(ALLOCATED, "Bytes that malloc has given out.", value=allocated())
        yield GaugeMetricFamily(SERIES, "Series of its metrics.", value=series)


def run() -> None:
    """Be the operator, and tell these too."""
    make = telemetry.registry

    def registry(process: telemetry.Process, component: str = "") -> CollectorRegistry:
        made = make(process, component)
        made.register(Inside(made))
        return made

    telemetry.registry = registry
    main()
