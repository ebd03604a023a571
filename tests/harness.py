"""What the integration tests stand on: the real operator as a process, and organizations of one's own to use it in.

The operator runs with the service account and the roles of deploy/, so every test is also a test of those. Each test
takes an organization with names of its own; nothing is shared but the planes and the process.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from kubelab.plane import ControlPlane

ROOT = Path(__file__).resolve().parents[1]
OPERATOR_ACCOUNT = ("secretset-system", "secretset-operator")
USER = "system:serviceaccount:secretset-system:secretset-operator"
SOON = 15.0  # seconds after which something that should happen at once counts as not happened

Manifest = Mapping[str, Any]


def eventually(check: Callable[[], Any], what: str = "", *, seconds: float = SOON) -> Any:
    """Poll until ``check`` returns something true, and return it; the last value is told on failure."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or 'it'} did not happen within {seconds:.0f} s; last seen: {found!r}")
        time.sleep(0.03)


def holds(check: Callable[[], Any], *, seconds: float) -> None:
    """Assert that something stays so for a while."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert check()
        time.sleep(0.1)


def install_hub(plane: ControlPlane) -> None:
    """CRDs, namespace and roles, as deploy/ has them."""
    plane.kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
    plane.kubectl("apply", "-f", str(ROOT / "deploy/namespace.yaml"), "-f", str(ROOT / "deploy/rbac.yaml"))
    for plural in ("secretsets", "imagepullsecrets", "regions"):
        plane.kubectl("wait", "--for=condition=Established", f"crd/{plural}.secretset.dev", "--timeout=20s")


def install_region_cluster(plane: ControlPlane) -> None:
    """What another cluster needs to be a region."""
    plane.kubectl("apply", "-f", str(ROOT / "deploy/region-cluster.yaml"))


class OperatorProcess:
    """The operator as a process; ends with the tests, whatever ends them."""

    def __init__(self, plane: ControlPlane, *flags: str, kubeconfig: Path | None = None) -> None:
        self.plane = plane
        self.log = plane.data_dir / f"operator-{secrets.token_hex(3)}.log"
        self._flags = flags
        self._kubeconfig = kubeconfig or plane.service_account_kubeconfig(*OPERATOR_ACCOUNT)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        """Start, and wait until it says that it is ready."""
        already = self._count_ready()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "kubelab.leashed"),
                    *(sys.executable, "-m", "secretset", "operator", "--kubeconfig", str(self._kubeconfig)),
                    *("--port", "0", "--log-level", "debug", "--log-format", "json", *self._flags),
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # A kubeconfig of whoever runs the tests must not be mixed in.
                env={key: value for key, value in os.environ.items() if key != "KUBECONFIG"},
            )
        if wait:
            eventually(lambda: self._count_ready() > already, "the operator's readiness", seconds=30)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        process = self._running()
        process.terminate()
        return self._ended(process)

    def kill(self) -> None:
        """As a crash ends it."""
        process = self._running()
        os.killpg(process.pid, signal.SIGKILL)
        self._ended(process)

    def restart(self) -> None:
        """Kill and start again."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Hold it still, as a starved node does; `resume` lets it go on."""
        os.killpg(self._running().pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.killpg(self._running().pid, signal.SIGCONT)

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def url(self, path: str) -> str:
        """Of the newest process."""
        found = re.findall(r'"address": ?"(http://[^"]+)"', self.log.read_text())
        return f"{found[-1]}{path}"

    def fetch(self, path: str) -> tuple[int, str]:
        """GET a path of its HTTP server."""
        try:
            with urllib.request.urlopen(self.url(path), timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def lines(self) -> list[dict[str, Any]]:
        """Its log."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def writes(self) -> list[dict[str, Any]]:
        """Audit events of what it wrote to the hub; access reviews are questions, and events are counted apart."""
        return writes(self.plane)

    def _count_ready(self) -> int:
        return self.log.read_text().count('"event": "ready"') if self.log.exists() else 0

    def _ended(self, process: subprocess.Popen[bytes]) -> int:
        code = process.wait(20)
        assert process.stdin is not None
        process.stdin.close()
        self._process = None
        return code

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process


def writes(plane: ControlPlane, *, user: str = USER) -> list[dict[str, Any]]:
    """Audit events of a user's writes; access reviews and Events apart."""
    return [
        event
        for event in plane.audit_events()
        if event["user"].get("username") == user  # a request that was not authenticated has none
        and event["objectRef"]["resource"] not in {"selfsubjectaccessreviews", "events"}
    ]


def described(events: list[dict[str, Any]]) -> list[str]:
    """Audit events as ``verb resource[/subresource] name``, for assertions that read well."""
    return [
        " ".join(
            filter(
                None,
                (
                    event["verb"],
                    "/".join(filter(None, (event["objectRef"]["resource"], event["objectRef"].get("subresource")))),
                    event["objectRef"].get("name"),
                ),
            )
        )
        for event in events
    ]


class Org:
    """An organization of one test, with a namespace in the region `us-west` of the hub."""

    def __init__(self, plane: ControlPlane, name: str, canaries: list[str]) -> None:
        self.plane = plane
        self.name = name
        self.regional = f"{name}-us-west"
        self._canaries = canaries
        self._regions: list[str] = []

    # --- set up

    def create(self) -> Org:
        """Namespaces, and the operator's roles in them."""
        documents = [_namespace(self.name), _namespace(self.regional)]
        organization = yaml.safe_load((ROOT / "deploy/organization.yaml").read_text())
        regional = yaml.safe_load((ROOT / "deploy/regional-namespace.yaml").read_text())
        organization["metadata"]["namespace"], regional["metadata"]["namespace"] = self.name, self.regional
        self.apply(*documents, organization, regional)
        return self

    def apply(self, *objects: Manifest) -> None:
        """`kubectl apply`."""
        self.plane.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(objects))

    def kubectl(self, *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Kubectl in the organization's namespace."""
        return self.plane.kubectl("-n", self.name, *args, **options)

    def there(self, *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Kubectl in the regional namespace."""
        return self.plane.kubectl("-n", self.regional, *args, **options)

    def canary(self) -> str:
        """A fresh value that must turn up nowhere but in Secrets; the session looks for all of them at its end."""
        value = f"canary-{secrets.token_urlsafe(24)}"
        self._canaries.append(value)
        return value

    def source(self, name: str = "src", *, labelled: bool = True, **values: str | bytes) -> dict[str, str | bytes]:
        """Apply a source Secret; without values it gets one canary under `a`."""
        content = values or {"a": self.canary()}
        self.source_of(content, name=name, labelled=labelled)
        return content

    def source_of(self, content: Mapping[str, str | bytes], *, name: str = "src", labelled: bool = True) -> None:
        """Apply a source Secret with this content."""
        raw = {key: value.encode() if isinstance(value, str) else value for key, value in content.items()}
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {
                    "name": name,
                    "namespace": self.name,
                    "labels": {"secretset.dev/source": "true"} if labelled else {},
                },
                "data": {key: base64.b64encode(value).decode() for key, value in raw.items()},
            }
        )

    def secret_set(self, name: str = "app", **spec: Any) -> dict[str, Any]:
        """Apply a SecretSet; without data it reads the key `a` of the source `src` as `A`."""
        spec.setdefault("data", {"A": value_from("src", "a")})
        body = {
            "apiVersion": "secretset.dev/v1alpha1",
            "kind": "SecretSet",
            "metadata": {"name": name, "namespace": self.name},
            "spec": spec,
        }
        self.apply(body)
        return body

    def deployment(self, name: str, pod: Mapping[str, Any], *, replicas: int = 1, namespace: str | None = None) -> None:
        """Apply a Deployment with this pod spec; its container is filled in where it is left out."""
        spec = {"containers": [{"name": "app", "image": "app:1"}], **pod}
        self.apply(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name, "namespace": namespace or self.regional},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": {"app": name}},
                    "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
                },
            }
        )

    def region(self, name: str, **spec: Any) -> str:
        """Apply a Region; `guarded` takes it away."""
        self._regions.append(name)
        self.apply(region(name, **spec))
        return name

    def forget_regions(self) -> None:
        """Delete the Regions of this test."""
        if self._regions:
            self.plane.kubectl("delete", "region", "--ignore-not-found", "--wait=false", *set(self._regions))

    def poke(self, name: str = "app", kind: str = "secretset") -> None:
        """Ask for a pass at once."""
        self.kubectl("annotate", "--overwrite", kind, name, f"secretset.dev/reconcile={secrets.token_hex(4)}")

    # --- look

    def get(self, kind: str, name: str, *, namespace: str | None = None) -> dict[str, Any] | None:
        """An object, or None."""
        done = self.plane.kubectl(
            "get", kind, name, "-n", namespace or self.name, "-o", "json", "--ignore-not-found"
        ).stdout
        return json.loads(done) if done.strip() else None

    def managed(self, name: str = "app") -> dict[str, Any] | None:
        """The managed Secret in the regional namespace."""
        return self.get("secret", name, namespace=self.regional)

    def values(self, name: str = "app") -> dict[str, bytes]:
        """Its values; empty if there is none."""
        return decoded(self.managed(name))

    def status(self, name: str = "app", kind: str = "secretset") -> dict[str, Any]:
        """The status, if it speaks of the present generation; else empty."""
        obj = self.get(kind, name)
        status: dict[str, Any] = (obj or {}).get("status") or {}
        current = obj is not None and status.get("observedGeneration", -1) >= obj["metadata"]["generation"]
        return status if current else {}

    def reaches(self, phase: str, reason: str = "", *, name: str = "app", kind: str = "secretset") -> dict[str, Any]:
        """Wait for a phase and reason of the present generation; return the status."""

        def check() -> dict[str, Any] | None:
            status = self.status(name, kind)
            return status if status.get("phase") == phase and reason in {"", status.get("reason")} else None

        try:
            found: dict[str, Any] = eventually(check, f"{kind} {name} {phase} {reason}")
        except AssertionError as error:
            raise AssertionError(f"{error}; status: {json.dumps((self.get(kind, name) or {}).get('status'))}") from None
        return found

    def stumbles(self, outcome: str, says: str, *, name: str = "app", kind: str = "secretset") -> dict[str, Any]:
        """Wait for `phase/Reason`, which is new to the object: one event tells it, and then all is still."""
        phase, _, reason = outcome.partition("/")
        status = self.reaches(phase, reason, name=name, kind=kind)
        assert says in status["message"]
        event = (f"Failed{reason}" if phase == "failed" else reason, status["message"])
        eventually(lambda: event in self.events(name), f"the event {event}")
        before = self._told(name)
        time.sleep(1.2)
        assert self._told(name) == before
        assert [told for told in before[0] if told[0] == event[0]] == [event]
        return status

    def _told(self, name: str) -> tuple[list[tuple[str, str]], list[str]]:
        return self.events(name), [write for write in self.writes() if write.endswith(f"/status {name}")]

    def events(self, name: str = "app") -> list[tuple[str, str]]:
        """(reason, message) of the events on an object, oldest first."""
        done = self.kubectl("get", "events", "-o", "json", "--field-selector", f"involvedObject.name={name}")
        items = sorted(json.loads(done.stdout)["items"], key=lambda item: item["eventTime"] or "")
        return [(item["reason"], item["message"]) for item in items]

    def generation(self, deployment: str) -> int:
        """Of a Deployment in the regional namespace: grows with each restart."""
        obj = self.get("deployment", deployment, namespace=self.regional)
        assert obj is not None
        return int(obj["metadata"]["generation"])

    def restarts(self, deployment: str) -> int:
        """How often the operator restarted a Deployment in the regional namespace."""
        mine = [event for event in writes(self.plane) if event["responseStatus"]["code"] < 300]
        regional = [event for event in mine if event["objectRef"].get("namespace") == self.regional]
        return described(regional).count(f"patch deployments {deployment}")

    def writes(self) -> list[str]:
        """What the operator wrote in this organization and its regional namespace, in order."""
        mine = {self.name, self.regional}
        return described([event for event in writes(self.plane) if event["objectRef"].get("namespace") in mine])


@contextmanager
def guarded(org: Org) -> Iterator[Org]:
    """Beside what the test does to it, the organization has a healthy set that must not notice anything."""
    content = org.source("well-source")
    org.secret_set("well", data={"A": value_from("well-source", "a")})
    org.reaches("ready", name="well")
    before = org.managed("well")
    try:
        yield org
        assert org.status("well")["phase"] == "ready"
        assert org.managed("well") == before
        assert org.values("well") == {"A": str(content["a"]).encode()}
    finally:
        org.forget_regions()


def regional_role(namespace: str) -> dict[str, Any]:
    """What lets the operator work in a regional namespace, as deploy/ has it."""
    role: dict[str, Any] = yaml.safe_load((ROOT / "deploy/regional-namespace.yaml").read_text())
    role["metadata"]["namespace"] = namespace
    return role


def namespace(name: str) -> dict[str, Any]:
    """A Namespace."""
    return _namespace(name)


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


def kubeconfig_secret(org: Org, name: str, config: str | None = None, **content: str) -> dict[str, Any]:
    """Apply a kubeconfig Secret; return what a Region says of it."""
    values = {**content, **({} if config is None else {"config": config})}
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"kubeconfig-{name}", "namespace": "secretset-system"},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }
    org.apply(body)
    return kubeconfig_ref(name)


def forms(value: str) -> Iterator[str]:
    """The forms in which a value may leak: raw, hex, base64 at its three alignments, base64url."""
    raw = value.encode()
    yield value
    yield raw.hex()
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        yield text[4 if shift else 0 : -2]
    yield base64.urlsafe_b64encode(raw).decode().rstrip("=")[:-2]


def _namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
