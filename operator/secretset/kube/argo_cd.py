"""Cluster Secrets of Argo CD as kubeconfigs.

Source of the form: https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup/#clusters
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from secretset.kube.errors import ConfigError

LABEL, CLUSTER = "argocd.argoproj.io/secret-type", "cluster"

# What Argo CD calls the fields of a kubeconfig.
WORDS = {
    "certificate-authority-data": "caData",
    "client-certificate-data": "certData",
    "client-key-data": "keyData",
    "tls-server-name": "serverName",
    "proxy-url": "proxyUrl",
    "token": "bearerToken",
}

_OWN_CLUSTER = re.compile(r"https://kubernetes\.default(?:\.svc(?:\.cluster\.local)?)?(?::443)?/*", re.IGNORECASE)


def kubeconfig(data: Mapping[str, bytes]) -> dict[str, Any]:
    """The kubeconfig that a cluster Secret stands for, with one cluster, user and context.

    Args:
        data: the Secret's data, decoded: `server` and `config` (JSON) of its keys are used.

    Raises:
        ConfigError: it lacks something, or uses what has no counterpart. The message names fields and no content.
    """
    server = _server(data)
    config = _config(data)
    tls = _part(config, "tlsClientConfig")
    if tls.get("insecure"):
        raise ConfigError("it turns off the verification of TLS certificates ('insecure')")
    if config.get("awsAuthConfig"):
        raise ConfigError(
            "it uses 'awsAuthConfig', which needs a program of Argo CD: use 'execProviderConfig' or a 'bearerToken'"
        )
    if config.get("username") or config.get("password"):
        raise ConfigError(
            "it has a user name and password, which no API server since 1.19 accepts: use a 'bearerToken'"
        )
    cluster = {
        "server": server,
        "certificate-authority-data": tls.get("caData"),
        "tls-server-name": tls.get("serverName"),
        "proxy-url": config.get("proxyUrl"),
    }
    user = {
        "token": config.get("bearerToken"),
        "client-certificate-data": tls.get("certData"),
        "client-key-data": tls.get("keyData"),
        "exec": _exec(_part(config, "execProviderConfig")),
    }
    return {
        "clusters": [{"name": "argo-cd", "cluster": cluster}],
        "users": [{"name": "argo-cd", "user": user}],
        "contexts": [{"name": "argo-cd", "context": {"cluster": "argo-cd", "user": "argo-cd"}}],
        "current-context": "argo-cd",
    }


def _server(data: Mapping[str, bytes]) -> str:
    if "server" not in data:
        raise ConfigError("it lacks the key 'server'")
    server = data["server"].decode(errors="replace").strip()
    if _OWN_CLUSTER.fullmatch(server):
        raise ConfigError("its server is the cluster that Argo CD runs in: for the hub itself, leave out spec.cluster")
    return server


def _config(data: Mapping[str, bytes]) -> dict[str, Any]:
    if "config" not in data:
        raise ConfigError("it lacks the key 'config'")
    try:
        config = orjson.loads(data["config"])
    except orjson.JSONDecodeError:
        raise ConfigError("its key 'config' is not JSON") from None
    if not isinstance(config, dict):
        raise ConfigError("its key 'config' is not a JSON object")
    return config


def _part(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    part = config.get(name)
    if part is not None and not isinstance(part, dict):
        raise ConfigError(f"its '{name}' is not a JSON object")
    return part or {}


def _exec(section: Mapping[str, Any]) -> dict[str, Any] | None:
    """The `exec` section of a kubeconfig; Argo CD has the variables as a map, and never asks a person."""
    if not section:
        return None
    env = section.get("env") or {}
    if not isinstance(env, dict):
        raise ConfigError("the 'env' of its 'execProviderConfig' is not a JSON object")
    return {
        "apiVersion": section.get("apiVersion"),
        "command": section.get("command"),
        "args": section.get("args"),
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "interactiveMode": "Never",
    }
