"""A certificate that the webhook makes for itself, renews, and has its API server trust.

All replicas share one Secret, which is there, empty, from the installation on: they may update that one, and create
none. (Who may create Secrets beside the operator can have a token of its account issued into one.) Of two that renew at
once the first wins, and the other takes over what it wrote. Each makes sure that the API server trusts a certificate
before it serves with it: the CAs of the certificates before and after are both trusted meanwhile.
"""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import tempfile
from pathlib import Path
from typing import Any

import structlog

from secretset.domain.observed import decode_data, encode_data
from secretset.kube import errors, paths
from secretset.kube.client import JSON_PATCH, Client
from secretset.webhook import issue

log = structlog.get_logger(__name__)

SECRET_NAME = "secretset-webhook-tls"  # noqa: S105  (a name)
SERVICE = "secretset-webhook"
CONFIGURATIONS = (
    ("validatingwebhookconfigurations", "secretset-gate"),
    ("mutatingwebhookconfigurations", "secretset-seal"),
)
"""Those of deploy/, where they are: their clientConfig.caBundle is ours."""

_EVERY_SECONDS = 10.0
_AGAIN_SECONDS = 2.0
_SETTLES_SECONDS = 5.0  # all API servers have seen a change of a configuration after that


class SelfSigned:
    """Keeps a file with the certificate and its key up to date, from a Secret that it keeps up to date too.

    Args:
        here: the cluster whose API server asks.
        namespace: of the Secret and the Service.
        folder: where the file is put; its owner alone can read it.
        settles: seconds between the trust in a new certificate and its use.

    Attributes:
        file: certificate and key, as PEM.
    """

    def __init__(self, here: Client, namespace: str, folder: Path, *, settles: float = _SETTLES_SECONDS) -> None:
        self.file = folder / "tls.pem"
        self._here = here
        self._path = paths.secrets(namespace, SECRET_NAME)
        # The latter is for who forwards a port to look at it.
        self._names = (f"{SERVICE}.{namespace}.svc", "localhost")
        self._settles = settles
        self._trouble = ""

    async def begin(self, *, again: float = _AGAIN_SECONDS) -> None:
        """Wait until there is a certificate in the file."""
        while not self.file.exists():
            await self._look_and_tell()
            if not self.file.exists():
                await asyncio.sleep(again)

    async def follow(self, *, every: float = _EVERY_SECONDS) -> None:
        """Look every few seconds, until cancelled: at the age of the certificate, and whether it is trusted."""
        while True:
            await asyncio.sleep(every)
            await self._look_and_tell()

    async def _look_and_tell(self) -> None:
        try:
            await self._look()
            self._trouble = ""
        except errors.Conflict:
            pass  # another replica was faster: the next look finds what it wrote
        except (errors.KubeError, OSError) as error:
            trouble = str(error)
            if isinstance(error, errors.NotFound):
                trouble = f"the Secret {SECRET_NAME} is missing: apply deploy/webhook-self-signed.yaml"
            if trouble != self._trouble:
                log.warning("the certificate cannot be looked after", error=trouble)
            self._trouble = trouble

    async def _look(self) -> None:
        secret = await self._here.get(self._path)
        content = _content(secret)
        now = dt.datetime.now(dt.UTC)
        if issue.due(content, self._names, now):
            content = {**content, **issue.renewed(content, self._names, now)}
            await self._here.replace(self._path, {**secret, "data": encode_data(content)})
            log.info("a new certificate", until=str(now + issue.LIFETIME))
        for plural, name in CONFIGURATIONS:
            await self._trust(paths.admission(plural, name), content[issue.AUTHORITIES])
        pem = content[issue.CERTIFICATE] + content[issue.KEY]
        if not self.file.exists():
            await asyncio.to_thread(_write, self.file, pem)
        elif self.file.read_bytes() != pem:
            # Whoever trusted it first: API servers are told by watches of their own.
            await asyncio.sleep(self._settles)
            await asyncio.to_thread(_write, self.file, pem)

    async def _trust(self, path: str, authorities: bytes) -> None:
        """Put our CAs into a configuration, if it is there and has others."""
        try:
            configuration = await self._here.get(path)
        except errors.NotFound:
            return
        bundle = base64.b64encode(authorities).decode()
        patch: list[dict[str, Any]] = [
            {"op": "add", "path": f"/webhooks/{number}/clientConfig/caBundle", "value": bundle}
            for number, webhook in enumerate(configuration.get("webhooks") or ())
            if webhook["clientConfig"].get("caBundle") != bundle
        ]
        if patch:
            # Replaced by itself, the version becomes a condition: the places in a list are those of that version.
            version = configuration["metadata"]["resourceVersion"]
            patch.insert(0, {"op": "replace", "path": "/metadata/resourceVersion", "value": version})
            await self._here.patch(path, patch, JSON_PATCH)
            log.info("the API server is told whom to trust", configuration=configuration["metadata"]["name"])


def _content(secret: dict[str, Any]) -> dict[str, bytes]:
    """What a Secret holds; nothing, if it cannot be read: it is made anew then."""
    try:
        return decode_data(secret)
    except ValueError:
        return {}


def _write(path: Path, content: bytes) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:  # mode 0600
        file.write(content)
    Path(file.name).replace(path)
