"""An organization of a test's own: what a user does there with kubectl, and what they see."""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import yaml

from harness.manifests import decoded, kubeconfig_ref, namespace, organization_role, region, regional_role, value_from
from harness.process import described, writes
from harness.waiting import eventually
from kubelab.plane import ControlPlane

Manifest = Mapping[str, Any]


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
        documents = [namespace(self.name), namespace(self.regional)]
        self.apply(*documents, *organization_role(self.name), *regional_role(self.regional))
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

    def generation(self, name: str, kind: str = "deployment") -> int:
        """Of a workload in the regional namespace: grows with each restart."""
        obj = self.get(kind, name, namespace=self.regional)
        assert obj is not None
        return int(obj["metadata"]["generation"])

    def restarts(self, name: str, kind: str = "deployment") -> int:
        """How often the operator restarted a workload in the regional namespace."""
        return self.writes(self.regional, done=True).count(f"patch {kind.lower()}s {name}")

    def writes(self, *namespaces: str, done: bool = False) -> list[str]:
        """What the operator wrote in this organization and its regional namespace, in order.

        Those that a server refused are among them, a conflict for one, unless only what was ``done`` is asked for.
        """
        mine = namespaces or (self.name, self.regional)
        events = [event for event in writes(self.plane) if event["objectRef"].get("namespace") in mine]
        return described([event for event in events if not done or event["responseStatus"]["code"] < 300])


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
