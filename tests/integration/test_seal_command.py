"""`secretset seal` against a hub: by somebody who may do nothing there but apply sets, and with the operator's keys."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import OperatorProcess, Org, eventually
from harness.sealed import published
from kubelab.plane import ControlPlane


def seal(kubeconfig: Path | None, *arguments: str, stdin: bytes = b"", code: int = 0) -> tuple[bytes, str]:
    """Run it as a process; returns what it printed, and what it said."""
    where = ["--kubeconfig", str(kubeconfig)] if kubeconfig else []
    done = subprocess.run(
        [sys.executable, "-m", "secretset", "seal", *where, *arguments],
        input=stdin,
        capture_output=True,
        timeout=60,
        env={key: value for key, value in os.environ.items() if key != "KUBECONFIG"},
    )
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr.decode()


@pytest.fixture
def anybody(org: Org) -> Path:
    """The kubeconfig of an account without any role, as each namespace has one; its context names the organization."""
    eventually(lambda: published(org.plane).current, "public keys")
    return org.plane.service_account_kubeconfig(org.name, "default")


def test_what_anybody_seals_arrives_byte_for_byte(org: Org, anybody: Path, tmp_path: Path) -> None:
    text, multi, binary = org.canary(), f"-- \n {org.canary()} \n=\\n--\n", bytes(range(256)) + org.canary().encode()
    env = tmp_path / ".env"
    env.write_text(
        f"# one\nexport QUOTED=\"{text} 'x' \\\"y\\\"\"\nEQUALS=a=b==\nMULTI='{multi}'\nUTF8=schlüssel-鍵-🔑\nEMPTY=\n"
    )
    (tmp_path / "binary").write_bytes(binary)
    sources = ("--from-env-file", str(env), "--from-file", f"BINARY={tmp_path / 'binary'}", "--from-stdin", "STDIN")
    manifest, said = seal(anybody, "app", *sources, "--allow-empty", stdin=text.encode() + b"\n")
    assert not [value for value in (text, multi) if value in said or value in manifest.decode()]
    org.plane.kubectl("apply", "-f", "-", input=manifest.decode())
    org.reaches("ready", "Synced")
    assert org.values() == {
        "QUOTED": f"{text} 'x' \"y\"".encode(),
        "EQUALS": b"a=b==",
        "MULTI": multi.encode(),
        "UTF8": "schlüssel-鍵-🔑".encode(),
        "EMPTY": b"",
        "BINARY": binary,
        "STDIN": text.encode() + b"\n",
    }


def test_offline_into_a_manifest_that_is_there(org: Org, anybody: Path, tmp_path: Path) -> None:
    keys, file, first, second = tmp_path / "keys.json", tmp_path / "app.yaml", org.canary(), org.canary()
    keys.write_bytes(seal(anybody, "--print-public-key")[0])
    file.write_text(
        "# kept\napiVersion: secretset.dev/v1alpha1\nkind: SecretSet\n"
        f"metadata: {{name: app, namespace: {org.name}}}\nspec:\n  data:\n    A: {{value: {first}}}  # of Ann\n"
    )
    offline = ("--public-key", str(keys))
    seal(None, *offline, "-f", str(file), "--in-place")
    seal(None, *offline, "app", "--merge-into", str(file), "--from-stdin", "B", stdin=second.encode())
    assert "# kept" in file.read_text()
    assert "# of Ann" in file.read_text()
    org.kubectl("apply", "-f", str(file))
    org.reaches("ready", "Synced")
    assert org.values() == {"A": first.encode(), "B": second.encode()}


def test_a_pipeline_is_told_what_opens(org: Org, anybody: Path, operator: OperatorProcess, tmp_path: Path) -> None:
    plane: ControlPlane = org.plane
    file = tmp_path / "app.yaml"
    file.write_bytes(seal(anybody, "app", "--from-stdin", "A", stdin=org.canary().encode())[0])
    moved = tmp_path / "moved.yaml"
    moved.write_text(file.read_text().replace("name: app", "name: moved"))

    def states(kubeconfig: Path, *flags: str, code: int) -> list[str]:
        printed, _ = seal(kubeconfig, "--check", str(file), str(moved), "-o", "json", *flags, code=code)
        return [row["state"] for row in json.loads(printed)]

    assert states(anybody, code=0) == ["current", "current"]
    assert states(plane.kubeconfig, "--open", code=1) == ["opens", "not-for-here"]
    assert "you may not" in seal(anybody, "--check", str(file), "--open", code=2)[1]
    # What the check foretold is what happens.
    org.kubectl("apply", "-f", str(moved))
    org.reaches("failed", "UnsealFailed", name="moved")
    assert operator.running
