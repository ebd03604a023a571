"""`secretset` as people use it: lines of a real shell, in a folder, and questions at a terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kubelab.plane import ControlPlane

_SECONDS = 60
# Without code between fork and exec: what is run can be interrupted, though the tests run in the background of a shell
# (which has such processes ignore that); and what it has as standard input becomes the controlling terminal.
INTERRUPTIBLE = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
TERMINAL = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
EXEC = "os.execvp(sys.argv[1], sys.argv[1:])"


class Done(NamedTuple):
    """What a line printed, and what it said besides."""

    out: str
    said: str


class Shell:
    """bash in a folder, where `secretset` asks a hub as a user, about an organization.

    Args:
        plane: the hub.
        organization: that commands are about unless they say another.
        folder: to be in.
        kubeconfig: of the user; absent: the administrator's.
    """

    def __init__(self, plane: ControlPlane, organization: str, folder: Path, *, kubeconfig: Path | None = None) -> None:
        self.folder = folder
        programs = folder / ".bin"
        programs.mkdir(exist_ok=True)
        (programs / "secretset").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m secretset "$@"\n')
        (programs / "secretset").chmod(0o755)
        self._environment = {
            **{
                name: value for name, value in os.environ.items() if not name.startswith(("SECRETSET_", "KUBE", "GIT_"))
            },
            "PATH": f"{programs}:{os.environ['PATH']}",
            "SECRETSET_KUBECONFIG": str(kubeconfig or plane.kubeconfig),
            "SECRETSET_ORGANIZATION": organization,
            "LC_ALL": "C.UTF-8",
            "COLUMNS": "200",
            "TERM": "xterm",
        }

    def run(self, line: str, *, stdin: bytes = b"", code: int = 0) -> Done:
        """Run a line where there is no terminal; it ends with this code, and with no traceback."""
        done = subprocess.run(
            ["bash", "-c", line],
            input=stdin,
            capture_output=True,
            timeout=_SECONDS,
            cwd=self.folder,
            env=self._environment,
            start_new_session=True,
        )
        said = done.stderr.decode()
        assert (done.returncode, "Traceback" in said) == (code, False), (line, said)
        return Done(done.stdout.decode(), said)

    @contextlib.contextmanager
    def begun(self, line: str) -> Iterator[subprocess.Popen[str]]:
        """Run a line that goes on until it is interrupted, which its end here does."""
        process = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTIBLE + EXEC, "bash", "-c", f"exec {line}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env={**self._environment, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.communicate(timeout=_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                raise

    @contextlib.contextmanager
    def terminal(self, line: str, *, code: int = 0) -> Iterator[Terminal]:
        """Run a line at a terminal; it ends with this code."""
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTIBLE + TERMINAL + EXEC, "bash", "-c", line],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=self.folder,
            env=self._environment,
            start_new_session=True,
        )
        os.close(slave)
        terminal = Terminal(master)
        try:
            yield terminal
            terminal.read_all()
            assert process.wait(_SECONDS) == code, terminal.screen
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(_SECONDS)
            os.close(master)


class Terminal:
    """What somebody sees and types.

    Attributes:
        screen: all that was shown so far, control sequences included.
    """

    def __init__(self, master: int) -> None:
        self.screen = ""
        self._master = master
        self._seen = 0

    def answer(self, question: str, typed: str) -> None:
        """Wait until a text is shown that was not there at the last answer; then type, and a line break.

        A question whose answer is not shown ends with the space that is printed once the terminal hides it.
        """
        deadline = time.monotonic() + _SECONDS
        while question not in self.screen[self._seen :]:
            assert self._read(deadline - time.monotonic()), f"no {question!r} in {self.screen!r}"
        self._seen = len(self.screen)
        os.write(self._master, f"{typed}\n".encode())

    def read_all(self) -> None:
        """Read until the program ends."""
        deadline = time.monotonic() + _SECONDS
        while self._read(deadline - time.monotonic()):
            pass

    def _read(self, seconds: float) -> bool:
        """Read what there is; False at the end, or if nothing comes in time."""
        ready, _, _ = select.select([self._master], [], [], max(0, seconds))
        if not ready:
            return False
        try:
            content = os.read(self._master, 65_536)
        except OSError:  # Linux: the other side was closed
            return False
        self.screen += content.decode(errors="replace")
        return bool(content)
