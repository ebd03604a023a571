"""Whatever stands in `sealed`: it opens, or it raises `Unopened`, and what cannot be a value costs nothing."""

import base64
from collections.abc import Iterator

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from secretset.domain import sealing
from secretset.domain.names import Kind
from secretset.domain.sealing import Cause, Opener, Place, PrivateKey, Unopened

KEY = PrivateKey.from_seed(bytes(range(32)))
OPENER = Opener([KEY])
PLACE = Place("installation", Kind.SECRET_SET, "acme", "bot", "API_KEY")
TEXT = KEY.public.seal(PLACE, b"s3cr3t" * 50)  # two steps: base64 would put two signs of padding behind it
HEAD, _, ENCODED = TEXT.rpartition(".")
BODY = base64.urlsafe_b64decode(ENCODED + "==")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def text_of(body: bytes) -> str:
    return f"{HEAD}.{base64.urlsafe_b64encode(body).decode().rstrip('=')}"


def why(text: str) -> Cause:
    with pytest.raises(Unopened) as caught:
        OPENER.open(PLACE, text)
    return caught.value.why


def dressed() -> Iterator[tuple[str, str]]:
    """Texts that a lenient reader would take for the good one, or stumble over."""
    yield "empty", ""
    yield "prefix", "hpke1."
    yield "prefix-alone", "hpke1"
    yield "no-prefix", TEXT.removeprefix("hpke1.")
    yield "two-dots", "hpke1.."
    yield "no-body", f"{HEAD}."
    yield "no-last-dot", HEAD
    yield "no-kid", f"hpke1..{ENCODED}"
    yield "third-dot", f"{TEXT}."
    yield "fourth-part", f"{TEXT}.{ENCODED}"
    yield "twice", TEXT * 2
    yield "other-version", TEXT.replace("hpke1", "hpke2", 1)
    yield "upper-prefix", TEXT.replace("hpke1", "HPKE1", 1)
    yield "upper-kid", f"hpke1.{'ABCDEF0123456789'}.{ENCODED}"
    yield "short-kid", f"hpke1.{KEY.kid[:-1]}.{ENCODED}"
    yield "long-kid", f"hpke1.{KEY.kid}0.{ENCODED}"
    yield "kid-not-hex", f"hpke1.{'g' * 16}.{ENCODED}"
    yield "kid-other-digits", f"hpke1.{'٣' * 16}.{ENCODED}"
    yield "padding-one", f"{TEXT}="
    yield "padding-right", TEXT + "=" * (-len(ENCODED) % 4)
    yield "padding-more", f"{TEXT}===="
    yield "padding-within", f"{HEAD}.{ENCODED[:100]}={ENCODED[100:]}"
    yield "standard-alphabet", f"{HEAD}.{ENCODED.translate(str.maketrans('-_', '+/'))}"
    yield "hex", f"{HEAD}.{BODY.hex()}"
    yield "base32", f"{HEAD}.{base64.b32encode(BODY).decode()}"
    yield "base85", f"{HEAD}.{base64.b85encode(BODY).decode()}"
    for name, extra in {
        "newline": "\n", "return": "\r\n", "space": " ", "tab": "\t", "nul": "\0", "mark": "\ufeff", "umlaut": "ü",
        "wide": "\uff21", "surrogate": "\ud800", "emoji": "🔑", "quote": '"', "percent": "%0A", "star": "*",
    }.items():  # fmt: skip
        yield f"{name}-before", extra + TEXT
        yield f"{name}-after", TEXT + extra
        yield f"{name}-within", f"{HEAD}.{ENCODED[:100]}{extra}{ENCODED[100:]}"
        yield f"{name}-alone", f"{HEAD}.{extra}"
        yield f"{name}-in-kid", f"hpke1.{KEY.kid[:8]}{extra}{KEY.kid[8:]}.{ENCODED}"


DRESSED = dict(dressed())


@pytest.mark.parametrize("text", DRESSED.values(), ids=DRESSED.keys())
def test_a_text_that_is_not_quite_of_the_form_is_malformed(text: str) -> None:
    assert why(text) is Cause.MALFORMED
    assert not sealing.looks_sealed(text)
    assert sealing.kid_of(text) is None


def test_a_text_that_was_cut_anywhere_does_not_open() -> None:
    found = {end: why(TEXT[:end]) for end in range(len(TEXT))}
    one_step = len(HEAD) + 1 + (1136 + 256) * 4 // 3
    assert [end for end, cause in found.items() if cause is not Cause.MALFORMED] == [one_step]
    assert {why(TEXT[start:]) for start in range(1, len(TEXT))} == {Cause.MALFORMED}


def test_a_body_of_any_other_length_is_malformed_but_whole_steps() -> None:
    for size in [*range(300), *range(1100, 1700), 17_775, 17_777, 20_000]:
        whole = size > 1136 and (size - 1136) % 256 == 0
        assert why(text_of(bytes(size))) is (Cause.NOT_FOR_HERE if whole else Cause.MALFORMED)


def test_the_unused_bits_of_the_last_character_are_zero() -> None:
    last = ALPHABET.index(TEXT[-1])
    others = [TEXT[:-1] + ALPHABET[last + extra] for extra in range(1, 16)]
    assert {base64.urlsafe_b64decode(other.rpartition(".")[2] + "==") for other in others} == {BODY}
    assert {why(other) for other in others} == {Cause.MALFORMED}


def test_every_bit_of_the_body_counts() -> None:
    for position in range(len(BODY)):
        flipped = bytearray(BODY)
        flipped[position] ^= 1 << position % 8
        assert why(text_of(bytes(flipped))) is Cause.NOT_FOR_HERE


def test_a_point_of_low_order_in_the_encapsulation_is_nothing_special() -> None:
    for point in (bytes(32), b"\x01" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f"):
        assert why(text_of(BODY[:1088] + point + BODY[1120:])) is Cause.NOT_FOR_HERE


def test_steps_cannot_be_exchanged_or_taken_away() -> None:
    body = base64.urlsafe_b64decode(KEY.public.seal(PLACE, b"x" * 700).rpartition(".")[2] + "==")
    enc, first, second, rest = body[:1120], body[1120:1376], body[1376:1632], body[1632:]
    for parts in (
        (enc, second, first, rest),
        (enc, first, rest),
        (enc, second, rest),
        (enc, first, second, first, rest),
    ):
        assert why(text_of(b"".join(parts))) is Cause.NOT_FOR_HERE
    assert why(text_of(BODY[:1120] + body[1120:])) is Cause.NOT_FOR_HERE


@pytest.mark.parametrize("length", [sealing.TEXT_MAX + 1, 1_000_000, 50_000_000])
def test_a_text_that_is_too_long_is_not_even_decoded(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base64, "urlsafe_b64decode", lambda _: pytest.fail("it was decoded"))
    assert why(f"{HEAD}.".ljust(length, "A")) is Cause.MALFORMED
    assert why("x" * length) is Cause.MALFORMED


@pytest.mark.parametrize(
    "padded",
    [
        b"\x00\x00\x00\xfd".ljust(256, b"x"),  # one byte longer than what is there
        b"\xff\xff\xff\xff".ljust(256, b"x"),
        b"\x00\x00\x00\x06s3cr3t".ljust(256, b"x"),  # no zeros behind it
        b"\x00\x00\x00\x06s3cr3t".ljust(255, b"\x00") + b"\x01",
        b"\x00\x00\x00\x06s3cr3t".ljust(512, b"\x00"),  # one step too many
        (16_385).to_bytes(4, "big").ljust(16_640, b"x"),  # one byte more than a value may have
    ],
    ids=["longer", "huge", "no-zeros", "last-byte", "two-steps", "over"],
)
def test_what_was_padded_otherwise_is_malformed(padded: bytes) -> None:
    """Anyone can encrypt such a thing: the public key is public."""
    body = sealing._SUITE.encrypt(padded, KEY.public._key, sealing._info(KEY.kid, PLACE))
    assert why(text_of(body)) is Cause.MALFORMED


@given(st.text(st.characters()))
def test_no_text_raises_anything_else(rest: str) -> None:
    for text in (rest, f"hpke1.{rest}", f"{HEAD}.{rest}", f"{HEAD}.{ENCODED}{rest}" if rest else "", f"{rest}{TEXT}x"):
        assert why(text) is Cause.MALFORMED


@given(st.data())
def test_no_edited_text_opens(data: st.DataObject) -> None:
    edited = list(TEXT)
    for _ in range(data.draw(st.integers(1, 4))):
        edited[data.draw(st.integers(0, len(TEXT) - 1))] = data.draw(st.sampled_from(ALPHABET) | st.characters())
    text = "".join(edited)
    assume(text != TEXT)
    assert isinstance(why(text), Cause)
