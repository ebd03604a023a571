"""Key-encryption keys: what the seeds of sealing keys are wrapped with, so that a copy of etcd does not open values.

The one here is an AES-256 key in a file, from whatever mounts it. A cloud's key service is another class with the same
three members (docs/sealing.md, "Wrap the keys").
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from secretset.domain.sealing_keys import Entry, Unusable, parsed
from secretset.kube import errors

_KEY_BYTES = 32
_NONCE_BYTES = 12


class KeyEncryption(Protocol):
    """A key that wraps keys. Its methods may block: they are called in threads.

    Attributes:
        id: noted beside what it wrapped, to find it again; stays the same for the life of the key.
    """

    @property
    def id(self) -> str:
        """See above."""
        ...

    def wrap(self, plain: bytes) -> bytes:
        """Encrypt, and authenticate, a few bytes."""
        ...

    def unwrap(self, wrapped: bytes) -> bytes:
        """Undo `wrap`.

        Raises:
            Unusable: it was not made by this key, was altered, or the service refuses or cannot be asked now.
        """
        ...


class LocalKey:
    """AES-256-GCM with a key that is held here; a random nonce stands in front of what it makes."""

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise ValueError(f"a key is {_KEY_BYTES} bytes long")
        self.id = f"local-{hashlib.sha256(b'secretset.dev/kek' + key).hexdigest()[:16]}"
        self._cipher = AESGCM(key)

    def wrap(self, plain: bytes) -> bytes:
        """Encrypt a few bytes, under a nonce of their own."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, self.id.encode())

    def unwrap(self, wrapped: bytes) -> bytes:
        """Undo `wrap`.

        Raises:
            Unusable: it was not made by this key, or was altered.
        """
        try:
            return self._cipher.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], self.id.encode())
        except (InvalidTag, ValueError):
            raise Unusable("its wrapped seed was altered") from None


def load(files: Sequence[Path]) -> tuple[KeyEncryption, ...]:
    """Read key files: 32 bytes each. The first one wraps new seeds, all of them unwrap.

    Raises:
        ConfigError: a file cannot be read, or is not 32 bytes long.
    """
    found: list[KeyEncryption] = []
    for file in files:
        try:
            found.append(LocalKey(file.read_bytes()))
        except OSError:
            raise errors.ConfigError(f"the key-encryption key '{file}' cannot be read") from None
        except ValueError:
            raise errors.ConfigError(
                f"the key-encryption key '{file}' is not {_KEY_BYTES} bytes long: make it with "
                f"`head -c {_KEY_BYTES} /dev/urandom`"
            ) from None
    return tuple(found)


async def seed_of(entry: Entry, keks: Sequence[KeyEncryption]) -> bytes:
    """The seed of a kept key.

    Raises:
        Unusable: it is wrapped, and none of these can unwrap it.
    """
    if entry.kek is None:
        return entry.secret
    for kek in keks:
        if kek.id == entry.kek:
            return await asyncio.to_thread(kek.unwrap, entry.secret)
    raise Unusable("it is wrapped with a key-encryption key that was not given (--sealing-kek-file)")


def fits(entries: Mapping[str, bytes], keks: Sequence[KeyEncryption]) -> bool:
    """Whether a new key may stand beside these entries: where some are wrapped, one of these must have done it."""
    found = {entry.kek for entry in parsed(entries).values()} - {None}
    return not found or not found.isdisjoint(kek.id for kek in keks)


async def wrapped(entry: Entry, keks: Sequence[KeyEncryption]) -> Entry:
    """An entry as it is to be kept: wrapped with the first of these, if there is one."""
    if not keks or entry.kek is not None:
        return entry
    secret = await asyncio.to_thread(keks[0].wrap, entry.secret)
    return Entry(created=entry.created, secret=secret, kek=keks[0].id)
