"""Where a plane keeps its files, and which planes there are.

Each plane is a folder below the lab's home. That it runs is told by a lock on a file in it, which its supervisor holds
for as long as it lives: unlike a process id, a lock is never taken for somebody else's, and no kill leaves it behind.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from platformdirs import user_state_path

from kubelab.errors import NameTakenError, UnknownPlaneError
from kubelab.pki import write_private

HOME_VARIABLE = "KUBELAB_HOME"
SHELL = "shell"


@dataclass(frozen=True)
class Folder:
    """The folder of one plane: only paths, and reading and writing its state."""

    path: Path

    @property
    def name(self) -> str:
        """The plane's name."""
        return self.path.name

    @property
    def pki(self) -> Path:
        """Certificates and keys."""
        return self.path / "pki"

    @property
    def logs(self) -> Path:
        """One log per program, and the supervisor's."""
        return self.path / "logs"

    @property
    def kubeconfigs(self) -> Path:
        """Kubeconfigs by identity."""
        return self.path / "kubeconfigs"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.kubeconfigs / "admin"

    @property
    def etcd(self) -> Path:
        """The data of etcd."""
        return self.path / "etcd"

    @property
    def audit_log(self) -> Path:
        """The API server's audit log, one JSON object a line."""
        return self.logs / "audit.log"

    @property
    def socket(self) -> Path:
        """Where the supervisor takes requests."""
        return self.path / "control"

    def log(self, program: str) -> Path:
        """The log of a program, by its name."""
        return self.logs / f"{program}.log"

    def read_state(self) -> dict[str, Any]:
        """Returns what the supervisor wrote last; empty while it has not got that far."""
        try:
            state: dict[str, Any] = json.loads((self.path / "state.json").read_text())
        except FileNotFoundError:
            return {}
        return state

    def write_state(self, state: dict[str, Any]) -> None:
        """Replaces the state, so that no reader sees half of it."""
        write_private(self.path / "state.json", json.dumps(state, indent=2).encode())

    def is_alive(self) -> bool:
        """Whether a supervisor (or the process that is about to start one) holds the lock."""
        try:
            descriptor = os.open(self.path / "lock", os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def remove(self) -> None:
        """Deletes everything; what is gone already is no error."""
        shutil.rmtree(self.path, ignore_errors=True)


def home() -> Path:
    """Returns the folder of all planes, and makes it, for this user alone."""
    value = os.environ.get(HOME_VARIABLE)
    path = Path(value).absolute() if value else user_state_path("kubelab")
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    (path / "planes").mkdir(exist_ok=True, mode=0o700)
    return path


@contextmanager
def create(name: str) -> Iterator[tuple[Folder, int]]:
    """Makes a plane's folder and locks it; gives the folder and the lock's descriptor, which a supervisor inherits.

    Raises:
        NameTakenError: A plane of this name runs.
    """
    with _exclusively():
        _sweep()
        folder = Folder(home() / "planes" / name)
        if folder.path.exists():
            raise NameTakenError(f"a plane named '{name}' is running; stop it with: kubelab down {name}")
        for path in (folder.path, folder.pki, folder.logs, folder.kubeconfigs, folder.etcd):
            path.mkdir(mode=0o700)
        descriptor = os.open(folder.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield folder, descriptor
    finally:
        os.close(descriptor)


def running() -> list[Folder]:
    """Returns the planes that run, by name, and deletes what dead ones left."""
    with _exclusively():
        return sorted(_sweep(), key=lambda folder: folder.name)


def find(name: str) -> Folder:
    """Returns the folder of a plane that runs.

    Raises:
        UnknownPlaneError: There is none of this name; the text lists the others.
    """
    folders = running()
    for folder in folders:
        if folder.name == name:
            return folder
    names = ", ".join(folder.name for folder in folders)
    others = f"running: {names}" if names else f"none is running; start one with: kubelab up {name}"
    raise UnknownPlaneError(f"no plane is named '{name}' ({others})")


@contextmanager
def _exclusively() -> Iterator[None]:
    with FileLock(home() / "lock"):
        yield


def _sweep() -> list[Folder]:
    alive: list[Folder] = []
    for path in (home() / "planes").iterdir():
        folder = Folder(path)
        if folder.is_alive():
            alive.append(folder)
        else:
            folder.remove()
    return alive
