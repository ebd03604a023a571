"""The benchmark's report: goals are judged rightly, and what a run found becomes a table, a document and plots."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from bench import goals, plot, report, stages
from bench.api import Seen
from bench.audit import Tally, Write
from bench.extent import FULL, QUICK
from bench.goals import Goal
from bench.objects import Name
from bench.rows import Row, percentiles, rank

FACTS: dict[str, Any] = {
    "date": "2026-01-02",
    "quick": False,
    "failed": {},
    "machine": {"cores": 2, "memoryGB": 8, "system": "Linux x86_64", "python": "3.11.7", "load": [0.1, 0.1, 0.1]},
    "source": "abc",
    "sourceAfter": "abc",
    "kubernetes": "v1.36.3",
    "seconds": 61.5,
    "loadAfter": 2.0,
    "details": {"race": {1000: [1.23456]}},
}


def row(ours: float, goal: Goal | None = None, floor: float | None = None, **more: Any) -> Row:
    fields: dict[str, Any] = {"part": "p", "what": "w", "unit": "ms"}
    return Row(**(fields | more), ours=ours, floor=floor, goal=goal)


def write(verb: str, resource: str, namespace: str, name: str, begun: float, at: float) -> Write:
    return Write(verb=verb, resource=resource, namespace=namespace, name=name, code=200, begun=begun, at=at)


@pytest.mark.parametrize(
    ("goal", "ours", "floor", "met"),
    [
        (goals.ONE_SET_P50, 8.0, 2.0, True),
        (goals.ONE_SET_P50, 8.1, 2.0, False),
        (goals.THROUGHPUT, 75.0, 100.0, True),
        (goals.THROUGHPUT, 74.0, 100.0, False),
        (goals.THROUGHPUT, 120.0, 100.0, True),
        (goals.WRITES_NEW, 2, None, True),
        (goals.WRITES_NEW, 3, None, False),
        (goals.WRITES_RESYNC, 0, None, True),
        (goals.WRITES_RESYNC, 1, None, False),
        (goals.SINGLE_KEYS, 1, None, True),
        (goals.SINGLE_KEYS, 0, None, False),
        (goals.SINGLE_KEYS, 2, None, False),
        (goals.IDLE_CPU, 0.5, None, True),
        (goals.IDLE_CPU, 0.51, None, False),
    ],
)
def test_a_goal_is_judged(goal: Goal, ours: float, floor: float | None, met: bool) -> None:
    assert row(ours, goal, floor).met is met


def test_what_nothing_is_asked_of_is_neither_met_nor_missed() -> None:
    assert row(5.0, floor=2.0).met is None
    assert row(5.0, floor=2.0).ratio == 2.5
    assert not report.missed([row(5.0)])


def test_a_goal_beside_a_floor_needs_one() -> None:
    with pytest.raises(ValueError, match="nothing to compare with"):
        _ = row(5.0, goals.BOUND).met


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(n) for n in range(1, 201)]
    assert (rank(values, 0.5), rank(values, 0.99), rank([7.0], 0.99)) == (100.0, 198.0, 7.0)
    p50, p99 = percentiles("p", "w", [0.002], [0.001], p50=goals.ONE_SET_P50)
    assert (p50.what, p50.ours, p50.floor, p50.met, p99.met) == ("w, p50", 2.0, 1.0, True, None)


def test_what_was_missed_and_what_was_not_measured_is_told() -> None:
    rows = [row(2.7, goals.BOUND, 2.0), row(2.5, goals.BOUND, 2.0)]
    assert report.missed(rows) == ["missed: p: w: 1.35 (≤ 1.3 times the floor)"]
    whole = report.missed(rows, short=False)
    assert f"not measured: {goals.MEMORY[50_000].about}" in whole
    assert f"not measured: {goals.BOUND.about}" not in whole
    assert f"not measured: {goals.MEMORY[50_000].about}" not in report.missed(rows, short=True)
    every = [row(1.0, goal, 1.0) for goal in goals.EVERY]
    assert not [line for line in report.missed(every, short=False) if line.startswith("not measured")]


def test_every_goal_has_a_name_of_its_own_and_the_forms_have_its_sizes() -> None:
    assert len({goal.about for goal in goals.EVERY}) == len(goals.EVERY)
    assert set(FULL.scales) == set(goals.MEMORY)
    assert set(QUICK.scales) & set(goals.MEMORY)
    assert FULL.idle[0] in FULL.scales
    assert QUICK.idle[0] in QUICK.scales
    assert FULL.samples % FULL.turns == QUICK.samples % QUICK.turns == 0


def test_a_run_becomes_a_table_a_document_and_plots(tmp_path: Path) -> None:
    rows = [
        row(9.0, goals.ONE_SET_P50, 3.0, what="created → ready, p50"),
        row(0, goals.WRITES_RESYNC, unit="writes"),
        row(90.0, goals.MEMORY[1000], unit="MB PSS", sets=1000, curve="10 organizations"),
        row(160.0, goals.MEMORY[10_000], unit="MB PSS", sets=10_000, curve="10 organizations"),
        row(
            3.0,
            floor=2.0,
            unit="s",
            sets=1000,
            curve="operator started → all ready",
            note="1.2 s",
        ),
    ]
    files = {file.name: file for file in report.save(rows, FACTS, tmp_path)}
    assert set(files) == {"latest.md", "latest.json", "latest-goals.svg", "latest-time.svg", "latest-memory.svg"}

    table = files["latest.md"].read_text()
    assert "| p | created → ready, p50 | 9 ms | 3 ms | 3.00 | ≤ 4 times the floor: yes |  |" in table
    assert "| 160 MB PSS |  |  | ≤ 150: NO |" in table
    assert "As asked for: 3 of 4." in table
    assert "![Memory by number of sets](latest-memory.svg)" in table
    assert "Not a reference" not in table

    document = json.loads(files["latest.json"].read_text())
    assert [each["met"] for each in document["rows"]] == [True, True, True, False, None]
    assert document["rows"][0]["goal"] == "≤ 4 times the floor"
    assert document["details"]["race"] == {"1000": [1.235]}

    for name in ("latest-goals.svg", "latest-time.svg", "latest-memory.svg"):
        text = files[name].read_text()
        assert ET.fromstring(text).tag.endswith("svg")
    goals_plot = files["latest-goals.svg"].read_text()
    assert "160 MB PSS (≤ 150)" in goals_plot
    assert "3.00 (≤ 4 times the floor)" in goals_plot


def test_a_short_run_stands_beside_the_full_one_and_says_so(tmp_path: Path) -> None:
    files = report.save([row(1.0)], FACTS | {"quick": True, "loadAfter": 9.0}, tmp_path)
    assert {file.name for file in files} == {"quick.md", "quick.json"}
    text = (tmp_path / "quick.md").read_text()
    assert "**Not a reference: the short form" in text
    assert "**Not a reference: the machine was busy" in text


def test_a_part_that_failed_is_told() -> None:
    failed = {"regions": "TimeoutError: what was to be measured did not happen\nmore"}
    assert report.doubts(FACTS | {"failed": failed}) == [
        "the part regions failed: TimeoutError: what was to be measured did not happen"
    ]


def test_a_wait_is_divided_into_stages_by_the_audit_log() -> None:
    name = Name("org-0", "one")
    tally = Tally(
        writes=[
            write("create", "secrets", name.target, name.name, 10.3, 10.4),
            write("update", "secretsets/status", name.organization, name.name, 10.5, 10.7),
            write("update", "secrets", name.target, name.name, 20.1, 20.2),
            write("patch", "deployments", name.target, "app", 20.5, 20.6),
        ]
    )
    assert stages.until_ready(name, Seen(10.0, 10.8), tally) == pytest.approx((0.3, 0.4, 0.1))
    tally.writes = tally.writes[2:]
    spans = stages.until_patched(name, [Seen(20.0, 20.9)], tally)
    assert spans == [pytest.approx((0.1, 0.4, 0.1, 0.3))]
    with pytest.raises(ValueError, match="shorter"):
        stages.until_patched(name, [Seen(20.0, 20.9), Seen(21.0, 21.9)], tally)

    rows = stages.shares("one update", stages.CHANGED, spans)
    assert [round(each.ours) for each in rows] == [100, 400, 100, 300]
    assert [each.note for each in rows] == [f"{share} of the whole" for share in ("11%", "44%", "11%", "33%")]


def test_there_is_no_plot_without_figures() -> None:
    assert plot.charts([row(1.0)]) == {}
