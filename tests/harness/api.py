"""The REST API as a process, and those who ask it."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

import yaml

from harness.org import Org
from harness.process import ROOT, OperatorProcess
from harness.traces import Traces
from kubelab.plane import ControlPlane

NO_LIMIT = ("--rate", "1000000/minute")


@dataclass(frozen=True, kw_only=True, repr=False)
class Reply:
    """What was answered."""

    status: int
    headers: Message
    raw: bytes

    @property
    def json(self) -> Any:
        """The body."""
        assert self.headers["Content-Type"] == "application/json"
        return json.loads(self.raw)

    @property
    def error(self) -> tuple[int, str, str]:
        """Status, code and text of a refusal, which has nothing else."""
        body = self.json
        assert sorted(body) == ["code", "error"], body
        return self.status, body["code"], body["error"]

    def __repr__(self) -> str:
        return f"{self.status} {self.raw.decode(errors='replace')}"


@dataclass(frozen=True, kw_only=True, repr=False)
class ApiUser:
    """Somebody with a token, who asks below a path."""

    api: str
    token: str | None
    root: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Send a request; what is no bytes is sent as JSON. Names of headers are written with `_`."""
        raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **self.headers}
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.api + self.root + path, data=raw, headers=sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                reply = Reply(status=response.status, headers=response.headers, raw=response.read())
        except urllib.error.HTTPError as error:
            with error:
                reply = Reply(status=error.code, headers=error.headers, raw=error.read())
        assert reply.headers["Cache-Control"] == "no-store"
        return reply

    def get(self, path: str) -> Reply:
        """GET."""
        return self.ask("GET", path)

    def put(self, path: str, body: Any) -> Reply:
        """PUT."""
        return self.ask("PUT", path, body)

    def delete(self, path: str) -> Reply:
        """DELETE."""
        return self.ask("DELETE", path)

    def values(self, name: str, **values: str) -> Reply:
        """Put values into a set, all at once."""
        entries = [{"secretKey": key, "secretValue": value} for key, value in values.items()]
        return self.put(f"/secrets/{name}", {"secrets": entries})


class Api:
    """The API of a hub, which is given an administrator's kubeconfig, and uses nothing of it but the address."""

    def __init__(self, plane: ControlPlane, *flags: str) -> None:
        self.plane = plane
        self.process = OperatorProcess(plane, "--health-port", "0", *flags, kubeconfig=plane.kubeconfig, command="api")

    @property
    def url(self) -> str:
        """Where it listens."""
        return str(re.findall(r'"api": ?"(https?://[^"]+)"', self.process.log.read_text())[-1])

    def user(self, token: str | None, root: str = "") -> ApiUser:
        """Somebody with a token."""
        return ApiUser(api=self.url, token=token, root=root)

    def member(self, org: Org, role: str = "editor", *, name: str = "", root: str | None = None) -> ApiUser:
        """A service account of an organization with one of the shipped roles there.

        Args:
            org: the organization.
            role: viewer, editor or admin; empty for none.
            name: of the account.
            root: where they ask; absent, the paths of that organization.
        """
        name = name or role or "nobody"
        return self.user(token_of(org, name, role), f"/v1/organizations/{org.name}" if root is None else root)

    def audit(self) -> list[dict[str, Any]]:
        """Its audit lines."""
        return [line for line in self.process.lines() if line.get("logger") == "secretset.audit"]


def token_of(org: Org, name: str, role: str) -> str:
    """A token of a service account, which is made and given a role."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": org.name}}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": f"{name}-{role}", "namespace": org.name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": f"secretset-{role}"},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": org.name}],
    }
    org.apply(account, *([binding] if role else []))
    document = yaml.safe_load(org.plane.service_account_kubeconfig(org.name, name).read_text())
    token: str = document["users"][0]["user"]["token"]
    return token


@contextmanager
def served(plane: ControlPlane, canaries: list[str], *flags: str) -> Iterator[Api]:
    """An API with the shipped roles; no value may stand in its metrics or in its log, which is on debug level."""
    for file in ("user-roles", "regions-viewer"):
        plane.kubectl("apply", "-f", str(ROOT / f"deploy/{file}.yaml"))
    api = Api(plane, *flags)
    api.process.start()
    try:
        yield api
    finally:
        metrics = api.process.fetch("/metrics")[1].encode() if api.process.running else b""
        if api.process.running:
            assert api.process.stop() == 0
        Traces(canaries).assert_nowhere([("metrics of the API", metrics), ("log", api.process.log.read_bytes())])
