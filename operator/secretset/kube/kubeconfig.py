"""Kubeconfigs that come from outside: they hold data only.

Whoever may write such a kubeconfig must not reach into the operator's container with it. A `tokenFile` or a CA path
would be read here, and its content sent to whatever server the kubeconfig names; a program runs here. So nothing but
data is taken, exec plugins only as far as the installer allows them (`kube/exec_spec.py`), and TLS is always verified.
Nor may they cost more than they say: aliases and merge keys make hours of work out of a few hundred bytes.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import SplitResult, urlsplit

import yaml

from secretset.kube import exec_spec
from secretset.kube.errors import ConfigError
from secretset.kube.exec_plugin import TOKEN, ExecPlugin
from secretset.kube.identity import Credentials, tls_context

Document = Mapping[str, Any]

_NO_FORM = "it is not a kubeconfig with clusters, contexts and users"
_LONGEST = 64 * 2**10  # bytes; a cluster and a user with certificates take about a tenth of it
_DEEPEST = 64  # levels; what is in a kubeconfig has about six, and the C library recurses without a limit
_LOADER: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_MERGE = "<<", "tag:yaml.org,2002:merge"
_FILES = ("tokenFile", "certificate-authority", "client-certificate", "client-key")
_IMPERSONATION = ("as", "as-uid", "as-groups", "as-user-extra")
_SERVER_NAME = re.compile(r"[A-Za-z0-9._:-]{1,253}")


def parse(text: bytes) -> dict[str, Any]:
    """The document of a kubeconfig. It takes up to seconds: not for the event loop.

    Raises:
        ConfigError: it is not YAML, longer than 64 KiB, nested deeper than 64 levels, or has aliases or merge keys.
    """
    if len(text) > _LONGEST:
        raise ConfigError(f"it is longer than {_LONGEST // 2**10} KiB")
    try:
        _check_form(text)
        return dict(yaml.load(text, Loader=_LOADER))  # noqa: S506  (it is one of the safe ones)
    except ConfigError:
        raise
    except yaml.YAMLError:
        raise ConfigError("it is not YAML") from None
    except Exception:  # noqa: BLE001  (whatever the library makes of values that do not fit their tags)
        raise ConfigError(_NO_FORM) from None


def _check_form(text: bytes) -> None:
    """Refuse what would multiply, before anything is made of it."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent):
            raise ConfigError("it has YAML aliases ('*'), which are not supported")
        if isinstance(event, yaml.ScalarEvent) and (event.value == _MERGE[0] or event.tag == _MERGE[1]):
            raise ConfigError("it has YAML merge keys ('<<'), which are not supported")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise ConfigError(_NO_FORM)


def credentials(
    document: Document, *, exec_plugins: frozenset[str], words: Mapping[str, str] | None = None
) -> Credentials:
    """The credentials of the current context of a kubeconfig. No plugin is run yet.

    Args:
        document: the kubeconfig; all of its clusters and users have to keep the rules, also those that are not used.
        exec_plugins: commands that may be run, each as it has to stand in the kubeconfig.
        words: what the writer calls the fields, if it was not a kubeconfig that was written; for messages.

    Raises:
        ConfigError: it is none, or uses what is not allowed here. The message is a sentence about "it" that names
            fields and rules and no content.
    """
    words = words or {}
    clusters, users, contexts = _entries(document, "cluster"), _entries(document, "user"), _entries(document, "context")
    for cluster in clusters.values():
        _check_cluster(cluster, words)
    for user in users.values():
        _check_user(user, exec_plugins)
    try:
        context = contexts[document["current-context"]]
        cluster, user = clusters[context["cluster"]], users[context["user"]]
    except (LookupError, TypeError):
        raise ConfigError("it is not a usable kubeconfig: its current context leads to no cluster and user") from None
    return _credentials(cluster, user, exec_plugins, words)


def _credentials(
    cluster: Document, user: Document, exec_plugins: frozenset[str], words: Mapping[str, str]
) -> Credentials:
    pem = {name: _decoded(part, name, words) for part, name in _data_of(cluster, user)}
    ca = pem.get("certificate-authority-data")
    trusted = None if ca is None else ca.decode("ascii", "ignore")
    certificate, key = pem.get("client-certificate-data", b""), pem.get("client-key-data", b"")
    if bool(certificate) is not bool(key):
        raise ConfigError(
            _worded("it has one of 'client-certificate-data' and 'client-key-data' without the other", words)
        )
    token = _text(user, "token", words).strip()
    if token and TOKEN.fullmatch(token) is None:
        raise ConfigError(_worded("its 'token' has characters that no request can carry", words))
    section = user.get("exec")
    if bool(section) + bool(token or certificate) != 1:
        raise ConfigError(
            "it has an exec plugin and other credentials"
            if section
            else "it has neither a token nor a client certificate"
        )
    try:
        tls = tls_context(trusted)
    except ValueError:
        raise ConfigError(_worded("its 'certificate-authority-data' is no certificate", words)) from None
    try:
        tls = tls_context(trusted, certificate, key) if certificate else tls
    except ValueError:
        what = "its 'client-certificate-data' and 'client-key-data' are no certificate with its unencrypted key"
        raise ConfigError(_worded(what, words)) from None
    except OSError:
        raise ConfigError("the operator has no folder for temporary files, which a client certificate needs") from None
    plugin = None
    if section:
        plugin = ExecPlugin(exec_spec.parse(section, cluster, exec_plugins), partial(tls_context, trusted))

    async def authorize() -> str | None:
        if plugin is not None:
            return (await plugin.issued()).header
        return f"Bearer {token}" if token else None

    return Credentials(
        server=str(cluster["server"]).rstrip("/"),
        tls=tls,
        authorize=authorize,
        proxy=_text(cluster, "proxy-url", words) or None,
        server_name=_text(cluster, "tls-server-name", words) or None,
        plugin=plugin,
    )


def _data_of(cluster: Document, user: Document) -> list[tuple[Document, str]]:
    fields = [(cluster, "certificate-authority-data"), (user, "client-certificate-data"), (user, "client-key-data")]
    return [(part, name) for part, name in fields if part.get(name)]


def _entries(document: Document, kind: str) -> dict[str, Document]:
    """The clusters, users or contexts by name."""
    found: dict[str, Document] = {}
    listed = document.get(f"{kind}s")
    for entry in listed if isinstance(listed, list) else ():
        name, content = (entry.get("name"), entry.get(kind)) if isinstance(entry, Mapping) else (None, None)
        if not isinstance(name, str) or not isinstance(content, Mapping):
            raise ConfigError(_NO_FORM)
        if name in found:
            raise ConfigError(f"it is not a usable kubeconfig: it has two {kind}s of one name")
        found[name] = content
    if not found:
        raise ConfigError(_NO_FORM)
    return found


def _check_cluster(cluster: Document, words: Mapping[str, str]) -> None:
    _refuse_files(cluster)
    if cluster.get("insecure-skip-tls-verify"):
        raise ConfigError("it turns off the verification of TLS certificates")
    server = _url(_text(cluster, "server", words))
    if server is None or server.scheme != "https":
        raise ConfigError("its server is not an https address")
    if server.username is not None or server.query or server.fragment:
        raise ConfigError("the address of its server holds more than a host, a port and a path")
    name = _text(cluster, "tls-server-name", words)
    if name and _SERVER_NAME.fullmatch(name) is None:
        raise ConfigError(_worded("its 'tls-server-name' is no name of a host", words))
    proxy = _text(cluster, "proxy-url", words)
    if proxy and ((url := _url(proxy)) is None or url.scheme != "http"):
        raise ConfigError(_worded("its 'proxy-url' is not an http address (https and socks5 are not supported)", words))


def _check_user(user: Document, exec_plugins: frozenset[str]) -> None:
    _refuse_files(user)
    if user.get("exec"):
        exec_spec.allowed(user["exec"], exec_plugins)
    if user.get("auth-provider"):
        raise ConfigError("it uses an 'auth-provider', which would reach out from the operator: use a token")
    if any(user.get(name) for name in _IMPERSONATION):
        raise ConfigError("it impersonates another user ('as'), which is not supported")
    if user.get("username") or user.get("password"):
        raise ConfigError("it has a user name and password, which no API server since 1.19 accepts: use a token")


def _refuse_files(entry: Document) -> None:
    for name in _FILES:
        if entry.get(name):
            raise ConfigError(f"it names a file ('{name}'): put the data into it")


def _url(text: str) -> SplitResult | None:
    """An absolute URL; None if it is none."""
    try:
        url = urlsplit(text)
        usable = url.hostname and url.port != 0 and text.isascii() and text.isprintable() and " " not in text
    except ValueError:
        return None
    return url if usable else None


def _text(entry: Document, name: str, words: Mapping[str, str]) -> str:
    value = entry.get(name)
    if value is not None and not isinstance(value, str):
        raise ConfigError(_worded(f"its '{name}' is not text", words))
    return value or ""


def _decoded(entry: Document, name: str, words: Mapping[str, str]) -> bytes:
    """The content of a field in base64; line breaks in it are fine, as for Go's decoder."""
    try:
        return base64.b64decode("".join(_text(entry, name, words).split()), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError(_worded(f"its '{name}' is not base64", words)) from None


def _worded(sentence: str, words: Mapping[str, str]) -> str:
    """Put the writer's names of the fields into a sentence of ours."""
    for field, word in words.items():
        sentence = sentence.replace(f"'{field}'", f"'{word}'")
    return sentence
