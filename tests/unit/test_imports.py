"""What becomes a set, and what is named instead, all of it at once."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretset.domain import imports, names, payload
from secretset.domain.imports import KeyRules, Unfit
from secretset.domain.names import Kind

CANARY = "cAnArY-51d0c7-YrAnAc"
RULES = KeyRules()


def item(
    data: Mapping[str, bytes], rules: KeyRules = RULES, *, name: str = "app", kind: str = "Opaque"
) -> imports.Item:
    return imports.from_secret("Secret shop/app", name, kind, data, rules)


def problems(data: Mapping[str, bytes], rules: KeyRules = RULES, **options: Any) -> tuple[str, ...]:
    with pytest.raises(Unfit) as refused:
        item(data, rules, **options)
    assert CANARY not in str(refused.value)
    return refused.value.problems


def docker(**auths: Any) -> bytes:
    return json.dumps({"auths": auths}).encode()


def auth(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_values_stay_as_they_are_byte_for_byte() -> None:
    data = {"TEXT": b" a=b\n'\"", "binary-1": bytes(range(256)), "NUL": b"a\0b", "UTF8": "schlüssel".encode()}
    made = item(data)
    assert (made.kind, made.name, made.values, made.host) == (Kind.SECRET_SET, "app", data, None)
    assert made.no_text() == ["NUL", "binary-1"]


def test_all_that_is_in_the_way_is_named_at_once() -> None:
    long = (CANARY * 900).encode()
    data = {"tls.key": CANARY.encode(), "LIVEKIT_URL": b"x", "LONG": long, "EMPTY": b"", "GOOD": b"x"}
    told = problems(data, name="a")
    assert len(told) == 5
    for found, wanted in zip(
        told,
        [
            "its name is none for a set",
            "--rename tls.key=TLS_KEY, or --skip-key tls.key",
            "the platform itself sets 'LIVEKIT_URL'",
            f"the value of 'LONG' is {len(long):,} bytes long",
            "the value of 'EMPTY' is empty: --allow-empty",
        ],
        strict=True,
    ):
        assert wanted in found


def test_the_ways_out_that_are_named_are_ways_out() -> None:
    data = {"tls.key": b"key", "LIVEKIT_URL": b"url", "LONG": b"x" * 16_385, "EMPTY": b"", "GOOD": b"x"}
    rules = KeyRules(
        rename={"tls.key": "TLS_KEY", "LIVEKIT_URL": "OUR_URL"}, skip=frozenset({"LONG"}), allow_empty=True
    )
    assert item(data, rules).values == {"TLS_KEY": b"key", "OUR_URL": b"url", "EMPTY": b"", "GOOD": b"x"}
    assert rules.named == {"tls.key", "LIVEKIT_URL", "LONG"}


@pytest.mark.parametrize(
    ("data", "rules", "says"),
    [
        ({}, RULES, "no values to take"),
        ({"A": b"x"}, KeyRules(skip={"A"}), "no values to take"),
        ({"A": b"x", "B": b"y"}, KeyRules(rename={"A": "B"}), "two keys would be 'B'"),
        ({"A": b"x"}, KeyRules(rename={"A": "B.C"}), "'A' is no key of a set"),
        ({"A": b"x"}, KeyRules(reserved={"A"}), "the platform itself sets 'A'"),
        ({"A": b"x"}, KeyRules(rename={"A": "LIVEKIT_URL"}), "the platform itself sets 'LIVEKIT_URL'"),
        ({f"K{n}": b"x" for n in range(257)}, RULES, "a set has at most 256 keys, and it has 257"),
    ],
)
def test_one_thing_is_in_the_way(data: Mapping[str, bytes], rules: KeyRules, says: str) -> None:
    (told,) = problems(data, rules)
    assert says in told


@pytest.mark.parametrize("kind", imports.NO_SETS)
def test_what_programs_keep_for_themselves_is_no_set(kind: str) -> None:
    (told,) = problems({"token": CANARY.encode()}, kind=kind)
    assert kind in told


@given(st.text(st.characters(codec="ascii", categories=["L", "N"], include_characters="-_."), min_size=1, max_size=80))
def test_the_key_that_is_proposed_is_one(key: str) -> None:
    if not names.is_valid_key(key):
        proposed = problems({key: b"x"})[0].split(f"--rename {key}=")[1].split(",")[0]
        assert names.is_valid_key(proposed)


@pytest.mark.parametrize(
    ("entry", "login"),
    [
        ({"auth": auth("bot:p:w")}, ("bot", b"p:w")),
        ({"auth": auth("bot:pässword").rstrip("=")}, ("bot", "pässword".encode())),
        ({"username": "bot", "password": "pw"}, ("bot", b"pw")),
        ({"username": "other", "password": "other", "auth": auth("bot:pw"), "email": "x@y"}, ("bot", b"pw")),
    ],
)
def test_a_registry_becomes_a_pull_secret(entry: Any, login: tuple[str, bytes]) -> None:
    made = item({".dockerconfigjson": docker(**{"https://index.docker.io/v1/": entry})}, kind=names.TYPE_DOCKER)
    assert (made.kind, made.host) == (Kind.IMAGE_PULL_SECRET, payload.DOCKER_HUB)
    assert (made.username, made.values) == (login[0], {"password": login[1]})
    older = item({".dockercfg": json.dumps({"ghcr.io": entry}).encode()}, kind=imports.TYPE_DOCKERCFG)
    assert (older.host, older.username, older.values) == ("ghcr.io", login[0], {"password": login[1]})


def test_what_we_deliver_is_read_again() -> None:
    raw = payload.docker_config("https://ghcr.io", "bot", b"a:b")
    assert imports.registry(raw) == ("https://ghcr.io/", "bot", b"a:b")


LOGIN = {"auth": auth(f"bot:{CANARY}")}


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (
            docker(**{"ghcr.io": LOGIN, "quay.io": LOGIN}),
            "it has 2 registries, and a pull secret has one: 'ghcr.io', 'qu",
        ),
        (docker(), "no registry"),
        (docker(**{"ghcr.io": {}}), "no user and password for 'ghcr.io'"),
        (docker(**{"ghcr.io": {"identitytoken": CANARY}}), "no user and password"),
        (docker(**{"ghcr.io": {"auth": auth("bot:")}}), "no user and password"),
        (docker(**{"ghcr.io": {"auth": auth(CANARY)}}), "no user and password"),
        (docker(**{"ghcr.io": {"username": f"a:{CANARY}", "password": "x"}}), "holds a ':'"),
        (docker(**{"ghcr.io": {"username": "bot", "password": "x" * 16_385}}), "longer than 16,384 bytes"),
        (docker(**{"docker.io": LOGIN, "https://index.docker.io/v1/": LOGIN}), "it has 2 registries"),
        (docker(**{"a b": LOGIN}), "one of its registries is none, or holds credentials"),
        (docker(**{f"https://bob:{CANARY}@ghcr.io": LOGIN}), "one of its registries is none, or holds credentials"),
        (docker(**{f"https://bob:{CANARY}@ghcr.io": {}}), "one of its registries is none, or holds credentials"),
        (docker(**{f"bob:{CANARY}@ghcr.io": LOGIN, "quay.io": LOGIN}), "or holds credentials"),
        (docker(**{f"https:/bob:{CANARY}@ghcr.io": LOGIN}), "or holds credentials"),
        (docker(**{f"bob:{CANARY}": LOGIN}), "or holds credentials"),
        (docker(**{f"ghcr.io?{CANARY}": {}, "quay.io": {}}), "or holds credentials"),
        (docker(**{"ghcr.io": {"auth": CANARY}}), "cannot be read"),
        (docker(**{"ghcr.io": {"auth": 5}}), "cannot be read"),
        (docker(**{"ghcr.io": CANARY}), "cannot be read"),
        (b'{"auths": null}', "cannot be read"),
        (b'{"auths": ["ghcr.io"]}', "cannot be read"),
        (b'{"credsStore": "desktop"}', "cannot be read"),
        (f'["{CANARY}"'.encode(), "cannot be read"),
        (b"\xff", "cannot be read"),
        (b"", "cannot be read"),
    ],
)
def test_what_is_not_one_registry_is_refused(raw: bytes, says: str) -> None:
    (told,) = problems({".dockerconfigjson": raw}, kind=names.TYPE_DOCKER)
    assert says in told
    assert "cannot be read" in problems({}, kind=names.TYPE_DOCKER)[0]
