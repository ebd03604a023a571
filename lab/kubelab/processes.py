"""Child processes that cannot outlive the one that started them."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

LINES_OF_A_LOG = 15
_PR_SET_PDEATHSIG = 1
_prctl: Callable[..., int] | None = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def spawn(command: list[str], *, environment: dict[str, str], directory: Path, log: Path) -> subprocess.Popen[bytes]:
    """Starts a program that is killed by the kernel when this process ends, however it ends (Linux only).

    To be called by the main thread: the kernel kills the child when the *thread* that started it ends.
    """
    parent = os.getpid()

    def die_with_parent() -> None:
        if _prctl is not None:
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it ended before the line above: no signal would come
                os._exit(1)

    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            env=environment,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - the supervisor has one thread
        )


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kills a child with SIGKILL and waits until it is gone; one that is gone already is no error."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    process.wait()


def tail(log: Path) -> str:
    """Returns the last lines of a log, each shortened to what a terminal can bear."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(line[:500] for line in lines[-LINES_OF_A_LOG:])
