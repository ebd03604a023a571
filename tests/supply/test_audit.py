"""The audit: what it says of a vulnerability, and that it never says that all is well when it could not ask."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import audit

KNOWN = {
    "id": "PYSEC-2026-1",
    "summary": "it is broken",
    "affected": [
        {
            "package": {"name": "two", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.5"}]}],
        }
    ],
}


class Database:
    """OSV's API for packages, on this machine."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.known: dict[str, list[Any]] = {}
        self.status = 200
        self.asked: set[tuple[str, str]] = set()


@contextmanager
def serving() -> Iterator[Database]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = query["package"]["name"]
            database.asked.add((name, query["version"]))
            vulns = database.known.get(name)
            body = json.dumps({"vulns": vulns} if vulns else {}).encode()
            self.send_response(database.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        database = Database(f"http://127.0.0.1:{server.server_port}/v1/query")
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield database
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def pinned(tmp_path: Path) -> Path:
    path = tmp_path / "pins.txt"
    hashed = " \\\n    --hash=sha256:" + "a" * 64 + "\n"
    lines = ["One.A==1.0", "two==2.0 ; sys_platform == 'win32'", "two==3.0 ; sys_platform != 'win32'", "three[x]==3"]
    path.write_text("".join(line + hashed for line in lines))
    return path


def test_all_pins_are_asked_for_those_of_other_systems_too(pinned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving() as database:
        assert audit.main(["--osv-url", database.url, str(pinned)]) == 0
    assert database.asked == {("one-a", "1.0"), ("two", "2.0"), ("two", "3.0"), ("three", "3")}
    assert re.fullmatch(r"audit: 0 of 4 pins .*\n", capsys.readouterr().out)


def test_a_vulnerability_is_told_with_its_file_and_what_is_better(
    pinned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving() as database:
        database.known["two"] = [KNOWN]
        assert audit.main(["--osv-url", database.url, str(pinned)]) == 1
    told = capsys.readouterr().out
    assert "audit: two==2.0 (pins.txt): PYSEC-2026-1 (better: 2.5)\n" in told
    assert "audit: 2 of 4 pins" in told


def test_a_database_that_cannot_be_reached_or_does_not_answer_is_not_done(
    pinned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving() as database:
        database.status = 500
        assert audit.main(["--osv-url", database.url, str(pinned)]) == audit.NOT_DONE
    assert audit.main(["--osv-url", database.url, str(pinned)]) == audit.NOT_DONE
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("audit: NOT DONE, nothing was found out.") == 2


def test_every_pin_of_every_file_is_audited() -> None:
    files = sorted((audit.ROOT / "requirements").glob("*.txt"))
    pins = audit.pins(files)
    lines = [line for path in files for line in path.read_text().splitlines() if line and line[0] not in " #"]
    assert len(lines) == sum(len(names) for names in pins.values())
    assert {name for names in pins.values() for name in names} == {path.name for path in files}
    rounds = audit.rounds(list(pins))
    assert {pin for each in rounds for pin in each} == pins.keys()
    assert all(len({pin.name for pin in each}) == len(each) for each in rounds)


def test_every_pin_has_hashes() -> None:
    for path in (audit.ROOT / "requirements").glob("*.txt"):
        joined = path.read_text().replace("\\\n", "")
        bare = [line for line in joined.splitlines() if line and line[0] != "#" and "--hash=sha256:" not in line]
        assert bare == [], path.name
