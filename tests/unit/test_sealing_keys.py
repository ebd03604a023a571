"""Sealing keys at rest and in public: what is read, what is refused, which is current, and what may go."""

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretset.domain import sealing_keys
from secretset.domain.sealing_keys import Entry, PublicKeys, SealingKey, Unusable
from unit.key_hub import INSTALLATION, PLACE, private, sealed, seed

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def held(number: int, created: datetime = NOW) -> SealingKey:
    return SealingKey.of(private(number).kid, seed(number), created)


def test_an_entry_is_read_as_it_is_written() -> None:
    for entry in (Entry(created=NOW, secret=seed(1)), Entry(created=NOW, secret=b"wrapped", kek="local-1")):
        assert Entry.parse(entry.render()) == entry
    assert json.loads(Entry(created=NOW, secret=seed(1)).render()) == {
        "seed": base64.b64encode(seed(1)).decode(),
        "created": "2026-03-01T00:00:00Z",
    }
    berlin = NOW.astimezone(timezone(timedelta(hours=1)))
    assert json.loads(Entry(created=berlin, secret=seed(1)).render())["created"] == "2026-03-01T00:00:00Z"


GOOD = {"seed": base64.b64encode(seed(1)).decode(), "created": "2026-03-01T00:00:00Z"}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        json.dumps({**GOOD, "seed": "?"}).encode(),
        json.dumps({**GOOD, "seed": base64.b64encode(b"short").decode()}).encode(),
        json.dumps({**GOOD, "seed": None}).encode(),
        json.dumps({**GOOD, "created": "yesterday"}).encode(),
        json.dumps({**GOOD, "created": "2026-03-01T00:00:00"}).encode(),
        json.dumps({**GOOD, "created": 5}).encode(),
        json.dumps({"seed": GOOD["seed"]}).encode(),
        json.dumps({**GOOD, "kek": "k"}).encode(),
        json.dumps({**GOOD, "kek": 1, "wrapped": GOOD["seed"]}).encode(),
        json.dumps({**GOOD, "kek": "k", "wrapped": ""}).encode(),
        json.dumps({**GOOD, "kek": "k", "wrapped": base64.b64encode(bytes(20_000)).decode()}).encode(),
    ],
)
def test_a_damaged_entry_is_told_and_not_shown(raw: bytes) -> None:
    with pytest.raises(Unusable) as caught:
        Entry.parse(raw)
    assert str(caught.value) == "its entry is damaged"
    assert caught.value.__cause__ is None


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_an_entry_is_nothing_else_is_raised(raw: bytes) -> None:
    with pytest.raises(Unusable):
        Entry.parse(raw)


def test_a_seed_under_another_keys_name_is_no_key() -> None:
    with pytest.raises(Unusable, match="holds another key than its name says"):
        SealingKey.of(private(1).kid, seed(2), NOW)
    with pytest.raises(Unusable, match="damaged"):
        SealingKey.of(private(1).kid, b"short", NOW)


def test_the_document_is_read_as_it_is_published_with_the_newest_key_first() -> None:
    old, new = held(1, NOW), held(2, NOW + timedelta(days=30))
    document = PublicKeys.of(INSTALLATION, [old, new])
    assert [key.kid for key in document.keys] == [new.kid, old.kid]
    assert document.current == new.private.public
    assert PublicKeys.parse(document.render()) == document
    assert document.retirable([]) == {old.kid}
    assert document.retirable([old.kid]) == frozenset()
    assert document.without(new.kid).current == old.private.public
    assert document.without(old.kid).with_key(old) == document
    assert PublicKeys.of(INSTALLATION, []).current is None
    assert "held" not in json.loads(document.render())
    assert base64.b64encode(seed(1)).decode()[:-2] not in document.render()


def test_nobody_seals_for_a_key_that_is_not_held() -> None:
    old, new = held(1, NOW), held(2, NOW + timedelta(days=30))
    document = PublicKeys.of(INSTALLATION, [old, new], held=False)
    assert PublicKeys.parse(document.render()) == document
    for each in (document, document.without(old.kid), document.without(new.kid), document.with_key(old)):
        assert each.current is None
    assert document.newest == new.private.public


def test_a_document_that_was_tampered_with_is_none() -> None:
    content = json.loads(PublicKeys.of(INSTALLATION, [held(1), held(2)]).render())
    first, second = content["keys"]
    wrongs: tuple[Any, ...] = (
        {**content, "installation": None},
        {**content, "held": "yes"},
        {**content, "keys": None},
        {**content, "keys": [first, first]},
        {**content, "keys": [{**first, "publicKey": second["publicKey"]}]},
        {**content, "keys": [{**first, "publicKey": "AAAA"}]},
        {**content, "keys": [{**first, "created": "then"}]},
        {**content, "keys": [{"kid": first["kid"]}]},
        {"keys": content["keys"]},
        [],
        None,
    )
    for wrong in wrongs:
        with pytest.raises(Unusable, match="the document of public keys is damaged"):
            PublicKeys.parse(json.dumps(wrong))
    with pytest.raises(Unusable):
        PublicKeys.parse("")


@pytest.mark.parametrize(
    ("ages", "days", "due"),
    [
        ((), 30, True),
        ((), 0, True),
        ((29.9,), 30, False),
        ((30,), 30, True),
        ((100, 1), 30, False),
        ((1000,), 0, False),
    ],
)
def test_when_a_new_key_is_due(ages: tuple[float, ...], days: float, due: bool) -> None:
    assert sealing_keys.rotation_due([NOW - timedelta(days=age) for age in ages], days, NOW) is due


def test_a_new_key_is_newer_than_one_of_a_clock_that_was_ahead() -> None:
    ahead = NOW + timedelta(hours=1)
    assert sealing_keys.created_after([], NOW) == NOW
    assert sealing_keys.created_after([NOW - timedelta(days=1)], NOW) == NOW
    assert sealing_keys.created_after([NOW, ahead], NOW) == ahead + timedelta(seconds=1)
    newest = sealing_keys.newest([held(1, NOW), held(2, sealing_keys.created_after([NOW], NOW))])
    assert newest is not None
    assert newest.kid == private(2).kid


def test_use_is_counted_by_what_texts_name() -> None:
    one, two = sealed(private(1)), sealed(private(2))
    # Whoever may write a set may write such texts: they hold nothing up.
    forged = [
        "plain",
        "hpke1.short.AAAA",
        f"hpke1.{private(3).kid.upper()}.A",
        f"hpke1.{private(3).kid}.AAAA",
        one[:-1],
    ]
    found = sealing_keys.usage([one, two, one, None, *forged])
    assert dict(found) == {private(1).kid: 2, private(2).kid: 1}
    assert sealing_keys.usage([two, one, one]) is found
    assert sealing_keys.usage([]) == ()
    assert sealing_keys.total([found, found, ()]) == {private(1).kid: 4, private(2).kid: 2}


def test_the_newest_entry_is_known_without_opening_it() -> None:
    old = Entry(created=NOW, secret=b"wrapped", kek="local-1").render()
    new = Entry(created=NOW + timedelta(days=1), secret=seed(2)).render()
    assert sealing_keys.newest_kid({"a": old, "b": new, "c": b"damaged"}) == "b"
    assert sealing_keys.newest_kid({"b": old, "a": old}) == "a"  # as `newest` has it
    assert sealing_keys.newest_kid({"c": b"damaged"}) is None
    assert sealing_keys.parsed({"a": old, "c": b"damaged"}).keys() == {"a"}


def test_keys_show_nothing_of_themselves() -> None:
    key, entry = held(1), Entry(created=NOW, secret=seed(1))
    for text in (repr(key), repr(entry), repr([key]), repr({"a": entry})):
        assert "\\x01" not in text
        assert "AQEB" not in text
    assert key.private.public.seal(PLACE, b"v") != ""
