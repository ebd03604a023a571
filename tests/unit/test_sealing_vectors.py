"""Known answers: the library's HPKE against published numbers, and our text form against one that is made by hand.

The library takes neither a given encapsulation nor gives the key that it derives. So the tests derive that key from the
published shared secret, by RFC 9180's own words, encrypt with it, and let the library open the result.
"""

import base64
import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite
from hypothesis import given
from hypothesis import strategies as st

from secretset.domain.names import Kind
from secretset.domain.sealing import Opener, Place, PrivateKey
from unit.sealing_vectors import HPKE_PQ, RFC9180, XWING_ENC, XWING_PUBLIC, XWING_SEED, XWING_SHARED, Schedule

PLACE = Place("installation", Kind.SECRET_SET, "acme", "bot", "API_KEY")


def schedule(suite: bytes, shared: bytes, info: bytes, key_size: int) -> tuple[bytes, bytes]:
    """Key and first nonce by RFC 9180, sections 4 and 5.1: HKDF-SHA256, base mode."""
    label = b"HPKE-v1"

    def extract(salt: bytes, name: bytes, material: bytes) -> bytes:
        return hmac.digest(salt, label + b"HPKE" + suite + name + material, "sha256")

    def expand(secret: bytes, name: bytes, context: bytes, size: int) -> bytes:
        whole = size.to_bytes(2, "big") + label + b"HPKE" + suite + name + context
        return hmac.digest(secret, whole + b"\x01", "sha256")[:size]  # one block is enough for 32 bytes

    context = b"\x00" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(shared, b"secret", b"")
    return expand(secret, b"key", context, key_size), expand(secret, b"base_nonce", context, 12)


def xwing(seed: bytes) -> MLKEM768X25519PrivateKey:
    expanded = hashlib.shake_256(seed).digest(96)
    return MLKEM768X25519PrivateKey(
        MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), X25519PrivateKey.from_private_bytes(expanded[64:])
    )


@pytest.mark.parametrize("vector", [RFC9180, HPKE_PQ], ids=["rfc9180", "hpke-pq"])
def test_the_key_schedule_of_these_tests_is_the_published_one(vector: Schedule) -> None:
    assert schedule(vector.suite, vector.shared, vector.info, len(vector.key)) == (vector.key, vector.nonce)


def test_the_library_opens_what_the_vector_of_rfc_9180_encrypts() -> None:
    sealed = RFC9180.enc + AESGCM(RFC9180.key).encrypt(RFC9180.nonce, b"Beauty is truth", None)
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_128_GCM)
    key = X25519PrivateKey.from_private_bytes(RFC9180.secret)
    assert suite.decrypt(sealed, key, RFC9180.info) == b"Beauty is truth"


def test_the_library_opens_what_the_vector_of_the_hybrid_kem_encrypts() -> None:
    sealed = HPKE_PQ.enc + ChaCha20Poly1305(HPKE_PQ.key).encrypt(HPKE_PQ.nonce, b"Beauty is truth", None)
    suite = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
    assert suite.decrypt(sealed, xwing(HPKE_PQ.secret), HPKE_PQ.info) == b"Beauty is truth"


@pytest.mark.parametrize(("seed", "digest"), XWING_PUBLIC.items())
def test_a_seed_gives_the_public_key_of_the_draft(seed: str, digest: str) -> None:
    key = PrivateKey.from_seed(bytes.fromhex(seed))
    assert hashlib.sha256(key.public.raw).hexdigest() == digest
    assert key.kid == digest[:16]


def by_hand(place: Place, padded: bytes) -> str:
    """A text of the draft's first vector, every byte of it spelled out: what shall open for ever."""
    kid = "2e816deebcd76c5c"
    info = b"secretset.dev/hpke1"
    for part in (kid, place.installation, str(place.kind), place.namespace, place.name, place.key):
        raw = part.encode()
        info += len(raw).to_bytes(8, "big") + raw
    # X-Wing, HKDF-SHA256, AES-256-GCM, by their numbers at IANA.
    key, nonce = schedule(bytes.fromhex("647a00010002"), XWING_SHARED, info, 32)
    body = XWING_ENC + AESGCM(key).encrypt(nonce, padded, None)
    return f"hpke1.{kid}.{base64.urlsafe_b64encode(body).decode().rstrip('=')}"


@pytest.mark.parametrize(
    ("padded", "value"),
    [
        (bytes(256), b""),
        (b"\x00\x00\x00\x06s3cr3t" + bytes(246), b"s3cr3t"),
        (b"\x00\x00\x00\xfc" + b"x" * 252, b"x" * 252),
        (b"\x00\x00\x00\xfd" + b"x" * 253 + bytes(255), b"x" * 253),
    ],
    ids=["empty", "short", "one-step", "two-steps"],
)
def test_a_text_that_is_made_by_hand_opens(padded: bytes, value: bytes) -> None:
    opener = Opener([PrivateKey.from_seed(XWING_SEED)])
    assert opener.open(PLACE, by_hand(PLACE, padded)) == value


@given(st.tuples(st.text(), st.sampled_from(Kind), st.text(), st.text(), st.text()), st.binary(max_size=252))
def test_a_text_that_is_made_by_hand_opens_whatever_the_place_is_called(
    place: tuple[str, Kind, str, str, str], value: bytes
) -> None:
    padded = (len(value).to_bytes(4, "big") + value).ljust(256, b"\x00")
    where = Place(*place)
    assert Opener([PrivateKey.from_seed(XWING_SEED)]).open(where, by_hand(where, padded)) == value
