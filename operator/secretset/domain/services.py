"""A service, in the words of Pipecat's deploy calls, as a Deployment: what is asked for, and what is told of it. Pure.

Only Deployments that were made here are changed: their labels tell, and to which organization they belong. The rest of
such a Deployment, which somebody may have edited, is left as it is: annotations tell which of its Secrets are ours.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from secretset.domain import names, rollouts
from secretset.domain.rollouts import Rollout

MANAGER = "secretset-api"
CONTAINER = "service"
# What `kubectl rollout restart` writes; the operator knows that it means nothing else (domain/gate.py).
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"

# Conditions of a Deployment (apps/v1) that are told, by type; their messages are not, as they are the cluster's text.
_TOLD = ("Available", "Progressing", "ReplicaFailure")


@dataclass(frozen=True, kw_only=True)
class Service:
    """What a service is to be; None leaves what is there.

    Attributes:
        name: of the Deployment: an RFC 1123 label.
        organization: whose it is.
        secret_set: name of the managed Secret whose keys its containers have as environment variables.
        pull_secret: name of the managed Secret that its image is pulled with.
        replicas: 0, which is what Pipecat's CLI sends of itself, is None: nothing here scales from 0.
        architecture: of its nodes, `kubernetes.io/arch`.
        resources: quantities by ``cpu`` and ``memory``, for requests and limits.
        restarted_at: pods are made anew; RFC 3339.
    """

    name: str
    organization: str
    image: str | None = None
    secret_set: str | None = None
    pull_secret: str | None = None
    replicas: int | None = None
    architecture: str | None = None
    resources: Mapping[str, str] | None = None
    restarted_at: str | None = None


def is_ours(obj: Mapping[str, Any], organization: str) -> bool:
    """Whether a Deployment is a service of an organization."""
    meta = obj["metadata"]
    return labels_of(meta["name"], organization).items() <= (meta.get("labels") or {}).items()


def labels_of(name: str, organization: str) -> dict[str, str]:
    """The labels that a Deployment is known by."""
    return {names.LABEL_MANAGED_BY: MANAGER, names.LABEL_SERVICE: name, names.LABEL_ORGANIZATION: organization}


def created(service: Service, namespace: str) -> dict[str, Any]:
    """The Deployment of a service that is not there yet; its image is named."""
    selector = {names.LABEL_SERVICE: service.name}
    bare = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": service.name,
            "namespace": namespace,
            "labels": labels_of(service.name, service.organization),
        },
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": selector},
            # Whoever runs an image here is given the set, and no way into the cluster.
            "template": {"metadata": {"labels": selector}, "spec": {"automountServiceAccountToken": False}},
        },
    }
    return changed(bare, service)


def changed(obj: Mapping[str, Any], service: Service) -> dict[str, Any]:
    """A Deployment with all that a service says; equal to what was given where it says nothing new."""
    found: dict[str, Any] = copy.deepcopy(dict(obj))
    spec = found["spec"]
    if service.replicas:
        spec["replicas"] = service.replicas
    template = spec["template"]
    pod = template["spec"]
    if service.architecture:
        pod["nodeSelector"] = {**(pod.get("nodeSelector") or {}), "kubernetes.io/arch": service.architecture}
    if service.pull_secret:
        ours = _remember(found, names.ANNOTATION_SERVICE_PULL_SECRET, service.pull_secret)
        entry: dict[str, Any] = {"name": service.pull_secret}
        pod["imagePullSecrets"] = _exchanged(pod.get("imagePullSecrets") or (), ours, entry, _pull_name)
    if service.restarted_at:
        meta = template.setdefault("metadata", {})
        meta["annotations"] = {**(meta.get("annotations") or {}), RESTARTED_AT: service.restarted_at}
    container = _container(pod)
    if service.image:
        container["image"] = service.image
    if service.secret_set:
        ours = _remember(found, names.ANNOTATION_SERVICE_SET, service.secret_set)
        entry = {"secretRef": {"name": service.secret_set}}
        container["envFrom"] = _exchanged(container.get("envFrom") or (), ours, entry, _env_name)
    if service.resources:
        container["resources"] = {"requests": dict(service.resources), "limits": dict(service.resources)}
    return found


def told(obj: Mapping[str, Any], region: str) -> dict[str, Any]:
    """What is told of a service: the fields that Pipecat's `deploy` and `agent status` read.

    A deployment's id is the uid and the generation of its object; the cluster has reconciled it once it has observed
    that generation.
    """
    meta, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    rollout = rollouts.deployment(obj)
    wanted = int(spec.get("replicas", 1))
    container = _container(copy.deepcopy(spec["template"]["spec"]))
    here = f"{meta['uid']}-{meta['generation']}"
    return {
        "name": meta["name"],
        "region": region,
        "id": meta["uid"],
        "createdAt": meta["creationTimestamp"],
        "desiredDeploymentId": here,
        "activeDeploymentId": here,
        "reconciledDeploymentId": f"{meta['uid']}-{status.get('observedGeneration', 0)}",
        "ready": rollout is Rollout.CURRENT,
        "available": status.get("availableReplicas", 0) > 0 or wanted == 0,
        "activeDeploymentReady": rollout is Rollout.CURRENT,
        "autoScaling": {"minReplicas": wanted, "maxReplicas": wanted},
        "deployment": {"manifest": {"spec": {"image": container.get("image", "")}}},
        "secretSet": _bound(obj, names.ANNOTATION_SERVICE_SET, map(_env_name, container.get("envFrom") or ())),
        "imagePullSecretSet": _bound(
            obj,
            names.ANNOTATION_SERVICE_PULL_SECRET,
            map(_pull_name, spec["template"]["spec"].get("imagePullSecrets") or ()),
        ),
        "conditions": list(_conditions(obj, rollout)),
        "errors": _errors(obj, rollout),
    }


def _container(pod: dict[str, Any]) -> dict[str, Any]:
    """The container of the service; it is put first if there is none."""
    containers: list[dict[str, Any]] = pod.setdefault("containers", [])
    found = next((each for each in containers if each.get("name") == CONTAINER), None)
    if found is None:
        found = {"name": CONTAINER}
        containers.insert(0, found)
    return found


def _env_name(entry: Mapping[str, Any]) -> str | None:
    """The Secret that an entry of ``envFrom`` takes whole, under the names of its keys."""
    return None if entry.get("prefix") else (entry.get("secretRef") or {}).get("name")


def _pull_name(entry: Mapping[str, Any]) -> str | None:
    return entry.get("name")


def _remember(obj: dict[str, Any], annotation: str, name: str) -> str | None:
    """Write down on a Deployment which Secret is ours; the one that was."""
    there = obj["metadata"].get("annotations") or {}
    obj["metadata"]["annotations"] = {**there, annotation: name}
    return there.get(annotation)


def _exchanged(
    entries: Sequence[dict[str, Any]],
    ours: str | None,
    entry: dict[str, Any],
    name_of: Callable[[Mapping[str, Any]], str | None],
) -> list[dict[str, Any]]:
    """The entries with ours exchanged for another, or with that one at their end; the others stay, in their order.

    What somebody put there beside ours already is taken for ours.
    """
    there, new = {name_of(each) for each in entries} - {None}, name_of(entry)
    if ours in there and ours != new:
        return [entry if name_of(each) == ours else each for each in entries if name_of(each) != new]
    return list(entries) if new in there else [*entries, entry]


def _bound(obj: Mapping[str, Any], annotation: str, there: Iterable[str | None]) -> str | None:
    """The Secret of ours; where there is none any more, the first that there is."""
    found = [name for name in there if name]
    ours = (obj["metadata"].get("annotations") or {}).get(annotation)
    return ours if ours in found else next(iter(found), None)


def _conditions(obj: Mapping[str, Any], rollout: Rollout) -> Iterator[dict[str, str]]:
    there = {str(each.get("type")): each for each in (obj.get("status") or {}).get("conditions") or ()}
    for kind in _TOLD:
        if kind in there:
            yield {
                "type": kind,
                "status": str(there[kind].get("status")),
                "reason": str(there[kind].get("reason")),
                "message": "",
            }
    failing = there.get("ReplicaFailure", {}).get("status") == "True"
    if failing or rollout is Rollout.STALLED:
        reason = "ReplicaFailure" if failing else "ProgressDeadlineExceeded"
        yield {"type": "Degraded", "status": "True", "reason": reason, "message": _where(obj)}


def _errors(obj: Mapping[str, Any], rollout: Rollout) -> list[dict[str, str]]:
    if rollout is not Rollout.STALLED:
        return []
    return [{"code": "ProgressDeadlineExceeded", "message": f"Its new pods do not start. {_where(obj)}"}]


def _where(obj: Mapping[str, Any]) -> str:
    meta = obj["metadata"]
    return f"See `kubectl describe deployment {meta['name']} -n {meta['namespace']}`."
