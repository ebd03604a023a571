"""A cluster's address and our identity there, as a TLS context and a header that each request gets."""

from __future__ import annotations

import socket
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from yarl import URL

from secretset import __version__
from secretset.kube.errors import Unreachable
from secretset.kube.exec_plugin import ExecPlugin

Authorize = Callable[[], Awaitable[str | None]]
# Seconds of silence until the other end is asked, seconds between questions, and how many have no answer.
_ALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


@dataclass(frozen=True, kw_only=True, repr=False)
class Credentials:
    """A cluster's address and our identity there.

    Attributes:
        server: URL of the API server, without a slash at its end.
        tls: the context with the cluster's CA and, where there is one, our client certificate.
        authorize: the value of the Authorization header, fresh for each request; None for none. Raises NoCredentials.
        proxy: URL of an HTTP proxy, or None.
        server_name: the name that the server's certificate must be for, if it is not that in the URL.
        plugin: the program that makes the credentials, or None.
        pool: the connections to use, shared with others and not ours to close; None: each session has its own.
    """

    server: str
    tls: ssl.SSLContext | None
    authorize: Authorize
    proxy: str | None = None
    server_name: str | None = None
    plugin: ExecPlugin | None = None
    pool: aiohttp.BaseConnector | None = None

    async def prepare(self) -> None:
        """Have the plugin, if there is one, make credentials, unless what it made before is valid.

        A request does the same by itself, but within its own deadline.

        Raises:
            NoCredentials: it failed.
        """
        if self.plugin is not None:
            await self.plugin.issued()

    def connector(self) -> aiohttp.BaseConnector:
        """Connections to the cluster, for the running loop; who asked for them closes them."""
        return aiohttp.TCPConnector(limit=0, ssl=self.tls or True, keepalive_timeout=60, socket_factory=_socket)

    def session(self, answer: type[aiohttp.ClientResponse] = aiohttp.ClientResponse) -> aiohttp.ClientSession:
        """A session for the running loop that authenticates each request by itself, and follows to no other server.

        Args:
            answer: what its requests return.
        """
        origin = URL(self.server).origin()

        async def authenticate(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            if request.url.origin() != origin:
                raise Unreachable("the API server redirects to another server")
            if self.server_name:
                request.server_hostname = self.server_name
            if self.plugin is not None:
                return await _as_issued(self.plugin, request, handler)
            if header := await self.authorize():
                request.headers["Authorization"] = header
            return await handler(request)

        return aiohttp.ClientSession(
            connector=self.pool or self.connector(),
            connector_owner=self.pool is None,
            headers={"User-Agent": f"secretset-operator/{__version__}"},
            middlewares=(authenticate,),
            proxy=self.proxy,
            response_class=answer,
        )


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket that ends when nobody is at its other end for a minute: kopf's watches have no other limit."""
    family, kind, protocol, *_ = address
    made = socket.socket(family=family, type=kind, proto=protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _ALIVE.items():
        if hasattr(socket, option):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return made


async def _as_issued(
    plugin: ExecPlugin, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Send a request with what a plugin gave."""
    issued = await plugin.issued()
    if issued.header:
        request.headers["Authorization"] = issued.header
    if issued.tls is not None:
        # The context is part of the key of aiohttp's pool: no connection with an older certificate is used again.
        request._ssl = issued.tls  # noqa: SLF001  (a middleware has no public way to choose the context)
    response = await handler(request)
    if response.status == 401:
        plugin.rejected(issued)
    return response


def tls_context(ca: str | None, certificate: bytes = b"", key: bytes = b"") -> ssl.SSLContext:
    """A context that trusts a CA and shows a client certificate.

    Args:
        ca: certificates to trust, PEM; None for those of the system.
        certificate: our certificate with what leads to its CA, PEM; empty for none.
        key: its key, PEM.

    Raises:
        ValueError: one of them is not what it should be, or the key is not that of the certificate.
        OSError: there is no folder for temporary files.
    """
    if ca == "":
        raise ValueError("no certificate")
    try:
        context = ssl.create_default_context(cadata=ca)
        if certificate:
            with tempfile.TemporaryDirectory(prefix="secretset-") as folder:  # readable by us alone
                file = Path(folder) / "client.pem"
                file.write_bytes(certificate + b"\n" + key)
                # Without a function of ours, OpenSSL would ask the terminal for the password of an encrypted key.
                context.load_cert_chain(file, password=lambda: b"")
    except ssl.SSLError:
        raise ValueError("not a certificate") from None
    return context
