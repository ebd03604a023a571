"""bash, as whoever follows a page has it: programs on the path, a folder, and variables that stay."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from docs.blocks import ROOT, Block
from harness.shell import EXEC, INTERRUPTIBLE, TERMINAL
from kubelab.plane import ControlPlane

_SECONDS = 240
# What a block sets is there for the next one. A command that fails ends a block.
_FRAME = """set -euo pipefail
if [ -e .state ]; then source .state; fi
export KUBECONFIG={kubeconfig}
set -a
{text}
set +x; export -p > .state
"""
_QUESTION = re.compile(r"[:?\]] ?$")


class Failed(AssertionError):
    """A block did not end as it should have."""


class Shell:
    """Runs blocks of one page.

    Args:
        folder: to be in; it gets links to what a clone of the repository has.
        plane: whose programs are used.
        kubeconfigs: by cluster, `hub` among them.
    """

    def __init__(self, folder: Path, plane: ControlPlane, kubeconfigs: Mapping[str, Path]) -> None:
        self.folder = folder
        self._kubeconfigs = kubeconfigs
        programs = folder / ".bin"
        programs.mkdir()
        ours = (sys.executable, "-m", "secretset")
        for name, line in (
            ("kubectl", plane.command("kubectl")),
            ("helm", plane.command("helm")),
            ("secretset", ours),
            ("kubectl-secretset", ours),
        ):
            (programs / name).write_text(f'#!/bin/sh\nexec {shlex.join(line)} "$@"\n')
            (programs / name).chmod(0o755)
        for name in ("charts", "crds", "deploy", "examples"):
            (folder / name).symlink_to(ROOT / name)
        inherited = {
            name: value for name, value in plane.environment().items() if not name.startswith(("SECRETSET_", "GIT_"))
        }
        self.environment = {
            **inherited,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "COLUMNS": "200",
            "NO_COLOR": "1",
        }

    def run(self, block: Block) -> str:
        """Run a block and return what was shown.

        Raises:
            Failed: it ended with another code than the page says.
        """
        process, terminal = self._begin(block)
        try:
            answers = [answer.strip() for answer in block.says.get("typed", "").split(",")]
            shown = self._follow(block, process, terminal, answers if block.says.get("typed") else [])
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            os.close(terminal)
        code = process.returncode
        good = {0, 130, -signal.SIGINT} if "interrupted" in block.says else {int(block.says.get("ends with", "0"))}
        if code not in good or "Traceback (most recent call last)" in shown:
            raise Failed(f"{block.name} ended with {code}:\n{block.text}\n{shown}")
        return shown

    def _begin(self, block: Block) -> tuple[subprocess.Popen[bytes], int]:
        """Start bash; all that it shows can be read from the descriptor."""
        asked = "typed" in block.says
        kubeconfig = shlex.quote(str(self._kubeconfigs[block.says.get("on", "hub")]))
        reading, writing = pty.openpty() if asked else os.pipe()
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", INTERRUPTIBLE + (TERMINAL if asked else "") + EXEC),
                *("bash", "-c", _FRAME.format(text=block.text, kubeconfig=kubeconfig)),
            ],
            stdin=writing if asked else subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            cwd=self.folder,
            env=self.environment,
            start_new_session=True,
        )
        os.close(writing)
        return process, reading

    def _follow(self, block: Block, process: subprocess.Popen[bytes], terminal: int, answers: list[str]) -> str:
        """Read what is shown until bash ends, answer what is asked, and interrupt what goes on."""
        shown, deadline, interrupted, asked_at = "", time.monotonic() + _SECONDS, False, 0
        while time.monotonic() < deadline:
            ready, _, _ = select.select([terminal], [], [], 0.2)
            if ready:
                try:
                    content = os.read(terminal, 65_536)
                except OSError:  # Linux: the other side of a terminal was closed
                    content = b""
                if not content:
                    process.wait(max(1, deadline - time.monotonic()))
                    return shown
                shown += content.decode(errors="replace")
            elif "interrupted" in block.says and shown and not interrupted:  # it has said all that it says at first
                interrupted = True
                os.killpg(process.pid, signal.SIGINT)
            elif answers and _QUESTION.search(shown[asked_at:]):
                asked_at = len(shown)
                os.write(terminal, f"{answers.pop(0)}\n".encode())
        raise Failed(f"{block.name} did not end within {_SECONDS} s:\n{block.text}\n{shown}")
