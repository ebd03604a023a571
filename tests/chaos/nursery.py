"""Operators by fork: a process that has imported everything (`chaos.forking`) makes each in milliseconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

from harness.waiting import eventually

COMPARED = "compared everything"


class Nursery:
    """Starts operators. A context manager; they end with it.

    Args:
        folder: for their logs and their ends.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._number = 0
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "chaos.forking", str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
            | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.communicate()  # it ends with its standard input, and they with it

    def operator(self, kubeconfig: Path, *flags: str, clock: Path | None = None) -> Forked:
        """Start one; it need not be ready yet."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._number += 1
        log = self.folder / f"operator-{self._number}.log"
        log.touch(0o600)
        args = ["--kubeconfig", str(kubeconfig), "--port", "0", "--log-level", "debug", "--log-format", "json", *flags]
        self._process.stdin.write(json.dumps({"args": args, "log": str(log), "clock": clock and str(clock)}) + "\n")
        self._process.stdin.flush()
        return Forked(int(self._process.stdout.readline()), log)


class Forked:
    """One operator.

    Attributes:
        log: its log.
    """

    def __init__(self, pid: int, log: Path) -> None:
        self.pid = pid
        self.log = log

    @property
    def code(self) -> int | None:
        """Its exit code, less than 0 for a signal; None while it runs."""
        file = self.log.with_name(f"{self.pid}.code")
        return int(file.read_text()) if file.exists() else None

    def ready(self) -> None:
        """Wait until it says so."""
        eventually(lambda: '"event": "ready"' in self.log.read_text() or self.code is not None, "ready", seconds=40)

    def signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            if self.code is None:
                raise

    def kill(self) -> None:
        """As a crash ends it."""
        self.signal(signal.SIGKILL)

    def resync(self, *, lists: bool = True) -> None:
        """Have it compare everything now; without ``lists``, what its watches have told it with what the hub has."""
        self.signal(signal.SIGUSR1 if lists else signal.SIGUSR2)

    def resynced(self, *, lists: bool) -> None:
        """The same; returns when that, and all that it led to, is over."""
        begun = self.log.stat().st_size
        self.resync(lists=lists)
        eventually(lambda: self._says(COMPARED, begun), "the end of a comparison", seconds=20)

    def _says(self, event: str, since: int) -> bool:
        with self.log.open("rb") as file:
            file.seek(since)
            return f'"event": "{event}"'.encode() in file.read()

    def ended(self, seconds: float = 20.0) -> int:
        """Wait for its end; its exit code."""
        eventually(lambda: self.code is not None, "the end of an operator", seconds=seconds)
        assert self.code is not None
        return self.code

    def stop(self) -> int:
        """SIGTERM, and wait."""
        self.signal(signal.SIGTERM)
        return self.ended()
