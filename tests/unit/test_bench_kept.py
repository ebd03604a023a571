"""Parts of the benchmark that are done are kept, and taken over by a run of the same source alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench import goals, kept
from bench.kept import Kept, Part
from bench.rows import Row

ROW = Row(part="race", what="10 sets", unit="s", ours=1.25, floor=0.5, goal=goals.THROUGHPUT, sets=10, curve="down")


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "build" / "bench.json"
    monkeypatch.setattr(kept, "FILE", found)
    return found


def test_what_is_done_is_taken_over_as_it_was() -> None:
    Kept(source="s", form="f").add("race", Part(rows=[ROW], details={"up": [1.5]}, seconds=60), "v1.36.3")
    again = Kept(source="s", form="f")
    assert again.resumed()["race"] == Part(rows=[ROW], details={"up": [1.5]}, seconds=60)
    assert (again.parts["race"].rows[0].cells(), again.server) == (ROW.cells(), "v1.36.3")
    again.add("latency", Part(rows=[], details={}, seconds=1), "v1.36.3")
    assert list(Kept(source="s", form="f").resumed()) == ["race", "latency"]


@pytest.mark.parametrize("other", [Kept(source="t", form="f"), Kept(source="s", form="g")])
def test_what_another_source_or_form_has_found_is_not(other: Kept) -> None:
    Kept(source="s", form="f").add("race", Part(rows=[ROW], details={}, seconds=60), "v1.36.3")
    assert other.resumed() == {}


def test_there_may_be_nothing_to_take_over(file: Path) -> None:
    assert Kept(source="s", form="f").resumed() == {}
    file.parent.mkdir()
    file.write_text("{")
    assert Kept(source="s", form="f").resumed() == {}


def test_parts_that_were_measured_alone_take_nobody_elses_place() -> None:
    Kept(source="s", form="f").add("race", Part(rows=[ROW], details={}, seconds=60), "v1.36.3")
    Kept(source="s", form="f", keeps=False).add("race", Part(rows=[], details={}, seconds=1), "v1.36.3")
    assert Kept(source="s", form="f").resumed()["race"].seconds == 60
