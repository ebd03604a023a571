"""The CRDs: structural, explained on every field, no defaults in a spec, and safe for fields that carry secrets."""

from collections.abc import Iterator
from typing import Any

import pytest

from secretset.domain import crd
from secretset.domain.crd import DEFINITIONS, Definition, render

Node = dict[str, Any]
each_kind = pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.kind)
SAFE = {"type", "description", "x-kubernetes-validations", "x-kubernetes-int-or-string"}
ALLOWED = crd._KEPT | {"properties", "additionalProperties", "items", "default"}


def schema_of(definition: Definition) -> Node:
    version: Node = render(definition)["spec"]["versions"][0]
    found: Node = version["schema"]["openAPIV3Schema"]
    return found


def walk(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    """Every schema with its path: of a field, of the values of a map (`{}`), of the items of a list (`[]`)."""
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}")
    if "additionalProperties" in node:
        yield from walk(node["additionalProperties"], path + "{}")
    if "items" in node:
        yield from walk(node["items"], path + "[]")


@each_kind
def test_the_schema_is_structural(definition: Definition) -> None:
    for path, node in walk(schema_of(definition)):
        assert ("type" in node) is not node.get("x-kubernetes-int-or-string", False), path
        assert node.keys() <= ALLOWED, path
        assert not {"properties", "additionalProperties"} <= node.keys(), path


@each_kind
def test_nothing_that_brings_it_takes_it_away(definition: Definition) -> None:
    assert render(definition)["metadata"]["annotations"] == {
        "helm.sh/resource-policy": "keep",
        "argocd.argoproj.io/sync-options": "Delete=false,Prune=false",
        "kustomize.toolkit.fluxcd.io/prune": "disabled",
    }


@each_kind
def test_nothing_in_a_spec_has_a_default(definition: Definition) -> None:
    found = [path for path, node in walk(schema_of(definition)) if "default" in node]
    assert found == [".status"]


@each_kind
def test_every_field_is_explained(definition: Definition) -> None:
    fields = [(path, node) for path, node in walk(schema_of(definition)) if path and path[-1] not in "}]"]
    fields = [(path, node) for path, node in fields if not path.startswith(".metadata")]  # Kubernetes explains those
    assert len(fields) > 20
    assert [path for path, node in fields if not node.get("description")] == []


@each_kind
def test_the_initial_status_is_pending_for_every_reader(definition: Definition) -> None:
    status = schema_of(definition)["properties"]["status"]
    assert status["default"] == {"phase": "pending", "reason": "Accepted", "observedGeneration": -1}
    assert set(status["required"]) <= status["default"].keys()
    assert status["properties"]["phase"]["enum"] == ["pending", "ready", "failed"]


@pytest.mark.parametrize("definition", DEFINITIONS[:2], ids=lambda definition: definition.kind)
def test_what_may_carry_a_secret_is_never_echoed_by_a_schema_rule(definition: Definition) -> None:
    spec = dict(walk(schema_of(definition)["properties"]["spec"]))
    carriers = [path for path in spec if path.endswith((".sealed", ".value"))]
    assert len(carriers) == 2
    for path in [*carriers, *(path for path in spec if path in {".username", ".host"})]:
        assert spec[path].keys() <= SAFE, path
        assert all("messageExpression" not in rule for rule in spec[path].get("x-kubernetes-validations", ()))


@each_kind
def test_lists_say_how_they_merge(definition: Definition) -> None:
    conditions = dict(walk(schema_of(definition)))[".status.conditions"]
    assert (conditions["x-kubernetes-list-type"], conditions["x-kubernetes-list-map-keys"]) == ("map", ["type"])


@each_kind
def test_the_definition_is_complete(definition: Definition) -> None:
    found = render(definition)
    assert found["metadata"]["name"] == f"{definition.plural}.secretset.dev"
    assert found["spec"]["names"]["kind"] == definition.kind
    version = found["spec"]["versions"][0]
    assert (version["name"], version["served"], version["storage"]) == ("v1alpha1", True, True)
    assert version["subresources"] == {"status": {}}
    assert version["additionalPrinterColumns"][-1]["name"] == "Age"


def test_columns_point_at_fields_that_exist() -> None:
    for definition in DEFINITIONS:
        known = {path for path, _ in walk(schema_of(definition))} | {".metadata.creationTimestamp"}
        for name, _, path, _ in definition.columns:
            assert path.partition("[")[0] in known, name


def test_sets_show_the_promised_columns_and_limits() -> None:
    columns = [column[0] for column in DEFINITIONS[0].columns]
    assert columns == ["Region", "Status", "Reason", "Keys", "Bound", "Updated", "Rollout", "Age"]
    data = dict(walk(schema_of(DEFINITIONS[0])))[".spec.data"]
    assert (data["minProperties"], data["maxProperties"]) == (1, 256)


def test_a_union_is_refused_because_a_structural_schema_has_none() -> None:
    with pytest.raises(ValueError, match="unions"):
        crd._structural({"anyOf": [{"type": "string"}, {"type": "integer"}]}, {})
