"""Building the control plane binary with Go, so that somebody who waits eight minutes sees that something happens."""

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import IO, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from kubelab import sources
from kubelab.errors import BuildError

SECONDS_BETWEEN_LINES = 10.0
LINES_OF_AN_ERROR = 40


class Report(Protocol):
    """What a build tells while it runs."""

    def __call__(self, done: int, total: int | None) -> None:
        """Takes how many packages were compiled of how many; no total while modules are being fetched."""


def build(go: Path, module: Path, target: Path) -> None:
    """Builds the binary of the control plane, stamped with the version of Kubernetes that go.mod requires.

    Args:
        go: The Go command.
        module: Folder of the Go module; nothing is written there.
        target: Where the binary shall be. Its folder is made.

    Raises:
        BuildError: Go ended with an error.
    """
    major, minor, *_ = version = sources.kubernetes_version(module)
    component = "k8s.io/component-base/version"
    # Unstamped, the API server would call itself v0.0.0-master, and some clients would refuse it.
    stamps = {"gitVersion": "v" + ".".join(str(part) for part in version), "gitMajor": major, "gitMinor": minor}
    build_package(go, module, target, stamps={f"{component}.{name}": str(value) for name, value in stamps.items()})


def build_package(
    go: Path,
    module: Path,
    target: Path,
    *,
    package: str = ".",
    tags: Sequence[str] = (),
    stamps: Mapping[str, str] = MappingProxyType({}),
    what: str = "the control plane",
) -> None:
    """Builds a program; what was at the target before is replaced only when the new one is whole.

    Args:
        go: The Go command.
        module: Folder of the Go module; nothing is written there.
        target: Where the program shall be. Its folder is made, and callers hold a lock of it.
        package: The main package: a path of the module, or one that it requires.
        tags: Build tags.
        stamps: String variables, by package and name, and what the linker sets them to.
        what: Name of the program in what is told of the build.

    Raises:
        BuildError: Go ended with an error.
    """
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left in target.parent.glob(".build-*"):  # by a build that was killed: callers hold a lock
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as folder, _report(what) as report:
        binary = Path(folder) / target.name
        report(0, None)
        tagged = ["-tags", ",".join(tags)]
        listed = _run([str(go), "list", "-deps", *tagged, package], module, report=lambda done: report(done, None))
        total = len(listed)
        flags = ["-s", "-w", *(f"-X {name}={value}" for name, value in stamps.items())]
        command = [
            str(go),
            "build",
            "-v",
            "-trimpath",
            "-buildvcs=false",
            *tagged,
            "-ldflags",
            " ".join(flags),
            "-o",
            str(binary),
            package,
        ]
        _run(command, module, report=lambda done: report(min(done, total), total))
        binary.replace(target)


class _Count(Protocol):
    def __call__(self, done: int) -> None: ...


def _run(command: list[str], module: Path, *, report: _Count) -> list[str]:
    """Runs Go in the module's folder and returns the lines of its output; reports each line of its error stream."""
    # With the same settings for all builds, what one of them compiled serves the others.
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off"}
    with subprocess.Popen(
        command, cwd=module, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        output: list[str] = []
        reader = threading.Thread(target=lambda: output.extend(_lines(process.stdout)), daemon=True)
        reader.start()
        errors: list[str] = []
        try:
            for line in _lines(process.stderr):
                errors.append(line)
                report(done=len(errors))
        except BaseException:
            process.terminate()
            raise
        reader.join()
    if process.returncode:
        told = "\n".join(errors[-LINES_OF_AN_ERROR:])
        raise BuildError(f"'{command[0]} {command[1]}' failed with code {process.returncode}:\n{told}")
    return output


def _lines(stream: IO[str] | None) -> Iterator[str]:
    return (line.rstrip("\n") for line in stream) if stream is not None else iter(())


@contextmanager
def _report(program: str) -> Iterator[Report]:
    console = Console(stderr=True)
    if not console.is_terminal:
        with _Lines(console, program) as lines:
            yield lines
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("fetching Go modules", total=None)

        def show(done: int, total: int | None) -> None:
            what = "fetching Go modules" if total is None else f"compiling {program}"
            progress.update(task, completed=done, total=total, description=what)

        yield show


class _Lines:
    """Off a terminal: one line every ten seconds, also while Go is silent (a log that stands still looks hung)."""

    def __init__(self, console: Console, program: str) -> None:
        self._console = console
        self._program = program
        self._started = time.monotonic()
        self._state: tuple[int, int | None] = (0, None)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True)

    def __call__(self, done: int, total: int | None) -> None:
        self._state = (done, total)

    def __enter__(self) -> Self:
        told = f"kubelab: building {self._program}; the first time takes some minutes"
        self._console.print(told, soft_wrap=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _tell(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_LINES):
            done, total = self._state
            what = "fetching Go modules" if total is None else f"{done} of at most {total} packages compiled"
            self._console.print(f"kubelab: {what}, {time.monotonic() - self._started:.0f} s", soft_wrap=True)
