"""Who is signed in: the user's own token of the hub, encrypted, in a cookie that scripts cannot read.

The server keeps no session: what is in the cookie is all there is, and it ends by itself.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from starlette.requests import cookie_parser

from secretset.kube.errors import ConfigError

NAME = "__Host-secretset"
"""Browsers take a cookie of this prefix over TLS (or on this machine) alone, for this host alone (RFC 6265bis)."""

_LONGEST = 4000  # characters; browsers keep 4,096 bytes, name and attributes included
_SHORTEST_KEY = 32  # characters of a line of the key file


class TooLong(Exception):
    """The token does not fit into a cookie."""


class Sessions:
    """Makes cookies of tokens, and tokens of cookies.

    Args:
        keys: what they are encrypted with, the newest first: older ones still open. None: a key that nobody else has,
            so that sessions end with the process, and no other replica knows them.
        hours: for which a cookie is good.
    """

    def __init__(
        self, keys: Iterable[bytes] | None = None, *, hours: float = 8.0, clock: Callable[[], float] = time.time
    ) -> None:
        self._fernet = MultiFernet([Fernet(_fernet_key(key)) for key in keys or [secrets.token_bytes(32)]])
        self._seconds = int(hours * 3600)
        self._clock = clock

    def seal(self, token: str) -> str:
        """The value of a cookie.

        Raises:
            TooLong: it would be longer than browsers keep.
        """
        # No part of a token is chosen by anybody who sees lengths, so compressing it tells nothing.
        found = self._fernet.encrypt_at_time(zlib.compress(token.encode(), 9), int(self._clock())).decode()
        if len(found) > _LONGEST:
            raise TooLong
        return found

    def open(self, cookie: str) -> str | None:
        """The token in a cookie; None if it is none of ours, or is over."""
        try:
            packed = self._fernet.decrypt_at_time(cookie, self._seconds, int(self._clock()))
            return zlib.decompress(packed).decode()
        except (InvalidToken, zlib.error, ValueError):
            return None

    def token(self, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        """The token of a request; None if it has none that is good."""
        text = "; ".join(value.decode("latin-1") for name, value in headers if name == b"cookie")
        # As browsers write it: the standard library's parser gives all up for one cookie of somebody else.
        found = cookie_parser(text).get(NAME)
        return self.open(found) if found is not None else None

    def header(self, cookie: str) -> str:
        """The header that sets it; an empty one takes it away."""
        age = self._seconds if cookie else 0
        return f"{NAME}={cookie}; Path=/; Max-Age={age}; Secure; HttpOnly; SameSite=Strict"


def keys_of(file: Path) -> list[bytes]:
    """The keys in a file, a line each, the newest first.

    Raises:
        ConfigError: it cannot be read, or a line is too short to be one.
    """
    try:
        lines = [line.strip() for line in file.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        raise ConfigError(f"the session keys in '{file}' cannot be read ({error.strerror})") from None
    if not lines or min(map(len, lines)) < _SHORTEST_KEY:
        raise ConfigError(
            f"'{file}' is no file of session keys: it needs a line of at least {_SHORTEST_KEY} random characters, such "
            "as `openssl rand -base64 48` prints"
        )
    return lines


def _fernet_key(key: bytes) -> bytes:
    return base64.urlsafe_b64encode(hashlib.blake2b(key, digest_size=32, person=b"secretset-web").digest())
