"""The certificates of one control plane: a CA of its own, what is served with, and who may come in.

Everything is EC P-256 (made in a millisecond, where RSA takes a tenth of a second each) and lives as long as the plane,
unless a test asks for less.
Kubernetes reads identity out of client certificates: the common name is the user, each organization is a group.
"""

import datetime as dt
import ipaddress
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = dt.timedelta(days=3650)
# A clock that steps back a little (a laptop that wakes up) must not make a fresh certificate invalid.
BACKDATED = dt.timedelta(hours=1)
SERVING_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
SERVING_ADDRESSES = ("127.0.0.1", "::1", "10.96.0.1")


@dataclass(frozen=True, kw_only=True)
class KeyPair:
    """A certificate and its private key, both as PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """A certificate authority that issues for one plane.

    It does not revoke: a plane is thrown away instead.
    """

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def create(cls, name: str) -> "Authority":
        """Makes a new, self-signed authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(subject, subject, key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(authority=True), critical=True)
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def load(cls, directory: Path) -> "Authority":
        """Reads what `save` wrote, so that another process can issue further client certificates."""
        key = serialization.load_pem_private_key((directory / "ca.key").read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("the key of a plane's CA is an EC key")
        return cls(x509.load_pem_x509_certificate((directory / "ca.crt").read_bytes()), key)

    @property
    def pair(self) -> KeyPair:
        """The authority's own certificate and key."""
        return _pair(self._certificate, self._key)

    def serving(self, *, valid_seconds: float | None = None) -> KeyPair:
        """A certificate for a server that listens on loopback.

        Args:
            valid_seconds: As for `client`.
        """
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in SERVING_NAMES]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in SERVING_ADDRESSES]
        alternatives = x509.SubjectAlternativeName(names)
        return self._issue("kube-apiserver", (), ExtendedKeyUsageOID.SERVER_AUTH, valid_seconds, alternatives)

    def client(self, user: str, groups: Sequence[str] = (), *, valid_seconds: float | None = None) -> KeyPair:
        """A certificate that makes its holder this user in these groups.

        Args:
            user: Its common name.
            groups: Its organizations.
            valid_seconds: How long from now, to the second below; less than 0 (at least -3600) makes one that has
                expired. Absent: ten years.
        """
        return self._issue(user, groups, ExtendedKeyUsageOID.CLIENT_AUTH, valid_seconds)

    def _issue(
        self,
        name: str,
        groups: Sequence[str],
        use: x509.ObjectIdentifier,
        valid_seconds: float | None,
        names: x509.SubjectAlternativeName | None = None,
    ) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, name)])
        lifetime = LIFETIME if valid_seconds is None else dt.timedelta(seconds=valid_seconds)
        builder = _builder(subject, self._certificate.subject, key.public_key(), lifetime)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(authority=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return _pair(builder.sign(self._key, hashes.SHA256()), key)


def signing_key() -> bytes:
    """A private key, as PEM, with which an API server signs the tokens of service accounts."""
    return _pem(ec.generate_private_key(ec.SECP256R1()))


def write_private(path: Path, content: bytes) -> None:
    """Writes a file that only its owner reads, whole or not at all: a reader never meets half of it."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    Path(temporary).replace(path)


def save(directory: Path, name: str, pair: KeyPair) -> None:
    """Writes `name`.crt and `name`.key."""
    write_private(directory / f"{name}.crt", pair.certificate)
    write_private(directory / f"{name}.key", pair.key)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, lifetime: dt.timedelta = LIFETIME
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=public)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - BACKDATED).not_valid_after(now + lifetime)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    return KeyPair(certificate=certificate.public_bytes(serialization.Encoding.PEM), key=_pem(key))


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
