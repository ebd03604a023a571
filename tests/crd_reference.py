"""docs/crd-reference.md: all fields of the three kinds, from the schemas of the CRDs. `make generate` writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from secretset.domain.crd import DEFINITIONS, Definition, render

PAGE = Path(__file__).resolve().parents[1] / "docs" / "crd-reference.md"
_HEAD = """# Reference of resources

Made by `make generate` from the models, as are the CRDs; `kubectl explain secretset.spec` tells the same.

No field of a `spec` has a default that the API server writes into it, so what a tool applied is what it finds again;
what an absent field means stands in its description. Fields that are **bold** are required where the object around them
is there. `[]` stands for each entry of a list, `<key>` for each key of a map.
"""
# (lowest, highest, of what), as a schema calls the two.
_RANGES = (
    ("minLength", "maxLength", " characters"),
    ("minimum", "maximum", ""),
    ("minItems", "maxItems", " entries"),
    ("minProperties", "maxProperties", " keys"),
)
_SCOPES = {"Namespaced": "in a namespace", "Cluster": "cluster-scoped"}
Schema = Mapping[str, Any]


class Field(NamedTuple):
    """A field of a kind: where it is, what the schema says of it, and whether it must be there."""

    path: str
    schema: Schema
    required: bool


def rendered() -> str:
    """The page as the code makes it."""
    lines = [_HEAD]
    told: dict[str, Definition] = {}
    for definition in DEFINITIONS:
        lines += _kind(definition, told)
    return "\n".join(lines).rstrip("\n") + "\n"


def _kind(definition: Definition, told: dict[str, Definition]) -> Iterator[str]:
    """Lines about a kind; tables that another kind has had already are only named."""
    body = render(definition)["spec"]
    (version,) = body["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    group, names = body["group"], body["names"]
    yield f"## {definition.kind}\n"
    yield f"{schema['description']}\n"
    called = ", ".join(f"`{name}`" for name in (names["plural"], names["singular"], *names.get("shortNames", ())))
    yield f"`{group}/{version['name']}`, {_SCOPES[body['scope']]}; for kubectl {called}.\n"
    for part in ("spec", "status"):
        below = schema["properties"][part]
        yield f"### {definition.kind}: {part}\n"
        yield f"{below['description']}\n"
        rows = [_row(field) for field in _fields(below, part)]
        same = told.setdefault("\n".join(rows), definition)
        if same is not definition:
            yield f"The same as [{same.kind}'s](#{same.kind.lower()}-{part}).\n"
        else:
            yield from ("| field | type | limits | |", "|---|---|---|---|", *rows, "")
        if initial := below.get("default"):
            said = ", ".join(f"`{name}: {value}`" for name, value in initial.items())
            yield f"A new object has {said}, until the operator has seen it.\n"
    yield f"### {definition.kind}: rules\n"
    yield "What the API server refuses beyond the limits above; where a rule is about a field, its text follows.\n"
    yield "| field | rule |"
    yield "|---|---|"
    yield from (f"| {_code(path)} | {_text(message)} |" for path, message in _rules(schema))
    yield ""
    yield f"### {definition.kind}: columns\n"
    yield "Of `kubectl get`; those in parentheses with `-o wide` alone.\n"
    yield "| column | |"
    yield "|---|---|"
    for column in version["additionalPrinterColumns"]:
        name = f"({column['name']})" if column.get("priority") else column["name"]
        yield f"| {name} | {_text(column['description'])} |"
    yield ""


def _fields(schema: Schema, path: str) -> Iterator[Field]:
    """All fields below a schema, each before those below itself."""
    inner = schema
    while below := inner.get("items") or inner.get("additionalProperties"):
        path += "[]" if "items" in inner else ".<key>"
        inner = below
    for name, field in inner.get("properties", {}).items():
        yield Field(f"{path}.{name}", field, name in inner.get("required", ()))
        yield from _fields(field, f"{path}.{name}")


def _rules(schema: Schema, path: str = "") -> Iterator[tuple[str, str]]:
    """Rules of a schema and of all below it, as (field, text)."""
    for rule in schema.get("x-kubernetes-validations", ()):
        yield f"{path}{rule.get('fieldPath', '')}".lstrip("."), rule["message"]
    for name, field in schema.get("properties", {}).items():
        yield from _rules(field, f"{path}.{name}")
    for word, step in (("items", "[]"), ("additionalProperties", ".<key>")):
        if below := schema.get(word):
            yield from _rules(below, f"{path}{step}")


def _row(field: Field) -> str:
    name = f"**{_code(field.path)}**" if field.required else _code(field.path)
    return f"| {name} | {_type(field.schema)} | {_limits(field.schema)} | {_text(_description(field.schema))} |"


def _type(schema: Schema) -> str:
    if schema.get("x-kubernetes-int-or-string"):
        return "text"
    kind = schema["type"]
    if "items" in schema:
        return f"list of {_type(schema['items'])}"
    if "additionalProperties" in schema:
        return f"map of {_type(schema['additionalProperties'])}"
    return {"date-time": "time"}.get(schema.get("format", ""), str(kind))


def _limits(schema: Schema) -> str:
    found = []
    for lowest, highest, what in _RANGES:
        match schema.get(lowest), schema.get(highest):
            case int(low), int(high):
                found.append(f"{low:,} to {high:,}{what}")
            case int(low), None:
                found.append(f"at least {low:,}{what}")
            case None, int(high):
                found.append(f"at most {high:,}{what}")
    if pattern := schema.get("pattern"):
        found.append(f"`{pattern}`")
    if allowed := schema.get("enum"):
        found.append("one of " + ", ".join(f"`{json.dumps(value).strip(chr(34))}`" for value in allowed))
    if "default" in schema and not isinstance(schema["default"], dict):
        found.append(f"default `{schema['default']}`")
    return ", ".join(found).replace("|", r"\|")


def _description(schema: Schema) -> str:
    """Its own, and what is said of each entry where it is a list or a map of objects."""
    said = [schema.get("description", "")]
    below = schema.get("items") or schema.get("additionalProperties") or {}
    if "properties" in below and "description" in below:
        said.append(below["description"])
    return " ".join(filter(None, said))


def _code(path: str) -> str:
    return f"`{path}`" if path else "the object"


def _text(text: str) -> str:
    """Text for a cell of a table, in which nothing is Markdown by accident."""
    return " ".join(text.split()).replace("|", r"\|").replace("<", "&lt;").replace("*", r"\*")


if __name__ == "__main__":
    PAGE.write_text(rendered())
