"""Tokens of requests: which are taken, and what is remembered of them."""

from __future__ import annotations

import pytest

from secretset.api.auth import Known, bearer
from secretset.kube.whoami import service_account_namespace


def header(text: str | bytes) -> tuple[bytes, bytes]:
    return b"authorization", text if isinstance(text, bytes) else text.encode()


@pytest.mark.parametrize(
    ("sent", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("BEARER a.b-c_d~e+f/g==", "a.b-c_d~e+f/g=="),
        ("Bearer pcc_pat_abc", "abc"),
        ("Bearer pcc_pat_pcc_pat_abc", "pcc_pat_abc"),
        ("Bearer pcc_pat_", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic abc", None),
        ("abc", None),
        ("", None),
        ("Bearer a b", None),
        ("Bearer a,b", None),
        ("Bearer é", None),
        ("Bearer a\r\nX: y", None),
        ("Bearer a\x00", None),
        ("Bearer =", None),
        (b"Bearer \xff", None),
        ("Bearer " + "x" * 16_385, None),
    ],
)
def test_which_token_is_taken(sent: str | bytes, token: str | None) -> None:
    assert bearer([(b"host", b"x"), header(sent)]) == token


def test_two_headers_are_none() -> None:
    assert bearer([header("Bearer a"), header("Bearer a")]) is None
    assert bearer([]) is None


def test_what_is_known_of_a_token_ends() -> None:
    now = 0.0
    known = Known(clock=lambda: now)
    assert known.name("token") is None
    known.remember("token", "ann")
    assert known.name("token") == "ann"
    assert "token" not in known._found
    assert known.accepted("token")
    assert not known.accepted("other")
    now = 61.0
    assert known.name("token") is None
    assert known.accepted("token")
    now = 3599.0
    known.remember("token", "ann")  # use has it asked again
    now = 7198.0
    assert known.accepted("token")
    now = 7200.0
    assert not known.accepted("token")
    known.remember("token", "ann")
    known.forget("token")
    known.forget("token")
    assert known.name("token") is None
    assert not known.accepted("token")


def test_so_many_tokens_are_known() -> None:
    known = Known()
    for number in range(10_050):
        known.remember(f"token{number}", "ann")
    assert known.name("token0") is None
    assert known.name("token10049") == "ann"
    assert len(known._found) == 10_000


@pytest.mark.parametrize(
    ("user", "namespace"),
    [
        ("system:serviceaccount:team:ci", "team"),
        ("system:serviceaccount:team:", None),
        ("system:serviceaccount::ci", None),
        ("system:serviceaccount:team", None),
        ("system:serviceaccounts:team:ci", None),
        ("ann@example.com", None),
        ("oidc:system:serviceaccount:team:ci", None),
        ("", None),
    ],
)
def test_where_a_service_account_lives(user: str, namespace: str | None) -> None:
    assert service_account_namespace(user) == namespace
