"""One look at the operator's process, from outside: /proc, its sockets, and its metrics."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from harness import OperatorProcess
from soak.inside import ALLOCATED, OBJECTS, SERIES, TASKS

_ALL = f'{OBJECTS}{{type="(all)"}}'


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What was there at one moment.

    Attributes:
        at: seconds since the beginning of the load.
        measures: name to number; those of memory in MiB.
        types: objects by type, of the commonest ones.
        context: what explains the measures, and is not judged.
    """

    at: float
    measures: Mapping[str, float]
    types: Mapping[str, float]
    context: Mapping[str, float]


class Probe:
    """Looks at one process.

    Args:
        operator: that runs.
        ports: of those that it talks to, with their names.
        begun: monotonic time of the beginning.
    """

    def __init__(self, operator: OperatorProcess, ports: Mapping[int, str], begun: float) -> None:
        self._operator = operator
        self._ports = ports
        self._begun = begun
        # The program is the child of what holds its leash.
        (self._process,) = psutil.Process(operator._running().pid).children()

    @property
    def alive(self) -> bool:
        """Whether it is the process that it was at the beginning."""
        return self._process.is_running() and self._operator.running

    def look(self) -> Sample:
        """Take a sample."""
        told = _parsed(self._operator.fetch("/metrics")[1])
        at = time.monotonic() - self._begun
        proc = Path(f"/proc/{self._process.pid}")
        kinds = Counter(filter(None, (_kind(link) for link in (proc / "fd").iterdir())))
        peers = Counter(self._peer(each) for each in self._process.net_connections("tcp"))
        rollup = _fields(proc / "smaps_rollup")
        return Sample(
            at=at,
            measures={
                "memory (PSS), MiB": rollup["Pss"] / 1024,
                "memory of its own, MiB": (rollup["Private_Clean"] + rollup["Private_Dirty"]) / 1024,
                "memory by malloc, MiB": told[ALLOCATED] / 2**20,
                "file descriptors": kinds.total(),
                "sockets": kinds["socket"],
                **{f"connections: {name}": peers[name] for name in sorted({*self._ports.values()})},
                "connections: others": peers["others"],
                "tasks": told[TASKS],
                "threads": self._process.num_threads(),
                "objects": told[_ALL],
                "series of metrics": told[SERIES],
            },
            types={
                key.removeprefix(f'{OBJECTS}{{type="').removesuffix('"}'): value
                for key, value in told.items()
                if key.startswith(OBJECTS) and key != _ALL
            },
            context={
                "sets": _sum(told, "secretset_sets{"),
                "queued": _sum(told, "workqueue_depth{"),
                "passes": _sum(told, "controller_runtime_reconcile_total{"),
                "errors": _sum(told, "controller_runtime_reconcile_errors_total{"),
                "panics": _sum(told, "controller_runtime_reconcile_panics_total{"),
                "restarts": _sum(told, "secretset_restarts_total{"),
                "writes": _sum(told, "secretset_api_writes_total{"),
                "cpu": sum(self._process.cpu_times()[:2]),
            },
        )

    def _peer(self, connection: psutil._common.pconn) -> str:
        if not connection.raddr:
            return "listening"
        return self._ports.get(connection.raddr.port, "others")


def _kind(link: Path) -> str:
    try:
        return os.readlink(link).partition(":")[0]  # noqa: PTH115  (it is no path)
    except FileNotFoundError:
        return ""


def _fields(path: Path) -> dict[str, int]:
    lines = (line.split() for line in path.read_text().splitlines()[1:])
    return {parts[0].rstrip(":"): int(parts[1]) for parts in lines}


def _parsed(text: str) -> dict[str, float]:
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {key: float(value) for key, value in lines}


def _sum(told: Mapping[str, float], prefix: str) -> float:
    return sum(value for key, value in told.items() if key.startswith(prefix))
