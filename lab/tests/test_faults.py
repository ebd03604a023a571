"""What a test can do to a plane's state and credentials: an older etcd, expired certificates, revoked tokens."""

import json
import time

import pytest

from kubelab import ApiError, ControlError, ControlPlane, KubectlError
from kubelab.pytest_plugin import ControlPlanes

UNAUTHORIZED = r"must be logged in"


@pytest.fixture(scope="module")
def plane(module_control_planes: ControlPlanes) -> ControlPlane:
    return module_control_planes(["faulty"], nodes=1)[0]


def _version(plane: ControlPlane) -> int:
    return int(
        json.loads(plane.kubectl("get", "--raw", "/api/v1/configmaps?limit=1").stdout)["metadata"]["resourceVersion"]
    )


def test_a_restored_plane_is_as_it_was(plane: ControlPlane) -> None:
    plane.kubectl("create", "configmap", "counter", "--from-literal=n=0")
    uid = json.loads(plane.kubectl("get", "configmap", "counter", "-o", "json").stdout)["metadata"]["uid"]
    etcd = plane.pids["etcd"]
    apiserver = plane.pids["kube-apiserver"]
    snapshot = plane.snapshot()
    assert plane.pids["etcd"] != etcd
    assert plane.pids["kube-apiserver"] == apiserver
    taken = _version(plane)

    plane.kubectl("delete", "configmap", "counter")
    plane.kubectl("create", "configmap", "later")
    # More writes than an API server makes for itself when it starts.
    many = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"many-{n}"}} for n in range(300)]
    plane.kubectl("create", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": many}))
    newest = _version(plane)
    assert newest > taken + 300

    for _ in range(2):  # a snapshot is not used up
        plane.kill("kwok")
        plane.restore(snapshot)
        assert taken <= _version(plane) < newest
        assert "later" not in plane.kubectl("get", "configmaps", "-o", "name").stdout
        counter = json.loads(plane.kubectl("get", "configmap", "counter", "-o", "json").stdout)
        assert counter["metadata"]["uid"] == uid
        assert len(plane.pids) == 5

    plane.kubectl("create", "deployment", "web", "--image=web:1")
    plane.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    with pytest.raises(ControlError, match="is no snapshot"):
        plane.restore(plane.data_dir / "pki")


def test_a_client_certificate_expires(plane: ControlPlane) -> None:
    lasting = plane.kubeconfig_for("jane", ["system:masters"])
    short = plane.kubeconfig_for("jane", ["system:masters"], valid_seconds=4)
    expired = plane.kubeconfig_for("jane", ["system:masters"], valid_seconds=-60)
    assert len({lasting, short, expired}) == 3
    plane.kubectl("get", "nodes", kubeconfig=short)
    with pytest.raises(KubectlError, match=UNAUTHORIZED):
        plane.kubectl("get", "nodes", kubeconfig=expired)
    time.sleep(4)
    with pytest.raises(KubectlError, match=UNAUTHORIZED):
        plane.kubectl("get", "nodes", kubeconfig=short)
    plane.kubectl("get", "nodes", kubeconfig=lasting)
    again = plane.kubeconfig_for("jane", ["system:masters"], valid_seconds=4)
    assert again == short
    plane.kubectl("get", "nodes", kubeconfig=again)


def test_a_token_is_revoked_with_its_account(plane: ControlPlane) -> None:
    plane.kubectl("create", "serviceaccount", "robot")
    with pytest.raises(ApiError, match="less than 10 minutes"):
        plane.service_account_kubeconfig("default", "robot", valid_seconds=60)
    kubeconfig = plane.service_account_kubeconfig("default", "robot", valid_seconds=600)
    plane.kubectl("auth", "whoami", kubeconfig=kubeconfig)
    plane.kubectl("delete", "serviceaccount", "robot")
    plane.kubectl("create", "serviceaccount", "robot")
    # What was accepted is remembered for 10 s.
    deadline = time.monotonic() + 20
    while plane.kubectl("auth", "whoami", kubeconfig=kubeconfig, check=False).returncode == 0:
        assert time.monotonic() < deadline, "the token still works"
        time.sleep(0.5)
    plane.kubectl("auth", "whoami", kubeconfig=plane.service_account_kubeconfig("default", "robot"))
