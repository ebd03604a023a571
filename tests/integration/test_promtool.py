"""Prometheus' own promtool: it reads the rules and the metrics, and tests the alerts."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest

from deploy_files import template
from go_tools import tool
from harness import ROOT
from secretset import telemetry

FILES = ROOT / "charts/secretset-operator/files"
TESTS = sorted(str(path) for path in (ROOT / "tests/alerts").glob("*.yaml"))

# Whichever test comes first builds it.
pytestmark = pytest.mark.timeout(1500)


def promtool(*args: str, text: bytes | None = None) -> None:
    """Run it."""
    done = subprocess.run([tool("promtool"), *args], input=text, capture_output=True)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


def test_rules_are_as_prometheus_wants_them() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", str(FILES / "alerts.yaml"))


def test_alerts_fire_when_they_should_and_only_then() -> None:
    promtool("test", "rules", *TESTS)


@pytest.mark.parametrize("process", telemetry.Process)
def test_metrics_are_as_prometheus_wants_them(process: telemetry.Process) -> None:
    ours = [
        line
        for line in generate_latest(telemetry.registry(process)).splitlines(keepends=True)
        if not line.startswith((b"python_", b"# HELP python_", b"# TYPE python_"))
    ]
    promtool("check", "metrics", text=b"".join(ours))


def _rendered(file: str, **values: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(template(values, "--show-only", f"templates/{file}"))
    return found


def test_a_prometheus_rule_has_all_of_them(tmp_path: Path) -> None:
    made = _rendered("prometheus-rule.yaml", prometheusRule={"enabled": True, "labels": {"release": "kube-prometheus"}})
    assert made["spec"] == yaml.safe_load((FILES / "alerts.yaml").read_text())
    assert made["metadata"]["labels"]["release"] == "kube-prometheus"
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(made["spec"]))
    promtool("check", "rules", str(tmp_path / "rules.yaml"))


@pytest.mark.parametrize(
    ("values", "groups"),
    [
        ({"webhook": {"enabled": False}}, {"secretset-operator", "secretset-api"}),
        ({"api": {"enabled": False}}, {"secretset-operator", "secretset-webhook"}),
        ({"mode": "region", "agent": {"region": "eu-bank"}}, {"secretset-operator"}),
        ({"mode": "region", "webhook": {"hubKubeconfigSecret": "hub"}}, {"secretset-webhook"}),
    ],
)
def test_there_are_no_alerts_about_what_is_not_installed(values: dict[str, Any], groups: set[str]) -> None:
    made = _rendered("prometheus-rule.yaml", prometheusRule={"enabled": True}, **values)
    assert {group["name"] for group in made["spec"]["groups"]} == groups


def _expressions(**values: Any) -> dict[str, str]:
    made = _rendered("prometheus-rule.yaml", prometheusRule={"enabled": True}, **values)
    return {rule["alert"]: rule["expr"] for group in made["spec"]["groups"] for rule in group["rules"]}


def test_rules_ask_for_as_many_replicas_as_are_installed() -> None:
    assert _expressions(operator={"replicas": 3})["SecretSetReplicaMissing"] == "max(secretset_replicas) < 3"


def test_in_a_region_the_agent_is_asked_for() -> None:
    found = _expressions(mode="region", agent={"region": "eu-bank"})
    assert found["SecretSetOperatorAbsent"] == 'absent(secretset_build_info{component="agent"})'
    assert "SecretSetReplicaMissing" not in found


def test_a_config_map_has_the_dashboard() -> None:
    made = _rendered("grafana-dashboard.yaml", grafanaDashboard={"enabled": True, "annotations": {"folder": "Secrets"}})
    assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert made["metadata"]["annotations"] == {"folder": "Secrets"}
    (text,) = made["data"].values()
    assert json.loads(text) == json.loads((FILES / "dashboard.json").read_text())
