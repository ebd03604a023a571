"""Alerts, their runbooks, and the dashboard: they name nothing that is not there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml

from harness import ROOT
from metrics_reference import labels, series

FILES = ROOT / "charts/secretset-operator/files"
RUNBOOKS = ROOT / "docs/runbooks"
GROUPS = yaml.safe_load((FILES / "alerts.yaml").read_text())["groups"]
ALERTS: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
DASHBOARD: dict[str, Any] = json.loads((FILES / "dashboard.json").read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
SERIES = series()

# Of the scrape, and of every program with the client library.
_TARGET = {"pod", "namespace", "instance", "job"}
_LIBRARY = ("process_", "python_")
# What Grafana puts in for its variables.
_VARIABLES = {"$__rate_interval": "5m", "$region": "us-west"}
_SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]


def _expressions() -> Iterator[tuple[str, str]]:
    """All PromQL, and where it stands."""
    yield from ((rule["alert"], rule["expr"]) for rule in ALERTS)
    for panel in PANELS:
        for target in panel["targets"]:
            expr = target["expr"]
            for variable, value in _VARIABLES.items():
                expr = expr.replace(variable, value)
            yield panel["title"], expr
    for page in RUNBOOKS.glob("*.md"):
        for block in re.findall(r"^```promql\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            yield from ((page.name, line) for line in block.splitlines())


def _selectors(expr: str) -> Iterator[tuple[str, set[str]]]:
    """Names that a query asks for, and the labels that it selects by."""
    found: list[promql_parser.VectorSelector] = []

    def note(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        elif isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)

    promql_parser.walk(promql_parser.parse(expr), note)
    return ((str(node.name), {matcher.name for matcher in node.matchers.matchers}) for node in found)


@pytest.mark.parametrize(("where", "expr"), list(_expressions()))
def test_queries_ask_for_what_there_is(where: str, expr: str) -> None:
    asked = list(_selectors(expr))
    assert asked, where
    for name, by in asked:
        if not name.startswith(_LIBRARY):
            assert name in SERIES, where
            assert by <= {*labels(SERIES[name]), *_TARGET, "le"}, where


def test_names_in_the_text_of_runbooks_are_metrics() -> None:
    for page in RUNBOOKS.glob("*.md"):
        named = re.findall(r"`((?:secretset|workqueue|rest_client|controller_runtime)_[a-z_]+)`", page.read_text())
        assert set(named) <= SERIES.keys(), page.name


def test_all_metrics_of_ours_are_on_the_dashboard() -> None:
    shown = {name for panel in PANELS for target in panel["targets"] for name in _asked(target["expr"])}
    assert {metric for name, metric in SERIES.items() if name in shown} == set(SERIES.values())


def _asked(expr: str) -> set[str]:
    for variable, value in _VARIABLES.items():
        expr = expr.replace(variable, value)
    return {name for name, _ in _selectors(expr)}


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    alerts = [rule["alert"] for rule in ALERTS]
    assert len(set(alerts)) == len(alerts)
    assert {page.stem for page in RUNBOOKS.glob("*.md")} == {*alerts, "README"}
    index = (RUNBOOKS / "README.md").read_text()
    assert re.findall(r"^\| \[(\w+)\]\(\1\.md\) \| (\w+) \|", index, re.MULTILINE) == [
        (rule["alert"], rule["labels"]["severity"]) for rule in ALERTS
    ]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_where_to_read_on(rule: dict[str, Any]) -> None:
    name, notes = rule["alert"], rule["annotations"]
    assert rule.keys() == {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"].keys() == {"severity"}
    assert notes.keys() == {"summary", "description", "runbook_url"}
    assert notes["runbook_url"].endswith(f"/blob/main/docs/runbooks/{name}.md")
    assert not notes["summary"].endswith(".")
    assert notes["description"].endswith(".")
    page = (RUNBOOKS / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n\nSeverity: {rule['labels']['severity']}.\n")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == _SECTIONS


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_is_tested_both_ways(rule: dict[str, Any]) -> None:
    """promtool runs these files (test_promtool.py)."""
    tests = yaml.safe_load((ROOT / f"tests/alerts/{rule['alert']}.yaml").read_text())["tests"]
    told = [bool(each["exp_alerts"]) for test in tests for each in test["alert_rule_test"]]
    assert set(told) == {True, False}
    assert {each["alertname"] for test in tests for each in test["alert_rule_test"]} == {rule["alert"]}


def test_no_test_is_of_an_alert_that_is_gone() -> None:
    files = {path.stem for path in (ROOT / "tests/alerts").glob("*.yaml")}
    assert files == {rule["alert"] for rule in ALERTS}


def test_the_dashboard_can_be_put_on_any_grafana() -> None:
    assert DASHBOARD["schemaVersion"] >= 41
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["datasource", "region"]
    source = {"type": "prometheus", "uid": "${datasource}"}
    assert all(each["datasource"] == source for panel in PANELS for each in (panel, *panel["targets"]))
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    assert all(target["legendFormat"] for target in panel["targets"])


def test_no_panel_lies_over_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + right, at["y"] + down) for right in range(at["w"]) for down in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
