"""The parts of a run that are done: a run of an hour that was interrupted goes on with `--resume`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from bench.rows import Row

FILE = Path(__file__).resolve().parents[1] / "build" / "bench.json"


class Part(BaseModel):
    """One that is done."""

    rows: list[Row]
    details: Any
    seconds: int


class Kept(BaseModel):
    """All that are done, of one form of the benchmark and one state of the operator's source.

    Attributes:
        source: `report.source`.
        form: `report.form`.
        keeps: whether parts that are added are kept; those of a run of some parts alone would take the place of others.
        server: version of the API servers.
    """

    source: str
    form: str
    keeps: bool = True
    server: str = ""
    parts: dict[str, Part] = {}

    def add(self, name: str, part: Part, server: str) -> None:
        """Keep one more."""
        self.parts[name] = part
        self.server = server
        if not self.keeps:
            return
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(self.model_dump_json())

    def resumed(self) -> Mapping[str, Part]:
        """The parts of an earlier run of the same; none if there was none, or something is another since."""
        try:
            found = Kept.model_validate_json(FILE.read_text())
        except (FileNotFoundError, ValidationError):
            return {}
        if (found.source, found.form) == (self.source, self.form):
            self.parts, self.server = found.parts, found.server
        return self.parts
