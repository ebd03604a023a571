"""Where the Go module of this package is, and what identifies a binary that was made of it."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from platformdirs import user_cache_path

from kubelab.errors import BinaryMissingError

FILES = ("main.go", "go.mod", "go.sum")


def directory() -> Path:
    """Returns the folder of the Go module.

    A wheel carries it inside the package (`_go`); in a checkout it stands next to the package, and the checkout wins,
    because there it is what somebody edits.
    """
    package = Path(__file__).resolve().parent
    for candidate in (package.parent / "go", package / "_go"):
        if all((candidate / name).is_file() for name in FILES):
            return candidate
    raise BinaryMissingError(
        f"the Go sources of kubelab are not there: neither {package.parent / 'go'} nor {package / '_go'}"
    )


def digest(sources: Path, names: Iterable[str] = FILES) -> str:
    """Returns 16 hexadecimal digits that change with every change of these files."""
    state = hashlib.sha256()
    for name in names:
        content = (sources / name).read_bytes()
        state.update(f"{name}\0{len(content)}\0".encode())
        state.update(content)
    return state.hexdigest()[:16]


def cached_binary(sources: Path) -> Path:
    """Returns where the binary of these sources is kept; it need not be there yet."""
    return cache() / digest(sources) / "kubelab"


def cache() -> Path:
    """Returns the folder of everything that kubelab builds."""
    return user_cache_path("kubelab")


def go_version(sources: Path) -> tuple[int, ...]:
    """Returns the lowest version of Go that go.mod accepts, such as (1, 26, 0)."""
    return _version(r"^go (\S+)$", sources)


def kubernetes_version(sources: Path) -> tuple[int, ...]:
    """Returns the version of Kubernetes that go.mod requires, such as (1, 36, 3)."""
    return _version(r"^\s*k8s\.io/kubernetes v(\S+)$", sources)


def _version(pattern: str, sources: Path) -> tuple[int, ...]:
    found = re.search(pattern, (sources / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise BinaryMissingError(f"{sources / 'go.mod'} has no line that matches {pattern}")
    return parse_version(found.group(1))


def parse_version(text: str) -> tuple[int, ...]:
    """Returns the numbers of a version: `go1.26.8`, `1.26.0` and `1.27rc1` are (1, 26, 8), (1, 26, 0) and (1, 27)."""
    found = re.match(r"(?:go|v)?(\d+(?:\.\d+)*)", text)
    return tuple(int(part) for part in found.group(1).split(".")) if found else ()
