"""Run a program on a leash: `python -m kubelab.leashed COMMAND ARGS…` ends it as soon as standard input is closed.

A test or demo holds the other end of the pipe. Whatever ends the holder, `kill -9` included, closes it, so nothing
that was started this way outlives what started it.
"""

import os
import signal
import subprocess
import sys
import threading


def main() -> int:
    """Runs the command and returns its exit code; 128 plus the signal, as shells do, where a signal ended it."""
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: child.send_signal(number))
    threading.Thread(target=_guard, args=(child,), daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code


def _guard(child: subprocess.Popen[bytes]) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    child.kill()


if __name__ == "__main__":
    sys.exit(main())
