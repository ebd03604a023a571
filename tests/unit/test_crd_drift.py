"""The CRDs as the models give them: what is committed is current, and the rules that no single object can show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from secretset.domain import reasons
from secretset.domain.crd import DEFINITIONS, Definition, render
from secretset.domain.names import Kind
from secretset.domain.record import parse_spec

COMMITTED = Path(__file__).parents[2] / "crds"
each = pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.kind)


def schema(definition: Definition) -> dict[str, Any]:
    (version,) = render(definition)["spec"]["versions"]
    return dict(version["schema"]["openAPIV3Schema"])


def nodes(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """A schema and all that is in it, by path."""
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for inner in ("items", "additionalProperties"):
        if isinstance(node.get(inner), dict):
            yield from nodes(node[inner], f"{path}[]")


@each
def test_committed_crds_are_current(definition: Definition) -> None:
    committed = yaml.safe_load((COMMITTED / f"{definition.plural}.yaml").read_text())
    assert committed == render(definition), "run `secretset crds -d crds`"


def test_no_other_crds_are_committed() -> None:
    listed = yaml.safe_load((COMMITTED / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == sorted(f"{definition.plural}.yaml" for definition in DEFINITIONS)
    assert {path.name for path in COMMITTED.iterdir()} == {"kustomization.yaml", *listed}


@each
def test_every_field_has_a_description(definition: Definition) -> None:
    top = schema(definition)
    fields = [(path, node) for part in ("spec", "status") for path, node in nodes(top["properties"][part], part)]
    assert [path for path, node in fields if not path.endswith("[]") and not node.get("description")] == []


@each
def test_spec_has_no_default(definition: Definition) -> None:
    # Argo CD saw defaulted entries as a drift, for ever.
    assert [path for path, node in nodes(schema(definition)["properties"]["spec"], "spec") if "default" in node] == []


@each
def test_what_may_hold_a_secret_is_not_echoed(definition: Definition) -> None:
    # The API server shows what fails a pattern, an enum, a format or a plain rule on a string.
    for path, node in nodes(schema(definition)["properties"]["spec"], "spec"):
        if path.rsplit(".", 1)[-1] in {"value", "sealed", "username", "host", "password"}:
            assert not node.keys() & {"pattern", "enum", "format", "minLength"}, path
            if node.get("type") == "string":
                reasons = {rule.get("reason") for rule in node.get("x-kubernetes-validations", [])}
                assert reasons <= {"FieldValueForbidden", "FieldValueRequired"}, path


@pytest.mark.parametrize("name", ["../../b/secrets/x", "x/../y", "x?watch=true", "x#", "X", "x\n", ".", ""])
def test_a_reference_that_leads_elsewhere_is_not_read_even_if_it_was_stored(name: str) -> None:
    # Other CRDs may have let it pass; it would become part of a URL.
    data = {"A": {"valueFrom": {"secretKeyRef": {"name": name, "key": "k"}}}}
    with pytest.raises(reasons.Problem):
        parse_spec(Kind.SECRET_SET, {"data": data})
