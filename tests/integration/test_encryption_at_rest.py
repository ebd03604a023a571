"""docs/encryption-at-rest.md on a real API server: what is in etcd, and how its key is rotated."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import OperatorProcess, Org, env_from, eventually, holds, install_hub, region, value_from
from harness.sealed import sealed
from harness.stored import in_etcd, revision
from harness.traces import Traces
from kubelab.plane import ControlPlane
from kubelab.pytest_plugin import ControlPlanes
from secretset.domain.observed import decode_data
from secretset.domain.sealing_keys import SECRET_NAME, Entry

SECRETS = "/registry/secrets/"
SYSTEM = "secretset-system"


class Encryption:
    """The file that the API server takes its keys from."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._keys: dict[str, str] = {}

    def uses(self, *providers: str) -> None:
        """Encrypt Secrets, and nothing else, with the first of these; the others only decrypt."""
        for provider in providers:
            self._keys.setdefault(provider, base64.b64encode(secrets.token_bytes(32)).decode())
        listed = [{each: {"keys": [{"name": "one", "secret": self._keys[each]}]}} for each in providers]
        document = {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "EncryptionConfiguration",
            "resources": [{"resources": ["secrets"], "providers": listed}],
        }
        self.file.write_text(json.dumps(document))


@pytest.fixture(scope="module")
def encryption(tmp_path_factory: pytest.TempPathFactory) -> Encryption:
    encryption = Encryption(tmp_path_factory.mktemp("encryption") / "config.json")
    encryption.uses("secretbox")
    return encryption


@pytest.fixture(scope="module")
def plane(module_control_planes: ControlPlanes, encryption: Encryption) -> ControlPlane:
    """A hub whose Secrets are encrypted, and whose API server logs as much as it can."""
    flags = (f"--encryption-provider-config={encryption.file}", "--v=10")
    (plane,) = module_control_planes(["encrypted"], controllers=False, audit=True, extra_apiserver_args=flags)
    install_hub(plane)
    plane.kubectl("apply", "-f", "-", input=json.dumps(region("us-west", default=True)))
    return plane


@pytest.fixture(scope="module")
def org(plane: ControlPlane, canaries: list[str]) -> Iterator[Org]:
    """A set with a sealed value and one by reference, delivered."""
    process = OperatorProcess(plane, "--quiet-seconds", "0.2", "--max-wait-seconds", "1")
    process.start()
    org = Org(plane, "atrest", canaries).create()
    org.source()
    org.secret_set(data={"A": sealed(org, org.canary()), "B": value_from("src", "a")})
    org.reaches("ready", "Synced")
    yield org
    assert process.stop() == 0


def stored(plane: ControlPlane) -> dict[str, bytes]:
    """What is in etcd now."""
    return dict(in_etcd(plane, revision(plane)))


def encrypted_with(plane: ControlPlane) -> set[bytes]:
    """The beginnings of all Secrets in etcd."""
    return {b":".join(content.split(b":", 5)[:5]) for key, content in stored(plane).items() if key.startswith(SECRETS)}


def test_secrets_are_encrypted_and_sets_are_readable_but_sealed(plane: ControlPlane, org: Org) -> None:
    values = org.values()
    assert set(values) == {"A", "B"}
    found = stored(plane)
    for place in (f"{org.regional}/app", f"{org.name}/src", f"{SYSTEM}/{SECRET_NAME}"):
        assert found[f"{SECRETS}{place}"].startswith(b"k8s:enc:secretbox:v1:one:")
    # Custom resources are no Secrets: without sealing, the value would stand here.
    secret_set = json.loads(found[f"/registry/secretset.dev/secretsets/{org.name}/app"])
    assert secret_set["spec"]["data"]["A"]["sealed"].startswith("hpke1.")
    keys = decode_data(json.loads(plane.kubectl("get", "secret", SECRET_NAME, "-n", SYSTEM, "-o", "json").stdout))
    private = [base64.b64encode(Entry.parse(raw).secret).decode() for raw in keys.values()]
    assert private
    unwanted = Traces([*(value.decode() for value in values.values()), *private])
    assert not [key for key, content in found.items() if unwanted.found(content)]


def delivered(org: Org) -> tuple[dict[str, bytes], list[str], int]:
    """The values in the region, what the operator wrote there and here, and how often the workload was changed.

    Without statuses: a set may say that its region, the hub itself, was away for a while, and that it is back.
    """
    return org.values(), [write for write in org.writes() if "/status " not in write], org.generation("web")


def test_a_new_key_is_taken_up_and_nothing_restarts(plane: ControlPlane, org: Org, encryption: Encryption) -> None:
    assert encrypted_with(plane) == {b"k8s:enc:secretbox:v1:one"}
    org.deployment("web", env_from("app"))
    eventually(lambda: org.status()["workloads"]["bound"] == 1, "the binding")
    before = delivered(org)
    encryption.uses("aescbc", "secretbox")
    plane.restart("kube-apiserver")
    plane.kubectl("replace", "-f", "-", input=plane.kubectl("get", "secrets", "-A", "-o", "json").stdout)
    assert encrypted_with(plane) == {b"k8s:enc:aescbc:v1:one"}
    encryption.uses("aescbc")
    plane.restart("kube-apiserver")
    assert org.reaches("ready", "Synced")["revision"] == 1
    holds(lambda: delivered(org) == before, seconds=1)
    # It goes on from there.
    org.source(a=(changed := org.canary()))
    eventually(lambda: org.values()["B"] == changed.encode(), "the new value")
