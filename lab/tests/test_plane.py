"""A plane behaves like a cluster: RBAC, tokens, rollouts, quotas, the audit log, and faults."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from kubelab import ApiError, ControlError, ControlPlane, KubectlError
from kubelab.pytest_plugin import ControlPlanes


@pytest.fixture
def namespace(control_plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[str]:
    name = request.node.name.replace("_", "-")[:50].rstrip("-")
    control_plane.kubectl("create", "namespace", name)
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


def test_ready_means_usable(control_plane: ControlPlane) -> None:
    control_plane.kubectl("get", "serviceaccount", "default", "-n", "default")
    node = json.loads(control_plane.kubectl("get", "node", "node-0", "-o", "json").stdout)
    assert {"type": "Ready", "status": "True"}.items() <= next(
        condition for condition in node["status"]["conditions"] if condition["type"] == "Ready"
    ).items()
    assert control_plane.kubectl("get", "--raw", "/readyz").stdout == "ok"


def test_rbac_decides_what_a_user_may(control_plane: ControlPlane, namespace: str) -> None:
    someone = control_plane.kubeconfig_for("jane", ["developers"])
    assert control_plane.kubectl("auth", "whoami", "-o", "json", kubeconfig=someone).returncode == 0
    with pytest.raises(KubectlError, match='User "jane" cannot list resource "secrets"'):
        control_plane.kubectl("get", "secrets", "-n", namespace, kubeconfig=someone)
    control_plane.kubectl("create", "rolebinding", "view", "--clusterrole=edit", "--group=developers", "-n", namespace)
    control_plane.kubectl("get", "secrets", "-n", namespace, kubeconfig=someone)
    with pytest.raises(KubectlError, match="forbidden"):
        control_plane.kubectl("get", "secrets", "-n", "default", kubeconfig=someone)


def test_a_service_account_comes_in_with_its_token(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("create", "serviceaccount", "robot", "-n", namespace)
    kubeconfig = control_plane.service_account_kubeconfig(namespace, "robot")
    who = json.loads(control_plane.kubectl("auth", "whoami", "-o", "json", kubeconfig=kubeconfig).stdout)
    assert who["status"]["userInfo"]["username"] == f"system:serviceaccount:{namespace}:robot"
    with pytest.raises(KubectlError, match="forbidden"):
        control_plane.kubectl("get", "pods", kubeconfig=kubeconfig)
    with pytest.raises(ApiError, match='"absent" not found'):
        control_plane.service_account_kubeconfig(namespace, "absent")


def test_a_deployment_rolls_out_and_rolls_again(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("create", "deployment", "web", "--image=web:1", "--replicas=3", "-n", namespace)
    status = control_plane.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=30s")
    assert "successfully rolled out" in status.stdout
    control_plane.kubectl("rollout", "restart", "deployment/web", "-n", namespace)
    control_plane.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=30s")
    deployment = json.loads(control_plane.kubectl("get", "deployment", "web", "-n", namespace, "-o", "json").stdout)
    assert deployment["status"]["readyReplicas"] == 3


def test_a_template_can_say_when_its_pods_get_ready(control_plane: ControlPlane, namespace: str) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "slow", "annotations": {"pod-ready.stage.kwok.x-k8s.io/delay": "1000h"}},
        "spec": {"containers": [{"name": "main", "image": "slow"}]},
    }
    control_plane.kubectl("apply", "-n", namespace, "-f", "-", input=json.dumps(pod))
    control_plane.kubectl("wait", "pod/slow", "-n", namespace, "--for=condition=PodScheduled", "--timeout=20s")
    with pytest.raises(KubectlError, match="timed out"):
        control_plane.kubectl("wait", "pod/slow", "-n", namespace, "--for=condition=Ready", "--timeout=2s")


def test_a_quota_is_enforced(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("create", "quota", "few", "--hard=configmaps=1", "-n", namespace)

    def counted() -> bool:
        quota = json.loads(control_plane.kubectl("get", "quota", "few", "-n", namespace, "-o", "json").stdout)
        return "used" in quota.get("status", {})

    _eventually(counted)
    with pytest.raises(KubectlError, match="exceeded quota: few"):
        control_plane.kubectl("create", "configmap", "more", "-n", namespace)  # beside the root CA's


def test_a_namespace_goes_away_with_its_content(control_plane: ControlPlane) -> None:
    control_plane.kubectl("create", "namespace", "short-lived")
    control_plane.kubectl("create", "deployment", "web", "--image=web:1", "-n", "short-lived")
    control_plane.kubectl("delete", "namespace", "short-lived", "--timeout=30s")


def test_the_audit_log_tells_who_wrote_what(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("create", "configmap", "traced", "-n", namespace)
    control_plane.kubectl("get", "configmaps", "-n", namespace)
    events = [event for event in control_plane.audit_events() if event["objectRef"].get("namespace") == namespace]
    assert [(event["verb"], event["objectRef"]["resource"], event["user"]["username"]) for event in events] == [
        ("create", "configmaps", "admin")
    ]
    assert not any(event["user"]["username"] == "kubelab" for event in control_plane.audit_events())


def test_planes_side_by_side_are_separate(function_control_planes: ControlPlanes) -> None:
    east, west = function_control_planes(["east", "west"], controllers=False)
    east.kubectl("create", "configmap", "here")
    assert "here" in east.kubectl("get", "configmaps").stdout
    assert "here" not in west.kubectl("get", "configmaps").stdout
    assert not set(east.ports.values()) & set(west.ports.values())
    west.kubectl("get", "nodes")
    with pytest.raises(KubectlError, match="certificate signed by unknown authority"):
        east.kubectl("get", "nodes", "--server", west.server)


def test_one_owner_may_start_planes_in_threads(lab_home: object) -> None:
    planes = [ControlPlane(f"thread-{number}", controllers=False) for number in range(2)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(ControlPlane.start, planes))
    # The second supervisor must not hold the first one's leash.
    planes[0].stop()
    planes[1].kubectl("get", "nodes")
    planes[1].stop()
    assert not any(plane.data_dir.exists() for plane in planes)


def test_an_api_server_that_was_killed_comes_back_with_its_data(function_control_planes: ControlPlanes) -> None:
    (plane,) = function_control_planes(["faults"], controllers=False)
    plane.kubectl("create", "configmap", "kept")
    before = plane.pids["kube-apiserver"]
    server = plane.server
    plane.kill("kube-apiserver")
    assert "kube-apiserver" not in plane.pids
    with pytest.raises(KubectlError, match="refused"):
        plane.kubectl("get", "configmaps")
    with pytest.raises(ControlError, match="does not run 'kube-apiserver'"):
        plane.kill("kube-apiserver")
    plane.restart("kube-apiserver")
    assert plane.pids["kube-apiserver"] != before
    assert plane.server == server
    plane.kubectl("get", "configmap", "kept")
    plane.restart("etcd")
    plane.kubectl("get", "configmap", "kept")
    with pytest.raises(ControlError, match="has no program 'kwok'"):
        plane.restart("kwok")


def _eventually(check: object, seconds: float = 15) -> None:
    assert callable(check)
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "in vain"
        time.sleep(0.1)
