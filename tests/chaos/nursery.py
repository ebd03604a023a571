"""Operators by fork: a process that has imported everything makes as many as are asked for, each in milliseconds.

`python -m chaos.nursery` reads one JSON object a line and forks; the child is what `secretset operator` is, with these
differences: SIGUSR1 has it resync, and read the lists of its watches again, as if the time for it had come; what takes
a minute takes a second; and its clock, if it is told a file, is apart from the machine's by the seconds in there.
"""

from __future__ import annotations

import asyncio
import ctypes
import dataclasses
import datetime
import gc
import json
import os
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path
from typing import Any, Self
from unittest import mock

from harness.waiting import eventually

_PR_SET_PDEATHSIG = 1
_LOOK_AGAIN, _REQUEST = 1.0, 5.0  # seconds
_Plain = datetime.datetime


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
            [sys.executable, "-m", "chaos.nursery", str(self.folder)],
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

    def resync(self) -> None:
        """Have it compare everything now."""
        self.signal(signal.SIGUSR1)

    def ended(self, seconds: float = 20.0) -> int:
        """Wait for its end; its exit code."""
        eventually(lambda: self.code is not None, "the end of an operator", seconds=seconds)
        assert self.code is not None
        return self.code

    def stop(self) -> int:
        """SIGTERM, and wait."""
        self.signal(signal.SIGTERM)
        return self.ended()


# --- in the process that forks


def main() -> None:
    """Fork until standard input ends."""
    folder = Path(sys.argv[1])
    child = _prepared()
    signal.signal(signal.SIGCHLD, lambda *_: _reap(folder))
    while line := sys.stdin.readline():
        wanted = json.loads(line)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _begin(wanted["log"], parent)
            try:
                child(wanted["args"], wanted["clock"])
            except BaseException as error:  # noqa: BLE001  (whatever it is, this process is not to go on as a parent)
                code = error.code if isinstance(error, SystemExit) else 70
                os._exit(code if isinstance(code, int) else 0)
            os._exit(0)
        print(pid, flush=True)


def _prepared() -> Any:
    """Import everything; what a child is to do."""
    import kopf  # noqa: F401
    import uvloop  # noqa: F401

    from secretset import app
    from secretset.cli import main
    from secretset.kube.watch import Watch

    class Operator(app.Operator):
        """The operator, with the differences above."""

        def __init__(self, config: Any) -> None:
            super().__init__(dataclasses.replace(config, look_again_seconds=_LOOK_AGAIN, request_timeout=_REQUEST))

        async def run(self) -> None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self.resync)
            await super().run()

        def resync(self) -> None:
            self._missed.set()
            for watch in tuple(watches):
                watch.renew(relist=True)

    watches: weakref.WeakSet[Watch] = weakref.WeakSet()
    begin = Watch.__init__

    def noted(self: Watch, *args: Any, **options: Any) -> None:
        begin(self, *args, **options)
        watches.add(self)

    mock.patch.object(Watch, "__init__", noted).start()
    mock.patch.object(app, "Operator", Operator).start()  # the command takes it from there

    def child(args: list[str], clock: str | None) -> None:
        if clock:
            _shift(Path(clock))
        main.app(["operator", *args])

    gc.collect()
    gc.freeze()
    return child


def _begin(log: str, parent: int) -> None:
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(70)
    opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(opened, 1)
    os.dup2(opened, 2)


def _reap(folder: Path) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        file = folder / f"{pid}.code"
        file.with_suffix(".new").write_text(str(os.waitstatus_to_exitcode(status)))
        file.with_suffix(".new").rename(file)


def _shift(clock: Path) -> None:
    """Put the wall clock of this process apart from the machine's; the monotonic clock stays."""
    real = time.time

    def apart() -> float:
        return real() + float(clock.read_text() or 0)

    class Shifted(_Plain):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return _Plain.fromtimestamp(apart(), tz)

    mock.patch("time.time", apart).start()
    mock.patch("datetime.datetime", Shifted).start()
    for name, module in tuple(sys.modules.items()):
        if name.startswith("secretset.") and getattr(module, "datetime", None) is _Plain:
            mock.patch.object(module, "datetime", Shifted).start()


if __name__ == "__main__":
    main()
