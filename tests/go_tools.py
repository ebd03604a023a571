"""Programs in Go that checks and tests need: each is a module of lab/tools, built once by kubelab's means."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

from kubelab import sources
from kubelab.binary import need_go
from kubelab.build import build_package
from kubelab.errors import KubelabError

MODULES = Path(__file__).resolve().parents[1] / "lab" / "tools"


@functools.cache
def tool(name: str) -> Path:
    """A program of lab/tools, built if it never was from these sources with this Go.

    Callers that come at the same time, from any process, wait for one build. It lies in kubelab's cache.

    Args:
        name: the module's folder. If its go.mod names a `tool`, that is the program; else its own main package is.
            A file `tags` there holds build tags.

    Raises:
        BinaryMissingError: no Go is there that is new enough; the text says what to install.
        BuildError: Go ended with an error.
        FileNotFoundError: lab/tools has no such module.
    """
    module = MODULES / name
    names = sorted(str(path.relative_to(module)) for path in module.rglob("*") if path.is_file())
    if "go.mod" not in names:
        raise FileNotFoundError(f"{module} is no Go module")
    go = need_go(module, f"{name} has to be built once")
    key = f"{sources.digest(module, names)}-{_asked(go, module, 'env', 'GOVERSION').strip()}"
    target = sources.cache() / "tools" / name / key / name
    tags = (module / "tags").read_text().split() if "tags" in names else []
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(target.with_name("build.lock")):
        if not target.exists():
            build_package(go, module, target, package=_package(go, module), tags=tags, what=name)
    return target


def _package(go: Path, module: Path) -> str:
    """The main package: the one tool of go.mod, else the module itself.

    Raises:
        ValueError: go.mod names several.
    """
    tools = json.loads(_asked(go, module, "mod", "edit", "-json")).get("Tool") or []
    if len(tools) > 1:
        raise ValueError(f"{module / 'go.mod'} names several tools; a module of lab/tools is one program")
    return str(tools[0]["Path"]) if tools else "."


def _asked(go: Path, module: Path, *args: str) -> str:
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off"}
    return subprocess.run([go, *args], cwd=module, env=environment, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    try:
        program = tool(sys.argv[1])
    except KubelabError as error:
        sys.exit(f"go_tools: {error}")
    os.execv(program, [str(program), *sys.argv[2:]])
