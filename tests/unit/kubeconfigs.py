"""Kubeconfigs, certificates, exec plugins and an API server over TLS that tells what it was sent."""

from __future__ import annotations

import base64
import contextlib
import datetime
import ipaddress
import ssl
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from secretset.domain.models.region import ArgoCDSecretRef, KubeconfigSecretRef
from secretset.kube.credentials import Credentials, from_secret

TOKEN = "hunter2hunter2"
V1 = "client.authentication.k8s.io/v1"
KUBECONFIG = KubeconfigSecretRef(namespace="system", name="us", key="kubeconfig")
CLUSTER_API = KubeconfigSecretRef(namespace="system", name="us-kubeconfig")
ARGO_CD = ArgoCDSecretRef(namespace="argocd", name="us")


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes


@cache
def pair(subject: str, *names: str, ca: bool = False) -> Pair:
    """A certificate for a name, and for the hosts given; by the authority, or itself one."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    issuer = None if ca else x509.load_pem_x509_certificate(AUTHORITY.certificate)
    signer = key if ca else serialization.load_pem_private_key(AUTHORITY.key, None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = x509.CertificateBuilder(issuer.subject if issuer else name, name, key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(1))
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = builder.add_extension(identifier, critical=False)
    if ca:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    if names:
        hosts = [_host(each) for each in names]
        builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), private)


def _host(name: str) -> x509.GeneralName:
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(name))
    return x509.DNSName(name)


AUTHORITY = pair("authority", ca=True)
CLIENT = pair("jane")


def document(
    *, cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None, current: str = "x"
) -> dict[str, Any]:
    base = {"server": "https://us.example:6443/", "certificate-authority-data": b64(AUTHORITY.certificate)}
    return {
        "clusters": [{"name": "c", "cluster": base | (cluster or {})}],
        "users": [{"name": "u", "user": {"token": TOKEN} if user is None else user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": current,
    }


def text(**changes: Any) -> bytes:
    return yaml.safe_dump(document(**changes)).encode()


def secret(labels: dict[str, str] | None = None, **data: bytes) -> dict[str, Any]:
    """A Secret as the API returns it."""
    return {"metadata": {"labels": labels or {}}, "data": {name: b64(value) for name, value in data.items()}}


async def load(kubeconfig: bytes, *plugins: str) -> Credentials:
    """What the operator makes of a kubeconfig in a Secret, with these plugins allowed."""
    return await from_secret(KUBECONFIG, secret(kubeconfig=kubeconfig), exec_plugins=frozenset(plugins))


class Program:
    """An exec plugin: a script that writes down how it was run."""

    def __init__(self, folder: Path, *body: str, name: str = "plugin") -> None:
        self.path = folder / name
        self.log = folder / f"{name}.log"
        self.answer = folder / f"{name}.json"
        body = body or ('/bin/cat "$0.json"',)
        self.path.write_text("\n".join(("#!/bin/sh", f"echo run >> {self.log}", *body)))
        self.path.chmod(0o755)

    def gives(self, answer: str) -> Program:
        self.answer.write_text(answer)
        return self

    @property
    def runs(self) -> int:
        return self.log.read_text().count("run") if self.log.exists() else 0

    def user(self, **more: Any) -> dict[str, Any]:
        return {"exec": {"apiVersion": V1, "command": str(self.path), "interactiveMode": "Never", **more}}

    async def load(self, cluster: dict[str, Any] | None = None, **more: Any) -> Credentials:
        """What the operator makes of a kubeconfig that names this program, which it may run."""
        return await load(text(user=self.user(**more), cluster=cluster), str(self.path))


@dataclass
class Seen:
    """What a request carried."""

    path: str
    authorization: str | None
    subject: str | None


@dataclass
class Server:
    """An API server that accepts everything."""

    url: str
    seen: list[Seen] = field(default_factory=list)
    status: int = 200

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        shown = (request.transport.get_extra_info("peercert") if request.transport else None) or {}
        subject = dict(part for parts in shown.get("subject", ()) for part in parts).get("commonName")
        self.seen.append(Seen(request.path, request.headers.get("Authorization"), subject))
        if request.path == "/away":
            return web.Response(status=307, headers={"Location": "https://127.0.0.1:1/stolen"})
        return web.json_response({}, status=self.status)


@contextlib.asynccontextmanager
async def serving(*names: str) -> AsyncIterator[Server]:
    """A server on the loopback whose certificate is for these names."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=AUTHORITY.certificate.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    own = pair("server", *(names or ("127.0.0.1",)))
    server = Server("")
    runner = web.ServerRunner(web.Server(server.answer))
    await runner.setup()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pem").write_bytes(own.certificate + own.key)
        context.load_cert_chain(Path(folder) / "pem")
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    assert site._server is not None
    server.url = f"https://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]
    try:
        yield server
    finally:
        await runner.cleanup()
