"""What must be there before the operator starts: CRDs, the admission policy, namespaces, sources, a Region, rights."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml

from bench import objects
from bench.api import Api, Refused, side_by_side
from bench.objects import GROUP, OPERATOR_NAMESPACE, ORGANIZATIONS, REGION, Name
from kubelab import ControlPlane

_ROOT = Path(__file__).resolve().parents[1]
_DEPLOY = _ROOT / "deploy"
_ACCOUNT = "secretset-operator"
_PLURALS = {"Role": "roles", "RoleBinding": "rolebindings"}
_EFFECTIVE_SECONDS = 30.0


async def hub(plane: ControlPlane, api: Api, *, among: Sequence[str] = ORGANIZATIONS, with_policy: bool = True) -> None:
    """Furnish a plane.

    Args:
        plane: a new one.
        api: the administrator's client of it.
        among: the organizations.
        with_policy: install the finalizer admission policy, as the chart does where it can.
    """
    files = [str(file) for file in sorted((_ROOT / "crds").glob("*.yaml")) if file.name != "kustomization.yaml"]
    await _kubectl(plane, "apply", "--server-side", "-f", ",".join(files))
    await _kubectl(plane, "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")

    async def space(name: str) -> None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        await api.send("POST", "/api/v1/namespaces", body)

    await side_by_side([OPERATOR_NAMESPACE, *among, *(Name(name, "").target for name in among)], space)
    await side_by_side(among, lambda each: api.send("POST", objects.secrets(each), objects.source(each)))
    region = {"apiVersion": "secretset.dev/v1alpha1", "kind": "Region", "metadata": {"name": REGION}, "spec": {}}
    await api.send("POST", f"{GROUP}/regions", region)
    if with_policy:
        await policy(plane, api)


async def policy(plane: ControlPlane, api: Api) -> None:
    """Install the finalizer admission policy, and wait until it works.

    Raises:
        TimeoutError: it does not.
    """
    await _kubectl(plane, "apply", "-f", str(_DEPLOY / "finalizer-policy.yaml"))
    probe = Name(ORGANIZATIONS[0], "probe")
    deadline = time.monotonic() + _EFFECTIVE_SECONDS
    while True:
        try:
            tried = await api.send("POST", f"{objects.sets(probe.organization)}?dryRun=All", objects.secret_set(probe))
        except Refused as error:
            if error.status != HTTPStatus.SERVICE_UNAVAILABLE:  # the API server has not yet learned of the CRD
                raise
        else:
            if tried["metadata"].get("finalizers"):
                return
        if time.monotonic() > deadline:
            raise TimeoutError("the admission policy does not put the finalizer on sets")
        await asyncio.sleep(0.1)


async def rights(plane: ControlPlane, api: Api, among: Sequence[str]) -> Path:
    """Grant the operator what the chart does by default, namespace by namespace, and return its kubeconfig.

    Args:
        plane: a furnished one.
        api: the administrator's client of it.
        among: the organizations: it may read Secrets there, and write them in their regional namespaces.
    """
    await _kubectl(plane, "apply", "-f", str(_DEPLOY / "rbac.yaml"))
    for file, spaces in (
        ("organization.yaml", list(among)),
        ("regional-namespace.yaml", [Name(name, "").target for name in among]),
    ):
        roles = list(yaml.safe_load_all((_DEPLOY / file).read_text()))
        await side_by_side(spaces, lambda space, roles=roles: _grant(api, space, roles))  # type: ignore[misc]
    return plane.service_account_kubeconfig(OPERATOR_NAMESPACE, _ACCOUNT)


async def _kubectl(plane: ControlPlane, *args: str) -> None:
    await asyncio.to_thread(plane.kubectl, *args)


async def _grant(api: Api, space: str, roles: Sequence[dict[str, Any]]) -> None:
    for role in roles:
        path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space}/{_PLURALS[role['kind']]}"
        await api.send("POST", path, {**role, "metadata": {**role["metadata"], "namespace": space}})
