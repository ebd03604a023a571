"""Keyed fingerprints: how the operator knows whether content changed without keeping content.

Never a plain hash, because a short value could be guessed from it, and always bound to the set, because
otherwise whoever may create a set could guess the values of another by comparing fingerprints.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from secretset.domain.names import Key

_SIZE = 16  # bytes kept of the HMAC: 128 bits


@dataclass(frozen=True, kw_only=True, repr=False)
class Keyring:
    """The fingerprint keys of an installation.

    Attributes:
        keys: the key's id to the 32 secret bytes.
        current: the id under which new fingerprints are made; the others only verify.
    """

    keys: Mapping[str, bytes]
    current: str

    def fingerprint(self, owner: Key, key: str, value: bytes, *, kid: str | None = None) -> str:
        """Fingerprint one value of one set.

        Returns:
            ``<kid>.<22 characters of base64url>``.

        Raises:
            KeyError: the installation has no key with the id ``kid``.
        """
        kid = kid or self.current
        return f"{kid}.{_hmac(self.keys[kid], owner.kind, owner.namespace, owner.name, key, value)}"

    def matches(self, fingerprint: str, owner: Key, key: str, value: bytes) -> bool:
        """Whether ``fingerprint`` was made of this value, under whichever key of the installation."""
        if not self.knows(fingerprint):
            return False
        made = self.fingerprint(owner, key, value, kid=key_id_of(fingerprint))
        return hmac.compare_digest(fingerprint.encode(errors="surrogatepass"), made.encode())

    def of_content(self, owner: Key, content: Mapping[str, bytes], *, kid: str | None = None) -> dict[str, str]:
        """Fingerprint every value of a set: key to fingerprint."""
        return {key: self.fingerprint(owner, key, value, kid=kid) for key, value in content.items()}

    def knows(self, fingerprint: str) -> bool:
        """Whether the key of a fingerprint is still held."""
        return key_id_of(fingerprint) in self.keys


def key_id(key: bytes) -> str:
    """The id of a fingerprint key: eight hex digits of its SHA-256."""
    return hashlib.sha256(key).hexdigest()[:8]


def key_id_of(fingerprint: str) -> str:
    """The id of the key that a fingerprint was made with."""
    return fingerprint.partition(".")[0]


def combine(fingerprints: Mapping[str, str]) -> str:
    """One fingerprint for the whole content, from those of its values (which are keyed, so a hash suffices).

    Returns:
        ``<kid>.<22 characters of base64url>``; empty for no content.
    """
    if not fingerprints:
        return ""
    kid = key_id_of(next(iter(fingerprints.values())))
    digest = hashlib.sha256(framed(part for item in sorted(fingerprints.items()) for part in item)).digest()
    return f"{kid}.{_text(digest)}"


def digest(*parts: str | bytes) -> str:
    """A plain hash of things that are not secret (names, versions, ciphertext), to compare them cheaply."""
    return _text(hashlib.sha256(framed(parts)).digest())


def framed(parts: Iterable[str | bytes]) -> bytes:
    """Prefix each part by its length (8 bytes, big-endian), so that no two lists of parts give the same bytes."""
    out = bytearray()
    for part in parts:
        raw = part.encode(errors="surrogatepass") if isinstance(part, str) else part
        out += len(raw).to_bytes(8, "big") + raw
    return bytes(out)


def _hmac(secret: bytes, *parts: str | bytes) -> str:
    return _text(hmac.digest(secret, framed(parts), "sha256"))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw[:_SIZE]).rstrip(b"=").decode()
