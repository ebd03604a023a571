"""Marks: what is written is read back, and what somebody damaged counts as forgotten."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import at
from secretset.domain import names
from secretset.domain.marks import OWN_ANNOTATIONS, KeyMark, Marks
from secretset.domain.names import Key, Kind
from secretset.domain.waves import Wave
from unit.slots import INSTALLATION, OWNER, UID

WAVE = Wave(id="3-u", since=1.5, changed=2.5, targets={"uid-a": 1, "uid-b": 7})
MARKS = Marks(
    installation=INSTALLATION,
    owner=OWNER,
    owner_uid=UID,
    revision=3,
    keys={"A": KeyMark("k1.a", at(0), at(1)), "B": KeyMark("k1.b", at(0), at(2))},
    updated=at(2),
    inputs="inputs",
    asked="abc",
    wave=WAVE,
)


def damaged(**notes: str | None) -> Marks | None:
    """The marks as they are read after somebody changed some of their annotations."""
    changed = MARKS.annotations() | {getattr(names, f"ANNOTATION_{name}"): text for name, text in notes.items()}
    return Marks.parse({"annotations": {name: text for name, text in changed.items() if text is not None}})


def test_marks_survive_the_secret() -> None:
    assert Marks.parse({"labels": MARKS.labels(), "annotations": MARKS.annotations()}) == MARKS


@given(
    st.dictionaries(st.text(max_size=8), st.builds(KeyMark, st.text(max_size=8), st.just(at(0)), st.just(at(1)))),
    st.integers(0, 999_999_999),
    st.none()
    | st.builds(Wave, id=st.text(), since=st.floats(0, 1e10), changed=st.floats(0, 1e10), targets=st.just({})),
)
def test_any_marks_survive_the_secret(keys: dict[str, KeyMark], revision: int, wave: Wave | None) -> None:
    marks = Marks(installation="i", owner=OWNER, owner_uid="u", revision=revision, keys=keys, wave=wave)
    assert Marks.parse({"annotations": marks.annotations()}) == marks


def test_labels_say_who_manages_it_and_for_whom() -> None:
    assert MARKS.labels() == {
        "app.kubernetes.io/managed-by": "secretset-operator",
        "secretset.dev/set": "app",
        "secretset.dev/organization": "team",
    }
    pull = Marks(installation="i", owner=Key(Kind.IMAGE_PULL_SECRET, "team", "reg"), owner_uid="u")
    assert pull.labels()["secretset.dev/pull-secret"] == "reg"
    assert "secretset.dev/set" not in pull.labels()


def test_the_operator_owns_exactly_the_annotations_that_it_writes() -> None:
    assert MARKS.annotations().keys() == OWN_ANNOTATIONS


@pytest.mark.parametrize("name", ["OWNER_KIND", "OWNER_NAMESPACE", "OWNER_NAME", "INSTALLATION"])
def test_a_secret_that_does_not_say_whose_it_is_is_not_ours(name: str) -> None:
    assert damaged(**{name: None}) is None


def test_a_secret_of_an_unknown_kind_or_without_annotations_is_not_ours() -> None:
    assert damaged(OWNER_KIND="Secret") is None
    assert Marks.parse({}) is None
    assert Marks.parse({"annotations": None}) is None


@pytest.mark.parametrize("text", [None, "", "x", "-1", "1.0", "1e3", " 3", "٣", "9" * 5000])
def test_a_damaged_revision_counts_as_forgotten(text: str | None) -> None:
    marks = damaged(REVISION=text)
    assert marks is not None
    assert marks.revision == 0
    assert marks.keys == MARKS.keys


DEEP = "[" * 100_000
NO_KEYS = [None, "", "x", "[]", "1", '"A"', '{"A":1}', '{"A":["f"]}', '{"A":null}', '{"A":["f","c","u","x"]}', DEEP]


@pytest.mark.parametrize("text", NO_KEYS, ids=lambda text: repr(text)[:20])
def test_damaged_keys_count_as_forgotten(text: str | None) -> None:
    marks = damaged(KEYS=text)
    assert marks is not None
    assert marks.keys == {}
    assert marks.fingerprint == ""
    assert marks.wave == WAVE


def wave_text(**changes: Any) -> str:
    return json.dumps(WAVE.to_json() | changes)


NO_WAVE = ["", "x", "[]", "1", "null", '"a"', "{}", wave_text(since="x"), wave_text(targets=None), DEEP]
NO_WAVE.append(wave_text(since=None).replace("null", "1" * 400))  # an integer that no float can hold


@pytest.mark.parametrize("text", NO_WAVE, ids=lambda text: repr(text)[:20])
def test_a_damaged_wave_counts_as_forgotten(text: str) -> None:
    marks = damaged(WAVE=text)
    assert marks is not None
    assert marks.wave is None


def test_times_that_are_none_count_as_forgotten_because_a_status_could_not_carry_them() -> None:
    """The CRD's `format: date-time` would refuse the whole status, for ever."""
    keys = json.dumps({"A": ["k1.a", "yesterday", at(1)]})
    marks = damaged(KEYS=keys, UPDATED="today")
    assert marks is not None
    assert not any("yesterday" in mark for mark in marks.keys.values())
    assert marks.updated == ""


json_text = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
).map(json.dumps)


@given(st.sampled_from(sorted(OWN_ANNOTATIONS)), st.text() | json_text, st.sampled_from(["", "since", "targets"]))
def test_no_annotation_raises_whatever_it_says(name: str, text: str, field: str) -> None:
    if field:
        text = json.dumps(WAVE.to_json()).replace(f'"{field}": ', f'"{field}": {text}, "x": ')
    marks = Marks.parse({"annotations": MARKS.annotations() | {name: text}})
    if marks is not None:
        assert Marks.parse({"annotations": marks.annotations()}) is not None
        assert isinstance(marks.fingerprint, str)


def test_half_of_a_letter_in_a_key_s_name_does_not_raise() -> None:
    marks = damaged(KEYS=json.dumps({"\ud800": ["k1.a", at(0), at(0)]}))
    assert marks is not None
    assert isinstance(marks.fingerprint, str)
