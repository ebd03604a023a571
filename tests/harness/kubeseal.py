"""SealedSecrets as kubeseal makes them, written a second time: pkg/crypto/crypto.go (`HybridEncrypt`), step by step."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

KEY = rsa.generate_private_key(65537, 2048)
"""The key of a controller that is not there."""


def pem() -> bytes:
    """The private key, as the controller keeps it."""
    return KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def sealed(value: bytes, label: bytes, *, session: bytes = b"") -> str:
    """A value sealed for a place, with another interface of the library than the one that opens it."""
    session = session or os.urandom(32)
    cipher = Cipher(algorithms.AES(session), modes.GCM(bytes(12))).encryptor()
    body = cipher.update(value) + cipher.finalize() + cipher.tag
    wrapped = KEY.public_key().encrypt(session, OAEP(MGF1(SHA256()), SHA256(), label))
    return base64.b64encode(len(wrapped).to_bytes(2, "big") + wrapped + body).decode()


def sealed_secret(namespace: str, name: str, values: Mapping[str, bytes], *, kind: str = "Opaque") -> dict[str, Any]:
    """A SealedSecret, bound to its namespace and name."""
    meta = {"name": name, "namespace": namespace}
    label = f"{namespace}/{name}".encode()
    return {
        "apiVersion": "bitnami.com/v1alpha1",
        "kind": "SealedSecret",
        "metadata": meta,
        "spec": {
            "encryptedData": {key: sealed(value, label) for key, value in values.items()},
            "template": {"metadata": meta, "type": kind},
        },
    }
