"""What a pod template uses of which Secret, and what a change of that Secret means to its pods."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from secretset.domain import names

# All keys of a Secret, not single ones.
ALL: None = None
NONE: frozenset[str] = frozenset()

Keys = frozenset[str] | None

# Values of the annotation secretset.dev/restart on a workload; any other is as if it were absent.
ON_ENV_CHANGE, NEVER = "on-env-change", "never"


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """How a pod template uses one Secret.

    Attributes:
        keys: whose change restarts the workload; ``ALL`` for every key.
        required: keys that its pods cannot start without, because they are named and not optional.
        optional: those of ``keys`` that some container may have started without, while the Secret was not there.
    """

    keys: Keys = ALL
    required: frozenset[str] = NONE
    optional: Keys = NONE

    def concerns(self, changed: Collection[str]) -> bool:
        """Whether a change of these keys restarts the workload."""
        return _meets(self.keys, changed)

    def missed(self, present: Collection[str]) -> bool:
        """Whether containers may have started without one of these keys, which are there now."""
        return _meets(self.optional, present)


WHOLE = Use()
Uses = Mapping[str, Use]


def secret_uses(template: Mapping[str, Any], *, restart: str = "") -> dict[str, Use]:
    """Every Secret that a pod template uses, by name.

    Covers envFrom, env, secret volumes and projected volumes of all containers and init containers, pull secrets, and
    what the annotation secretset.dev/bind has injected. Pod templates cannot hold ephemeral containers.

    Args:
        template: metadata and spec of the pods.
        restart: what the workload's annotation secretset.dev/restart says: with ``on-env-change``, keys that are only
            read from files which kubelet refreshes by itself restart nothing; with ``never``, no key does.
    """
    found: dict[str, list[_Reference]] = {}
    for reference in _references(template):
        found.setdefault(sys.intern(reference.secret), []).append(reference)
    pod = template.get("spec") or {}
    return {secret: _merged(references, restart, pod) for secret, references in found.items()}


# In place of a container: a volume, which all of them need; and what none of them needs.
_VOLUME, _NOWHERE = -1, -2


class _Reference(NamedTuple):
    secret: str
    where: int  # number of the container, in the order in which they start
    keys: Keys = ALL
    optional: bool = False
    refreshed: bool = False  # by kubelet, while the pod runs


def _references(template: Mapping[str, Any]) -> Iterator[_Reference]:
    pod = template.get("spec") or {}
    containers = (*(pod.get("initContainers") or ()), *(pod.get("containers") or ()))
    bound = bound_names(template)
    for number, container in enumerate(containers):
        yield from _of_container(container, number, bound)
    # A file that is mounted by a sub-path stays what it was when the container started (kubernetes.io, "Secrets").
    mounts = [mount for container in containers for mount in container.get("volumeMounts") or ()]
    copied = {mount.get("name") for mount in mounts if mount.get("subPath") or mount.get("subPathExpr")}
    for volume in pod.get("volumes") or ():
        yield from _of_volume(volume, refreshed=volume.get("name") not in copied)
    for ref in pod.get("imagePullSecrets") or ():
        if ref.get("name"):
            yield _Reference(ref["name"], _NOWHERE)


def _of_container(container: Mapping[str, Any], number: int, bound: Iterable[str]) -> Iterator[_Reference]:
    whole: set[str] = set()
    for source in container.get("envFrom") or ():
        ref = source.get("secretRef") or {}
        if ref.get("name"):
            yield _Reference(ref["name"], number, ALL, bool(ref.get("optional")))
            whole.update({ref["name"]} if "prefix" not in source else ())
    for name in bound:
        if name not in whole:  # else what the container has stays as it is (docs/binding.md)
            yield _Reference(name, number)
    for variable in container.get("env") or ():
        ref = (variable.get("valueFrom") or {}).get("secretKeyRef") or {}
        if ref.get("name"):
            yield _Reference(ref["name"], number, frozenset({ref["key"]}), bool(ref.get("optional")))


def _of_volume(volume: Mapping[str, Any], *, refreshed: bool) -> Iterator[_Reference]:
    secret = volume.get("secret") or {}
    if secret.get("secretName"):
        yield _Reference(secret["secretName"], _VOLUME, _items(secret), bool(secret.get("optional")), refreshed)
    for source in (volume.get("projected") or {}).get("sources") or ():
        secret = source.get("secret") or {}
        if secret.get("name"):
            yield _Reference(secret["name"], _VOLUME, _items(secret), bool(secret.get("optional")), refreshed)


def bound_names(template: Mapping[str, Any]) -> tuple[str, ...]:
    """The Secrets that the annotation secretset.dev/bind of a pod template names."""
    text = ((template.get("metadata") or {}).get("annotations") or {}).get(names.ANNOTATION_BIND) or ""
    return tuple(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))


def _merged(references: list[_Reference], restart: str, pod: Mapping[str, Any]) -> Use:
    counting = [] if restart == NEVER else [r for r in references if restart != ON_ENV_CHANGE or not r.refreshed]
    started = _started_without({r.where for r in references if not r.optional}, pod)
    use = Use(
        keys=_union(r.keys for r in counting),
        required=_union(r.keys for r in references if r.keys is not ALL and not r.optional) or NONE,
        optional=_union(r.keys for r in counting if r.optional and r.where in started),
    )
    return WHOLE if use == WHOLE else use


def _started_without(needed: Collection[int], pod: Mapping[str, Any]) -> set[int]:
    """Which containers may have started while a Secret was not there that these need.

    Volumes come first, then the init containers, one after the other; the containers do not wait for each other
    (kubernetes.io, "Pod Lifecycle" and "Init Containers"). If any has started, the volumes were there.
    """
    inits = len(pod.get("initContainers") or ())
    end = inits + len(pod.get("containers") or ())
    end = min((where for where in needed if _VOLUME <= where < inits), default=end)
    started = {number for number in range(end) if number not in needed}
    return started | {_VOLUME} if started else started


def _items(secret: Mapping[str, Any]) -> Keys:
    """The keys that a volume takes from a Secret: those it lists, or all."""
    items = secret.get("items")
    return frozenset(item["key"] for item in items) if items else ALL


def _union(several: Iterable[Keys]) -> Keys:
    union: frozenset[str] = NONE
    for keys in several:
        if keys is None:
            return ALL
        union |= keys
    return union


def _meets(keys: Keys, others: Collection[str]) -> bool:
    return bool(others) if keys is None else not keys.isdisjoint(others)
