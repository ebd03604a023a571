"""The certificate that a server of ours serves with: two files, read again when they change (as mounted Secrets do)."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from pathlib import Path

import structlog
from cryptography import x509

from secretset import telemetry
from secretset.kube.errors import ConfigError

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 5.0


class Certificate:
    """A TLS context for a server, in which new connections get the newest certificate.

    Attributes:
        context: for the server; it stays the same for good.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read the files.

        Raises:
            ConfigError: they are no certificate with its unencrypted key.
        """
        self._certificate, self._key = certificate, key
        self._seen: bytes | None = self._look()
        self._newest = self._load()
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        # Called for each handshake, also of a client that names no server.
        self.context.sni_callback = self._serve_newest

    async def follow(self, *, every: float = _LOOK_SECONDS) -> None:
        """Look at the files every few seconds, until cancelled. What cannot be used is told once, and not used."""
        while True:
            await asyncio.sleep(every)
            seen = await asyncio.to_thread(self._look)
            if seen == self._seen:
                continue
            self._seen = seen
            try:
                self._newest = await asyncio.to_thread(self._load)
                log.info("certificate renewed")
            except ConfigError as error:  # one file may be older than the other for a moment: they will change again
                log.warning("the certificate before is served on", error=str(error))

    def _serve_newest(self, connection: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
        connection.context = self._newest

    def _look(self) -> bytes | None:
        """A digest of the files; None if they cannot be read."""
        try:
            return hashlib.sha256(self._certificate.read_bytes() + b"\0" + self._key.read_bytes()).digest()
        except OSError:
            return None

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            # Without a function of ours, OpenSSL would ask the terminal for the password of an encrypted key.
            context.load_cert_chain(self._certificate, self._key, password=lambda: b"")
            ends = x509.load_pem_x509_certificate(self._certificate.read_bytes()).not_valid_after_utc
        except (OSError, ValueError):
            raise ConfigError(f"'{self._certificate}' and '{self._key}' are no certificate with its key") from None
        telemetry.CERTIFICATE_EXPIRES.set(ends.timestamp())
        return context
