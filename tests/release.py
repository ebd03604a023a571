"""What the release workflow does that is more than a command: one version everywhere, and the chart with its image.

python tests/release.py versions [--tag v0.1.0]
python tests/release.py chart --repository ghcr.io/… --digest sha256:…
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import yaml

from kubelab.binary import programs

ROOT = Path(__file__).resolve().parents[1]
CHART = Path("charts/secretset-operator")
VERSION = re.compile(r"\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?")
# Of an image, and in commands of pages.
SAID = re.compile(r"(?:(?<=secretset-operator:)|(?<=\bVERSION=))\d[\w.-]*")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def versions(root: Path = ROOT) -> dict[str, str]:
    """Every place that says a version of the project, and which.

    Args:
        root: the repository.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    program = re.search(r'^__version__ = "(.*)"$', (root / "operator/secretset/__init__.py").read_text(), re.MULTILINE)
    chart = yaml.safe_load((root / CHART / "Chart.yaml").read_text())
    found = {
        "pyproject.toml": str(project),
        "secretset.__version__": program.group(1) if program else "none",
        f"{CHART}/Chart.yaml, version": str(chart["version"]),
        f"{CHART}/Chart.yaml, appVersion": str(chart["appVersion"]),
    }
    images = sorted((root / "deploy").rglob("*.yaml")) + sorted((root / "docs").rglob("*.md")) + [root / "README.md"]
    for path in images:
        for number, said in enumerate(SAID.findall(path.read_text()), 1):
            found[f"{path.relative_to(root)}, {number}"] = said
    return found


def differing(root: Path = ROOT, tag: str = "") -> list[str]:
    """What is wrong with the versions.

    Args:
        root: the repository.
        tag: the tag of a release, `v` and the version; its changes must then have a heading in CHANGELOG.md.
    """
    found = versions(root)
    wanted = found["pyproject.toml"]
    wrong = [
        f"{where} says {version}, pyproject.toml {wanted}" for where, version in found.items() if version != wanted
    ]
    if not VERSION.fullmatch(wanted):
        wrong.append(f"pyproject.toml: {wanted} is no version as Helm wants it")
    if tag and tag != f"v{wanted}":
        wrong.append(f"the tag is {tag}, pyproject.toml says {wanted}")
    if tag and not re.search(rf"^## \[{re.escape(wanted)}\]", (root / "CHANGELOG.md").read_text(), re.MULTILINE):
        wrong.append(f"CHANGELOG.md has no heading [{wanted}]")
    return wrong


def chart(repository: str, digest: str, target: Path) -> Path:
    """The chart as it is published: packed, and with the very image of the release as its default.

    Args:
        repository: of the image, with its registry.
        digest: `sha256:` and 64 digits.
        target: the folder that the archive is put into; made if it is not there.

    Raises:
        ValueError: no digest, or values.yaml does not have what is to be set.
        CalledProcessError: helm refused.
    """
    if not DIGEST.fullmatch(digest):
        raise ValueError(f"{digest} is no digest")
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / CHART.name
        shutil.copytree(ROOT / CHART, copy)
        values = copy / "values.yaml"
        text = values.read_text()
        for old, new in (
            (r"  repository: .*", f"  repository: {repository}"),
            (r'  digest: ""', f"  digest: {digest}"),
        ):
            text, count = re.subn(rf"^{old}$", new, text, flags=re.MULTILINE)
            if count != 1:
                raise ValueError(f"values.yaml has {count} lines '{old.strip()}'")
        values.write_text(text)
        subprocess.run(
            [*programs().argv("helm"), "package", str(copy), "--destination", folder], capture_output=True, check=True
        )
        (made,) = Path(folder).glob("*.tgz")
        return Path(shutil.copy(made, target))


def main(args: list[str]) -> int:
    """Run a command; its exit code."""
    parser = argparse.ArgumentParser(prog="release", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("versions", help="all places say one version; 1 if not")
    check.add_argument("--tag", default="", help="and so does this tag")
    pack = commands.add_parser("chart", help="pack the chart into dist/, and print where it is")
    pack.add_argument("--repository", required=True, help="of the image, with its registry")
    pack.add_argument("--digest", required=True, help="of the image")
    given = parser.parse_args(args)
    if given.command == "chart":
        print(chart(given.repository, given.digest, ROOT / "dist").relative_to(ROOT))
        return 0
    wrong = differing(tag=given.tag)
    for each in wrong:
        print(f"release: {each}", file=sys.stderr)
    if not wrong:
        print(versions()["pyproject.toml"])
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
