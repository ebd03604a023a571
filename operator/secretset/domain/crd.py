"""CustomResourceDefinitions from the pydantic models: one source for the schema, for `kubectl explain` and the code.

Pydantic emits JSON Schema with references and unions; the API server wants a structural schema without either.
`_structural` turns the one into the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from secretset.domain import names
from secretset.domain.models import ImagePullSecret, Region, SecretSet
from secretset.domain.models.common import Model
from secretset.domain.models.status import INITIAL_STATUS


@dataclass(frozen=True, kw_only=True)
class Definition:
    """What a CRD needs besides its schema."""

    model: type[Model]
    plural: str
    short: tuple[str, ...]
    scope: str
    columns: tuple[tuple[str, str, str, str], ...]  # name, type, JSONPath, description
    initial_status: dict[str, Any]

    @property
    def kind(self) -> str:
        """The kind's name."""
        return self.model.__name__


_AGE = ("Age", "date", ".metadata.creationTimestamp", "How long the object has existed.")
_SET_COLUMNS = (
    ("Region", "string", ".status.region", "The region that the set lives in."),
    ("Status", "string", ".status.phase", "pending, ready or failed."),
    ("Reason", "string", ".status.reason", "Why."),
    ("Keys", "integer", ".status.keyCount", "Number of delivered keys."),
    ("Bound", "integer", ".status.workloads.bound", "Workloads that use the Secret."),
    ("Updated", "date", ".status.updatedAt", "Since when the content is what it is."),
    ("Rollout", "string", ".status.conditions[?(@.type=='RolledOut')].reason", "How the workloads that use it stand."),
    _AGE,
)
_WIDE = {"Rollout": {"priority": 1}}  # columns of `kubectl get -o wide` only
_REGION_COLUMNS = (
    ("Status", "string", ".status.phase", "pending, ready or failed."),
    ("Reachable", "string", ".status.conditions[?(@.type=='Reachable')].status", "Whether its API server answers."),
    ("Authorized", "string", ".status.conditions[?(@.type=='Authorized')].status", "Whether we may do our work there."),
    ("Reason", "string", ".status.reason", "Why."),
    ("Default", "string", ".status.conditions[?(@.type=='Default')].status", "Whether it is the default that counts."),
    ("Ready", "integer", ".status.sets.ready", "Sets that are ready."),
    ("Pending", "integer", ".status.sets.pending", "Sets that are pending."),
    ("Failed", "integer", ".status.sets.failed", "Sets that failed."),
    ("Version", "string", ".status.serverVersion", "Version of its API server."),
    ("Last Contact", "date", ".status.lastContact", "When it answered last, while it does not."),
    _AGE,
)

DEFINITIONS = (
    Definition(
        model=SecretSet,
        plural="secretsets",
        short=("sset",),
        scope="Namespaced",
        columns=_SET_COLUMNS,
        initial_status=INITIAL_STATUS,
    ),
    Definition(
        model=ImagePullSecret,
        plural="imagepullsecrets",
        short=("ips",),
        scope="Namespaced",
        columns=_SET_COLUMNS,
        initial_status=INITIAL_STATUS,
    ),
    Definition(
        model=Region,
        plural="regions",
        short=(),
        scope="Cluster",
        columns=_REGION_COLUMNS,
        initial_status={"phase": "pending", "reason": "Accepted", "observedGeneration": -1},
    ),
)


# With a CRD go all its objects: Helm, Argo CD and Flux leave it where it is, whatever becomes of what brought it.
_NEVER_DELETED = {
    "helm.sh/resource-policy": "keep",
    "argocd.argoproj.io/sync-options": "Delete=false,Prune=false",
    "kustomize.toolkit.fluxcd.io/prune": "disabled",
}


def render(definition: Definition) -> dict[str, Any]:
    """One CustomResourceDefinition, ready for `kubectl apply`."""
    document = definition.model.model_json_schema(by_alias=True)
    schema = _structural(document, document.get("$defs", {}))
    # The name is here only so that a rule's fieldPath can point at it.
    schema["properties"]["metadata"] = {"type": "object", "properties": {"name": {"type": "string"}}}
    schema["required"] = ["spec"]
    schema["properties"]["status"]["default"] = dict(definition.initial_status)
    schema["properties"] = {
        "apiVersion": {"type": "string", "description": f"Always {names.API_VERSION}."},
        "kind": {"type": "string", "description": f"Always {definition.kind}."},
        **schema["properties"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{definition.plural}.{names.GROUP}",
            "labels": {"app.kubernetes.io/part-of": names.FIELD_MANAGER},
            "annotations": dict(_NEVER_DELETED),
        },
        "spec": {
            "group": names.GROUP,
            "scope": definition.scope,
            "names": {
                "kind": definition.kind,
                "listKind": f"{definition.kind}List",
                "plural": definition.plural,
                "singular": definition.kind.lower(),
                **({"shortNames": list(definition.short)} if definition.short else {}),
                # Not "secretset": kubectl takes a category for the kind of that name, and `get secretset NAME` fails.
                "categories": [names.FIELD_MANAGER],
            },
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": name, "type": kind, "jsonPath": path, "description": text, **_WIDE.get(name, {})}
                        for name, kind, path, text in definition.columns
                    ],
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


_KEPT = {
    "description", "type", "enum", "pattern", "format", "minLength", "maxLength", "minimum", "maximum", "minItems",
    "maxItems", "minProperties", "maxProperties", "required", "x-kubernetes-validations", "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys", "x-kubernetes-int-or-string",
}  # fmt: skip


def _structural(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Turn pydantic's JSON Schema into a structural one: references inlined, `| None` dropped, unknown words left out.

    Raises:
        ValueError: the model uses a union that a structural schema cannot express.
    """
    if "$ref" in node:
        target = definitions[node["$ref"].rsplit("/", 1)[1]]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
        return _structural(node, definitions)
    if "anyOf" in node:
        members = [member for member in node["anyOf"] if member.get("type") != "null"]
        if len(members) != 1:
            raise ValueError("a structural schema has no unions")
        outer = {key: value for key, value in node.items() if key not in {"anyOf", "default"}}
        return _structural({**members[0], **outer}, definitions)
    schema = {key: value for key, value in node.items() if key in _KEPT}
    if "x-kubernetes-int-or-string" in schema:
        del schema["type"]
    if "const" in node:
        schema["enum"] = [node["const"]]
    if "properties" in node:
        schema["properties"] = {name: _structural(child, definitions) for name, child in node["properties"].items()}
    if isinstance(node.get("additionalProperties"), dict):
        schema["additionalProperties"] = _structural(node["additionalProperties"], definitions)
    if "items" in node:
        schema["items"] = _structural(node["items"], definitions)
    return schema
