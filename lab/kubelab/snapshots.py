"""Copies of what a plane has stored: the data folder of its etcd, taken and put back while etcd does not run.

Copied are the log and the store together. A snapshot by etcd's own API is the store alone, and `etcdutl`, which makes a
data folder of that, is not among the programs here.
"""

import shutil
import tempfile
from pathlib import Path

from kubelab.errors import ControlError
from kubelab.layout import Folder

# etcd prepares the next file of its log under such a name: 64 MB of nothing.
_UNUSED = shutil.ignore_patterns("*.tmp")


def take(folder: Folder) -> Path:
    """Copies the data of a plane whose etcd does not run, and returns where to."""
    return _copy(folder, folder.etcd, "snapshot-")


def copy(folder: Folder, snapshot: Path) -> Path:
    """Copies a snapshot, to be put back, and returns where to: what etcd writes must not change the snapshot.

    Raises:
        ControlError: It is no snapshot.
    """
    if not (snapshot / "member").is_dir():
        raise ControlError(f"'{snapshot}' is no snapshot of a plane")
    return _copy(folder, snapshot, "restoring-")


def put_back(folder: Folder, data: Path) -> None:
    """Makes what `copy` returned the data of a plane whose etcd does not run."""
    shutil.rmtree(folder.etcd)
    data.rename(folder.etcd)


def _copy(folder: Folder, source: Path, prefix: str) -> Path:
    target = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.path))
    shutil.copytree(source, target, dirs_exist_ok=True, ignore=_UNUSED)
    return target
