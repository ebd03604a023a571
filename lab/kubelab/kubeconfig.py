"""Kubeconfigs that carry their certificates inside, so that one file (or one Secret) is enough to reach a plane."""

import base64
from pathlib import Path
from typing import Any

import yaml

from kubelab.pki import KeyPair, write_private


def certificate_user(pair: KeyPair) -> dict[str, str]:
    """The `user` entry of somebody who comes with a client certificate."""
    return {
        "client-certificate-data": base64.b64encode(pair.certificate).decode(),
        "client-key-data": base64.b64encode(pair.key).decode(),
    }


def token_user(token: str) -> dict[str, str]:
    """The `user` entry of somebody who comes with a bearer token."""
    return {"token": token}


def write(
    path: Path, *, plane: str, server: str, ca: bytes, user: dict[str, str], namespace: str | None = None
) -> Path:
    """Writes a kubeconfig with one context, named after the plane, and returns its path.

    Args:
        path: Where to write; the file becomes readable by its owner only.
        plane: Name of the plane, used for cluster, user and context.
        server: URL of the API server.
        ca: Certificate that the server is checked against, as PEM.
        user: From `certificate_user` or `token_user`.
        namespace: The context's namespace; absent means `default`.
    """
    context: dict[str, str] = {"cluster": plane, "user": plane}
    if namespace is not None:
        context["namespace"] = namespace
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(ca).decode()}
    content: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": plane, "cluster": cluster}],
        "users": [{"name": plane, "user": user}],
        "contexts": [{"name": plane, "context": context}],
        "current-context": plane,
    }
    write_private(path, yaml.safe_dump(content, sort_keys=False).encode())
    return path
