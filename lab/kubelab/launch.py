"""Starting a plane's supervisor and following it until the plane is ready."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from kubelab import layout, pki
from kubelab.errors import StartError
from kubelab.layout import SHELL
from kubelab.options import Options
from kubelab.watching import RELEASE


def launch(
    options: Options, *, assets: Path | None, leash: bool, report: Callable[[str], None]
) -> subprocess.Popen[bytes] | None:
    """Starts a plane and returns when it is ready.

    Until then the plane is always on a leash: whoever interrupts a start leaves nothing behind.

    Returns:
        The supervisor, to be given to `end`; None without a leash, when it lives on by itself.

    Raises:
        NameTakenError: A plane of this name runs.
        StartError: It did not become ready, and is gone.
    """
    with layout.create(options.name) as (folder, lock):
        order = {
            "options": options.to_json(),
            "owner": os.getpid() if leash else SHELL,
            "assets": str(assets) if assets else None,
        }
        pki.write_private(folder.path / "order.json", json.dumps(order).encode())
        with folder.log("supervisor").open("ab") as log:
            supervisor = subprocess.Popen(
                # -P: a module of the caller's working folder must not pass for one that the supervisor imports.
                [sys.executable, "-P", "-m", "kubelab.supervisor", str(folder.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                pass_fds=[lock],
            )
    try:
        _follow(options.name, supervisor, report)
    except BaseException:
        end(supervisor)
        raise
    if leash:
        return supervisor
    _let_go(supervisor)
    return None


def end(supervisor: subprocess.Popen[bytes]) -> None:
    """Breaks the leash and waits for the end."""
    for pipe in (supervisor.stdin, supervisor.stdout):
        if pipe is not None:
            pipe.close()
    supervisor.wait()


def _follow(name: str, supervisor: subprocess.Popen[bytes], report: Callable[[str], None]) -> None:
    for line in supervisor.stdout or ():
        message = json.loads(line)
        if "error" in message:
            raise StartError(f"plane '{name}' did not start: {message['error']}")
        if "ready" in message:
            return
        report(str(message["step"]))
    raise StartError(f"plane '{name}' did not start: its supervisor ended with code {supervisor.wait()}")


def _let_go(supervisor: subprocess.Popen[bytes]) -> None:
    """Takes the leash off: the plane lives on without this process."""
    if supervisor.stdin is not None:
        supervisor.stdin.write(RELEASE + b"\n")
        supervisor.stdin.close()
    if supervisor.stdout is not None:
        supervisor.stdout.close()
    supervisor.returncode = 0  # else its destructor would warn of a child that still runs
