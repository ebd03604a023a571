"""The body of a PUT: its forms, what is refused, and that a refusal shows nothing of it."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretset.api import bodies
from secretset.api.errors import BAD_REQUEST, Answer
from secretset.domain.names import Kind

CANARY = "canary-in-a-body"
PULL = {"isImagePullSecret": True, "host": "https://ghcr.io", "secretValue": "YW5uOmE6Yg=="}

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_names = st.sampled_from(
    ["secrets", "secretKey", "secretValue", "isImagePullSecret", "host", "region", "name", "description", "metadata"]
)


def test_a_batch() -> None:
    body = {
        "secrets": [{"secretKey": "A", "secretValue": " é\n"}, {"secretKey": "a", "secretValue": ""}],
        "region": "us-west",
        "overwrite": True,
        "isImagePullSecret": False,
        "somethingNew": 1,
    }
    kind, wanted = bodies.parse(body, "app")
    assert kind is Kind.SECRET_SET
    assert wanted.values == {"A": " é\n".encode(), "a": b""}
    assert (wanted.region, wanted.overwrite, wanted.description) == ("us-west", True, None)


def test_one_key_as_the_cli_sends_it() -> None:
    body = {"name": "app", "isImagePullSecret": False, "secretKey": "A", "secretValue": "x=y"}
    kind, wanted = bodies.parse(body, "app")
    assert (kind, wanted.values, wanted.overwrite) == (Kind.SECRET_SET, {"A": b"x=y"}, False)


def test_details_alone() -> None:
    kind, wanted = bodies.parse({"description": "", "metadata": {"a": "b"}}, "app")
    assert (kind, wanted.values, wanted.description, wanted.metadata) == (None, {}, "", {"a": "b"})


@pytest.mark.parametrize(
    ("host", "stored"),
    [
        ("https://ghcr.io", "https://ghcr.io/"),
        ("https://index.docker.io/v1/", "https://index.docker.io/v1/"),
        ("docker.io", "https://index.docker.io/v1/"),
        ("ghcr.io", "ghcr.io"),
    ],
)
def test_a_pull_secret(host: str, stored: str) -> None:
    kind, wanted = bodies.parse(PULL | {"host": host}, "app")
    assert (kind, wanted.host, wanted.username) == (Kind.IMAGE_PULL_SECRET, stored, "ann")
    assert wanted.values == {"password": b"a:b"}


@pytest.mark.parametrize("text", ["your-docker-auth-token", "YW5u", "OnRva2Vu", "YW5uOg==", "YW5uOmE", "é", "/////w=="])
def test_credentials_that_are_none(text: str) -> None:
    with pytest.raises(Answer, match="base64 of 'username:token'"):
        bodies.parse(PULL | {"secretValue": text}, "app")


def test_base64_with_line_breaks() -> None:
    text = base64.encodebytes(b"ann:" + b"x" * 200).decode()
    assert bodies.parse(PULL | {"secretValue": text}, "app")[1].values == {"password": b"x" * 200}


@pytest.mark.parametrize(
    ("body", "meant"),
    [
        ({"isImagePullSecret": True}, True),
        ({"isImagePullSecret": True, "host": "ghcr.io"}, True),
        ({"isImagePullSecret": True, "secretValue": "x"}, True),
        (PULL | {"isImagePullSecret": False}, True),
        (PULL | {"isImagePullSecret": "true"}, True),
        ({"host": "ghcr.io", "secretValue": "x"}, True),
        ({"host": "ghcr.io"}, True),
        ({"host": "ghcr.io", "description": "x"}, True),
        ({"secretValue": "x"}, False),
        ({"isImagePullSecret": False}, False),
        ({"isImagePullSecret": None, "description": "x"}, False),
    ],
)
def test_half_a_pull_secret(body: dict[str, Any], meant: bool) -> None:
    with pytest.raises(bodies.Incomplete) as refused:
        bodies.parse(body, "app")
    assert refused.value.meant is meant


def test_details_that_say_that_it_is_no_pull_secret() -> None:
    assert bodies.parse({"isImagePullSecret": False, "description": "x"}, "app")[0] is None


@pytest.mark.parametrize(
    "body",
    [{}, {"secretKey": "A", "secretValue": "x"}, {"description": "x"}, {"metadata": {}}, PULL],
    ids=",".join,
)
def test_only_a_batch_overwrites(body: dict[str, Any]) -> None:
    with pytest.raises(Answer, match="overwrite goes with 'secrets'"):
        bodies.parse(body | {"overwrite": True}, "app")
    if body:
        bodies.parse(body | {"overwrite": False}, "app")
        for odd in ("yes", 0, 1, None):
            with pytest.raises(Answer, match="Invalid request format"):
                bodies.parse(body | {"overwrite": odd}, "app")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"region": "us-west"},
        {"secrets": []},
        {"secrets": CANARY},
        {"secrets": [CANARY]},
        {"secrets": [{"secretKey": "A", "secretValue": [CANARY]}]},
        {"secrets": [{"secretKey": f"{CANARY}!", "secretValue": CANARY}]},
        {"secretKey": f"{CANARY} ", "secretValue": CANARY},
        {"secretKey": "A" * 65, "secretValue": CANARY},
        {"secretKey": "A", "secretValue": CANARY, "name": CANARY},
        {"secretKey": "A", "secretValue": CANARY, "overwrite": 1, "secrets": []},
        {"secretKey": "A", "secretValue": CANARY, "metadata": {"a": None}},
        {"secretKey": "A", "secretValue": CANARY, "description": "x" * 1025},
        PULL | {"host": f"https://{CANARY}@ghcr.io"},
        PULL | {"host": f"ftp://{CANARY}"},
        PULL | {"secretKey": "A"},
        {"secretKey": "A", "secretValue": CANARY, "isImagePullSecret": 0},
        PULL | {"region": 1},
    ],
)
def test_what_is_refused_is_not_shown(body: dict[str, Any]) -> None:
    with pytest.raises(Answer) as refused:
        bodies.parse(body, "app")
    assert (refused.value.status, refused.value.code) == (400, BAD_REQUEST)
    assert CANARY not in f"{refused.value} {refused.value!r} {refused.value.headers}"
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@given(st.dictionaries(_names, _json, max_size=5))
def test_nothing_else_comes_of_any_body(body: dict[str, Any]) -> None:
    try:
        _, wanted = bodies.parse(body, "app")
    except (Answer, bodies.Incomplete):
        return
    assert wanted.values or wanted.description is not None or wanted.metadata is not None
