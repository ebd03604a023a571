"""JSON schemas of everything that a manifest of ours may be, for kubeconform; made without a cluster.

Kubernetes' own kinds: the OpenAPI document in the very module that kubelab's API server is built of. Ours: crds/. Those
of cert-manager, Flux and the Prometheus operator: the CRDs in their Go modules (lab/tools/crds/go.mod).
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

import go_tools
from kubelab import sources
from kubelab.binary import need_go

ROOT = Path(__file__).resolve().parents[1]
# How kubeconform is to find them; of the core group it says `v1` twice.
LOCATION = "{{.ResourceKind}}_{{.Group}}_{{.ResourceAPIVersion}}.json"
DEFINITIONS = "_definitions.json"
THEIRS: dict[str, tuple[str, ...]] = {
    "github.com/cert-manager/cert-manager": ("deploy/crds/*.yaml",),
    "github.com/fluxcd/kustomize-controller": ("config/crd/bases/*.yaml",),
    "github.com/fluxcd/source-controller": ("config/crd/bases/*_gitrepositories.yaml",),
    "github.com/prometheus-operator/prometheus-operator": (
        "example/prometheus-operator-crd/*_podmonitors.yaml",
        "example/prometheus-operator-crd/*_servicemonitors.yaml",
        "example/prometheus-operator-crd/*_prometheusrules.yaml",
    ),
}

Schema = dict[str, Any]


def schemas() -> Path:
    """The folder of the schemas that are not ours, in kubelab's cache; made if it is not there for these versions.

    Raises:
        BinaryMissingError: they have to be made, and there is no Go to fetch the modules with.
        RuntimeError: a module could not be fetched.
    """
    read = [Path(__file__), sources.directory() / "go.mod", go_tools.MODULES / "crds" / "go.mod"]
    key = hashlib.sha256(b"\0".join(path.read_bytes() for path in read)).hexdigest()[:16]
    target = sources.cache() / "schemas" / key
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(target.with_name("make.lock")):
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=target.parent) as folder:
                made = Path(folder) / "schemas"
                made.mkdir()
                _write(made)
                made.rename(target)
    return target


def write_ours(folder: Path) -> None:
    """Write the schemas of crds/, which change too often for a cache.

    Args:
        folder: where; it must be there.
    """
    _write_crds(folder, sorted((ROOT / "crds").glob("*.yaml")), f"{schemas()}/{DEFINITIONS}")


def _write(folder: Path) -> None:
    kubernetes = _module(sources.directory(), "k8s.io/kubernetes")
    definitions = json.loads((kubernetes / "api/openapi-spec/swagger.json").read_text())["definitions"]
    made = {name: _closed(schema) for name, schema in _loosened(definitions).items()}
    (folder / DEFINITIONS).write_text(json.dumps({"definitions": made}))
    needed = {"type": "object", "required": ["apiVersion", "kind"]}
    for name, definition in definitions.items():
        schema = {"allOf": [needed, {"$ref": f"{DEFINITIONS}#/definitions/{name}"}]}
        for each in definition.get("x-kubernetes-group-version-kind", ()):
            _put(folder, each["group"] or each["version"], each["version"], each["kind"], schema)
    for name, patterns in THEIRS.items():
        module = _module(go_tools.MODULES / "crds", name)
        _write_crds(folder, [path for pattern in patterns for path in module.glob(pattern)], DEFINITIONS)


def _write_crds(folder: Path, files: list[Path], definitions: str) -> None:
    for path in files:
        for crd in yaml.load_all(path.read_text(), yaml.CSafeLoader):
            if crd["kind"] == "CustomResourceDefinition":
                for version in crd["spec"]["versions"]:
                    schema = _whole(version["schema"]["openAPIV3Schema"], definitions)
                    _put(folder, crd["spec"]["group"], version["name"], crd["spec"]["names"]["kind"], schema)


def _put(folder: Path, group: str, version: str, kind: str, schema: Schema) -> None:
    (folder / f"{kind.lower()}_{group}_{version}.json").write_text(json.dumps(schema))


def _loosened(definitions: Schema) -> Schema:
    """With what the document calls text, and the API server takes as a number too."""
    quantity = "io.k8s.apimachinery.pkg.api.resource.Quantity"
    return definitions | {quantity: {"type": ["string", "number"]}}


def _closed(schema: Any) -> Any:
    """A schema of Kubernetes' dialect as JSON Schema: unknown fields are refused, as strict field validation does."""
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        return {"type": ["string", "integer"]}
    made: Schema = {}
    for key, value in schema.items():
        if key == "properties":
            made[key] = {name: _closed(each) for name, each in value.items()}
        elif isinstance(value, list) and key in {"allOf", "anyOf", "oneOf"}:
            made[key] = [_closed(each) for each in value]
        elif key not in {"description", "nullable"}:
            made[key] = _closed(value)
    if schema.get("nullable"):
        made["type"] = [made["type"], "null"]
    # Alternatives name fields too, but not all of them: those have no type.
    if "properties" in made and "type" in made and not made.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    return made


def _whole(schema: Schema, definitions: str) -> Schema:
    """A CRD's schema with what every object has, however little of it the CRD speaks of."""
    made: Schema = _closed(schema)
    said = {
        key: value for key, value in made["properties"].get("metadata", {}).items() if key != "additionalProperties"
    }
    meta = f"{definitions}#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    made["properties"]["metadata"] = {"allOf": [said, {"$ref": meta}]}
    made["required"] = sorted({"apiVersion", "kind", "metadata", *made.get("required", ())})
    return made


def _module(folder: Path, name: str) -> Path:
    """Where a module that go.mod requires is unpacked; fetched, and its hash compared, if it is not there."""
    go = need_go(folder, f"the schemas in {name} have to be read once")
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off"}
    done = subprocess.run(
        [go, "mod", "download", "-json", name], cwd=folder, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{name} could not be fetched:\n{done.stdout}{done.stderr}")
    return Path(json.loads(done.stdout)["Dir"])


if __name__ == "__main__":
    print(schemas())
