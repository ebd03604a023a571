"""The operator as a user runs it: a process of its own, started by its command line, seen only from outside."""

from __future__ import annotations

import asyncio
import ctypes
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

import aiohttp
import orjson
import psutil  # type: ignore[import-untyped]

from kubelab import ControlPlane

_PR_SET_PDEATHSIG = 1
_START_SECONDS = 180.0


class Program:
    """One run of one of our programs. Ends with the benchmark, also if that is killed.

    Args:
        *arguments: its command line.

    Attributes:
        started: when it was started, in seconds since the epoch.
    """

    def __init__(self, *arguments: str) -> None:
        self._log = tempfile.NamedTemporaryFile("rb")  # noqa: SIM115  (closed by stop)
        self.started = time.time()
        # Opened anew, to append: with a file that is also read from, each reading would move where it writes next.
        with Path(self._log.name).open("ab") as log:
            self._process = subprocess.Popen(
                [str(Path(sys.executable).with_name("secretset")), *arguments],
                stderr=log,
                preexec_fn=_end_with_parent,  # noqa: PLW1509  (no thread of ours holds a lock here)
            )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def until(self, *events: str) -> None:
        """Wait until it has logged all of these.

        Raises:
            RuntimeError: it ended, or took too long.
        """
        deadline = time.monotonic() + _START_SECONDS
        while not all(map(self.logged, events)):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"it did not start: {self.log()[-2000:]}")
            await asyncio.sleep(0.02)

    async def stop(self, *, kill: bool = False) -> None:
        """End it as Kubernetes does, or, with ``kill``, as a crash does, and wait for the end."""
        if self._process.poll() is None:
            (self._process.kill if kill else self._process.terminate)()
            try:
                await asyncio.to_thread(self._process.wait, 20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()

    def log(self) -> str:
        """What it logged."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def pss(self) -> float:
        """Proportional set size in MB (10^6 bytes): what the process costs, shared pages by their share."""
        return self._rollup("Pss")

    def rss(self) -> float:
        """Resident set size in MB: shared pages as if they were its own. What an operator costs that is alone."""
        return self._rollup("Rss")

    def peak(self) -> float:
        """The largest resident set that it ever had, in MB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
        raise RuntimeError("no VmHWM in status")

    def _rollup(self, name: str) -> float:
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024 / 1e6
        raise RuntimeError(f"no {name} in smaps_rollup")

    def logged(self, event: str) -> dict[str, str]:
        """A line of its log; empty as long as there is none."""
        for line in self.log().splitlines():
            if line.startswith("{") and orjson.loads(line).get("event") == event:
                return dict(orjson.loads(line))
        return {}


class OperatorProcess(Program):
    """One run of the operator.

    Args:
        plane: its hub.
        options: more of its command line.
        quiet: seconds without a further change before restarts begin; None for what the operator ships with.
        kubeconfig: whose rights it has on the hub; None for the administrator's.
    """

    def __init__(
        self,
        plane: ControlPlane,
        *,
        options: tuple[str, ...] = (),
        quiet: float | None = 0.0,
        kubeconfig: Path | None = None,
    ) -> None:
        where = ("--kubeconfig", str(kubeconfig or plane.kubeconfig), "--namespace", "secretset-system", "--port", "0")
        # What is wiped between two measurements is no accident.
        how = ("--log-format", "json", "--deletion-burst", "1000000", *options)
        super().__init__("operator", *where, *how, *(() if quiet is None else ("--quiet-seconds", str(quiet))))
        self._address = ""

    async def ready(self, *, serving: bool = True) -> float:
        """Wait until it calls itself ready, and return the seconds since it was started.

        Args:
            serving: wait for its first word on whether a region can be used as well; until then a set only waits.
        """
        await self.until(*("listening", "ready", "region")[: 3 if serving else 2])
        self._address = str(self.logged("listening").get("address", ""))
        return time.time() - self.started

    async def metrics(self) -> dict[str, float]:
        """Its metrics, by name and labels as they are printed."""
        async with aiohttp.ClientSession() as session, session.get(f"{self._address}/metrics") as response:
            lines = (await response.text()).splitlines()
        return {key: float(value) for key, value in (line.rsplit(" ", 1) for line in lines if line[:1] != "#")}

    async def passes(self) -> int:
        """How many passes over a set there were, whatever came of them."""
        found = await self.metrics()
        return int(sum(v for k, v in found.items() if k.startswith("controller_runtime_reconcile_total{")))

    async def requests(self) -> int:
        """How many requests it sent, reads included; watches count when they end."""
        found = await self.metrics()
        return int(sum(v for k, v in found.items() if k.startswith("rest_client_requests_total{")))

    async def checked(self, count: int, seconds: float = 300.0) -> float:
        """Wait until so many passes were made and no more come; return when the last was, in seconds since start."""
        deadline = time.monotonic() + seconds
        last, at = -1, time.time()
        while last < count or time.time() - at < 1.0:
            if time.monotonic() > deadline:
                raise TimeoutError(f"only {last} of {count} sets were looked at")
            if (now := await self.passes()) != last:
                last, at = now, time.time()
            await asyncio.sleep(0.05)
        return at - self.started


def cpu(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
