"""The cookie of the dashboard: whose token is in it, who can open it, and when it ends."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretset.kube.errors import ConfigError
from secretset.web.cookies import NAME, Sessions, TooLong, keys_of

TOKEN = "eyJhbGciOiJSUzI1NiJ9.a-token-of-somebody.signed"


def headers(*cookies: str) -> list[tuple[bytes, bytes]]:
    return [(b"cookie", cookie.encode("latin-1")) for cookie in cookies]


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_what_is_in_it_comes_out_again_and_is_not_to_be_seen() -> None:
    sessions = Sessions()
    cookie = sessions.seal(TOKEN)
    assert sessions.token(headers(f"theme=dark; {NAME}={cookie}")) == TOKEN
    assert TOKEN not in cookie
    assert sessions.seal(TOKEN) != cookie


@pytest.mark.parametrize("other", ['prefs={"dark":true}', "version=1", "path=/x", "nothing", 'a="b; c', ""])
def test_a_cookie_of_somebody_else_is_not_in_the_way(other: str) -> None:
    sessions = Sessions()
    mine = f"{NAME}={sessions.seal(TOKEN)}"
    assert sessions.token(headers(f"{other}; {mine}")) == TOKEN
    assert sessions.token(headers(f"{mine}; {other}")) == TOKEN


def test_it_ends_by_itself() -> None:
    clock = Clock()
    sessions = Sessions(hours=2, clock=clock)
    cookie = sessions.seal(TOKEN)
    clock.now += 2 * 3600 - 1
    assert sessions.open(cookie) == TOKEN
    clock.now += 2
    assert sessions.open(cookie) is None


def test_replicas_with_one_key_know_each_others_and_nobody_else_does() -> None:
    old, new = b"o" * 32, b"n" * 32
    cookie = Sessions([old]).seal(TOKEN)
    assert Sessions([old]).open(cookie) == TOKEN
    assert Sessions([new, old]).open(cookie) == TOKEN, "the key was changed, and the old one is still there"
    assert Sessions([new]).open(cookie) is None
    assert Sessions().open(cookie) is None


def test_a_token_that_browsers_would_not_keep_is_refused() -> None:
    with pytest.raises(TooLong):
        Sessions().seal(secrets.token_urlsafe(4000))


@given(st.text(max_size=200))
def test_what_is_none_of_ours_is_nothing(text: str) -> None:
    sessions = Sessions()
    assert sessions.open(text) is None
    assert sessions.token(headers(f"{NAME}={text}".encode(errors="replace").decode("latin-1"))) is None


def test_a_request_without_one_has_no_token() -> None:
    assert Sessions().token(headers("theme=dark")) is None
    assert Sessions().token([]) is None


def test_no_script_and_no_other_site_gets_it() -> None:
    header = Sessions(hours=1).header("x")
    assert header == f"{NAME}=x; Path=/; Max-Age=3600; Secure; HttpOnly; SameSite=Strict"
    assert "Max-Age=0" in Sessions().header("")


def test_keys_are_read_from_a_file_the_newest_first(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{'n' * 32}\n\n  {'o' * 40}\n")
    assert keys_of(file) == [b"n" * 32, b"o" * 40]


@pytest.mark.parametrize("content", ["", "\n", "short", f"{'n' * 32}\nshort"])
def test_a_file_without_keys_is_refused_and_not_shown(tmp_path: Path, content: str) -> None:
    file = tmp_path / "keys"
    file.write_text(content)
    with pytest.raises(ConfigError, match="at least 32 random characters") as error:
        keys_of(file)
    assert "short" not in str(error.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        keys_of(tmp_path / "nothing")
