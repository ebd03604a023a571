"""`secretset bind --annotation`, where the cluster carries it out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import ROOT, OperatorProcess, Org, eventually, start_hub
from harness.shell import Shell
from kubelab.pytest_plugin import ControlPlanes


@pytest.fixture
def org(function_control_planes: ControlPlanes, canaries: list[str]) -> Iterator[Org]:
    """An organization on a hub that has the policy since before the operator looked for it."""
    plane = start_hub(function_control_planes, "annotated")
    plane.kubectl("apply", "-f", str(ROOT / "deploy/bind-policy.yaml"))
    operator = OperatorProcess(plane, "--quiet-seconds", "0.2")
    operator.start()
    yield Org(plane, "team", canaries).create()
    assert operator.stop() == 0


def test_the_annotation_is_set_once_and_counts(org: Org, tmp_path: Path) -> None:
    org.source()
    for name in ("app", "more"):
        org.secret_set(name)
        org.reaches("ready", name=name)
    org.deployment("web", {})
    eventually(lambda: org.plane.kubectl("get", "region", "us-west", "-o", "json").stdout.count("Installed"))
    shell = Shell(org.plane, org.name, tmp_path)
    done = shell.run("secretset bind web app --annotation")
    assert done.out == "deployment/web uses app now: the annotation secretset.dev/bind.\n"
    for line in ("secretset bind web app --annotation", "secretset bind web app"):
        assert "nothing was changed" in shell.run(line).out
    shell.run("secretset bind web app more --annotation")
    found = org.get("deployment", "web", namespace=org.regional)
    assert found is not None
    template = found["spec"]["template"]
    assert template["metadata"]["annotations"] == {"secretset.dev/bind": "app, more"}
    assert "envFrom" not in template["spec"]["containers"][0]

    def environments() -> list[list[str]]:
        pods = json.loads(org.there("get", "pods", "-o", "json").stdout)["items"]
        return [[e["secretRef"]["name"] for e in pod["spec"]["containers"][0].get("envFrom") or ()] for pod in pods]

    eventually(lambda: environments() == [["app", "more"]], "the pod's environment")
    eventually(lambda: org.status("more").get("workloads", {}).get("current") == 1)
