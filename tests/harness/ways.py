"""The ways in which a user gets an entry of a set changed: each command of kubectl that writes objects."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.manifests import decoded
from harness.org import Org
from kubelab.api import Api
from kubelab.components import SUPERVISOR

Entry = Mapping[str, Any]
Way = Callable[["Changing", Entry | None], None]

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
# What `kubectl edit` starts instead of an editor: it reads the entry from a file, and changes nothing else.
_EDITOR = """\
import json, sys, yaml
from pathlib import Path
path, entry = Path(sys.argv[-1]), json.loads(Path({entry!r}).read_text())
obj = yaml.safe_load(path.read_text())
obj["spec"]["data"].pop("A", None)
if entry is not None:
    obj["spec"]["data"]["A"] = entry
path.write_text(yaml.safe_dump(obj))
"""


class Changing:
    """A set whose entry `A` is changed, beside others that stay.

    Args:
        org: whose it is.
        name: of the set.
        folder: for what an editor is told.
        stays: the other entries.
    """

    def __init__(self, org: Org, name: str, folder: Path, stays: Mapping[str, Entry]) -> None:
        self.org = org
        self.name = name
        self._folder = folder
        self._stays = stays
        # Asked in every step: kubectl takes a hundred times as long.
        self._api = Api(port=org.plane.ports["apiserver"], pki=org.plane.data_dir / "pki", identity=SUPERVISOR)

    def manifest(self, entry: Entry | None) -> str:
        """What a user has in a file."""
        data = {**self._stays, **({"A": entry} if entry is not None else {})}
        meta = {"name": self.name, "namespace": self.org.name}
        return json.dumps(
            {"apiVersion": "secretset.dev/v1alpha1", "kind": "SecretSet", "metadata": meta, "spec": {"data": data}}
        )

    def stored(self) -> dict[str, Any]:
        """The object."""
        found = self._api.get(f"/apis/secretset.dev/v1alpha1/namespaces/{self.org.name}/secretsets/{self.name}")
        assert found is not None
        return found

    def delivered(self) -> bytes | None:
        """What the key holds in the managed Secret."""
        return decoded(self._api.get(f"/api/v1/namespaces/{self.org.regional}/secrets/{self.name}")).get("A")

    def entry(self) -> dict[str, Any] | None:
        """The entry as it is stored."""
        found: dict[str, Any] | None = self.stored()["spec"]["data"].get("A")
        return found

    def edit(self, entry: Entry | None) -> subprocess.CompletedProcess[str]:
        """`kubectl edit`, to the end."""
        wanted, script = self._folder / "entry.json", self._folder / "editor.py"
        wanted.write_text(json.dumps(entry))
        script.write_text(_EDITOR.format(entry=str(wanted)))
        plane = self.org.plane
        return subprocess.run(
            [*plane.command("kubectl"), "edit", "secretset", self.name, "-n", self.org.name],
            env={**plane.environment(), "KUBE_EDITOR": f"{sys.executable} {script}", "TMPDIR": str(self._folder)},
            capture_output=True,
            text=True,
            check=True,
        )


def apply(on: Changing, entry: Entry | None) -> None:
    """`kubectl apply`."""
    on.org.kubectl("apply", "-f", "-", input=on.manifest(entry))


def server_side(on: Changing, entry: Entry | None) -> None:
    """`kubectl apply --server-side`."""
    on.org.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=on.manifest(entry))


def edit(on: Changing, entry: Entry | None) -> None:
    """`kubectl edit`."""
    assert "edited" in on.edit(entry).stdout


def replace(on: Changing, entry: Entry | None) -> None:
    """`kubectl replace`."""
    on.org.kubectl("replace", "-f", "-", input=on.manifest(entry))


def replace_and_note(on: Changing, entry: Entry | None) -> None:
    """`kubectl replace --save-config`."""
    on.org.kubectl("replace", "--save-config", "-f", "-", input=on.manifest(entry))


def patch_merge(on: Changing, entry: Entry | None) -> None:
    """`kubectl patch --type=merge`, which names only what it sets."""
    patch = {"spec": {"data": {"A": entry}}}
    on.org.kubectl("patch", "secretset", on.name, "--type=merge", "-p", json.dumps(patch))


def patch_json(on: Changing, entry: Entry | None) -> None:
    """`kubectl patch --type=json`: sets a field beside those that are there."""
    there = on.entry()
    operations: list[dict[str, Any]]
    if entry is None:
        operations = [{"op": "remove", "path": "/spec/data/A"}]
    elif there is None:
        operations = [{"op": "add", "path": "/spec/data/A", "value": entry}]
    else:
        operations = [{"op": "add", "path": f"/spec/data/A/{field}", "value": entry[field]} for field in entry]
    on.org.kubectl("patch", "secretset", on.name, "--type=json", "-p", json.dumps(operations))


def apply_and_note(on: Changing, entry: Entry | None) -> None:
    """`kubectl apply`, and `apply set-last-applied`, which writes the manifest into the annotation alone."""
    apply(on, entry)
    on.org.kubectl("apply", "set-last-applied", "--create-annotation", "-f", "-", input=on.manifest(entry))


WAYS: tuple[Way, ...] = (
    apply,
    server_side,
    edit,
    replace,
    replace_and_note,
    patch_merge,
    patch_json,
    apply_and_note,
)
REPEATED: tuple[Way, ...] = (apply, server_side, replace, patch_merge)
"""Those that scripts and pipelines run again with the same input."""
