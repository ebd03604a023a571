"""`make sbom`: what the operator needs at run time, as CycloneDX: each pin with its hashes, licence and dependencies.

cyclonedx-py reads the pins and their hashes from requirements/runtime.txt, and licences from what is installed; here
they are put together, and who needs whom is added, for a graph that ends nowhere. What is bundled into the dashboard's
script is added from npm's own list.
"""

from __future__ import annotations

import base64
import functools
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PINS = ROOT / "requirements" / "runtime.txt"
LOCK = ROOT / "dashboard" / "package-lock.json"
VERSION = SchemaVersion.V1_6

Bom = dict[str, Any]
Pin = tuple[str, str]


def bom() -> Bom:
    """The bill of materials; the same for the same pins and the same Python.

    Raises:
        ValueError: it is not what CycloneDX's schema wants.
    """
    made, here = _asked("requirements", str(PINS)), _asked("environment", sys.executable)
    known, wanted = {_pin(each): each for each in here["components"]}, pins()
    references: dict[str, str] = {}
    for component in made["components"]:
        name, _ = pin = _pin(component)
        component["bom-ref"] = component["purl"]
        component.pop("description", None)  # the line of the file, hashes and all
        component |= {key: value for key, value in known.get(pin, {}).items() if key in {"description", "licenses"}}
        component["scope"] = "required" if wanted[pin] else "optional"
        if wanted[pin]:
            references[name] = component["purl"]
    root = made["metadata"]["component"]
    root["bom-ref"] = root["purl"] = f"pkg:pypi/{root['name']}@{root['version']}"
    direct = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    needs = {root["bom-ref"]: direct} | {purl: _needed_by(name) for name, purl in references.items()}
    edges = {each["purl"]: set[str]() for each in made["components"] if each["scope"] == "optional"}
    for purl, texts in needs.items():
        edges[purl] = {references[name] for name in _names(texts) if name in references}
    bundled = {name: _bundled(name, each) for name, each in packages().items()}
    made["components"] += bundled.values()
    edges[root["bom-ref"]] |= {each["purl"] for each in bundled.values()}
    for name, each in packages().items():
        edges[bundled[name]["purl"]] = {bundled[needed]["purl"] for needed in each.get("dependencies", ())}
    made["dependencies"] = [{"ref": purl, "dependsOn": sorted(found)} for purl, found in edges.items()]
    if wrong := JsonStrictValidator(VERSION).validate_str(json.dumps(made)):
        raise ValueError(f"no CycloneDX {VERSION.to_version()}: {wrong}")
    return made


def packages() -> dict[str, dict[str, Any]]:
    """What of npm is bundled into the dashboard's script, by name."""
    listed: dict[str, dict[str, Any]] = json.loads(LOCK.read_text())["packages"]
    return {path.removeprefix("node_modules/"): each for path, each in listed.items() if path and not each.get("dev")}


def _bundled(name: str, package: dict[str, Any]) -> Bom:
    purl = f"pkg:npm/{name.replace('@', '%40')}@{package['version']}"
    return {
        "type": "library",
        "bom-ref": purl,
        "purl": purl,
        "name": name,
        "version": package["version"],
        "scope": "required",
        "hashes": [{"alg": "SHA-512", "content": base64.b64decode(package["integrity"].removeprefix("sha512-")).hex()}],
        "licenses": [{"license": {"id": package["license"]}}],
    }


def pins() -> dict[Pin, bool]:
    """Name and version of each pin; whether it is for this Python on this system."""
    lines = re.findall(r"^([A-Za-z0-9].*?) \\$", PINS.read_text(), re.MULTILINE)
    found = [Requirement(line) for line in lines]
    return {
        (str(canonicalize_name(each.name)), str(each.specifier).removeprefix("==")): not each.marker
        or each.marker.evaluate()
        for each in found
    }


@functools.cache
def _needed_by(name: str) -> list[str]:
    return importlib.metadata.requires(name) or []


def _names(requirements: list[str]) -> set[str]:
    """Of these requirements, those that hold here without an extra."""
    parsed = [Requirement(each) for each in requirements]
    return {str(canonicalize_name(r.name)) for r in parsed if r.marker is None or r.marker.evaluate({"extra": ""})}


def _pin(component: Bom) -> Pin:
    return str(canonicalize_name(component["name"])), str(component["version"])


def _asked(*what: str) -> Bom:
    """What cyclonedx-py says; without a timestamp, a serial number, and so on."""
    command = [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", *what, "--pyproject", str(ROOT / "pyproject.toml")]
    options = ["--no-validate", "--output-reproducible", "--of", "JSON", "--sv", VERSION.to_version()]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    found: Bom = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    made = bom()
    target = ROOT / "dist" / "secretset-operator-{version}.cdx.json".format(**made["metadata"]["component"])
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(made, indent=2) + "\n")
    print(target.relative_to(ROOT))
