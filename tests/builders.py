"""Builders of test objects that read like a sentence.

`secret_set("app").in_("team").with_key("A", source="src").object()` is what the API server would return.
"""

from __future__ import annotations

import copy
from typing import Any, Self

from secretset.domain import names, record, regions, workloads
from secretset.domain.names import Kind
from secretset.domain.workloads import Workload, WorkloadKind


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
        record = regions.RegionRecord.parse(self.object())
        assert record is not None
        return record


def region(name: str) -> RegionBuilder:
    return RegionBuilder(name)


def organization(name: str, *, second: int = 0, default: str | None = None, **labels: str) -> regions.Organization:
    return regions.Organization(name=name, created=at(second), labels=labels, default_region=default)


class WorkloadBuilder(Built):
    """A workload whose rollout is complete, unless something else is said."""

    def __init__(self, kind: WorkloadKind, name: str, **status: Any) -> None:
        super().__init__(name, "team-us")
        self._kind = kind
        self._template: dict[str, Any] = {"spec": {"containers": [{"name": "main"}]}}
        self._spec = {"replicas": 1, "template": self._template}
        self._status = {"observedGeneration": 1} | status

    def env_from(self, secret: str, *, init: bool = False, optional: bool = False) -> Self:
        ref = {"name": secret} | _optional(optional)
        self._container(init=init).setdefault("envFrom", []).append({"secretRef": ref})
        return self

    def env(self, secret: str, *keys: str, init: bool = False, optional: bool = False) -> Self:
        for key in keys:
            ref = {"name": secret, "key": key} | _optional(optional)
            variable = {"name": f"V_{key}", "valueFrom": {"secretKeyRef": ref}}
            self._container(init=init).setdefault("env", []).append(variable)
        return self

    def volume(self, secret: str, *items: str, optional: bool = False) -> Self:
        return self._mounted({"secret": {"secretName": secret} | _items(items) | _optional(optional)})

    def projected(self, secret: str, *items: str, optional: bool = False) -> Self:
        return self._mounted(
            {"projected": {"sources": [{"secret": {"name": secret} | _items(items) | _optional(optional)}]}}
        )

    def sub_path(self) -> Self:
        """The volumes are mounted by a sub-path."""
        self._container().setdefault("volumeMounts", []).append({"name": "v", "mountPath": "/v", "subPath": "x"})
        return self

    def pulling_with(self, secret: str) -> Self:
        self._template["spec"].setdefault("imagePullSecrets", []).append({"name": secret})
        return self

    def bound(self, text: str) -> Self:
        return self._template_annotated(names.ANNOTATION_BIND, text)

    def restarting(self, rule: str) -> Self:
        """Annotated with what it says about its restarts."""
        return self.annotated(**{names.ANNOTATION_RESTART: rule})

    def restarted_for(self, secret: str, wave: str) -> Self:
        self._meta.setdefault("annotations", {})[names.wave_mark(secret)] = wave
        return self._template_annotated(names.ANNOTATION_RESTARTED_FOR, f"{secret}@{wave}")

    def paused(self) -> Self:
        return self.with_spec(paused=True)

    def rolling(self) -> Self:
        return self.with_meta(generation=2).with_status(observedGeneration=1)

    def stalled(self) -> Self:
        return self.with_status(conditions=[{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}])

    def workload(self) -> Workload:
        return workloads.parse(self._kind, self.object())

    def _template_annotated(self, name: str, text: str) -> Self:
        self._template.setdefault("metadata", {}).setdefault("annotations", {})[name] = text
        return self

    def _container(self, *, init: bool = False) -> dict[str, Any]:
        pod = self._template["spec"]
        containers = pod.setdefault("initContainers", [{"name": "init"}]) if init else pod["containers"]
        first: dict[str, Any] = containers[0]
        return first

    def _mounted(self, volume: dict[str, Any]) -> Self:
        self._template["spec"].setdefault("volumes", []).append({"name": "v"} | volume)
        return self


def _items(items: tuple[str, ...]) -> dict[str, Any]:
    return {"items": [{"key": key, "path": key} for key in items]} if items else {}


def _optional(optional: bool) -> dict[str, Any]:
    return {"optional": True} if optional else {}


def deployment(name: str = "web") -> WorkloadBuilder:
    counts = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    return WorkloadBuilder(workloads.DEPLOYMENT, name, **counts)


def stateful_set(name: str = "web") -> WorkloadBuilder:
    counts = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}
    return WorkloadBuilder(workloads.STATEFUL_SET, name, **counts, currentRevision="r1", updateRevision="r1")


def daemon_set(name: str = "web") -> WorkloadBuilder:
    counts = {"desiredNumberScheduled": 1, "updatedNumberScheduled": 1, "numberAvailable": 1}
    return WorkloadBuilder(workloads.DAEMON_SET, name, **counts)


def argo_rollout(name: str = "web") -> WorkloadBuilder:
    return WorkloadBuilder(workloads.ROLLOUT, name, phase="Healthy").with_status(observedGeneration="1")
