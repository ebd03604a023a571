"""What a managed Secret must hold: the checks on values, and the docker configuration of a pull secret."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from secretset.domain import names, reasons

DOCKER_HUB = "https://index.docker.io/v1/"
_DOCKER_HUB_HOSTS = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})


def check_keys(keys: Collection[str], reserved: Collection[str]) -> None:
    """Refuse what the schema lets through but the platform does not (seeds/004, "LiveKit secrets").

    Raises:
        Problem: ``InvalidSpec``; names the keys.
    """
    taken = sorted(set(keys) & set(reserved))
    if taken:
        listed = ", ".join(f"'{key}'" for key in taken)
        raise reasons.invalid_spec(f"Reserved by the platform, remove from spec.data: {listed}.")
    bad = sorted(key for key in keys if not names.is_valid_key(key))
    if bad:
        raise reasons.invalid_spec(f"A key in spec.data breaks the rule: {names.KEY_RULE}.")


def check_sizes(values: Mapping[str, bytes]) -> None:
    """Refuse values over 16,384 bytes and contents over 900 KiB.

    Raises:
        Problem: ``TooLarge``; names the key, if it is one key's fault.
    """
    for key, value in sorted(values.items()):
        if len(value) > names.VALUE_MAX_BYTES:
            raise reasons.value_too_large(key)
    if sum(len(key) + len(value) for key, value in values.items()) > names.CONTENT_MAX_BYTES:
        raise reasons.content_too_large()


def normalize_host(host: str) -> str:
    """The key of a registry in a docker configuration, as kubelet and the common build tools look it up.

    Docker Hub has one name whichever of its hosts is written. A URI keeps its scheme and path and gets the trailing
    slash of seeds/003 (`host`); a bare host stays bare. All of them match images of that registry in kubelet.

    Raises:
        Problem: ``InvalidSpec``: no host in it, credentials in it, or not a URI.
    """
    text = host.strip()
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        hostname, port = parts.hostname, parts.port
    except ValueError:
        hostname = port = None
        parts = urlsplit("")
    odd = not re.fullmatch(r"[!-~]+", text) or parts.query or parts.fragment or "@" in parts.netloc
    if not hostname or odd or parts.scheme not in {"", "http", "https"}:
        raise reasons.invalid_spec(
            "spec.host is not a registry: write a host such as ghcr.io or a URI such as https://index.docker.io/v1/."
        )
    if hostname in _DOCKER_HUB_HOSTS:
        return DOCKER_HUB
    literal = f"[{hostname}]" if ":" in hostname else hostname  # RFC 3986: an IPv6 address stands in brackets
    authority = literal if port is None else f"{literal}:{port}"
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{authority}{path}/" if parts.scheme else f"{authority}{path}"


def docker_config(host: str, username: str, password: bytes) -> bytes:
    """The JSON of a `kubernetes.io/dockerconfigjson` Secret for one registry.

    Raises:
        Problem: ``InvalidSpec``: the host is no registry, or the password is not UTF-8 text.
    """
    try:
        text = password.decode()
    except UnicodeDecodeError:
        raise reasons.invalid_spec(
            "The password is not UTF-8 text, which a docker configuration cannot hold."
        ) from None
    auth = base64.b64encode(f"{username}:{text}".encode()).decode()
    entry = {"username": username, "password": text, "auth": auth}
    return json.dumps({"auths": {normalize_host(host): entry}}, separators=(",", ":")).encode()
