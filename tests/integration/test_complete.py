"""What a shell proposes on Tab: through the script of bash, and as kubectl asks a plugin."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harness import ROOT, Org
from kubelab.plane import ControlPlane

BASH = "from secretset.__main__ import main; import sys; sys.argv = ['secretset']; main()"
KUBECTL = "from secretset.cli.complete import kubectl; kubectl()"


@pytest.fixture(scope="module", autouse=True)
def roles(hub: ControlPlane) -> None:
    for file in ("user-roles", "regions-viewer"):
        hub.kubectl("apply", "-f", str(ROOT / f"deploy/{file}.yaml"))


def proposed(kubeconfig: Path, *words: str, **settings: str) -> list[str]:
    """What bash proposes for the last word; nothing may be said besides."""
    line = ["secretset", *words]
    asked = {"_SECRETSET_COMPLETE": "complete_bash", "COMP_WORDS": shlex.join(line), "COMP_CWORD": str(len(words))}
    return _said(BASH, kubeconfig, **asked, **settings)


def _said(code: str, kubeconfig: Path, *arguments: str, **settings: str) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SECRETSET_", "KUBE"))}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**environment, "SECRETSET_KUBECONFIG": str(kubeconfig), **settings},
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout.split()


def silent_hub(plane: ControlPlane, folder: Path) -> Path:
    """A kubeconfig of an address that drops what it gets (RFC 5737)."""
    path = folder / "silent"
    path.write_text(plane.kubeconfig.read_text().replace(plane.server, "https://192.0.2.1:6443"))
    return path


def test_names_of_the_hub(org: Org) -> None:
    org.source()
    for name in ("shop-app", "shop-db", "other"):
        org.secret_set(name)
    user = org.plane.kubeconfig
    assert proposed(user, "get", "-n", org.name, "shop-") == ["shop-app", "shop-db"]
    assert proposed(user, "status", "", SECRETSET_ORGANIZATION=org.name) == ["other", "shop-app", "shop-db"]
    assert proposed(user, "unset", "-n", org.name, "other", "") == ["A"]
    assert org.name in proposed(user, "list", "-n", org.name)
    assert "us-west" in proposed(user, "regions", "show", "us")
    assert "us-west" in proposed(user, "set", "app", "--region", "us")
    assert proposed(user, "get", "--context", "") == [org.plane.kubectl("config", "current-context").stdout.strip()]


def test_as_kubectl_asks_its_plugins(org: Org) -> None:
    org.source()
    org.secret_set("shop-app")
    user = org.plane.kubeconfig
    assert _said(KUBECTL, user, "get", "-n", org.name, "shop-") == ["shop-app", ":4"]
    assert _said(KUBECTL, user, "uns") == ["unset", ":4"]
    assert ":4" in _said(KUBECTL, user)
    assert {"get", "set", "list"} <= set(_said(KUBECTL, user, ""))


def test_kubectl_itself_finds_it(org: Org, tmp_path: Path) -> None:
    for name, code in (("kubectl-secretset", BASH), ("kubectl_complete-secretset", KUBECTL)):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -c {shlex.quote(code)} "$@"\n')
        program.chmod(0o755)
    done = subprocess.run(
        [*org.plane.command("kubectl"), "__complete", "secretset", "image-pull-secrets", "de"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**org.plane.environment(), "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    assert done.stdout.split() == ["delete", ":4"]


def test_where_the_hub_tells_nothing_nothing_is_said(org: Org, tmp_path: Path) -> None:
    nobody = org.plane.kubeconfig_for("nobody")
    assert proposed(nobody, "get", "-n", org.name, "") == []
    assert proposed(nobody, "list", "-n", "") == []
    (tmp_path / "broken").write_text("clusters: [{")
    for file in ("absent", "broken"):
        assert proposed(tmp_path / file, "get", "") == []
        assert proposed(tmp_path / file, "get", "--context", "") == []
    silent = silent_hub(org.plane, tmp_path)
    assert proposed(silent, "get", "") == []
