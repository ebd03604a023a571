"""A user of a plane, an administrator: JSON over kept connections, since a kubectl takes a tenth of a second."""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import urllib3
import yaml

from kubelab.plane import ControlPlane

GROUP = "/apis/secretset.dev/v1alpha1"
PATHS = {
    "configmap": "/api/v1/{in}configmaps",
    "deployment": "/apis/apps/v1/{in}deployments",
    "event": "/apis/events.k8s.io/v1/{in}events",
    "imagepullsecret": GROUP + "/{in}imagepullsecrets",
    "lease": "/apis/coordination.k8s.io/v1/{in}leases",
    "namespace": "/api/v1/namespaces",
    "region": GROUP + "/regions",
    "resourcequota": "/api/v1/{in}resourcequotas",
    "role": "/apis/rbac.authorization.k8s.io/v1/{in}roles",
    "rolebinding": "/apis/rbac.authorization.k8s.io/v1/{in}rolebindings",
    "secret": "/api/v1/{in}secrets",
    "secretset": GROUP + "/{in}secretsets",
    "serviceaccount": "/api/v1/{in}serviceaccounts",
}
# What a plane that begins, or whose store is away, refuses with.
_AGAIN = frozenset({403, 429, 500, 503, 504})
_MERGE = "application/merge-patch+json"


class Refused(Exception):
    """The API server said no; its code, and what it was asked."""

    def __init__(self, code: int, what: str, text: str) -> None:
        super().__init__(f"{what}: {code} {text}")
        self.code = code


class User:
    """The administrator of a plane.

    Attributes:
        patience: seconds for which what fails is tried again, while the plane may be away.
    """

    patience = 0.0

    def __init__(self, plane: ControlPlane) -> None:
        config = yaml.safe_load(plane.kubeconfig.read_text())
        user = config["users"][0]["user"]
        context = ssl.create_default_context(cadata=plane.ca.decode())
        with tempfile.TemporaryDirectory() as folder:  # the only way in is by files
            file = Path(folder) / "user.pem"
            file.touch(0o600)
            parts = (user["client-certificate-data"], user["client-key-data"])
            file.write_bytes(b"\n".join(map(base64.b64decode, parts)))
            context.load_cert_chain(file)
        self._pool = urllib3.HTTPSConnectionPool(
            "127.0.0.1", plane.ports["apiserver"], ssl_context=context, maxsize=8, timeout=15, retries=False
        )

    def ask(self, method: str, path: str, body: Any = None, *, kind: str = "application/json") -> Any:
        """Send a request; the answer, or None where there is no such object.

        Raises:
            Refused: by any other error.
        """
        until = time.monotonic() + self.patience
        again = False
        while True:
            try:
                return self._ask(method, path, body, kind=kind)
            except urllib3.exceptions.HTTPError:
                if time.monotonic() > until:
                    raise
            except Refused as error:
                if again and error.code == 409 and method == "POST":
                    return self.ask("GET", f"{path}/{body['metadata']['name']}")  # it was done, and nobody said so
                if error.code not in _AGAIN or time.monotonic() > until:
                    raise
            again = True
            time.sleep(0.05)

    def _ask(self, method: str, path: str, body: Any, *, kind: str) -> Any:
        data = None if body is None else json.dumps(body)
        done = self._pool.request(method, path, body=data, headers={"Content-Type": kind})
        if done.status == 404:
            return None
        if done.status >= 400:
            raise Refused(done.status, f"{method} {path}", str(done.json().get("message")))
        return done.json()

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        """One object, or None."""
        found: dict[str, Any] | None = self.ask("GET", path(kind, namespace, name))
        return found

    def listed(self, kind: str, namespace: str | None = None) -> list[dict[str, Any]]:
        """All of a kind."""
        found = self.ask("GET", path(kind, namespace))
        return list(found["items"])

    def create(self, kind: str, obj: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object."""
        made: dict[str, Any] = self.ask("POST", path(kind, obj["metadata"].get("namespace")), obj)
        return made

    def patch(self, kind: str, name: str, namespace: str | None, change: Mapping[str, Any]) -> dict[str, Any]:
        """Merge a change into an object."""
        found: dict[str, Any] = self.ask("PATCH", path(kind, namespace, name), change, kind=_MERGE)
        return found

    def delete(self, kind: str, name: str, namespace: str | None = None) -> None:
        """Delete an object, if it is there."""
        self.ask("DELETE", path(kind, namespace, name))

    def clear(self, kind: str, namespace: str) -> None:
        """Delete all of a kind that are in a namespace."""
        self.ask("DELETE", path(kind, namespace))


def path(kind: str, namespace: str | None = None, name: str | None = None) -> str:
    """Where a kind is in the API: all of it, that of a namespace, or one object."""
    place = f"namespaces/{namespace}/" if namespace else ""
    return PATHS[kind].replace("{in}", place) + (f"/{name}" if name else "")
