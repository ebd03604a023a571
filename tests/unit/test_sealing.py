"""Sealing: what is sealed for a place opens there, nowhere else, and tells no more than the step of its length."""

import base64
import pickle
import traceback

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from secretset.domain import sealing
from secretset.domain.names import VALUE_MAX_BYTES, Kind
from secretset.domain.sealing import Cause, Opener, Place, PrivateKey, PublicKey, Unopened

SEED, OTHER_SEED = bytes(range(32)), bytes(range(1, 33))
KEY, OTHER = PrivateKey.from_seed(SEED), PrivateKey.from_seed(OTHER_SEED)
OPENER = Opener([KEY])
PLACE = Place("installation", Kind.SECRET_SET, "acme", "bot", "API_KEY")
STEP = sealing.PADDING_STEP

names = st.text(st.characters(), max_size=80)  # lone surrogates too: JSON can carry them
places = st.builds(Place, names, st.sampled_from(Kind), names, names, names)
values = st.binary(max_size=600) | st.text(max_size=200).map(str.encode)


def why(opener: Opener, place: Place, text: str) -> Cause:
    with pytest.raises(Unopened) as caught:
        opener.open(place, text)
    return caught.value.why


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x00",
        b"x",
        *(b"x" * size for size in (251, 252, 253, 255, 256, 257, VALUE_MAX_BYTES - 1, VALUE_MAX_BYTES)),
        bytes(range(256)),
        bytes(1000),
        "Grüße, 世界 🔑\r\n".encode(),
        b"hpke1.0123456789abcdef.AAAA",
    ],
    ids=lambda value: f"{len(value)}-{value[:1].hex()}",
)
def test_a_value_comes_back_as_it_was(value: bytes) -> None:
    text = KEY.public.seal(PLACE, value)
    assert OPENER.open(PLACE, text) == value
    assert sealing.looks_sealed(text)
    assert sealing.kid_of(text) == KEY.kid
    assert sealing.TEXT_MIN <= len(text) <= sealing.TEXT_MAX


def test_the_shortest_value_makes_the_shortest_text_and_the_longest_the_longest() -> None:
    assert len(KEY.public.seal(PLACE, b"")) == sealing.TEXT_MIN == 1879
    assert len(KEY.public.seal(PLACE, bytes(VALUE_MAX_BYTES))) == sealing.TEXT_MAX


def test_a_longer_value_is_not_sealed() -> None:
    with pytest.raises(ValueError, match="16384"):
        KEY.public.seal(PLACE, bytes(VALUE_MAX_BYTES + 1))


@given(st.binary(min_size=32, max_size=32), places, values)
def test_any_value_comes_back_at_any_place_with_any_key(seed: bytes, place: Place, value: bytes) -> None:
    key = PrivateKey.from_seed(seed)
    assert Opener([KEY, key]).open(place, PublicKey.from_bytes(key.public.raw).seal(place, value)) == value


def test_the_same_value_is_another_text_each_time() -> None:
    assert len({KEY.public.seal(PLACE, b"x") for _ in range(50)}) == 50


@pytest.fixture(scope="module")
def text() -> str:
    return KEY.public.seal(PLACE, b"s3cr3t")


def test_a_value_cannot_be_moved_to_another_key(text: str) -> None:
    assert why(OPENER, PLACE._replace(key="OTHER"), text) is Cause.NOT_FOR_HERE


def test_a_value_cannot_be_moved_to_another_set(text: str) -> None:
    assert why(OPENER, PLACE._replace(name="other"), text) is Cause.NOT_FOR_HERE


def test_a_value_cannot_be_moved_to_another_namespace(text: str) -> None:
    assert why(OPENER, PLACE._replace(namespace="other"), text) is Cause.NOT_FOR_HERE


def test_a_value_cannot_be_moved_to_another_kind(text: str) -> None:
    assert why(OPENER, PLACE._replace(kind=Kind.IMAGE_PULL_SECRET), text) is Cause.NOT_FOR_HERE


def test_a_value_cannot_be_moved_to_another_installation_that_has_the_same_keys(text: str) -> None:
    assert why(OPENER, PLACE._replace(installation="other"), text) is Cause.NOT_FOR_HERE


@pytest.mark.parametrize(
    "place",
    [
        Place("installation", Kind.SECRET_SET, "acmeb", "ot", "API_KEY"),
        Place("installation", Kind.SECRET_SET, "bot", "acme", "API_KEY"),
        Place("installation", Kind.SECRET_SET, "acme", "botAPI_KEY", ""),
        Place("installation", Kind.SECRET_SET, "acme", "bot", "api_key"),
        Place("installation", Kind.SECRET_SET, "acme", "bot", "API_KEY\x00"),
        Place("installation", Kind.SECRET_SET, "acme", "bot", ""),
    ],
)
def test_the_parts_of_a_place_cannot_be_cut_otherwise(text: str, place: Place) -> None:
    assert why(OPENER, place, text) is Cause.NOT_FOR_HERE


@given(places, places)
def test_no_value_opens_at_a_place_that_it_was_not_sealed_for(one: Place, other: Place) -> None:
    assume(one != other)
    assert why(OPENER, other, KEY.public.seal(one, b"x")) is Cause.NOT_FOR_HERE


def test_a_key_that_is_not_held_is_told_as_such(text: str) -> None:
    assert why(Opener([OTHER]), PLACE, text) is Cause.UNKNOWN_KEY
    assert why(Opener([]), PLACE, text) is Cause.UNKNOWN_KEY


def test_a_text_that_names_another_key_does_not_open(text: str) -> None:
    renamed = text.replace(KEY.kid, OTHER.kid)
    assert why(Opener([KEY, OTHER]), PLACE, renamed) is Cause.NOT_FOR_HERE


def test_old_keys_open_on_beside_new_ones(text: str) -> None:
    opener = Opener([OTHER, KEY])
    assert opener.kids == {KEY.kid, OTHER.kid}
    assert opener.open(PLACE, text) == b"s3cr3t"
    assert opener.open(PLACE, OTHER.public.seal(PLACE, b"new")) == b"new"


@given(values, values)
def test_the_length_of_a_text_tells_the_step_of_the_values_length_and_no_more(one: bytes, other: bytes) -> None:
    same_step = (len(one) + 4 + STEP - 1) // STEP == (len(other) + 4 + STEP - 1) // STEP
    assert (len(KEY.public.seal(PLACE, one)) == len(KEY.public.seal(PLACE, other))) is same_step


@pytest.mark.parametrize("size", [0, 1, 31, 33, 64])
def test_a_seed_has_32_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="32"):
        PrivateKey.from_seed(bytes(size))


def test_new_seeds_differ() -> None:
    assert len({sealing.new_seed() for _ in range(100)}) == 100
    assert len(sealing.new_seed()) == 32


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        KEY.public.raw[:-1],
        KEY.public.raw + b"\x00",
        KEY.public.raw[:1184],
        b"\xff" * 1184 + KEY.public.raw[1184:],  # coefficients that are no residues
        KEY.public.raw[:1184] + bytes(32),  # points of low order: the shared secret would be known to everyone
        KEY.public.raw[:1184] + b"\x01" + bytes(31),
        KEY.public.raw[:1184] + b"\xec" + b"\xff" * 30 + b"\x7f",
    ],
    ids=["empty", "short", "long", "half", "mlkem", "zero", "one", "minus-one"],
)
def test_what_is_no_public_key_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="key"):
        PublicKey.from_bytes(raw)


@given(st.binary(min_size=1216, max_size=1216))
def test_any_bytes_are_a_public_key_or_a_value_error(raw: bytes) -> None:
    try:
        key = PublicKey.from_bytes(raw)
    except ValueError:
        return
    assert sealing.looks_sealed(key.seal(PLACE, b"x"))


def test_public_keys_are_equal_by_their_bytes() -> None:
    read = PublicKey.from_bytes(KEY.public.raw)
    assert read == KEY.public
    assert {read, KEY.public} == {KEY.public}
    assert read != OTHER.public
    assert read != KEY.public.raw


def test_nothing_shows_a_seed_or_a_value(text: str) -> None:
    expanded = base64.b64encode(SEED).decode(), SEED.hex(), repr(SEED)
    shown = [repr(thing) + str(thing) for thing in (KEY, KEY.public, OPENER)]
    assert all(KEY.kid in told for told in shown)
    assert not any(form in told for form in expanded for told in shown)
    with pytest.raises(TypeError):
        pickle.dumps(KEY)
    body = text.rpartition(".")[2]
    for place, broken in ((PLACE._replace(key="OTHER"), text), (PLACE, text[:-1])):
        with pytest.raises(Unopened) as caught:
            OPENER.open(place, broken)
        told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
        assert body[:20] not in told
        assert "InvalidTag" not in told
