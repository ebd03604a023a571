"""What a kubeconfig's context says besides where the cluster is: the namespace that its user works in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml
from kubernetes.aio import config as kube_config

from secretset.kube import credentials

_UNUSABLE = (kube_config.ConfigException, OSError, ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError)


def namespace(path: str | None = None, context: str | None = None) -> str:
    """The namespace of a context, found where `credentials.load` finds the cluster; empty if none is named."""
    explicit = path or os.environ.get("KUBECONFIG")
    try:
        if not explicit and not context and "KUBERNETES_SERVICE_HOST" in os.environ:
            return (credentials.SERVICE_ACCOUNT / "namespace").read_text().strip()
        config = _read(explicit)
        wanted = context or config.value.get("current-context")
        chosen: dict[str, Any] = next(
            (each.value for each in config.value.get("contexts") or () if each.value["name"] == wanted), {}
        )
        return str((chosen.get("context") or {}).get("namespace") or "")
    except _UNUSABLE:
        return ""


def all_names(path: str | None = None) -> list[str]:
    """The names of all contexts; none if the kubeconfig cannot be used."""
    try:
        found = _read(path or os.environ.get("KUBECONFIG")).value.get("contexts") or ()
        return sorted(str(each.value["name"]) for each in found)
    except _UNUSABLE:
        return []


def _read(explicit: str | None) -> Any:
    """A kubeconfig, of several files if $KUBECONFIG says so."""
    file = explicit or str(Path.home() / ".kube" / "config")
    if not any(Path(part).exists() for part in file.split(os.pathsep)):
        raise FileNotFoundError  # the library would print that, in words of its own
    return kube_config.kube_config.KubeConfigMerger(file).config
