"""Builders of test objects that read like a sentence, and one Secret of a pretend API server.

`secret_set("app").in_("team").with_key("A", source="src").object()` is what the API server would return.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from secretset.domain import names, plan, record, regions, workloads
from secretset.domain.fingerprint import Keyring
from secretset.domain.names import Key, Kind
from secretset.domain.observed import ObservedSecret, SecretRecord
from secretset.domain.plan import Assessment, Delivered, Desired, Write
from secretset.domain.restarts import RestartRule, Wave
from secretset.domain.workloads import Workload

KEYRING = Keyring(keys={"k1": b"1" * 32, "k0": b"0" * 32}, current="k1")
INSTALLATION = "installation-1"
OWNER = Key(Kind.SECRET_SET, "team", "app")
UID = "11111111-2222"
EPOCH = 1_750_000_000.0
AT_ONCE = RestartRule(automatic=True, quiet=0.0, max_wait=0.0)


def at(second: int) -> str:
    """A time of the test day, in RFC 3339."""
    return f"2026-03-01T00:{second // 60:02}:{second % 60:02}Z"


class Built:
    """What all builders of API objects have."""

    def __init__(self, name: str, namespace: str | None = None) -> None:
        self.name = name
        self._meta: dict[str, Any] = {
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": "1",
            "generation": 1,
            "creationTimestamp": at(0),
        }
        if namespace is not None:
            self._meta["namespace"] = namespace
        self._spec: dict[str, Any] = {}
        self._status: dict[str, Any] = {}

    def in_(self, namespace: str) -> Self:
        self._meta["namespace"] = namespace
        return self

    def created(self, second: int) -> Self:
        self._meta["creationTimestamp"] = at(second)
        return self

    def with_meta(self, **meta: Any) -> Self:
        self._meta |= meta
        return self

    def with_spec(self, **spec: Any) -> Self:
        self._spec |= spec
        return self

    def with_status(self, **status: Any) -> Self:
        self._status |= status
        return self

    def annotated(self, **notes: str) -> Self:
        self._meta.setdefault("annotations", {}).update({k.replace("__", "/"): v for k, v in notes.items()})
        return self

    def object(self) -> dict[str, Any]:
        out: dict[str, Any] = {"metadata": self._meta, "spec": self._spec}
        return copy.deepcopy(out | ({"status": self._status} if self._status else {}))


class SetBuilder(Built):
    """A SecretSet or ImagePullSecret."""

    def __init__(self, kind: Kind, name: str) -> None:
        super().__init__(name, "team")
        self._kind = kind

    def with_key(self, key: str, *, source: str, source_key: str | None = None) -> Self:
        reference = {"secretKeyRef": {"name": source, "key": source_key or key}}
        self._spec.setdefault("data", {})[key] = {"valueFrom": reference}
        return self

    def in_region(self, region: str) -> Self:
        return self.with_spec(region=region)

    def record(self) -> record.SetRecord:
        return record.parse(self._kind, self.object())


def secret_set(name: str = "app") -> SetBuilder:
    return SetBuilder(Kind.SECRET_SET, name)


def pull_secret(name: str = "regcred", *, source: str = "registry") -> SetBuilder:
    password = {"valueFrom": {"secretKeyRef": {"name": source, "key": "password"}}}
    return SetBuilder(Kind.IMAGE_PULL_SECRET, name).with_spec(host="ghcr.io", username="bot", password=password)


class RegionBuilder(Built):
    """A Region."""

    def on_cluster(self, secret: str) -> Self:
        ref = {"namespace": "system", "name": secret, "key": "kubeconfig"}
        return self.with_spec(cluster={"kubeconfigSecretRef": ref})

    def with_template(self, template: str) -> Self:
        return self.with_spec(namespace=template)

    def accepting(self, **labels: str) -> Self:
        return self.with_spec(organizations={"matchLabels": labels})

    def record(self) -> regions.RegionRecord:
        return regions.RegionRecord.parse(self.object())


def region(name: str) -> RegionBuilder:
    return RegionBuilder(name)


def organization(name: str, *, second: int = 0, default: str | None = None, **labels: str) -> regions.Organization:
    return regions.Organization(name=name, created=at(second), labels=labels, default_region=default)


class DeploymentBuilder(Built):
    """A Deployment whose rollout is complete, unless something else is said."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "team-us")
        self._pod: dict[str, Any] = {"containers": [{"name": "main"}]}
        self._spec = {"replicas": 1, "template": {"spec": self._pod}}
        self._status = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}

    def env_from(self, secret: str, *, init: bool = False) -> Self:
        self._container(init=init).setdefault("envFrom", []).append({"secretRef": {"name": secret}})
        return self

    def env(self, secret: str, *keys: str, init: bool = False) -> Self:
        for key in keys:
            variable = {"name": f"V_{key}", "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
            self._container(init=init).setdefault("env", []).append(variable)
        return self

    def volume(self, secret: str, *items: str) -> Self:
        return self._mounted({"secret": {"secretName": secret} | _items(items)})

    def projected(self, secret: str, *items: str) -> Self:
        return self._mounted({"projected": {"sources": [{"secret": {"name": secret} | _items(items)}]}})

    def restarted_for(self, secret: str, wave: str) -> Self:
        self._meta.setdefault("annotations", {})[names.wave_mark(secret)] = wave
        return self

    def paused(self) -> Self:
        return self.with_spec(paused=True)

    def rolling(self) -> Self:
        return self.with_status(updatedReplicas=0)

    def stalled(self) -> Self:
        return self.with_status(conditions=[{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}])

    def workload(self) -> Workload:
        parsed = workloads.parse(workloads.DEPLOYMENT, self.object())
        assert parsed is not None, "it uses no Secret"
        return parsed

    def _container(self, *, init: bool) -> dict[str, Any]:
        containers = self._pod.setdefault("initContainers", [{"name": "init"}]) if init else self._pod["containers"]
        first: dict[str, Any] = containers[0]
        return first

    def _mounted(self, volume: dict[str, Any]) -> Self:
        self._pod.setdefault("volumes", []).append({"name": "v"} | volume)
        return self


def _items(items: tuple[str, ...]) -> dict[str, Any]:
    return {"items": [{"key": key, "path": key} for key in items]} if items else {}


def deployment(name: str = "web") -> DeploymentBuilder:
    return DeploymentBuilder(name)


def wanted(content: Mapping[str, bytes] | None = None, **changes: Any) -> Desired:
    """What should be in the region: by default the set `team/app` with A=1 and B=2."""
    given: dict[str, Any] = {
        "key": OWNER,
        "uid": UID,
        "installation": INSTALLATION,
        "region": "us",
        "namespace": "team-us",
        "content": {"A": b"1", "B": b"2"} if content is None else dict(content),
        "inputs": "inputs-1",
        "rule": AT_ONCE,
    }
    return Desired(**given | changes)


@dataclass
class Slot:
    """The place of one Secret on a pretend API server, and a pass over it as `controller.deliver` makes it."""

    obj: dict[str, Any] | None = None
    writes: list[Write] = field(default_factory=list)
    _count: int = 0

    @property
    def secret(self) -> ObservedSecret:
        assert self.obj is not None
        return ObservedSecret.parse(self.obj)

    @property
    def wave(self) -> Wave | None:
        marks = self.secret.marks if self.obj else None
        return marks.wave if marks else None

    def record(self, keyring: Keyring = KEYRING) -> SecretRecord | None:
        assert self.obj is not None
        return SecretRecord.of(self.obj, installation=INSTALLATION, keyring=keyring)

    def edit(self, change: Callable[[dict[str, Any]], object]) -> Self:
        """Somebody else changes the Secret."""
        assert self.obj is not None
        change(self.obj)
        return self._stored(self.obj)

    def put_back(self, older: dict[str, Any]) -> Self:
        """Somebody else replaces the Secret with an older copy of itself."""
        return self._stored(copy.deepcopy(older))

    def copy(self) -> dict[str, Any]:
        return copy.deepcopy(self.obj or {})

    def assess(self, desired: Desired, delivered: Delivered | None = None, keyring: Keyring = KEYRING) -> Assessment:
        return plan.assess(desired, self.secret if self.obj else None, delivered, keyring)

    def deliver(
        self,
        desired: Desired,
        delivered: Delivered | None = None,
        *,
        workloads: Iterable[Workload] = (),
        remembered: Wave | None = None,
        keyring: Keyring = KEYRING,
        second: int = 0,
    ) -> Assessment:
        """Assess, and write what has to be written; ``remembered`` is the wave of a Secret that was lost."""
        assessment = self.assess(desired, delivered, keyring)
        self.writes.append(assessment.write)
        if assessment.write is Write.NONE:
            return assessment
        seen = self.secret if self.obj else None
        marks = plan.compose(
            desired,
            assessment,
            keyring=keyring,
            previous=seen.marks.wave if seen is not None and seen.marks is not None else remembered,
            workloads=workloads,
            timestamp=at(second),
            now=EPOCH + second,
        )
        new = plan.render(desired, marks, seen if assessment.write is Write.UPDATE else None)
        if seen is None or assessment.write is not Write.UPDATE:
            new["metadata"]["uid"] = f"secret-{self._count}"
        self._stored(new)
        return assessment

    def status(self) -> Delivered:
        """What the status of the set would remember."""
        marks = self.secret.marks
        assert marks is not None
        keys = {name: (mark.created, mark.updated) for name, mark in marks.keys.items()}
        return Delivered(revision=marks.revision, fingerprint=marks.fingerprint, keys=keys)

    def _stored(self, obj: dict[str, Any]) -> Self:
        self._count += 1
        obj["metadata"]["resourceVersion"] = str(self._count)
        self.obj = obj
        return self


def delivered(content: Mapping[str, bytes] | None = None, **changes: Any) -> Slot:
    """A Secret as the operator delivered it."""
    slot = Slot()
    slot.deliver(wanted(content, **changes))
    return slot
