"""SealedSecrets of Bitnami's controller, opened with its private keys, so that their values can move into sets. Pure.

A value is sealed for one RSA key (sealed-secrets 0.36, pkg/crypto/crypto.go, `HybridEncrypt`). Its text is base64 of

    2 bytes, big-endian: length of what follows | RSA-OAEP-SHA256(session key, label) | AES-256-GCM(session key, value)

with a nonce of zeros, since a session key is used once. The label binds the value to its place as far as the scope
says, which annotations tell (pkg/apis/sealedsecrets/v1alpha1/sealedsecret_expansion.go, `EncryptionLabel`). Nothing in
a text tells its key, so all of them are tried, as the controller does.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from secretset.domain.loose import mapping

KIND = "SealedSecret"
_API_GROUP = "bitnami.com/"
_ANNOTATIONS = "sealedsecrets.bitnami.com/"
_PRIVATE_KEY = "tls.key"
_LENGTH_BYTES = 2
_NONCE = bytes(12)
_SESSION_KEY_BYTES = 32
_TEMPLATED = "{{"


class Unusable(Exception):
    """A key or a SealedSecret cannot be used; the message is a closed sentence, and holds nothing of a value or key."""


class Unopened(Exception):
    """A value was not opened: none of the keys is its own, or it was sealed for another place, or is damaged."""


class Scope(StrEnum):
    """Where a value opens, by kubeseal's names."""

    STRICT = "strict"
    NAMESPACE_WIDE = "namespace-wide"
    CLUSTER_WIDE = "cluster-wide"

    @classmethod
    def of(cls, annotations: Mapping[str, Any]) -> Scope:
        """The scope that annotations tell; the widest of several, as the controller takes it."""
        for scope in (cls.CLUSTER_WIDE, cls.NAMESPACE_WIDE):
            if annotations.get(_ANNOTATIONS + scope.value) == "true":
                return scope
        return cls.STRICT

    def label(self, namespace: str, name: str) -> bytes:
        """The label of RSA-OAEP."""
        texts = {Scope.CLUSTER_WIDE: "", Scope.NAMESPACE_WIDE: namespace, Scope.STRICT: f"{namespace}/{name}"}
        return texts[self].encode()


@dataclass(frozen=True, kw_only=True, repr=False)
class SealedSecret:
    """One SealedSecret.

    Attributes:
        namespace: its own; empty if the manifest names none.
        name: its own, and that of its Secret.
        scope: where its values open.
        type: of the Secret that its controller makes.
        sealed: its sealed texts by key.
        plain: what its template adds in plain text.
        templated: keys that its template fills in from other values, which only its controller does.
    """

    namespace: str
    name: str
    scope: Scope
    type: str
    sealed: Mapping[str, str]
    plain: Mapping[str, str]
    templated: Sequence[str]

    @classmethod
    def parse(cls, obj: Mapping[str, Any]) -> SealedSecret:
        """Read an object (`is_sealed_secret`).

        Raises:
            Unusable: it has no such form, or the one that was given up in 2019 (`spec.data`).
        """
        meta, spec = mapping(obj.get("metadata")), mapping(obj.get("spec"))
        if spec.get("data") is not None:
            raise Unusable("it has the old form with one text for all keys: have `kubeseal --re-encrypt` renew it")
        template = mapping(spec.get("template"))
        sealed, added = mapping(spec.get("encryptedData")), mapping(template.get("data"))
        texts = [meta.get("name"), meta.get("namespace") or "", *sealed, *sealed.values(), *added, *added.values()]
        if not all(isinstance(each, str) for each in texts) or not meta.get("name"):
            raise Unusable("it has not the form of a SealedSecret")
        templated = sorted(key for key, text in added.items() if _TEMPLATED in text)
        return cls(
            namespace=meta.get("namespace") or "",
            name=meta["name"],
            scope=Scope.of(mapping(meta.get("annotations"))),
            type=str(template.get("type") or "Opaque"),
            sealed=sealed,
            plain={key: text for key, text in added.items() if key not in templated},
            templated=templated,
        )

    def label(self, namespace: str) -> bytes:
        """What its values are bound to, if it is in this namespace; its own counts if it names one."""
        return self.scope.label(self.namespace or namespace, self.name)


def is_sealed_secret(obj: Any) -> bool:
    """Whether an object of a manifest is a SealedSecret."""
    return (
        isinstance(obj, Mapping) and obj.get("kind") == KIND and str(obj.get("apiVersion") or "").startswith(_API_GROUP)
    )


def open_value(text: str, keys: Iterable[RSAPrivateKey], label: bytes) -> bytes:
    """Open one value.

    Args:
        text: of `encryptedData`.
        keys: private keys of the controller, tried in their order.
        label: of its place.

    Raises:
        Unopened: whatever the text is, nothing else is raised.
    """
    try:
        raw = base64.b64decode(text.translate({10: None, 13: None}), validate=True)
    except (binascii.Error, ValueError):
        raise Unopened from None
    end = _LENGTH_BYTES + int.from_bytes(raw[:_LENGTH_BYTES])
    sealed_key, body = raw[_LENGTH_BYTES:end], raw[end:]
    scheme = padding.OAEP(padding.MGF1(SHA256()), SHA256(), label)
    for key in keys:
        try:
            session = key.decrypt(sealed_key, scheme)
            if len(session) == _SESSION_KEY_BYTES:
                return AESGCM(session).decrypt(_NONCE, body, None)
        except (ValueError, InvalidTag):
            continue
    raise Unopened


def private_keys(objects: Iterable[Any]) -> list[RSAPrivateKey]:
    """The private keys of Secrets, alone or in lists, as `kubeseal --recovery-private-key` takes them.

    Raises:
        Unusable: something in it is no Secret with a private key of RSA, or there is nothing.
    """
    found = [_key_of(secret) for obj in objects for secret in _secrets(obj)]
    if not found:
        raise Unusable("there are no private keys in it")
    return found


def private_key(pem: bytes) -> RSAPrivateKey:
    """Read a private key.

    Raises:
        Unusable: it is no private key of RSA in PEM form, or one with a passphrase.
    """
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Unusable("there is no private key in PEM form without a passphrase in it") from None
    if not isinstance(key, RSAPrivateKey):
        raise Unusable("the private key is not one of RSA, which Sealed Secrets uses")
    return key


def _key_of(secret: Mapping[str, Any]) -> RSAPrivateKey:
    encoded, plain = mapping(secret.get("data")).get(_PRIVATE_KEY), mapping(secret.get("stringData"))
    if isinstance(text := plain.get(_PRIVATE_KEY), str):
        return private_key(text.encode())
    try:
        return private_key(base64.b64decode(encoded or "", validate=True))
    except (ValueError, TypeError):
        raise Unusable(f"a Secret in it has no '{_PRIVATE_KEY}' in base64") from None


def _secrets(obj: Any) -> list[Mapping[str, Any]]:
    if not isinstance(obj, Mapping) or obj.get("kind") not in {"Secret", "List", "SecretList"}:
        raise Unusable("it holds neither a private key in PEM form nor Secrets of the controller")
    if obj["kind"] == "Secret":
        return [obj]
    items = obj.get("items")
    return [secret for item in (items if isinstance(items, list) else ()) for secret in _secrets(_as_secret(item))]


def _as_secret(item: Any) -> Any:
    """An item of a list; those of a SecretList need not say what they are."""
    return {"kind": "Secret", **item} if isinstance(item, Mapping) else item
