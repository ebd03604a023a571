"""Binding by annotation: the admission policy that injects Secrets into pods, and whether a cluster has it.

The API server itself carries the policy out when a pod is created: no webhook of ours has to be up, and the workload is
not changed, so nothing that compares it with its manifest finds a difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from secretset.domain import names

NAME = "secretset-bind"
GROUP_VERSION = "admissionregistration.k8s.io/v1"
# The first version of Kubernetes that has MutatingAdmissionPolicy in v1.
SUPPORTED_SINCE = "1.36"
POLICIES, BINDINGS = "mutatingadmissionpolicies", "mutatingadmissionpolicybindings"

Manifest = Mapping[str, Any]


class BindPolicy(StrEnum):
    """How the policy stands in a cluster: the reason of the Region's condition `BindPolicy`."""

    INSTALLED = "Installed"
    NOT_INSTALLED = "NotInstalled"
    OUTDATED = "Outdated"
    NOT_SUPPORTED = "NotSupported"
    NOT_ALLOWED = "NotAllowed"


def bind_policy() -> dict[str, Any]:
    """The MutatingAdmissionPolicy.

    It is about pods that carry the annotation when they are created, and no others: with `failurePolicy: Fail` an
    expression that cannot be evaluated refuses such a pod, which would otherwise run without its values. A name that
    no Secret can have is injected all the same, so that the API server's validation of the pod refuses it by name.

    It is not reinvoked: containers that webhooks inject afterwards (a mesh's proxy) get nothing.

    What the API server would fill in is written out, so that it stores what is here.
    """
    return {
        "apiVersion": GROUP_VERSION,
        "kind": "MutatingAdmissionPolicy",
        "metadata": _metadata(),
        "spec": {
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "matchConstraints": {
                "matchPolicy": "Equivalent",
                "namespaceSelector": {},
                "objectSelector": {},
                "resourceRules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["pods"],
                        "scope": "Namespaced",
                    }
                ],
            },
            "matchConditions": [
                {
                    "name": "bound",
                    "expression": "has(object.metadata.annotations)"
                    f" && '{names.ANNOTATION_BIND}' in object.metadata.annotations",
                }
            ],
            "variables": [
                {
                    "name": "names",
                    "expression": f"object.metadata.annotations['{names.ANNOTATION_BIND}']"
                    ".split(',').map(n, n.trim()).filter(n, n != '').distinct()",
                }
            ],
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": _PATCH}}],
        },
    }


def bind_policy_binding() -> dict[str, Any]:
    """The MutatingAdmissionPolicyBinding that puts the policy into effect, in all namespaces."""
    return {
        "apiVersion": GROUP_VERSION,
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": _metadata(),
        "spec": {"policyName": NAME},
    }


def judge(policy: Manifest | None, binding: Manifest | None) -> BindPolicy:
    """How the policy stands in a cluster that has these two objects.

    What somebody added beside what is ours counts as current: a binding may be limited to some namespaces
    (`matchResources`), and a later API server may fill in more.

    Args:
        policy: as the cluster has it; None if it has none.
        binding: likewise.
    """
    if policy is None or binding is None:
        return BindPolicy.NOT_INSTALLED
    current = covers(policy.get("spec"), bind_policy()["spec"])
    bound = covers(binding.get("spec"), bind_policy_binding()["spec"])
    return BindPolicy.INSTALLED if current and bound else BindPolicy.OUTDATED


def describe(bind: BindPolicy, version: str | None) -> str:
    """What the state of the bind policy in a cluster means, and what to do.

    Args:
        bind: the state.
        version: of the cluster's API server, if that is known.
    """
    annotation = names.ANNOTATION_BIND
    match bind:
        case BindPolicy.INSTALLED:
            return f"Pods with the annotation {annotation} get the Secrets that it names."
        case BindPolicy.NOT_INSTALLED:
            return (
                f"The annotation {annotation} has no effect there: apply what `secretset policies` prints to that "
                "cluster, or reference the Secret by envFrom."
            )
        case BindPolicy.OUTDATED:
            return (
                f"The policy {NAME} there is not this version's: apply what `secretset policies` prints to that "
                "cluster again."
            )
        case BindPolicy.NOT_SUPPORTED:
            return (
                f"Kubernetes {version or 'there'} has no MutatingAdmissionPolicy (it is there since "
                f"{SUPPORTED_SINCE}), so {annotation} is not supported there: reference the Secret by envFrom."
            )
        case BindPolicy.NOT_ALLOWED:
            return f"Who asks may not look whether the policy {NAME} is there; the roles of deploy/ let the operator."


def _metadata() -> dict[str, Any]:
    return {"name": NAME, "labels": {"app.kubernetes.io/part-of": names.FIELD_MANAGER}}


def covers(found: Any, wanted: Any) -> bool:
    """Whether everything wanted is in what was found; what is empty must be so, and lists be as they are."""
    if isinstance(wanted, dict) and wanted:
        return isinstance(found, dict) and all(covers(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(covers, found, wanted))
    return bool(found == wanted)


def _appended(field: str) -> str:
    """CEL: the patches that append what is missing to each container of a list.

    Secrets that the container takes whole already, without a prefix, stay where they are. JSON Patch because a list of
    `Object{}` panics the API server (kubernetes/kubernetes#142181).
    """
    path = f"'/spec/{field}/' + string(i) + '/envFrom"
    return (
        f"object.spec.{field}.transformList(i, c, variables.names.size() > 0,\n"
        f"  (has(c.envFrom) ? [] : [JSONPatch{{op: 'add', path: {path}', value: []}}])\n"
        "  + variables.names.filter(n, !has(c.envFrom) || !c.envFrom.exists(e,\n"
        "      has(e.secretRef) && has(e.secretRef.name) && e.secretRef.name == n && !has(e.prefix)))\n"
        f"    .map(n, JSONPatch{{op: 'add', path: {path}/-', value: {{'secretRef': {{'name': n}}}}}}))"
    )


_PATCH = (
    f"({_appended('containers')}\n+ (has(object.spec.initContainers) ? {_appended('initContainers')} : [])\n).flatten()"
)
