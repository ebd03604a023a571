"""`secretset doctor` through a real shell: a hub that is well, one where nothing is, and people who see little."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from harness import Org, eventually, value_from
from harness.sealed import published
from harness.shell import Shell
from kubelab.pytest_plugin import ControlPlanes
from secretset import __version__
from secretset.domain.crd import DEFINITIONS, render


@pytest.fixture
def shell(org: Org, tmp_path: Path) -> Shell:
    """A shell whose `secretset` is about the organization."""
    published(org.plane)
    eventually(lambda: (org.get("region", "us-west") or {}).get("status", {}).get("phase") == "ready")
    return Shell(org.plane, org.name, tmp_path)


def found(shell: Shell, flags: str = "", *, code: int = 0) -> dict[str, list[tuple[str, str]]]:
    """Check to (level, what it says) of each line."""
    lines: dict[str, list[tuple[str, str]]] = {}
    for line in json.loads(shell.run(f"secretset doctor -o json {flags}", code=code).out):
        lines.setdefault(line["check"], []).append((line["level"], line["says"]))
    return lines


def levels(lines: dict[str, list[tuple[str, str]]], check: str) -> list[str]:
    return [level for level, _ in lines[check]]


def test_a_hub_that_is_well(org: Org, shell: Shell) -> None:
    org.source()
    org.secret_set()
    org.reaches("ready")
    lines = found(shell)
    assert levels(lines, "hub") == ["ok"]
    assert levels(lines, "CRD") == ["ok"] * 3
    assert all("is that of this version" in says for _, says in lines["CRD"])
    assert lines["operator"][0][1].startswith("One replica runs: ")  # it is the tests' one
    assert levels(lines, "version") == ["unknown"]  # there is no Deployment
    assert levels(lines, "sealing webhook") == ["ok"]
    assert levels(lines, "region us-west") == ["ok"]
    assert lines["default region"] == [("ok", "'us-west' is the hub's default.")]
    (level, says), *_ = lines["sealing keys"]
    assert (level, "is current, 0 days old" in says) == ("ok", True)
    assert levels(lines, "your rights") == ["ok"]
    assert lines["sets"] == [("ok", f"The one set in '{org.name}' is ready.")]
    assert levels(lines, "encryption at rest") == ["unknown"]
    text = shell.run("secretset doctor").out
    assert "→ Ask who runs the control planes" in text
    assert text.splitlines()[-1] == f"{sum(len(each) for each in lines.values()) - 3} ok, 2 unknown, 1 warn"
    assert "\x1b" not in text


def test_what_is_wrong_with_sets_and_regions(org: Org, shell: Shell) -> None:
    org.secret_set(data={"A": value_from("missing", "a")})
    org.reaches("pending")
    org.apply(
        {
            "apiVersion": "secretset.dev/v1alpha1",
            "kind": "SecretSet",
            "metadata": {"name": "lost", "namespace": org.name},
            "spec": {"data": {"A": {"sealed": f"hpke1.0123456789abcdef.{'A' * 1856}"}}},
        }
    )
    org.reaches("failed", "UnsealFailed", name="lost")
    org.plane.kubectl("annotate", "namespace", org.name, "secretset.dev/default-region=nowhere")
    lines = found(shell, code=1)
    assert [level for level, _ in lines["sets"]] == ["warn", "fail"]
    assert "2 of 2 sets" in lines["sets"][0][1]
    assert "0123456789abcdef" in lines["sets"][1][1]
    assert lines["default region"] == [
        ("fail", f"'nowhere' is the default of '{org.name}', but there is no such Region.")
    ]
    assert levels(found(shell, "-n nobody-there", code=1), "your rights") == ["fail"]


@pytest.mark.usefixtures("regions_hidden")
def test_somebody_who_sees_little(org: Org, shell: Shell, tmp_path: Path) -> None:
    kubeconfig = org.plane.service_account_kubeconfig(org.name, "default")
    user = Shell(org.plane, org.name, tmp_path, kubeconfig=kubeconfig)
    lines = found(user, code=1)
    assert [level for level, _ in lines["CRD"]] == ["ok"] * 3
    assert all("not known" in says for _, says in lines["CRD"])
    assert lines["operator"] == [("unknown", "You may not get leases (RBAC of the hub).")]
    assert levels(lines, "regions") == ["unknown"]
    assert levels(lines, "sealing webhook") == ["unknown"]
    assert levels(lines, "sealing keys") == ["ok"]
    assert levels(lines, "your rights") == ["fail"]
    assert levels(lines, "sets") == ["unknown"]


def test_a_cluster_without_anything(function_control_planes: ControlPlanes, tmp_path: Path) -> None:
    (plane,) = function_control_planes(["empty"])
    shell = Shell(plane, "default", tmp_path)
    lines = found(shell, code=1)
    assert levels(lines, "hub") == ["ok"]
    assert levels(lines, "CRD") == ["fail"] * 3
    assert lines["operator"] == [("fail", "No replica has ever said that it runs.")]
    assert levels(lines, "sealing keys") == ["fail"]
    # Versions of the operator, as far as its image tells.
    plane.kubectl("create", "namespace", "secretset-system")
    plane.kubectl("create", "deployment", "secretset-operator", "-n", "secretset-system", "--image=operator")
    for image, level in (("r:5000/o", "unknown"), ("r:5000/o:0.0.9", "warn"), (f"r/o:v{__version__}@sha256:0", "ok")):
        plane.kubectl("set", "image", "deployment/secretset-operator", "-n", "secretset-system", f"operator={image}")
        assert levels(found(shell, code=1), "version") == [level]
    # Another version's CRDs.
    for definition in DEFINITIONS:
        crd = render(definition)
        del crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["description"]
        plane.kubectl("apply", "--server-side", "-f", "-", input=yaml.safe_dump(crd))
        name = crd["metadata"]["name"]
        plane.kubectl("wait", "--for=condition=Established", f"crd/{name}", "--timeout=20s")
    lines = found(shell, code=1)
    assert levels(lines, "CRD") == ["warn"] * 3
    assert levels(lines, "regions") == ["fail"]
    # A hub that does not answer, and one that knows us no more.
    config = yaml.safe_load(plane.kubeconfig.read_text())
    (tmp_path / "nobody").write_text(
        yaml.safe_dump({**config, "users": [{"name": config["users"][0]["name"], "user": {}}]})
    )
    assert levels(found(shell, "--kubeconfig nobody", code=1), "hub") == ["fail"]
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    (tmp_path / "away").write_text(yaml.safe_dump(config))
    assert [*found(shell, "--kubeconfig away", code=1)] == ["hub"]
    shell.run("secretset doctor --kubeconfig none", code=2)
    shell.run("secretset doctor -n ../x", code=2)
