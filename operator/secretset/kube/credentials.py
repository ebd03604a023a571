"""How to reach a cluster and who to be there: kubeconfigs and service accounts become TLS and a header.

`kubernetes.aio` reads the configuration (it knows exec plugins, OIDC and merging); the requests are our own, because
its generated client costs more than the API server's share of the work (facts.md).
"""

from __future__ import annotations

import asyncio
import os
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from kubernetes.aio import client as kube_client
from kubernetes.aio import config as kube_config

from secretset import __version__
from secretset.kube.errors import ConfigError, Unreachable

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TOKEN_AGE = 60.0  # seconds that a token file's content is used before it is read again

# What loading a kubeconfig of any form may raise.
_UNUSABLE = (
    kube_config.ConfigException,
    ssl.SSLError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
)

# The library keeps its temporary files in a global, so loads do not overlap.
_LOADING = asyncio.Lock()

Authorize = Callable[[], Awaitable[str | None]]


@dataclass(frozen=True, kw_only=True, repr=False)
class Credentials:
    """A cluster's address and our identity there.

    Attributes:
        server: URL of the API server, without a slash at its end.
        tls: the context with the cluster's CA and, where there is one, our client certificate.
        authorize: the value of the Authorization header, fresh for each request; None for none.
        proxy: URL of an HTTP proxy, or None.
    """

    server: str
    tls: ssl.SSLContext | None
    authorize: Authorize
    proxy: str | None = None

    def session(self) -> aiohttp.ClientSession:
        """A session for the running loop that authenticates each request by itself."""

        async def authenticate(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            if header := await self.authorize():
                request.headers["Authorization"] = header
            return await handler(request)

        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self.tls or True, keepalive_timeout=60),
            headers={"User-Agent": f"secretset-operator/{__version__}"},
            middlewares=(authenticate,),
            proxy=self.proxy,
        )


async def load(kubeconfig: str | None = None, context: str | None = None) -> Credentials:
    """The credentials of the hub.

    An explicit kubeconfig, else $KUBECONFIG, else the pod's service account, else ~/.kube/config.

    Raises:
        ConfigError: none of them can be used.
    """
    explicit = kubeconfig or os.environ.get("KUBECONFIG")
    if not explicit and not context and "KUBERNETES_SERVICE_HOST" in os.environ:
        return _in_cluster()
    path = explicit or str(Path.home() / ".kube" / "config")
    if not any(Path(part).exists() for part in path.split(os.pathsep)):  # noqa: ASYNC240  (once, at the start)
        raise ConfigError(f"there is no kubeconfig at '{path}'")
    configuration = kube_client.Configuration()
    try:
        async with _LOADING:
            try:
                await kube_config.load_kube_config(
                    config_file=path, context=context, client_configuration=configuration, persist_config=False
                )
                return _credentials(configuration)
            finally:
                kube_config.kube_config._cleanup_temp_files()  # noqa: SLF001  (keys are in the TLS context by now)
    except (*_UNUSABLE, yaml.YAMLError) as error:
        raise ConfigError(f"no usable kubeconfig at '{path}' ({type(error).__name__})") from None


async def from_kubeconfig(text: bytes) -> Credentials:
    """The credentials in a kubeconfig that came from a Secret.

    It comes from outside, so it may name no file and run no program: a `tokenFile` or a CA path would be read in the
    operator's own container, and its content sent to whatever server the kubeconfig names.

    Raises:
        ConfigError: it is none, or uses what is not allowed here.
    """
    document = _parse(text)
    async with _LOADING:
        try:
            configuration = kube_client.Configuration()
            with tempfile.TemporaryDirectory(prefix="secretset-") as folder:
                await kube_config.load_kube_config_from_dict(
                    document, client_configuration=configuration, temp_file_path=folder
                )
                return _credentials(configuration)
        except _UNUSABLE:
            raise ConfigError("it is not a usable kubeconfig") from None
        finally:
            # It remembers its files by their content: the next kubeconfig with this CA would get one that is gone.
            kube_config.kube_config._cleanup_temp_files()  # noqa: SLF001


def _parse(text: bytes) -> dict[str, Any]:
    """Check the form of a kubeconfig and refuse what reaches outside of it."""
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ConfigError("it is not YAML") from None
    if not isinstance(document, dict) or not all(document.get(part) for part in ("clusters", "contexts", "users")):
        raise ConfigError("it is not a kubeconfig with clusters, contexts and users")
    try:
        entries = [item.get("cluster") or {} for item in document["clusters"]]
        entries += [item.get("user") or {} for item in document["users"]]
        used = {name for entry in entries for name in entry}
        if any(entry.get("insecure-skip-tls-verify") for entry in entries):
            raise ConfigError("it turns off the verification of TLS certificates")
        servers = [str((item.get("cluster") or {}).get("server")) for item in document["clusters"]]
        if not all(server.startswith("https://") for server in servers):
            raise ConfigError("its server is not an https address")
    except (AttributeError, TypeError):
        raise ConfigError("it is not a kubeconfig with clusters, contexts and users") from None
    for name in ("exec", "auth-provider"):
        if name in used:
            raise ConfigError(f"it uses '{name}', which would run a program in the operator")
    for name in ("tokenFile", "certificate-authority", "client-certificate", "client-key"):
        if name in used:
            raise ConfigError(f"it names a file ('{name}'): put the data into it")
    return document


def _credentials(configuration: Any) -> Credentials:
    """Take what is needed out of a configuration of `kubernetes.aio`, before its temporary files are gone."""
    tls = None
    if configuration.host.startswith("https"):
        tls = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if not configuration.verify_ssl:
            tls.check_hostname = False
            tls.verify_mode = ssl.CERT_NONE
        if configuration.cert_file:
            tls.load_cert_chain(configuration.cert_file, configuration.key_file)

    async def authorize() -> str | None:
        token = await configuration.get_api_key_with_prefix("BearerToken")
        if not token:
            return None
        text = str(token).strip()
        return text if text.lower().startswith(("bearer ", "basic ")) else f"Bearer {text}"

    return Credentials(
        server=configuration.host.rstrip("/"), tls=tls, authorize=authorize, proxy=configuration.proxy or None
    )


def _in_cluster() -> Credentials:
    """The pod's service account; its token is read again every minute, because kubelet rotates it."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    cached: tuple[float, str] = (float("-inf"), "")

    async def authorize() -> str:
        nonlocal cached
        if time.monotonic() - cached[0] > _TOKEN_AGE:
            try:
                cached = (time.monotonic(), (SERVICE_ACCOUNT / "token").read_text().strip())
            except OSError:
                if not cached[1]:
                    raise Unreachable("the pod's service account token cannot be read") from None
        return f"Bearer {cached[1]}"

    return Credentials(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        tls=ssl.create_default_context(cafile=str(SERVICE_ACCOUNT / "ca.crt")),
        authorize=authorize,
    )
