"""The bill of materials: all that runs, with hashes, licences, and a graph without loose ends."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

import audit
import sbom


@pytest.fixture(scope="module")
def bom() -> sbom.Bom:
    return sbom.bom()


def of(bom: sbom.Bom, index: str) -> list[sbom.Bom]:
    """The components that come from a package index."""
    return [each for each in bom["components"] if each["purl"].startswith(f"pkg:{index}/")]


def test_it_has_every_pin_with_every_hash(bom: sbom.Bom) -> None:
    assert {(each["name"].lower(), each["version"]) for each in of(bom, "pypi")} == audit.pins([sbom.PINS]).keys()
    said = [
        entry["content"]
        for each in of(bom, "pypi")
        for reference in each["externalReferences"]
        for entry in reference.get("hashes", ())
    ]
    assert sorted(said) == sorted(re.findall(r"--hash=sha256:([0-9a-f]{64})", sbom.PINS.read_text()))


def test_it_has_what_is_bundled_into_the_dashboards_script(bom: sbom.Bom) -> None:
    found = {each["name"]: each["hashes"][0]["content"] for each in of(bom, "npm")}
    wanted = json.loads((sbom.ROOT / "dashboard/package.json").read_text())["dependencies"]
    assert wanted.keys() <= found.keys()
    assert not found.keys() & {"esbuild", "typescript", "axe-core"}, "what only builds and tests it"
    assert all(len(content) == 128 for content in found.values())


def test_everything_that_is_installed_has_a_licence(bom: sbom.Bom) -> None:
    assert bom["metadata"]["component"]["licenses"][0]["license"]["id"] == "Apache-2.0"
    assert [
        each["name"] for each in bom["components"] if each["scope"] == "required" and not each.get("licenses")
    ] == []


def test_what_is_for_other_systems_is_optional(bom: sbom.Bom) -> None:
    scopes = {each["name"]: each["scope"] for each in bom["components"]}
    assert scopes["colorama"] == "optional"
    assert scopes["kopf"] == scopes["cryptography"] == "required"


def test_the_graph_leads_from_the_project_to_everything(bom: sbom.Bom) -> None:
    needs: dict[str, Any] = {each["ref"]: each.get("dependsOn", ()) for each in bom["dependencies"]}
    root = bom["metadata"]["component"]["bom-ref"]
    assert root == f"pkg:pypi/secretset-operator@{bom['metadata']['component']['version']}"
    reached, open_ = set(), [root]
    while open_:
        if (reference := open_.pop()) not in reached:
            reached.add(reference)
            open_ += needs[reference]
    wanted = {each["bom-ref"] for each in bom["components"] if each["scope"] == "required"}
    assert reached == {root} | wanted


def test_it_is_the_same_each_time(bom: sbom.Bom) -> None:
    assert sbom.bom() == bom
