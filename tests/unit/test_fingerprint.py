"""Fingerprints: keyed, bound to one value's place, and framed so that nothing can be moved between the parts."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from secretset.domain import fingerprint
from secretset.domain.fingerprint import Keyring, combine, digest
from secretset.domain.names import Key, Kind
from unit.slots import KEYRING, OWNER

PLACE = (OWNER, "A", b"value")


def test_a_fingerprint_names_its_key_and_has_a_fixed_length() -> None:
    kid, _, text = KEYRING.fingerprint(*PLACE).partition(".")
    assert (kid, len(text)) == ("k1", 22)
    assert KEYRING.fingerprint(*PLACE) == KEYRING.fingerprint(*PLACE)


@pytest.mark.parametrize(
    "other",
    [
        (OWNER._replace(kind=Kind.IMAGE_PULL_SECRET), "A", b"value"),
        (OWNER._replace(namespace="other"), "A", b"value"),
        (OWNER._replace(name="other"), "A", b"value"),
        (OWNER, "B", b"value"),
        (OWNER, "A", b"value "),
        (OWNER, "A", b""),
    ],
)
def test_a_fingerprint_is_bound_to_kind_namespace_name_key_and_value(other: tuple[Key, str, bytes]) -> None:
    mine = KEYRING.fingerprint(*PLACE)
    assert KEYRING.fingerprint(*other) != mine
    assert KEYRING.matches(mine, *PLACE)
    assert not KEYRING.matches(mine, *other)


def test_a_fingerprint_depends_on_the_secret_key() -> None:
    other = Keyring(keys={"k1": b"x" * 32}, current="k1")
    assert other.fingerprint(*PLACE) != KEYRING.fingerprint(*PLACE)


def test_an_old_key_still_verifies_and_a_dropped_one_does_not() -> None:
    old = Keyring(keys={"k0": b"0" * 32}, current="k0").fingerprint(*PLACE)
    assert old.startswith("k0.")
    assert KEYRING.knows(old)
    assert KEYRING.matches(old, *PLACE)
    without = Keyring(keys={"k1": b"1" * 32}, current="k1")
    assert not without.knows(old)
    assert not without.matches(old, *PLACE)
    with pytest.raises(KeyError):
        without.fingerprint(*PLACE, kid="k0")


@given(st.text())
def test_no_text_that_somebody_wrote_raises_or_matches(text: str) -> None:
    """It stands in an annotation that anyone may edit who may edit Secrets in the region."""
    for candidate in (text, f"k1.{text}"):
        assume(candidate != KEYRING.fingerprint(*PLACE))
        assert not KEYRING.matches(candidate, *PLACE)


def test_letters_outside_ascii_in_a_fingerprint_do_not_raise() -> None:
    assert not KEYRING.matches("k1.é", *PLACE)


@given(st.lists(st.binary(max_size=12), max_size=5), st.lists(st.binary(max_size=12), max_size=5))
def test_different_parts_never_frame_to_the_same_bytes(one: list[bytes], two: list[bytes]) -> None:
    assert (digest(*one) == digest(*two)) is (one == two)


@given(st.text(min_size=1, max_size=9), st.text(max_size=9), st.data())
def test_moving_bytes_between_parts_changes_the_fingerprint(key: str, value: str, data: st.DataObject) -> None:
    whole = key + value
    cut = data.draw(st.integers(0, len(whole)))
    assume(cut != len(key))
    moved = KEYRING.fingerprint(OWNER, whole[:cut], whole[cut:].encode())
    assert moved != KEYRING.fingerprint(OWNER, key, value.encode())


def test_the_content_s_fingerprint_depends_on_names_and_values_but_not_on_their_order() -> None:
    one = KEYRING.of_content(OWNER, {"A": b"1", "B": b"2"})
    two = KEYRING.of_content(OWNER, {"B": b"2", "A": b"1"})
    assert combine(one) == combine(two)
    assert combine(one).startswith("k1.")
    assert len({combine(KEYRING.of_content(OWNER, c)) for c in ({"A": b"1"}, {"B": b"1"}, {"A": b"2"}, {})}) == 4
    assert combine({}) == ""


def test_a_key_s_id_tells_nothing_of_the_key() -> None:
    assert fingerprint.key_id(b"k" * 32) == fingerprint.key_id(b"k" * 32)
    assert fingerprint.key_id(b"k" * 32) != fingerprint.key_id(b"l" * 32)
    assert len(fingerprint.key_id(b"k" * 32)) == 8
