"""Sealing and opening of values beside the library's own call: same algorithms, no place, no padding, no text.

For the longest value the floor is given base64 as well: that alone takes as long as the cryptography does.

One thread, no cluster, processor time. Ours and the floor take turns in short blocks, because the speed of a processor
changes while it is measured.
"""

from __future__ import annotations

import hashlib
import statistics
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite

from bench import goals
from bench.rows import Row
from secretset.domain.names import VALUE_MAX_BYTES, Kind
from secretset.domain.sealing import Opener, Place, PrivateKey, new_seed

SHORT = 64
MANY = 10_000
_PART = "sealing"
_BLOCK = 20
_PLACE = Place("5d0c2f1e-installation", Kind.SECRET_SET, "acme", "support-bot", "OPENAI_API_KEY")
_INFO = b"secretset.dev"
_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def measure(*, rounds: int) -> list[Row]:
    """Seal and open one value, short and long, and all the values of a large installation at once."""
    seed = new_seed()
    key = PrivateKey.from_seed(seed)
    opener = Opener([key])
    bare = _bare(seed)
    public = bare.public_key()

    def row(what: str, ours: Callable[[], object], floor: Callable[[], object]) -> Row:
        seconds = _by_turns(ours, floor, rounds)
        return Row(part=_PART, what=what, unit="µs", ours=seconds[0] * 1e6, floor=seconds[1] * 1e6, goal=goals.SEALING)

    short, long = bytes(SHORT), bytes(VALUE_MAX_BYTES)
    short_text, long_text = key.public.seal(_PLACE, short), key.public.seal(_PLACE, long)
    short_body, long_body = _SUITE.encrypt(short, public, _INFO), _SUITE.encrypt(long, public, _INFO)
    encoded = urlsafe_b64encode(long_body)
    rows = [
        row(
            f"seal {SHORT} bytes", lambda: key.public.seal(_PLACE, short), lambda: _SUITE.encrypt(short, public, _INFO)
        ),
        row(
            f"open {SHORT} bytes",
            lambda: opener.open(_PLACE, short_text),
            lambda: _SUITE.decrypt(short_body, bare, _INFO),
        ),
        row(
            "seal 16 KiB, floor with base64",
            lambda: key.public.seal(_PLACE, long),
            lambda: urlsafe_b64encode(_SUITE.encrypt(long, public, _INFO)),
        ),
        row(
            "open 16 KiB, floor with base64",
            lambda: opener.open(_PLACE, long_text),
            lambda: _SUITE.decrypt(urlsafe_b64decode(encoded), bare, _INFO),
        ),
    ]
    texts = [key.public.seal(_PLACE, number.to_bytes(SHORT, "big")) for number in range(MANY)]
    seconds = statistics.median(_open_all(opener, texts) for _ in range(rounds))
    many = Row(part=_PART, what=f"open {MANY} values", unit="s", ours=seconds, goal=goals.OPEN_MANY)
    return [*rows, many]


def _bare(seed: bytes) -> MLKEM768X25519PrivateKey:
    expanded = hashlib.shake_256(seed).digest(96)
    mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
    return MLKEM768X25519PrivateKey(mlkem, X25519PrivateKey.from_private_bytes(expanded[64:]))


def _by_turns(ours: Callable[[], object], floor: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Seconds of the processor for one call of each: the median of the blocks."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(50 * rounds):
        for call, times in zip((ours, floor), taken, strict=True):
            started = time.thread_time()
            for _ in range(_BLOCK):
                call()
            times.append((time.thread_time() - started) / _BLOCK)
    return statistics.median(taken[0]), statistics.median(taken[1])


def _open_all(opener: Opener, texts: list[str]) -> float:
    started = time.thread_time()
    for text in texts:
        opener.open(_PLACE, text)
    return time.thread_time() - started
