"""The note of `kubectl apply`: what the condition of the webhook takes for known, and what it takes out of the rest."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from secretset.domain import last_applied
from secretset.domain.models import ImagePullSecretSpec, SecretSetSpec
from secretset.domain.names import Kind
from secretset.domain.sealing import PREFIX, TEXT_MIN, Place
from unit.key_hub import private

CANARY = "cAnArY"
FROM = {"secretKeyRef": {"key": "a", "name": "src"}}
Object = dict[str, Any]


def expression() -> str:
    document = yaml.safe_load((Path(__file__).parents[2] / "deploy/seal.yaml").read_text())
    return str(document["webhooks"][0]["matchConditions"][0]["expression"])


def condition() -> re.Pattern[str]:
    """What the condition takes for a note of which all is known; RE2 reads it as Python does."""
    return re.compile("".join(re.findall(r"\br'([^']*)'", expression())), re.ASCII)


HEAD = {"apiVersion": "secretset.dev/v1alpha1", "kind": "SecretSet"}
META: Object = {"annotations": {"json": '{"a":{"b":[1]}}'}, "labels": {"a": "b"}, "name": "app", "namespace": "team"}
# What an exported object has besides; about that the webhook is asked, and leaves it.
EXPORTED: Object = {
    **META,
    "creationTimestamp": None,
    "finalizers": ["a/b"],
    "generation": 3,
    "ownerReferences": [{"kind": "Deployment", "name": "x", "controller": True}],
    **dict.fromkeys(("generateName", "resourceVersion", "uid"), "x"),
}
SPEC: Object = {
    "data": {"A": {"valueFrom": FROM}, "host": {"valueFrom": FROM}, "GONE": {}},
    "password": {"valueFrom": FROM},
    **dict.fromkeys(("deletionPolicy", "host", "region", "username"), "x"),
    "description": 'of "all" {fields}, \\ and <more>',
    "metadata": {"owner": "value", "sealed": '{"value":"x"}'},
    "serviceAccounts": ["a", "b"],
    "restart": {
        "policy": "Auto",
        **dict.fromkeys(("maxConcurrent", "maxWaitSeconds", "quietSeconds"), 5),
        "window": {"duration": "4h", "schedule": "@daily", "timeZone": "Europe/Berlin"},
    },
}
PLAIN = {"API_KEY": CANARY}
MISTAKES: list[tuple[Object, Object]] = [
    ({"stringData": PLAIN}, {}),
    ({"data": PLAIN}, {}),
    ({"API_KEY": CANARY}, {}),
    ({"labels": {"A": {"value": CANARY}}}, {}),
    ({"labels": [CANARY]}, {}),
    ({"annotations": {"A": [CANARY]}}, {}),
    ({"finalizers": [{"A": CANARY}]}, {}),
    ({"name": {"A": CANARY}}, {}),
    ({"ownerReferences": [{"name": "x", "value": CANARY}]}, {}),
    ({}, {"restart": {"K": {"value": CANARY}}}),
    ({}, {"restart": {"K": CANARY}}),
    ({}, {"restart": [CANARY]}),
    ({}, {"restart": {"quietSeconds": {"K": CANARY}}}),
    ({}, {"restart": {"window": {"K": CANARY}}}),
    ({}, {"restart": {"window": {"schedule": [CANARY]}}}),
    ({}, {"metadata": {"data": PLAIN}}),
    ({}, {"metadata": [CANARY]}),
    ({}, {"region": {"A": CANARY}}),
    ({}, {"host": [CANARY]}),
    ({}, {"serviceAccounts": [PLAIN]}),
    ({}, {"serviceAccounts": PLAIN}),
    ({}, {"labels": PLAIN}),
]


def as_noted(manifest: Any) -> str:
    return json.dumps(manifest, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n"


def cleaned(text: str) -> Any:
    found = last_applied.without_plain_text(text, {})
    return json.loads(text if found is None else found)


@pytest.mark.parametrize(("meta", "spec"), MISTAKES)
def test_a_note_keeps_nothing_where_its_form_is_another(meta: Object, spec: Object) -> None:
    """The condition has the webhook asked about it, and it takes it out, and nothing else."""
    manifest: Object = {**HEAD, "metadata": {"name": "app", **meta}, "spec": {"region": "eu", **spec}}
    text = as_noted(manifest)
    assert not condition().match(text)
    result = cleaned(text)
    assert CANARY not in json.dumps(result)
    for part, mistake in (("metadata", meta), ("spec", spec)):
        left = {name: found for name, found in manifest[part].items() if name not in mistake}
        assert {name: found for name, found in result[part].items() if name not in mistake} == left
    assert cleaned(as_noted(result)) == result


def test_a_note_of_which_all_is_known_is_left_alone() -> None:
    for manifest in ({**HEAD, "metadata": META, "spec": SPEC}, {**HEAD, "metadata": {"name": "app"}}, HEAD):
        text = as_noted(manifest)
        assert condition().match(text)
        assert last_applied.without_plain_text(text, {}) is None
    assert last_applied.without_plain_text(as_noted({**HEAD, "metadata": EXPORTED, "spec": SPEC}), {}) is None
    # Sealed entries are cut out before the condition looks.
    assert condition().match('{"spec":{"data":{"A":{SEALED},"B":{SEALED}},"password":{SEALED}}}')
    # In an order that is not kubectl's, too; but nothing that stands a level too high or too low.
    assert condition().match('{"spec":{"region":"eu","data":{}},"metadata":{"name":"app"},"kind":"SecretSet"}')
    for wrong in ('{"region":"eu"}', '{"metadata":{"region":"eu"}}', '{"spec":{"name":"x"}}', '{"spec":{"kind":"x"}}'):
        assert not condition().match(wrong)


@pytest.mark.parametrize(
    "text",
    [
        '{"spec":{"data":{"A":{"value":"cAnArY"}},"data":{"B":{}}}}',
        '{"spec":{"data":{"A":{"value":"cAnArY"},"A":{}}}}',
        '{"spec":{"data":{"A":{"value":"cAnArY","value":null}}}}',
        '{"spec":{"stringData":{"A":"cAnArY"}},"spec":{}}',
        '{"metadata":{"labels":{"A":"cAnArY","A":"b"}}}',
    ],
)
def test_what_stands_twice_in_a_note_is_left_out_but_for_the_last(text: str) -> None:
    found = last_applied.without_plain_text(text, {})
    assert found is not None
    assert CANARY not in found
    assert last_applied.without_plain_text(found, {}) is None


def test_text_is_sealed_from_the_least_length_on() -> None:
    """Else plain text behind the prefix would be taken for a sealed value, here and in the condition."""
    sealed = private(1).public.seal(Place("i", Kind.SECRET_SET, "team", "app", "A"), b"")
    assert len(sealed) == TEXT_MIN
    short = f"{sealed[:23]}{CANARY}"
    for text, clean in ((sealed, True), (short, False)):
        note = as_noted({**HEAD, "spec": {"data": {"A": {"sealed": text}}}})
        assert (last_applied.without_plain_text(note, {}) is None) == clean
    (least,) = re.findall(r"""indexOf\('"'\) >= (\d+)""", expression())
    assert int(least) == TEXT_MIN - len(PREFIX)


def test_the_shape_of_a_note_is_that_of_an_object() -> None:
    """What one knows and the other does not would be asked about and left for ever, or be lost for the next apply."""

    def check(shape: Any, schema: Any, definitions: Any) -> None:
        if "anyOf" in schema:
            (schema,) = (each for each in schema["anyOf"] if each != {"type": "null"})
        if "$ref" in schema:
            schema = definitions[schema["$ref"].rpartition("/")[2]]
        if "properties" in schema:
            assert shape.keys() == schema["properties"].keys()
            for name, inner in schema["properties"].items():
                check(shape[name], inner, definitions)
        elif schema["type"] == "object":
            assert shape == {"*": str}
        elif schema["type"] == "array":
            assert shape == [str]
        else:
            assert shape is str

    schemas = [model.model_json_schema(by_alias=True) for model in (SecretSetSpec, ImagePullSecretSpec)]
    assert last_applied.SPEC.keys() == SPEC.keys() == {name for each in schemas for name in each["properties"]}
    for each in schemas:
        for name in each["properties"].keys() - {"data", "password"}:
            check(last_applied.SPEC[name], each["properties"][name], each["$defs"])
