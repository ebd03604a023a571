"""`make audit`: all that requirements/ pins, held against a database of known vulnerabilities by pip-audit.

Ends with 0 if none is known of any pin, 1 if one is, 3 if the database could not be asked, or did not know all pins:
nothing is said to be well then. Pins for other systems and other Pythons count too.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
OSV = "https://api.osv.dev/v1/query"
KNOWN, NOT_DONE = 1, 3


class NotDoneError(Exception):
    """The database could not be asked; the text says why."""


class Pin(NamedTuple):
    """A package at a version, normalized as on PyPI."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


def pins(files: list[Path]) -> dict[Pin, list[str]]:
    """Every pin, and the names of the files that have it."""
    found: dict[Pin, list[str]] = {}
    for path in files:
        for name, version in re.findall(r"^([A-Za-z0-9][\w.-]*)(?:\[.*\])?==([^\s;]+)", path.read_text(), re.MULTILINE):
            found.setdefault(Pin(re.sub(r"[-_.]+", "-", name).lower(), version), []).append(path.name)
    return found


def rounds(wanted: list[Pin]) -> list[list[Pin]]:
    """Pins in lists that have each package once: pip-audit takes no two versions of one at a time."""
    made: list[list[Pin]] = []
    for pin in wanted:
        free = next((each for each in made if pin.name not in {other.name for other in each}), None)
        if free is None:
            made.append([pin])
        else:
            free.append(pin)
    return made


def asked(wanted: list[Pin], options: list[str]) -> dict[Pin, list[str]]:
    """What is known of each pin: nothing, or identifiers with the versions that are better.

    Raises:
        NotDoneError: the database was not reached, or has no answer for a pin.
    """
    with tempfile.TemporaryDirectory() as folder:
        list_ = Path(folder) / "pins.txt"
        list_.write_text("".join(f"{pin}\n" for pin in wanted))
        command = [sys.executable, "-m", "pip_audit", "-r", str(list_), "--no-deps", "--disable-pip", "-f", "json"]
        # A cache of their own, so that an answer of long ago is none.
        done = subprocess.run(
            [*command, "--progress-spinner", "off", "--cache-dir", folder, *options], capture_output=True, text=True
        )
    try:
        answers = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
        raise NotDoneError(last) from None
    found = {
        Pin(each["name"], each["version"]): [
            f"{known['id']} (better: {', '.join(known['fix_versions']) or 'no version yet'})" for known in each["vulns"]
        ]
        for each in answers
        if "skip_reason" not in each
    }
    if missing := [str(pin) for pin in wanted if pin not in found]:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise NotDoneError(f"it does not know {', '.join(missing[:3])}{more}")
    return found


def main(args: list[str]) -> int:
    """Run the audit; its exit code."""
    parser = argparse.ArgumentParser(prog="audit", description=__doc__)
    parser.add_argument("--service", choices=["osv", "pypi"], default="osv", help="whose database (osv)")
    parser.add_argument("--osv-url", default=OSV, help="a mirror of OSV's")
    parser.add_argument("files", nargs="*", type=Path, help="files with pins (requirements/*.txt)")
    given = parser.parse_args(args)
    where = given.osv_url if given.service == "osv" else "PyPI"
    options = ["-s", given.service, *(["--osv-url", given.osv_url] if given.service == "osv" else [])]
    wanted = pins(given.files or sorted((ROOT / "requirements").glob("*.txt")))
    known: dict[Pin, list[str]] = {}
    try:
        for each in rounds(list(wanted)):
            known |= asked(each, options)
    except NotDoneError as error:
        print(f"audit: NOT DONE, nothing was found out. {where} could not be asked: {error}", file=sys.stderr)
        return NOT_DONE
    bad = {pin: told for pin, told in known.items() if told}
    for pin, told in bad.items():
        print(f"audit: {pin} ({', '.join(wanted[pin])}): {'; '.join(told)}")
    print(f"audit: {len(bad)} of {len(known)} pins have a vulnerability that {where} knows of")
    return KNOWN if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
