"""What the sealing webhook does to objects: every value is sealed for its place, no plain text is left or told."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretset.domain import admission, last_applied
from secretset.domain.admission import Refused
from secretset.domain.names import Kind
from secretset.domain.sealing import Opener, Place, PrivateKey, new_seed

PRIVATE = PrivateKey.from_seed(new_seed())
OPENER = Opener([PRIVATE])
HERE = "installation-1"
CANARY = "cAnArY"
NOTE = last_applied.ANNOTATION
Object = dict[str, Any]


def place(key: str, kind: Kind = Kind.SECRET_SET) -> Place:
    return Place(HERE, kind, "team", "app", key)


def sealed(key: str = "A", value: str = CANARY) -> str:
    return PRIVATE.public.seal(place(key), value.encode())


STORED, OTHER = sealed(), sealed()
FROM = {"secretKeyRef": {"name": "src", "key": "a"}}
FROM_OTHER = {"secretKeyRef": {"name": "src", "key": "b"}}


def secret_set(data: Any, *, note: Any = None, **meta: Any) -> Object:
    annotations = {"annotations": {NOTE: note if isinstance(note, str) else json.dumps(note)}} if note else {}
    return {"metadata": {"name": "app", "namespace": "team", **annotations, **meta}, "spec": {"data": data}}


def pull_secret(password: Any, **more: Any) -> Object:
    obj = secret_set({}, **more)
    return {**obj, "spec": {"host": "ghcr.io", "username": "bot", "password": password}}


def through(new: Object, old: Object | None = None, kind: Kind = Kind.SECRET_SET, **options: Any) -> Object:
    """The object as it is stored. What was there is replaced, and nothing else is changed."""
    found = admission.seal(kind, "team", new, old, installation=HERE, key=PRIVATE.public, **options)
    result = copy.deepcopy(new)
    for operation in found.patch:
        assert operation["op"] == "replace"
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        target = result
        for part in parents:
            target = target[part]
        assert last in target
        target[last] = operation["value"]
    return result


def opened(entry: Any, key: str = "A", kind: Kind = Kind.SECRET_SET) -> str:
    assert list(entry) == ["sealed"]
    return OPENER.open(place(key, kind), entry["sealed"]).decode()


def noted(obj: Object) -> Any:
    return json.loads(obj["metadata"]["annotations"][NOTE])


def test_a_value_is_sealed_for_its_place() -> None:
    result = through(secret_set({"A": {"value": CANARY}, "B": {"value": ""}, "C": {"valueFrom": FROM}}))
    assert opened(result["spec"]["data"]["A"]) == CANARY
    assert opened(result["spec"]["data"]["B"], "B") == ""
    assert result["spec"]["data"]["C"] == {"valueFrom": FROM}
    result = through(pull_secret({"value": CANARY}), kind=Kind.IMAGE_PULL_SECRET)
    assert opened(result["spec"]["password"], "password", Kind.IMAGE_PULL_SECRET) == CANARY


@pytest.mark.parametrize(
    ("before", "entry", "wins"),
    [
        ({"sealed": STORED}, {"sealed": STORED, "value": CANARY}, "value"),
        ({"valueFrom": FROM}, {"valueFrom": FROM, "value": CANARY}, "value"),
        ({"sealed": STORED}, {"sealed": STORED, "valueFrom": FROM}, "valueFrom"),
        ({"valueFrom": FROM}, {"valueFrom": FROM, "sealed": OTHER}, "sealed"),
        ({"sealed": STORED}, {"sealed": STORED, "value": CANARY, "valueFrom": None}, "value"),
    ],
)
def test_of_two_sources_the_new_one_wins(before: Object, entry: Object, wins: str) -> None:
    for kind, make, at in (
        (Kind.SECRET_SET, lambda each: secret_set({"A": each}), ("data", "A")),
        (Kind.IMAGE_PULL_SECRET, pull_secret, ("password",)),
    ):
        result: Any = through(make(entry), make(before), kind)["spec"]
        for part in at:
            result = result[part]
        if wins == "value":
            assert opened(result, at[-1], kind) == CANARY
        else:
            assert result == {wins: entry[wins]}


@pytest.mark.parametrize(
    ("before", "entry"),
    [
        (None, {"sealed": STORED, "value": CANARY}),
        (None, {"sealed": STORED, "valueFrom": FROM}),
        ({"sealed": STORED}, {"sealed": OTHER, "value": CANARY}),
        ({"valueFrom": FROM}, {"valueFrom": FROM_OTHER, "value": CANARY}),
        ({"sealed": STORED}, {"sealed": STORED, "valueFrom": FROM, "value": CANARY}),
    ],
)
def test_two_new_sources_are_refused(before: Object | None, entry: Object) -> None:
    old = None if before is None else secret_set({"A": before})
    with pytest.raises(Refused, match=r"^spec\.data\.A: sets \w+ and \w+ at once: keep one of them$"):
        through(secret_set({"A": entry}), old)


def test_what_was_stored_wrongly_before_is_left_to_the_schema() -> None:
    both = {"sealed": "hpke1.AAAA", "valueFrom": FROM}
    obj = secret_set({"A": both, "B": {"sealed": "hpke1.AAAA"}})
    assert through(obj, obj) == obj


REFUSED = [
    ({"A": {"value": 5}}, r"^spec\.data\.A\.value: must be text"),
    ({"A": {"value": True}}, r"must be text"),
    ({"A": {"value": [CANARY]}}, r"must be text"),
    ({"A": {"value": {CANARY: CANARY}}}, r"must be text"),
    ({"A": {"value": CANARY * 3000}}, r"^spec\.data\.A\.value: is longer than 16,384 bytes$"),
    ({"A": {"value": "é" * 8193}}, r"is longer"),
    ({"A": {"sealed": CANARY}}, r"^spec\.data\.A\.sealed: is not what 'secretset seal' makes"),
    ({"A": {"sealed": f"hpke1.{CANARY}"}}, r"^spec\.data\.A\.sealed"),
    ({"A": {"sealed": {CANARY: 1}}}, r"^spec\.data\.A\.sealed"),
    ({f"{CANARY} 1": {"value": "x"}}, r"^A key in spec\.data breaks the rule"),
    ({f"{CANARY} 1": {"value": 5}}, r"^spec\.data: an entry\.value: must be text"),
    ({"LIVEKIT_URL": {"value": CANARY}}, r"^Reserved by the platform, remove from spec\.data: 'LIVEKIT_URL'$"),
]


@pytest.mark.parametrize(("data", "says"), REFUSED)
def test_what_cannot_be_stored_is_refused_and_not_shown(data: Any, says: str) -> None:
    with pytest.raises(Refused, match=says) as refused:
        through(secret_set(data))
    assert CANARY not in refused.value.message
    assert refused.value.__cause__ is None


def test_the_longest_value_and_the_installers_reserved_names() -> None:
    result = through(secret_set({"A": {"value": "é" * 8192}}))
    assert opened(result["spec"]["data"]["A"]) == "é" * 8192
    with pytest.raises(Refused, match="'MINE'"):
        through(secret_set({"MINE": {"value": "x"}}), reserved={"MINE"})
    # For the operator to tell: nothing is sealed here.
    obj = secret_set({"LIVEKIT_URL": {"valueFrom": FROM}})
    assert through(obj) == obj


def test_a_name_that_is_not_known_yet() -> None:
    obj = secret_set({"A": {"value": CANARY}}, generateName="app-")
    del obj["metadata"]["name"]
    with pytest.raises(Refused, match=r"^metadata\.generateName: "):
        through(obj)
    obj["spec"]["data"] = {"A": {"valueFrom": FROM}}
    assert through(obj) == obj


@pytest.mark.parametrize(
    "spec", [None, [], "x", {"data": None}, {"data": "x"}, {"data": [1]}, {"data": {"A": "x"}}, {}]
)
def test_what_has_another_form_is_left_to_the_schema(spec: Any) -> None:
    for kind in Kind:
        obj = {"metadata": {"name": "app", "annotations": None}, "spec": spec}
        assert through(obj, {"metadata": {}, "spec": spec}, kind) == obj


def test_the_noted_manifest_gets_what_is_stored() -> None:
    manifest = secret_set({"A": {"value": CANARY}, "B": {"valueFrom": FROM}})
    result = through(secret_set({"A": {"value": CANARY}, "B": {"valueFrom": FROM}}, note=manifest))
    assert noted(result)["spec"] == result["spec"]
    assert noted(result)["metadata"] == manifest["metadata"]
    result = through(pull_secret({"value": CANARY}, note=pull_secret({"value": CANARY})), kind=Kind.IMAGE_PULL_SECRET)
    assert noted(result)["spec"] == result["spec"]


@pytest.mark.parametrize(
    ("entry", "kept"),
    [
        ({"value": CANARY}, False),
        ({"value": 5}, False),
        ({"value": {"sealed": CANARY}}, False),
        ({"sealed": CANARY}, False),
        ({"sealed": [CANARY]}, False),
        ({"sealed": f"hpke1.{CANARY}"}, False),
        ({"sealed": STORED, "valeu": CANARY}, False),
        ({"valeu": CANARY}, False),
        ({"value": {"valueFrom": {CANARY: CANARY}}}, False),
        ({"valueFrom": CANARY}, False),
        ({"valueFrom": {"secretKeyRef": CANARY}}, False),
        ({"valueFrom": {"secretKeyRef": {"name": "src", "key": {CANARY: 1}}}}, False),
        ({"valueFrom": {"secretKeyRef": {**FROM["secretKeyRef"], "value": CANARY}}}, False),
        ({"valueFrom": {**FROM, "value": CANARY}}, False),
        ({"sealed": STORED, "value": CANARY}, False),
        (CANARY, False),
        ({"sealed": OTHER}, True),
        ({"valueFrom": FROM_OTHER}, True),
        (None, True),
        ({}, True),
    ],
)
def test_a_note_that_was_written_by_itself(entry: Any, kept: bool) -> None:
    """`kubectl apply set-last-applied` on an object that carries no value."""
    stored = {"A": {"sealed": STORED}}
    manifest = secret_set({"A": entry, "GONE": entry})
    result = through(secret_set(stored, note=manifest), secret_set(stored))
    assert noted(result)["spec"]["data"] == (manifest["spec"]["data"] if kept else {**stored, "GONE": {}})
    manifest["spec"]["password"] = entry
    result = through(pull_secret(stored["A"], note=manifest), None, Kind.IMAGE_PULL_SECRET)
    assert noted(result)["spec"]["password"] == (entry if kept else stored["A"])


@pytest.mark.parametrize(
    "text",
    [
        *("{", "[]", '"x"', "NaN", "[" * 200_000),
        # What Python reads, and would write, without its being JSON.
        *('{"spec":{"data":"x","region":' + each + "}}" for each in ("NaN", "-Infinity", "1e999", '"\\ud800"')),
    ],
)
def test_a_note_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="is not a manifest in JSON: remove it"):
        through(secret_set({"A": {"value": CANARY}}, note=text))


def test_odd_notes() -> None:
    for note in ({"spec": None}, {"metadata": {"labels": None}}, {}):
        obj = secret_set({"A": {"sealed": STORED}}, note=json.dumps(note))
        assert through(obj) == obj
    # kubectl takes the note out of what it notes, and notes no data that are none.
    nested = {"metadata": {"annotations": {NOTE: CANARY, "x": "y"}}, "spec": {"data": CANARY, "region": "é"}}
    result = noted(through(secret_set({}, note=nested)))
    assert result == {"metadata": {"annotations": {"x": "y"}}, "spec": {"region": "é"}}
    # As kubectl writes it, to the line break at its end.
    text = through(secret_set({}, note='{"spec":{"data":{"A":{"value":"x"}}}}\n'))["metadata"]["annotations"][NOTE]
    assert text == '{"spec":{"data":{"A":{}}}}\n'
    # It grows by nothing but what is sealed.
    text = '{"spec":{"data":{"A":{"value":"x"}},"description":"é\u2028𐄀<>"}}'
    assert through(secret_set({}, note=text))["metadata"]["annotations"][NOTE] == text.replace('"value":"x"', "")


def test_a_note_keeps_no_field_that_an_object_has_not() -> None:
    """The `stringData` of a Secret, or what is one level too high or too low."""
    known = {"apiVersion": "secretset.dev/v1alpha1", "kind": "SecretSet", "metadata": {"name": "app"}}
    spec = {"data": {}, "region": "eu", "restart": {"policy": "Never"}, "serviceAccounts": ["a"]}
    for more, deep in (
        ({"stringData": {"A": CANARY}}, {}),
        ({"data": {"A": CANARY}, "password": CANARY, "status": {}}, {}),
        ({}, {"stringData": {"A": CANARY}, "value": CANARY, "API_KEY": {"value": CANARY}}),
    ):
        manifest = {**known, **more, "spec": {**spec, **deep}}
        assert noted(through(secret_set({}, note=manifest))) == {**known, "spec": spec}
    for odd in (CANARY, [CANARY], 5):
        assert noted(through(secret_set({}, note={**known, "spec": odd}))) == known


def test_a_note_that_grows_too_long_is_refused() -> None:
    data = {f"KEY_{number}": {"value": "x"} for number in range(200)}
    with pytest.raises(Refused, match="--server-side"):
        through(secret_set(data, note=secret_set(data)))
    assert through(secret_set(data))["spec"]["data"].keys() == data.keys()


values = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40).map(CANARY.__add__)
mistakes = st.recursive(
    values, lambda inner: st.dictionaries(st.sampled_from(["valeu", "value", "sealed", "valueFrom"]), inner, min_size=1)
)
sources = st.fixed_dictionaries(
    {},
    optional={
        "value": values,
        "sealed": st.sampled_from([STORED, OTHER]),
        "valueFrom": st.sampled_from([FROM, FROM_OTHER]),
    },
)
stored_sources = st.sampled_from([{"sealed": STORED}, {"sealed": OTHER}, {"valueFrom": FROM}])
keys = st.sampled_from(["A", "B", "value", "sealed", "a-b_C"])


@given(
    before=st.none() | st.dictionaries(keys, stored_sources),
    data=st.dictionaries(keys, sources),
    manifest=st.none() | st.dictionaries(keys, sources | mistakes),
)
def test_no_plain_text_is_left(before: Any, data: Any, manifest: Any) -> None:
    note = None if manifest is None else secret_set(manifest)
    old = None if before is None else secret_set(before)
    new = secret_set(data, note=note)
    try:
        result = through(new, old)
    except Refused as refused:
        if CANARY in refused.message:
            raise AssertionError from None
        return
    assert CANARY not in json.dumps(result)
    for key, entry in data.items():
        found = result["spec"]["data"][key]
        assert len(found) == min(len(entry), 1)
        if "value" in entry:
            assert opened(found, key) == entry["value"]
    if note is not None:
        assert noted(result)["spec"]["data"].keys() == manifest.keys()
    # Asked again about what it made (reinvocationPolicy), it finds nothing to do.
    assert through(result, old) == result
