"""`make check`, the part that no tool does: generated files are current, files small, links alive, nothing foreign."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import cli_reference
import crd_reference
import deploy_files
import manifest_checks
import metrics_reference
import release
import rights_page
from secretset.domain.crd import DEFINITIONS
from secretset.domain.reasons import Reason

ROOT = Path(__file__).resolve().parents[1]
MOST_LINES, MOST_MEDIAN = 400, 150
# Addresses of package indexes, and of machines, have no place in a repository that anybody clones.
FOREIGN = re.compile(r"--(?:extra-)?index-url|/home/\w+/|/Users/\w+/|proxy\.golang\.org|files\.pythonhosted\.org")


def tracked(*patterns: str) -> list[Path]:
    """Files that git tracks, or would."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


def sizes() -> list[str]:
    """Files over the limit, and a median over its own."""
    lines = {path: path.read_text().count("\n") for path in tracked("*.py", "*.go")}
    found = [
        f"{path.relative_to(ROOT)} has {count} lines, {MOST_LINES} at most"
        for path, count in lines.items()
        if count > MOST_LINES
    ]
    package = [count for path, count in lines.items() if "operator/secretset" in str(path) and count > 5]
    if (median := statistics.median(package)) > MOST_MEDIAN:
        found.append(f"the median file of the package has {median:.0f} lines, {MOST_MEDIAN} at most")
    return found


def generated() -> list[str]:
    """Generated files that differ from what the code makes."""
    crds, chart = [f"{definition.plural}.yaml" for definition in DEFINITIONS], "charts/secretset-operator"
    wanted = (
        ("crds", "crds", crds),
        ("crds", f"{chart}/crds", crds),
        ("policies", f"{chart}/files", ["bind-policy.yaml"]),
    )
    found = []
    for command, place, names in wanted:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, "-m", "secretset", command, "--output-dir", folder], check=True)
            found += [
                f"{place}/{name} is not what the code makes of it: run `make generate`"
                for name in names
                if (Path(folder) / name).read_text() != (ROOT / place / name).read_text()
            ]
    found += [
        f"deploy/{name} is not the chart, rendered: run `make generate`"
        for name, text in deploy_files.rendered().items()
        if (ROOT / "deploy" / name).read_text() != text
    ]
    return found + [
        f"{page.PAGE.relative_to(ROOT)} is not what the code makes of it: run `make generate`"
        for page in (cli_reference, crd_reference, metrics_reference, rights_page)
        if not page.PAGE.exists() or page.PAGE.read_text() != page.rendered()
    ]


def reasons() -> list[str]:
    """Rows of docs/reasons.md that are missing, in the wrong phase, or about nothing."""
    rows = dict(
        re.findall(r"^\| `(\w+)` \| (pending|ready|failed) \|", (ROOT / "docs/reasons.md").read_text(), re.MULTILINE)
    )
    wanted = {reason.value: reason.phase.value for reason in Reason}
    return [
        f"docs/reasons.md: the row of {name} is missing or wrong"
        for name in wanted.keys() | rows.keys()
        if rows.get(name) != wanted.get(name)
    ]


PICTURES, PICTURE_MAX = ROOT / "docs/images", 250_000  # bytes


def foreign() -> list[str]:
    """Addresses and paths that belong to a machine; and what is no text, but for pictures of pages."""
    found = []
    for path in tracked():
        if path.parent == PICTURES and path.suffix == ".png":
            found += [f"{path.relative_to(ROOT)} is too large"] * (path.stat().st_size > PICTURE_MAX)
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            found.append(f"{path.relative_to(ROOT)} is no text")
            continue
        if path != Path(__file__).resolve() and FOREIGN.search(text):
            found.append(f"{path.relative_to(ROOT)} names a package index or a machine's folder")
    return found


def links() -> list[str]:
    """Relative links that lead nowhere, of documents that are no pages of the site: its strict build checks those."""
    found = []
    for path in tracked("*.md", ":!docs"):
        targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", path.read_text())
        found += [f"{path.relative_to(ROOT)}: {t} does not exist" for t in targets if not (path.parent / t).exists()]
    return found


if __name__ == "__main__":
    every = (sizes, generated, reasons, foreign, links, release.differing, manifest_checks.check)
    problems = [problem for check in every for problem in check()]
    for problem in problems:
        print(f"check: {problem}", file=sys.stderr)
    sys.exit(bool(problems))
