"""Where credentials come from: the hub's own, those of the pod, and those of regions, from Secrets of the hub.

`kubernetes.aio` reads the hub's kubeconfig (it knows OIDC, files and merging); the requests are our own, because its
generated client costs more than the API server's share of the work (facts.md). What comes from Secrets is read by
`kube/kubeconfig.py`, which takes data only.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from kubernetes.aio import client as kube_client
from kubernetes.aio import config as kube_config

from secretset.domain.models.region import ArgoCDSecretRef, KubeconfigSecretRef
from secretset.kube import argo_cd, exec_spec, kubeconfig
from secretset.kube.errors import ConfigError, NoCredentials
from secretset.kube.exec_plugin import ExecPlugin
from secretset.kube.identity import Credentials, tls_context

__all__ = ["Credentials", "address", "from_secret", "in_cluster", "load"]

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


async def from_secret(
    ref: KubeconfigSecretRef | ArgoCDSecretRef, secret: Mapping[str, Any], *, exec_plugins: frozenset[str]
) -> Credentials:
    """The credentials in a Secret. No plugin is run yet: that happens with the first request.

    Args:
        ref: what the Region says of the Secret.
        secret: the Secret as the API returns it.
        exec_plugins: commands that may be run, each as it has to stand in the Secret.

    Raises:
        ConfigError: it cannot be used. The message is a sentence about "it", the Secret or its kubeconfig, without a
            full stop; it names keys, fields and rules, and no content.
    """
    if isinstance(ref, ArgoCDSecretRef):
        labels = (secret.get("metadata") or {}).get("labels") or {}
        if labels.get(argo_cd.LABEL) != argo_cd.CLUSTER:
            raise ConfigError(f"it is not labelled {argo_cd.LABEL}={argo_cd.CLUSTER}")
        document = argo_cd.kubeconfig({name: _value(secret, name) for name in secret.get("data") or {}})
        return kubeconfig.credentials(document, exec_plugins=exec_plugins, words=argo_cd.WORDS)
    if ref.data_key not in (secret.get("data") or {}):
        raise ConfigError(f"it lacks the key '{ref.data_key}'")
    # Not in the loop: it may be long for what renews Leases there.
    document = await asyncio.to_thread(kubeconfig.parse, _value(secret, ref.data_key))
    return kubeconfig.credentials(document, exec_plugins=exec_plugins)


def _value(secret: Mapping[str, Any], key: str) -> bytes:
    try:
        return base64.b64decode(secret["data"][key] or "", validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise ConfigError(f"its key '{key}' is not base64") from None


async def load(path: str | None = None, context: str | None = None) -> Credentials:
    """The credentials of the hub.

    An explicit kubeconfig, else $KUBECONFIG, else the pod's service account, else ~/.kube/config.

    Raises:
        ConfigError: none of them can be used.
    """
    explicit = path or os.environ.get("KUBECONFIG")
    if not explicit and not context and "KUBERNETES_SERVICE_HOST" in os.environ:
        return in_cluster()
    return await _from(explicit, context)


async def address(path: str | None = None, context: str | None = None, ca_file: Path | None = None) -> Credentials:
    """Where the hub is, found as `load` finds it, and nothing of who we are: no credentials are read, or sent.

    Args:
        path: of a kubeconfig, whose users are not looked at.
        context: of that file.
        ca_file: in a pod: the CA of the API server, where the pod has no service account's.

    Raises:
        ConfigError: it cannot be used.
    """
    explicit = path or os.environ.get("KUBECONFIG")
    if not explicit and not context and "KUBERNETES_SERVICE_HOST" in os.environ:
        return in_cluster(ca_file=ca_file, anonymous=True)
    return await _from(explicit, context, anonymous=True)


async def _from(explicit: str | None, context: str | None, *, anonymous: bool = False) -> Credentials:
    path = explicit or str(Path.home() / ".kube" / "config")
    if not any(Path(part).exists() for part in path.split(os.pathsep)):  # noqa: ASYNC240  (once, at the start)
        raise ConfigError(f"there is no kubeconfig at '{path}'")
    try:
        return await _from_file(path, context, anonymous=anonymous)
    except ConfigError as error:
        raise ConfigError(f"the kubeconfig at '{path}' cannot be used: {error}") from None
    except (*_UNUSABLE, yaml.YAMLError) as error:
        raise ConfigError(f"no usable kubeconfig at '{path}' ({type(error).__name__})") from None


async def _nobody() -> str | None:
    return None


async def _from_file(path: str, context: str | None, *, anonymous: bool) -> Credentials:
    """The credentials in a kubeconfig of the installer, which may use everything.

    An exec plugin is run by us: the library runs it once, and not again when its token expires.
    """
    merged = kube_config.kube_config.KubeConfigMerger(path).config
    wanted = context or merged.value.get("current-context")
    if wanted and wanted not in [each.value.get("name") for each in merged.value.get("contexts") or ()]:
        raise ConfigError(f"it has no context '{wanted}'; `kubectl config get-contexts` shows those that it has")
    loader = kube_config.kube_config.KubeConfigLoader(config_dict=merged, config_base_path=None, active_context=context)
    if anonymous:
        loader._user = kube_config.kube_config.ConfigNode("user", {})  # noqa: SLF001
    user: Any = loader._user  # noqa: SLF001  (there is no other way to take out the plugin)
    cluster: Any = loader._cluster  # noqa: SLF001
    section = user.value.pop("exec", None) if user is not None else None
    configuration = kube_client.Configuration()
    try:
        await loader.load_and_set(configuration)
        make_context = _contexts(configuration)
        tls = make_context(_bytes(configuration.cert_file), _bytes(configuration.key_file))
    finally:
        kube_config.kube_config._cleanup_temp_files()  # noqa: SLF001  (what was in them is in our hands by now)
    plugin = None
    if section is not None:
        plugin = ExecPlugin(exec_spec.parse_own(section, cluster.value, Path(user.path or path).parent), make_context)

    async def authorize() -> str | None:
        if plugin is not None:
            return (await plugin.issued()).header
        token = await configuration.get_api_key_with_prefix("BearerToken")
        if not token:
            return None
        text = str(token).strip()
        return text if text.lower().startswith(("bearer ", "basic ")) else f"Bearer {text}"

    return Credentials(
        server=configuration.host.rstrip("/"),
        tls=tls if configuration.host.startswith("https") else None,
        authorize=_nobody if anonymous else authorize,
        proxy=configuration.proxy or None,
        server_name=configuration.tls_server_name or None,
        plugin=plugin,
    )


def _contexts(configuration: Any) -> Callable[[bytes, bytes], ssl.SSLContext]:
    """What makes the TLS contexts of a configuration of `kubernetes.aio`, after its temporary files are gone."""
    ca = _bytes(configuration.ssl_ca_cert).decode("ascii", "ignore") if configuration.ssl_ca_cert else None

    def make(certificate: bytes, key: bytes) -> ssl.SSLContext:
        context = tls_context(ca, certificate, key)
        if not configuration.verify_ssl:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    return make


def _bytes(path: str | None) -> bytes:
    return Path(path).read_bytes() if path else b""


def in_cluster(*, ca_file: Path | None = None, anonymous: bool = False) -> Credentials:
    """The pod's service account; its token is read again every minute, because kubelet rotates it.

    Args:
        ca_file: the CA of the API server, if it is not that of the account.
        anonymous: leave the account's token alone.

    Raises:
        ConfigError: this is no pod, or one without an account.
    """
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise ConfigError("the operator does not run in a pod")
    try:
        tls = ssl.create_default_context(cafile=str(ca_file or SERVICE_ACCOUNT / "ca.crt"))
    except (OSError, ValueError):
        what = "the file with the hub's CA" if ca_file else "the pod's service account"
        raise ConfigError(f"{what} cannot be read") from None
    cached: tuple[float, str] = (float("-inf"), "")

    async def authorize() -> str:
        nonlocal cached
        if time.monotonic() - cached[0] > _TOKEN_AGE:
            try:
                cached = (time.monotonic(), (SERVICE_ACCOUNT / "token").read_text().strip())
            except OSError:
                if not cached[1]:
                    raise NoCredentials("the pod's service account token cannot be read") from None
        return f"Bearer {cached[1]}"

    server = f"https://{f'[{host}]' if ':' in host else host}:{port}"
    return Credentials(server=server, tls=tls, authorize=_nobody if anonymous else authorize)
