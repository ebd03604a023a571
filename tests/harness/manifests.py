"""Small parts of manifests."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import yaml

from harness.process import ROOT

REGIONAL_BINDING = "secretset-operator-region"


def regional_role(namespace: str) -> list[dict[str, Any]]:
    """What lets the operator work in a regional namespace, as deploy/ has it: a Role, and its RoleBinding."""
    return _of_namespace("regional-namespace", namespace)


def organization_role(namespace: str) -> list[dict[str, Any]]:
    """What lets the operator read sources in an organization, likewise."""
    return _of_namespace("organization", namespace)


def _of_namespace(file: str, namespace: str) -> list[dict[str, Any]]:
    found = list(yaml.safe_load_all((ROOT / f"deploy/{file}.yaml").read_text()))
    for each in found:
        each["metadata"]["namespace"] = namespace
    return found


def namespace(name: str) -> dict[str, Any]:
    """A Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def grant(user: str, role: str, namespace: str | None = None, *, kind: str = "ClusterRole") -> dict[str, Any]:
    """A binding of a role to a user, in a namespace or in the whole cluster."""
    api, scope = "rbac.authorization.k8s.io", {"namespace": namespace} if namespace else {}
    return {
        "apiVersion": f"{api}/v1",
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": {"name": f"{user}-{role}", **scope},
        "roleRef": {"apiGroup": api, "kind": kind, "name": role},
        "subjects": [{"apiGroup": api, "kind": "User", "name": user}],
    }


def value_from(name: str, key: str) -> dict[str, Any]:
    """An entry of spec.data that reads a Secret."""
    return {"valueFrom": {"secretKeyRef": {"name": name, "key": key}}}


def env_from(secret: str) -> dict[str, Any]:
    """A pod spec that takes a whole Secret into its environment."""
    return {"containers": [{"name": "app", "image": "app:1", "envFrom": [{"secretRef": {"name": secret}}]}]}


def env_key(secret: str, key: str) -> dict[str, Any]:
    """A pod spec that reads one key of a Secret."""
    ref = {"name": key, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
    return {"containers": [{"name": "app", "image": "app:1", "env": [ref]}]}


def decoded(secret: Mapping[str, Any] | None) -> dict[str, bytes]:
    """The values of a Secret object."""
    return {key: base64.b64decode(text) for key, text in ((secret or {}).get("data") or {}).items()}


def region(name: str, **spec: Any) -> dict[str, Any]:
    """A Region."""
    return {"apiVersion": "secretset.dev/v1alpha1", "kind": "Region", "metadata": {"name": name}, "spec": spec}


def kubeconfig_ref(name: str) -> dict[str, Any]:
    """What a Region says of the Secret of `kubeconfig_secret`."""
    ref = {"namespace": "secretset-system", "name": f"kubeconfig-{name}", "key": "config"}
    return {"kubeconfigSecretRef": ref}
