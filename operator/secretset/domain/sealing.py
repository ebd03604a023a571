"""Sealed values: what a custom resource, and so Git, may carry instead of a value. Pure, but for randomness.

A value is sealed with HPKE (RFC 9180, base mode, one message for each encapsulation): the KEM is X-Wing (ML-KEM-768
and X25519, draft-connolly-cfrg-xwing-kem), the KDF HKDF-SHA256, the AEAD AES-256-GCM. All of it is the library's, but
for the expansion of a seed. The text is

    hpke1.<kid>.<base64url without padding of: encapsulated key (1,120 bytes), ciphertext, tag (16 bytes)>

and `hpke1` stands for exactly these algorithms: there is nothing to negotiate. Whoever has the public key can seal, for
any place; what is sealed for one place opens at no other, since the place is part of HPKE's `info`.
docs/adr/0011-sealing-scheme.md tells why.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from secretset.domain.fingerprint import framed
from secretset.domain.names import VALUE_MAX_BYTES, Kind

PREFIX = "hpke1."
DOMAIN = b"secretset.dev/hpke1"
SEED_BYTES = 32
PUBLIC_KEY_BYTES = 1216
PADDING_STEP = 256
"""Before it is sealed, a value with its length is filled up to a multiple of so many bytes."""

_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_MLKEM_PUBLIC_BYTES = 1184
_MLKEM_SEED_BYTES = 64
_LENGTH_BYTES = 4
_KID_DIGITS = 16
_HEX = frozenset("0123456789abcdef")
# From the alphabet for URLs to that which the decoder is strict about; what it has of its own becomes invalid.
_STANDARD = bytes.maketrans(b"-_+/=", b"+/***")
_OVERHEAD = 1120 + 16  # bytes of the encapsulated key, and of the tag
_PADDED_MAX = -(-(_LENGTH_BYTES + VALUE_MAX_BYTES) // PADDING_STEP) * PADDING_STEP
_BODY_MAX = -(-(_OVERHEAD + _PADDED_MAX) * 4 // 3)
# Multiplied with a point of low order, any such number gives zero, which the library refuses.
_PROBE = X25519PrivateKey.from_private_bytes(bytes(32))

_HEAD = len(PREFIX) + _KID_DIGITS + 1
TEXT_MIN = _HEAD + -(-(_OVERHEAD + PADDING_STEP) * 4 // 3)
"""Characters of the text of the shortest value, 1,879: a shorter text is not sealed, whatever it begins with."""
TEXT_MAX = _HEAD + _BODY_MAX
"""Characters of the text of the longest value; a longer text is refused unread."""


class Place(NamedTuple):
    """What a value is bound to: it opens nowhere else.

    Attributes:
        installation: the id of the operator's installation.
        kind: the kind of the custom resource.
        namespace: its namespace, the organization.
        name: its name.
        key: the key of a SecretSet; of an ImagePullSecret `password`.
    """

    installation: str
    kind: Kind
    namespace: str
    name: str
    key: str


class Cause(Enum):
    """Why a value was not opened. What it is called is for logs and metrics."""

    MALFORMED = "malformed"
    """The text is not of the form, or what is in it is not a padded value."""
    UNKNOWN_KEY = "unknown-key"
    """It was sealed for a key that is not held: for another installation, or for a key that was retired."""
    NOT_FOR_HERE = "not-for-here"
    """It was sealed for another place, or was altered; the two cannot be told apart."""


class Unopened(Exception):
    """A value was not opened; tells why, and nothing of the text."""

    def __init__(self, why: Cause) -> None:
        super().__init__(why.value)
        self.why = why


class PublicKey:
    """What values are sealed with; no secret.

    Attributes:
        raw: the 1,216 bytes of an X-Wing public key: ML-KEM-768's 1,184, then X25519's 32.
        kid: the key's id: the first 16 hex digits of the SHA-256 of `raw`.
    """

    __slots__ = ("_key", "kid", "raw")

    def __init__(self, raw: bytes, key: MLKEM768X25519PublicKey) -> None:
        self.raw = raw
        self.kid = hashlib.sha256(raw).hexdigest()[:_KID_DIGITS]
        self._key = key

    @classmethod
    def from_bytes(cls, raw: bytes) -> PublicKey:
        """Read a public key.

        Raises:
            ValueError: these are not 1,216 bytes, a coefficient of the ML-KEM part is out of range (FIPS 203, section
                7.2), or the X25519 part is a point of low order, with which nothing could be sealed.
        """
        if len(raw) != PUBLIC_KEY_BYTES:
            raise ValueError(f"a public key is {PUBLIC_KEY_BYTES} bytes long")
        mlkem = MLKEM768PublicKey.from_public_bytes(raw[:_MLKEM_PUBLIC_BYTES])
        x25519 = X25519PublicKey.from_public_bytes(raw[_MLKEM_PUBLIC_BYTES:])
        _PROBE.exchange(x25519)
        return cls(bytes(raw), MLKEM768X25519PublicKey(mlkem, x25519))

    def seal(self, place: Place, value: bytes) -> str:
        """Seal one value for one place; another text each time.

        Returns:
            The text for `sealed`: ASCII, at most `TEXT_MAX` characters. Its length tells that of the value in steps of
            256 bytes (`PADDING_STEP`), and no more.

        Raises:
            ValueError: the value is longer than `names.VALUE_MAX_BYTES`.
        """
        if len(value) > VALUE_MAX_BYTES:
            raise ValueError(f"a value is at most {VALUE_MAX_BYTES} bytes long")
        body = _SUITE.encrypt(_padded(value), self._key, _info(self.kid, place))
        return f"{PREFIX}{self.kid}.{_base64url(body)}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self.raw == other.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        return f"<PublicKey {self.kid}>"


class PrivateKey:
    """What values are opened with. It keeps no seed and shows nothing of itself.

    Attributes:
        public: the public key.
    """

    __slots__ = ("_key", "public")

    def __init__(self, key: MLKEM768X25519PrivateKey, public: PublicKey) -> None:
        self._key = key
        self.public = public

    @classmethod
    def from_seed(cls, seed: bytes) -> PrivateKey:
        """Make the key of an X-Wing seed (draft-connolly-cfrg-xwing-kem, section 5.2: `expandDecapsulationKey`).

        Raises:
            ValueError: the seed is not 32 bytes long.
        """
        if len(seed) != SEED_BYTES:
            raise ValueError(f"a seed is {SEED_BYTES} bytes long")
        expanded = hashlib.shake_256(seed).digest(_MLKEM_SEED_BYTES + 32)
        mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:_MLKEM_SEED_BYTES])
        x25519 = X25519PrivateKey.from_private_bytes(expanded[_MLKEM_SEED_BYTES:])
        key = MLKEM768X25519PrivateKey(mlkem, x25519)
        raw = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
        return cls(key, PublicKey(raw, key.public_key()))

    @property
    def kid(self) -> str:
        """The id of the key pair."""
        return self.public.kid

    def open(self, place: Place, body: bytes) -> bytes:
        """Open what stands behind the second dot of a text, decoded. For `Opener`, which reads texts.

        Raises:
            Unopened: NOT_FOR_HERE or MALFORMED.
        """
        try:
            padded = _SUITE.decrypt(body, self._key, _info(self.kid, place))
        except (InvalidTag, ValueError):  # the latter of X25519, for a point of low order
            raise Unopened(Cause.NOT_FOR_HERE) from None
        return _unpadded(padded)

    def __repr__(self) -> str:
        return f"<PrivateKey {self.kid}>"


class Opener:
    """Opens texts with whichever of the installation's keys they name; tries no other."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Iterable[PrivateKey]) -> None:
        self._keys = {key.kid: key for key in keys}

    @property
    def kids(self) -> frozenset[str]:
        """The ids of the keys that are held."""
        return frozenset(self._keys)

    def open(self, place: Place, text: str) -> bytes:
        """Open the value that was sealed for this place.

        Raises:
            Unopened: it was not; whatever the text is, nothing else is raised.
        """
        kid, body = _parse(text)
        key = self._keys.get(kid)
        if key is None:
            raise Unopened(Cause.UNKNOWN_KEY)
        return key.open(place, body)

    def __repr__(self) -> str:
        return f"<Opener {' '.join(sorted(self._keys))}>"


def new_seed() -> bytes:
    """A new seed, 32 bytes from the system's source of randomness: all that has to be kept of a private key."""
    return secrets.token_bytes(SEED_BYTES)


def kid_of(text: str) -> str | None:
    """The id of the key that a text was sealed for; None if the text is not of the form."""
    try:
        return _parse(text)[0]
    except Unopened:
        return None


def looks_sealed(text: str) -> bool:
    """Whether a text is of the form to the last character: plain text in its place would be seen by this."""
    return kid_of(text) is not None


def _info(kid: str, place: Place) -> bytes:
    return DOMAIN + framed((kid, place.installation, place.kind.value, place.namespace, place.name, place.key))


def _parse(text: str) -> tuple[str, bytes]:
    """Take a text apart, without any cryptography.

    A body has one text alone: the padding of base64 is left out, and the unused bits at its end are zero. Otherwise the
    text of a value could be changed without changing the value.

    Returns:
        The id of the key, and the bytes behind it, of which there may be so many.

    Raises:
        Unopened: MALFORMED.
    """
    kid, dot, encoded = text[len(PREFIX) : TEXT_MAX + 1].partition(".")
    if not (text.startswith(PREFIX) and TEXT_MIN <= len(text) <= TEXT_MAX):
        raise Unopened(Cause.MALFORMED)
    if not (len(kid) == _KID_DIGITS and _HEX.issuperset(kid)):
        raise Unopened(Cause.MALFORMED)
    try:
        standard = encoded.encode("ascii").translate(_STANDARD) + b"=" * (-len(encoded) % 4)
        body = binascii.a2b_base64(standard, strict_mode=True)
    except ValueError:  # also binascii.Error
        raise Unopened(Cause.MALFORMED) from None
    padded = len(body) - _OVERHEAD
    if not dot or padded < PADDING_STEP or padded % PADDING_STEP:
        raise Unopened(Cause.MALFORMED)
    if (last := len(body) % 3) and not encoded.endswith(_base64url(body[-last:])):
        raise Unopened(Cause.MALFORMED)  # unused bits that are not zero
    return kid, body


def _padded(value: bytes) -> bytes:
    length = _LENGTH_BYTES + len(value)
    return len(value).to_bytes(_LENGTH_BYTES, "big") + value + bytes(-length % PADDING_STEP)


def _unpadded(padded: bytes) -> bytes:
    """Undo `_padded`; only what it would have made is taken, so that nothing can be hidden behind a value.

    Raises:
        Unopened: MALFORMED.
    """
    end = _LENGTH_BYTES + int.from_bytes(padded[:_LENGTH_BYTES], "big")
    value = padded[_LENGTH_BYTES:end]
    if len(value) > VALUE_MAX_BYTES or _padded(value) != padded:
        raise Unopened(Cause.MALFORMED)
    return value


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
