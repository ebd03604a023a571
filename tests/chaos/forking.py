"""The process that forks operators: `python -m chaos.forking FOLDER` reads one JSON object a line, and forks.

The child is what `secretset operator` is, with these differences: SIGUSR2 has it resync, SIGUSR1 has it read the lists
of its watches again, too, as if the time for it had come, and it says in its log when all of that is over; what takes a
minute takes a second; and its clock, if it is told a file, is apart from the machine's by the seconds in there.
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
import sys
import time
import weakref
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import kopf  # noqa: F401  (so that no child has to)
import structlog
import uvloop  # noqa: F401

from chaos.nursery import COMPARED
from secretset import app
from secretset.cli import main as command
from secretset.controller.resync import resync
from secretset.kube.watch import Watch

_PR_SET_PDEATHSIG = 1
_LOOK_AGAIN, _REQUEST = 1.0, 5.0  # seconds
_LISTED = 1.0  # seconds until all lists were read again
_Plain = datetime.datetime
_new_watch = Watch.__init__
log = structlog.get_logger(__name__)


class _Operator(app.Operator):
    """The operator, with the differences above."""

    watches: ClassVar[weakref.WeakSet[Watch]] = weakref.WeakSet()
    begun = ended = 0  # comparisons; the number of the last one that came to its end

    def __init__(self, config: Any) -> None:
        super().__init__(dataclasses.replace(config, look_again_seconds=_LOOK_AGAIN, request_timeout=_REQUEST))

    async def run(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self.list_and_compare)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, self.compare)
        await super().run()

    def list_and_compare(self) -> None:
        for watch in tuple(self.watches):
            watch.renew(relist=True)
        self.compare()

    def compare(self) -> None:
        self._missed.set()
        self._tell = asyncio.create_task(self._compared(_Operator.begun, time.monotonic() + _LISTED))

    async def _compared(self, before: int, listed: float) -> None:
        """Say when a comparison that was begun after this has ended, and nothing is left to be done."""
        while not (_Operator.ended > before and self._quiet(listed)):  # noqa: ASYNC110  (nothing tells)
            await asyncio.sleep(0.01)
        log.info(COMPARED)

    def _quiet(self, listed: float) -> bool:
        # Those of namespaces that nobody needs any more are not read again; they may be around for a while.
        waits = any(watch._relist and watch.failing is None for watch in self.watches) and time.monotonic() < listed
        runners = self._manager.runners.values() if self._manager else ()
        return not waits and all(runner.queue.idle for runner in runners)


async def _counted(*args: Any) -> None:
    _Operator.begun += 1
    number = _Operator.begun
    await resync(*args)
    _Operator.ended = number


def _noted(self: Watch, *args: Any, **options: Any) -> None:
    _new_watch(self, *args, **options)
    _Operator.watches.add(self)


def _prepare() -> None:
    mock.patch.object(Watch, "__init__", _noted).start()
    mock.patch.object(app, "resync", _counted).start()
    mock.patch.object(app, "Operator", _Operator).start()  # the command takes it from there
    gc.collect()
    gc.freeze()


def _run(args: list[str], clock: str | None) -> None:
    if clock:
        _shift(Path(clock))
    command.app(["operator", *args])


def main() -> None:
    """Fork until standard input ends."""
    folder = Path(sys.argv[1])
    _prepare()
    signal.signal(signal.SIGCHLD, lambda *_: _reap(folder))
    while line := sys.stdin.readline():
        wanted = json.loads(line)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _begin(wanted["log"], parent)
            try:
                _run(wanted["args"], wanted["clock"])
            except BaseException as error:  # noqa: BLE001  (whatever it is, this process is not to go on as a parent)
                code = error.code if isinstance(error, SystemExit) else 70
                os._exit(code if isinstance(code, int) else 0)
            os._exit(0)
        print(pid, flush=True)


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
