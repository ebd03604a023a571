"""What binds a workload to sets: the change of its pod template as a JSON patch (RFC 6902). Pure.

It adds what is missing and nothing twice. What a container takes whole already stays where it is, with its place in the
order and its `optional`, as with the annotation (docs/binding.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from secretset.domain import json_patch, names
from secretset.domain.json_patch import Operation
from secretset.domain.loose import mapping
from secretset.domain.uses import bound_names

_TEMPLATE = "/spec/template"
_LISTS = (("initContainers", "init container"), ("containers", "container"))


class Unbindable(Exception):
    """The workload cannot be bound; the message is a part of a sentence that says why."""


@dataclass(frozen=True, kw_only=True)
class Binding:
    """The change that binds a workload.

    Attributes:
        operations: of the patch; none if it is bound already.
        touched: what they change, in words: ``container 'app'``.
    """

    operations: Sequence[Operation] = ()
    touched: Sequence[str] = ()


def bind(
    workload: Mapping[str, Any],
    *,
    sets: Sequence[str] = (),
    pull_secrets: Sequence[str] = (),
    annotate: bool = False,
    annotated: bool = True,
) -> Binding:
    """What has to change of a workload, so that all its containers get these Secrets whole.

    Args:
        workload: the object of the API.
        sets: names of Secrets that become environment variables; on the same key the last one wins.
        pull_secrets: names of Secrets that its images are pulled with.
        annotate: by the annotation ``secretset.dev/bind`` of its pod template, not by ``envFrom`` of each container.
        annotated: that annotation has an effect in the cluster: what it names is bound already.

    Raises:
        Unbindable: it has no pod template of its own.
    """
    spec = mapping(workload.get("spec"))
    template = mapping(spec.get("template"))
    pod = mapping(template.get("spec"))
    if not pod.get("containers"):
        raise Unbindable("it has no pod template of its own: bind the workload that it refers to")
    there = bound_names(template)
    missing = [name for name in dict.fromkeys(sets) if not (annotated and name in there)]
    changes = [*(_by_annotation if annotate else _by_env_from)(template, missing), *_pulled_with(pod, pull_secrets)]
    if not changes:
        return Binding()
    meta = workload["metadata"]
    # Of exactly what was seen: the number of a container is its place in a list that somebody else may change.
    guard = [
        json_patch.test("/metadata/uid", meta["uid"]),
        json_patch.test("/metadata/generation", meta.get("generation")),
    ]
    return Binding(
        operations=(*guard, *(operation for _, operation in changes)),
        touched=tuple(dict.fromkeys(what for what, _ in changes)),
    )


def created(
    name: str, namespace: str, image: str, *, sets: Sequence[str] = (), pull_secrets: Sequence[str] = ()
) -> dict[str, Any]:
    """A Deployment of one container that is bound from its first pod on; the labels are those of `kubectl create`."""
    labels = {"app": name}
    container = {"name": name.replace(".", "-")[:63].strip("-"), "image": image}
    pod: dict[str, Any] = {"containers": [container | {"envFrom": [{"secretRef": {"name": each}} for each in sets]}]}
    if pull_secrets:
        pod["imagePullSecrets"] = [{"name": each} for each in pull_secrets]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


_Changes = Iterator[tuple[str, Operation]]


def _by_env_from(template: Mapping[str, Any], missing: Sequence[str]) -> _Changes:
    pod = template["spec"]
    for field, word in _LISTS:
        for number, container in enumerate(pod.get(field) or ()):
            sources = container.get("envFrom") or ()
            whole = {mapping(each.get("secretRef")).get("name") for each in sources if not each.get("prefix")}
            entries = [{"secretRef": {"name": name}} for name in missing if name not in whole]
            path = f"{_TEMPLATE}/spec/{field}/{number}/envFrom"
            for operation in _appended(path, entries, there=bool(sources)):
                yield f"{word} '{container.get('name')}'", operation


def _by_annotation(template: Mapping[str, Any], missing: Sequence[str]) -> _Changes:
    there = bound_names(template)
    # Those that each container takes by itself need no annotation.
    lacking = {entry["secretRef"]["name"] for entry in _entries_of(_by_env_from(template, missing))}
    added = [name for name in missing if name in lacking and name not in there]
    if not added:
        return
    wanted = ", ".join((*there, *added))
    notes = mapping(template.get("metadata")).get("annotations")
    path = f"{_TEMPLATE}/metadata/annotations"
    what = f"the annotation {names.ANNOTATION_BIND}"
    if not notes:
        yield what, json_patch.add(path, {})
    yield what, json_patch.add(path + json_patch.pointer(names.ANNOTATION_BIND), wanted)


def _entries_of(changes: _Changes) -> Iterator[Any]:
    """The entries of lists that changes add."""
    for _, operation in changes:
        value = operation["value"]
        yield from value if isinstance(value, list) else [value]


def _pulled_with(pod: Mapping[str, Any], pull_secrets: Sequence[str]) -> _Changes:
    refs = pod.get("imagePullSecrets") or ()
    there = {each.get("name") for each in refs}
    entries = [{"name": name} for name in dict.fromkeys(pull_secrets) if name not in there]
    for operation in _appended(f"{_TEMPLATE}/spec/imagePullSecrets", entries, there=bool(refs)):
        yield "imagePullSecrets", operation


def _appended(path: str, entries: Sequence[Any], *, there: bool) -> list[Operation]:
    """Entries at the end of a list, which is made if it is not there."""
    if not there:
        return [json_patch.add(path, list(entries))] if entries else []
    return [json_patch.add(f"{path}/-", entry) for entry in entries]
