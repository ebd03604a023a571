"""deploy/ is the chart, rendered: each template of charts/secretset-operator gives the file of the same name."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from kubelab.binary import programs

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "charts" / "secretset-operator"
NAMESPACE = "secretset-system"

Manifest = dict[str, Any]
Key = tuple[str, str | None, str]

_HUB: Manifest = {}
_REGION: Manifest = {"mode": "region"}
# What each file needs beside the defaults: the examples in it, and what is off.
FILES: dict[str, Manifest] = {
    "agent-hub.yaml": {"agents": ["eu-bank"]},
    "agent-region.yaml": _REGION | {"agent": {"region": "eu-bank"}},
    "api.yaml": _HUB,
    "bind-policy.yaml": _HUB,
    "finalizer-policy.yaml": _HUB,
    "gate.yaml": {"webhook": {"gate": {"enabled": True}}},
    "namespace.yaml": {"namespace": {"create": True}},
    "network-policies.yaml": _HUB,
    "operator.yaml": _HUB,
    "organization.yaml": {"organizations": [{"name": "shop"}]},
    "rbac.yaml": _HUB,
    "region-cluster.yaml": _REGION | {"namespace": {"create": True}},
    "regional-namespace.yaml": {"regionalNamespaces": [{"name": "shop-us-west"}]},
    "regions-viewer.yaml": _HUB,
    "seal.yaml": _HUB,
    "user-roles.yaml": _HUB,
    "webhook.yaml": _HUB,
    "webhook-hub.yaml": _HUB,
    "webhook-self-signed.yaml": _HUB,
}


def helm(*args: str, values: Manifest | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run helm on the chart, without a cluster.

    Args:
        *args: its arguments.
        values: what `-f` gives it.
        check: whether a failure is an exception.
    """
    given = () if values is None else ("-f", "-")
    return subprocess.run(
        [*programs().argv("helm"), *args, *given],
        input=None if values is None else json.dumps(values),
        capture_output=True,
        text=True,
        check=check,
    )


def template(values: Manifest | None = None, *args: str) -> str:
    """The chart, rendered with values for the namespace of deploy/; without CRDs, which are in crds/.

    Raises:
        CalledProcessError: helm refused.
    """
    return helm("template", "secretset-operator", str(CHART), "-n", NAMESPACE, *args, values=values or {}).stdout


def rendered(*files: str) -> dict[str, str]:
    """Files of deploy/ as the chart makes them, their objects in the order of the template.

    Args:
        *files: their names; none: all.
    """
    sources: dict[str, dict[str, list[str]]] = {}
    for file in files or FILES:
        given = json.dumps(FILES[file])
        sources[given] = sources.get(given) or _by_template(template(FILES[file]))
    return {file: _joined(file, sources[json.dumps(FILES[file])][file]) for file in files or FILES}


def _by_template(text: str) -> dict[str, list[str]]:
    """What helm rendered, by the template that it is from."""
    found: dict[str, list[str]] = {}
    for document in re.split(r"^---\n(?=# Source: )", text, flags=re.MULTILINE)[1:]:
        source, _, rest = document.partition("\n")
        if rest.strip("\n"):
            found.setdefault(Path(source).name, []).append(rest.strip("\n"))
    return found


def _joined(file: str, documents: list[str]) -> str:
    """Helm sorts by kind, and so parts what belongs together and what is said of it."""
    written = (CHART / "templates" / file).read_text()

    def place(document: str) -> tuple[bool, int]:
        kind, name = re.findall(r"^kind: (\S+)\nmetadata:\n  name: (\S+)", document, re.MULTILINE)[0]
        return kind == "PodDisruptionBudget", written.find(f"kind: {kind}\nmetadata:\n  name: {name}\n")

    return "\n---\n".join(sorted(documents, key=place)) + "\n"


def objects(text: str) -> dict[Key, Manifest]:
    """Manifests by kind, namespace and name.

    Raises:
        ValueError: two are of one name.
    """
    found: dict[Key, Manifest] = {}
    for each in filter(None, yaml.safe_load_all(text)):
        key = (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"])
        if key in found:
            raise ValueError(f"{key} is there twice")
        found[key] = each
    return found


if __name__ == "__main__":
    for name, text in rendered().items():
        (ROOT / "deploy" / name).write_text(text)
