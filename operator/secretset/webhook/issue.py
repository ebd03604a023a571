"""The webhook's own certificates: what is made, and when it is renewed. No IO; the clock is passed in.

Each certificate has a CA of its own, whose key is thrown away once it has signed: nobody can make another in its name.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CERTIFICATE, KEY, AUTHORITIES = "tls.crt", "tls.key", "ca.crt"
"""Entries of the Secret: as in one of type `kubernetes.io/tls`, and as cert-manager names them."""

LIFETIME = dt.timedelta(days=90)
_RENEWED_AT = 2 / 3  # of its life
_BACKDATED = dt.timedelta(hours=1)  # clocks of API servers differ

Content = Mapping[str, bytes]


def due(content: Content, names: Sequence[str], now: dt.datetime) -> bool:
    """Whether a new certificate has to be made: what is there cannot be used, is for other names, or has aged."""
    try:
        certificate = x509.load_pem_x509_certificate(content[CERTIFICATE])
        key = serialization.load_pem_private_key(content[KEY], None)
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        issuers = [each for each in _authorities(content) if each.subject == certificate.issuer]
        if not any(_issued(certificate, each) for each in issuers) or key.public_key() != certificate.public_key():
            return True
    except (KeyError, ValueError, TypeError, x509.ExtensionNotFound):
        return True
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not set(names) <= set(alternatives.get_values_for_type(x509.DNSName)):
        return True
    return not begins <= now < begins + (ends - begins) * _RENEWED_AT


def renewed(content: Content, names: Sequence[str], now: dt.datetime) -> dict[str, bytes]:
    """What takes the place of this content: a new certificate, its key, and its CA beside those that are still valid.

    API servers, and replicas that have not seen it yet, go on with the one before meanwhile.
    """
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    # Of its own name: where two share one, not every library tries both.
    serial = x509.random_serial_number()
    issuer = _named(f"secretset-webhook-ca-{serial:040x}"[:64])
    authority = (
        _builder(issuer, issuer, authority_key.public_key(), now)
        .serial_number(serial)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    certificate = (
        _builder(_named("secretset-webhook"), issuer, key.public_key(), now)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    try:
        before = [each for each in _authorities(content) if each.not_valid_after_utc > now]
    except ValueError:
        before = []
    return {
        CERTIFICATE: _pem(certificate),
        KEY: key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        AUTHORITIES: b"".join(_pem(each) for each in [authority, *before]),
    }


def _authorities(content: Content) -> list[x509.Certificate]:
    """The CAs that are trusted.

    Raises:
        ValueError: they cannot be read.
    """
    found = content.get(AUTHORITIES, b"")
    return x509.load_pem_x509_certificates(found) if found else []


def _issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except Exception:  # noqa: BLE001  (InvalidSignature, and what keys of other kinds raise)
        return False
    return True


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=public)
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + LIFETIME)
    )


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


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
