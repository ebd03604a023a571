"""The backup of an installation: its id, the keys of its fingerprints and its sealing keys, under a passphrase.

The file is JSON: `{"format": "secretset-backup1", "salt": base64, "nonce": base64, "data": base64}`. The format stands
for scrypt (N = 2^17, r = 8, p = 1: 128 MiB, and less than a second) and AES-256-GCM, whose associated data is the name
of the format and the salt.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from secretset.domain.sealing_keys import Entry, SealingKey, Unusable

FORMAT = "secretset-backup1"
PASSPHRASE_MIN = 12  # characters

_SALT_BYTES, _NONCE_BYTES = 16, 12
_COST = 2**17  # scrypt's N


class Unreadable(Exception):
    """A file is no backup, or not opened by this passphrase; the message is a closed sentence fragment."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Backup:
    """What a backup holds.

    Attributes:
        installation: the content of the installation's Secret.
        keys: the sealing keys by id, none of them wrapped.
    """

    installation: Mapping[str, bytes]
    keys: Mapping[str, Entry]

    def seal(self, passphrase: str) -> bytes:
        """The file."""
        salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
        content = {
            "installation": {name: _text(value) for name, value in self.installation.items()},
            "keys": {kid: json.loads(entry.render()) for kid, entry in self.keys.items()},
        }
        data = AESGCM(_key(passphrase, salt)).encrypt(nonce, json.dumps(content).encode(), FORMAT.encode() + salt)
        file = {"format": FORMAT, "salt": _text(salt), "nonce": _text(nonce), "data": _text(data)}
        return json.dumps(file, indent=1).encode() + b"\n"

    @classmethod
    def open(cls, raw: bytes, passphrase: str) -> Backup:
        """Read a file.

        Raises:
            Unreadable: it is no backup, or was damaged, or the passphrase is another.
        """
        try:
            file = json.loads(raw)
            known = file["format"] == FORMAT
            salt, nonce, data = (base64.b64decode(file[name], validate=True) for name in ("salt", "nonce", "data"))
            sound = known and len(salt) == _SALT_BYTES and len(nonce) == _NONCE_BYTES
        except (ValueError, KeyError, TypeError):
            sound = False
            salt = nonce = data = b""
        if not sound:
            raise Unreadable("it is no backup of this version")
        try:
            content = json.loads(AESGCM(_key(passphrase, salt)).decrypt(nonce, data, FORMAT.encode() + salt))
        except InvalidTag:
            raise Unreadable("the passphrase is another, or the file was altered") from None
        return cls._of(content)

    @classmethod
    def _of(cls, content: Any) -> Backup:
        try:
            installation = {name: base64.b64decode(text) for name, text in content["installation"].items()}
            keys = {kid: Entry.parse(json.dumps(entry).encode()) for kid, entry in content["keys"].items()}
            for kid, entry in keys.items():
                SealingKey.of(kid, entry.secret, entry.created)
        except (ValueError, KeyError, TypeError, AttributeError, Unusable):
            raise Unreadable("it is no backup of this version") from None
        return cls(installation=installation, keys=keys)


def _key(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=_COST, r=8, p=1).derive(passphrase.encode(errors="surrogateescape"))


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
