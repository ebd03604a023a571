"""Binding by annotation on a real API server: what pods get, what Regions say of it, and kinds that come later."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from harness import ROOT, OperatorProcess, Org, env_from, eventually, holds, start_hub, writes
from kubelab.plane import ControlPlane
from kubelab.pytest_plugin import ControlPlanes
from secretset.cli.main import app

POLICY = str(ROOT / "deploy/bind-policy.yaml")
BIND = "secretset.dev/bind"
# The operator as it is, but that it looks each second at what a region's cluster has.
IMPATIENT = """
from secretset.controller import features
features.AGAIN_SECONDS = 1.0
from secretset.__main__ import main
main()
"""


@pytest.fixture(scope="module")
def plane(module_control_planes: ControlPlanes) -> Iterator[ControlPlane]:
    """A hub with the operator on it, and the policy."""
    plane = start_hub(module_control_planes, "bind")
    operator = OperatorProcess(plane, "--quiet-seconds", "0.2", code=IMPATIENT)
    operator.start()
    plane.kubectl("apply", "-f", POLICY)
    eventually(lambda: env_of(tried(plane, BIND, "any")["containers"][0]) == ["any"], "the policy's effect")
    yield plane
    assert operator.stop() == 0


@pytest.fixture(scope="module")
def org(plane: ControlPlane) -> Org:
    org = Org(plane, "team", []).create()
    org.source()
    return org


def tried(plane: ControlPlane, annotation: str | None, names: str, **spec: Any) -> dict[str, Any]:
    """The spec of a pod with that annotation, as the API server would store it."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "annotations": {annotation: names} if annotation else {}},
        "spec": {"containers": [{"name": "app", "image": "app:1"}], **spec},
    }
    done = plane.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", input=json.dumps(pod), check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout)["spec"])


def env_of(container: Mapping[str, Any]) -> list[str]:
    """The sources of a container's envFrom, in order: what comes later wins."""
    return [
        source.get("prefix", "") + (source.get("secretRef") or source.get("configMapRef"))["name"]
        for source in container.get("envFrom") or ()
    ]


def container(name: str, *sources: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "image": "app:1", **({"envFrom": [*sources]} if sources else {}), **more}


def secret(name: str, **more: Any) -> dict[str, Any]:
    return {"secretRef": {"name": name}, **more}


OWN = (secret("own"), {"configMapRef": {"name": "cm"}})


@pytest.mark.parametrize(
    ("names", "gets"),
    [
        ("app", ["app"]),
        ("app,db", ["app", "db"]),
        (" app ,\n db\t", ["app", "db"]),
        (",app,,db,", ["app", "db"]),
        ("db,app,db", ["db", "app"]),
        ("", []),
        (" , ,", []),
    ],
)
def test_the_names_of_the_annotation(plane: ControlPlane, names: str, gets: list[str]) -> None:
    pod = tried(plane, BIND, names, containers=[container("a"), container("b", *OWN)])
    assert [env_of(each) for each in pod["containers"]] == [gets, ["own", "cm", *gets]]


def test_every_container_and_init_container_gets_it_after_its_own(plane: ControlPlane) -> None:
    several = [container("a"), container("b", *OWN), container("c", secret("x", prefix="X_"))]
    first = [{**each, "name": f"i{each['name']}"} for each in several]
    sidecar = container("side", restartPolicy="Always")
    pod = tried(plane, BIND, "app,db", containers=several, initContainers=[*first, sidecar])
    wanted = [["app", "db"], ["own", "cm", "app", "db"], ["X_x", "app", "db"]]
    assert [env_of(each) for each in pod["containers"]] == wanted
    assert [env_of(each) for each in pod["initContainers"]] == [*wanted, ["app", "db"]]


def test_what_a_container_takes_already_stays_where_it_is(plane: ControlPlane) -> None:
    env = [{"name": "A", "value": "mine"}]
    pod = tried(
        plane,
        BIND,
        "app,db",
        containers=[
            container("a", secret("app"), secret("own"), env=env),
            container("b", {"secretRef": {"name": "db", "optional": True}}),
            container("c", secret("app", prefix="P_")),
            container("d", {"configMapRef": {"name": "app"}}),
        ],
    )
    found = pod["containers"]
    assert [env_of(each) for each in found] == [
        ["app", "own", "db"],
        ["db", "app"],
        ["P_app", "app", "db"],
        ["app", "app", "db"],
    ]
    assert found[1]["envFrom"][0]["secretRef"]["optional"] is True
    assert found[0]["env"] == env  # `env` is not touched, and comes before whatever envFrom brings


def test_pods_without_the_annotation_are_not_touched(plane: ControlPlane) -> None:
    for annotation in (None, "other/bind"):
        pod = tried(plane, annotation, "app", containers=[container("a"), container("b", *OWN)])
        assert [env_of(each) for each in pod["containers"]] == [[], ["own", "cm"]]


def test_a_name_that_no_secret_can_have_is_refused_by_name(plane: ControlPlane) -> None:
    pod = {"metadata": {"name": "p", "annotations": {BIND: "app,Not_A/Name"}}, "spec": {"containers": [container("a")]}}
    body = json.dumps({"apiVersion": "v1", "kind": "Pod", **pod})
    refused = plane.kubectl("create", "--dry-run=server", "-f", "-", input=body, check=False)
    assert 'spec.containers[0].envFrom[1].secretRef.name: Invalid value: "Not_A/Name"' in refused.stderr


def test_many_containers_and_names_are_within_what_the_api_server_spends(plane: ControlPlane) -> None:
    own = [secret(f"own-{number}") for number in range(10)]
    names = [f"set-{number}" for number in range(10)]
    several = [container(f"c{number}", *own) for number in range(10)]
    first = [container(f"i{number}", *own) for number in range(10)]
    pod = tried(plane, BIND, ", ".join(names), containers=several, initContainers=first)
    wanted = [f"own-{number}" for number in range(10)] + names
    assert all(env_of(each) == wanted for each in (*pod["containers"], *pod["initContainers"]))


def test_workloads_are_bound_and_not_changed(org: Org) -> None:
    kinds = {"Deployment": {}, "StatefulSet": {"serviceName": "x"}, "DaemonSet": {}}
    manifests = []
    for kind, more in kinds.items():
        labels = {"app": kind.lower()}
        template = {
            "metadata": {"labels": labels, "annotations": {BIND: "app"}},
            "spec": {"containers": [container("a")]},
        }
        spec = {"selector": {"matchLabels": labels}, "template": template, **more}
        meta = {"name": "bound", "namespace": org.regional}
        manifests.append({"apiVersion": "apps/v1", "kind": kind, "metadata": meta, "spec": spec})
    org.apply(*manifests)
    org.secret_set()
    org.reaches("ready", "Synced")

    def pods() -> dict[str, list[str]]:
        items = json.loads(org.there("get", "pods", "-o", "json").stdout)["items"]
        return {item["metadata"]["labels"]["app"]: env_of(item["spec"]["containers"][0]) for item in items}

    eventually(lambda: pods() == {kind.lower(): ["app"] for kind in kinds}, "the pods")
    # What somebody applied is what is there: a tool that compares finds no difference.
    body = yaml.safe_dump_all(manifests)
    same = org.plane.kubectl("diff", "-f", "-", input=body, check=False)
    assert (same.returncode, same.stdout) == (0, "")
    eventually(lambda: (org.status().get("workloads") or {}).get("bound") == 3, "the binding")


def test_a_pod_that_is_there_stays_as_it_is(org: Org) -> None:
    pod = {"metadata": {"name": "late", "namespace": org.regional}, "spec": {"containers": [container("a")]}}
    org.apply({"apiVersion": "v1", "kind": "Pod", **pod})
    org.there("annotate", "pod", "late", f"{BIND}=app")
    found = org.get("pod", "late", namespace=org.regional)
    assert found is not None
    assert env_of(found["spec"]["containers"][0]) == []


# --- what Regions say


def said(plane: ControlPlane) -> tuple[str, str, str]:
    """Status, reason and message of the condition `BindPolicy` of the default region."""
    status = json.loads(plane.kubectl("get", "region", "us-west", "-o", "json").stdout).get("status") or {}
    found = [each for each in status.get("conditions") or () if each["type"] == "BindPolicy"]
    return (found[0]["status"], found[0]["reason"], found[0]["message"]) if found else ("", "", "")


def checked(plane: ControlPlane) -> tuple[int, str]:
    """Exit code and first word of `secretset policies --check`."""
    done = CliRunner().invoke(app, ["policies", "--check", "--kubeconfig", str(plane.kubeconfig)])
    return done.exit_code, done.output.partition(":")[0]


def test_a_region_says_whether_the_policy_is_there(plane: ControlPlane) -> None:
    policy = ("mutatingadmissionpolicy", "secretset-bind")
    eventually(lambda: said(plane)[:2] == ("True", "Installed"), "Installed")
    assert checked(plane) == (0, "Installed")
    plane.kubectl("patch", *policy, "--type=merge", "-p", '{"spec": {"failurePolicy": "Ignore"}}')
    eventually(lambda: said(plane)[:2] == ("False", "Outdated"), "Outdated")
    assert checked(plane) == (1, "Outdated")
    plane.kubectl("delete", *policy)
    eventually(lambda: said(plane)[:2] == ("False", "NotInstalled"), "NotInstalled")
    assert "secretset policies" in said(plane)[2]
    assert checked(plane) == (1, "NotInstalled")
    plane.kubectl(
        "apply", "--server-side", "--force-conflicts", "-f", "-", input=CliRunner().invoke(app, ["policies"]).output
    )
    eventually(lambda: said(plane)[:2] == ("True", "Installed"), "Installed again")
    # It is told when it changes, and not each time it is looked at.
    before = len(region_writes(plane))
    holds(lambda: len(region_writes(plane)) == before, seconds=2.5)


def region_writes(plane: ControlPlane) -> list[Any]:
    return [event for event in writes(plane) if event["objectRef"]["resource"] == "regions"]


def test_a_region_says_that_it_may_not_look(plane: ControlPlane) -> None:
    eventually(lambda: said(plane)[:2] == ("True", "Installed"), "Installed")
    with without_rule(plane, "secretset-operator", "mutatingadmissionpolicies"):
        eventually(lambda: said(plane)[:2] == ("Unknown", "NotAllowed"), "NotAllowed")
    eventually(lambda: said(plane)[:2] == ("True", "Installed"), "Installed again")


class without_rule:  # noqa: N801  (read as a phrase)
    """Take the rule about a resource out of a ClusterRole for a while."""

    def __init__(self, plane: ControlPlane, role: str, resource: str) -> None:
        self._plane, self._role, self._resource = plane, role, resource
        self._rules: list[Any] = []

    def __enter__(self) -> None:
        self._rules = json.loads(self._plane.kubectl("get", "clusterrole", self._role, "-o", "json").stdout)["rules"]
        self._set([rule for rule in self._rules if self._resource not in rule["resources"]])

    def __exit__(self, *_: object) -> None:
        self._set(self._rules)

    def _set(self, rules: list[Any]) -> None:
        patch = json.dumps({"rules": rules})
        self._plane.kubectl("patch", "clusterrole", self._role, "--type=merge", "-p", patch)


# --- kinds that come later


def rollout(org: Org, name: str = "web") -> dict[str, Any]:
    labels = {"app": name}
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": env_from("app")}}
    meta = {"name": name, "namespace": org.regional}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": meta, "spec": spec}


CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "rollouts.argoproj.io"},
    "spec": {
        "group": "argoproj.io",
        "scope": "Namespaced",
        "names": {"kind": "Rollout", "plural": "rollouts", "singular": "rollout"},
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


@pytest.fixture
def bound(org: Org) -> Callable[[], int]:
    """How many workloads use the set of the Rollouts."""
    org.secret_set()
    org.reaches("ready", "Synced")
    return lambda: int((org.status().get("workloads") or {}).get("bound", 0))


def test_rollouts_are_followed_once_there_are_any(org: Org, bound: Callable[[], int]) -> None:
    before = bound()
    org.apply(CRD)
    org.plane.kubectl("wait", "--for=condition=Established", "crd/rollouts.argoproj.io", "--timeout=20s")
    eventually(
        lambda: org.plane.kubectl("api-resources", "--api-group=argoproj.io").stdout.count("rollouts"), "the kind"
    )
    org.apply(rollout(org))
    eventually(lambda: bound() == before + 1, "the binding of the Rollout")
    org.source("src", a=org.canary())

    def restarted_for() -> Any:
        found = org.get("rollouts.argoproj.io", "web", namespace=org.regional) or {}
        return found["spec"]["template"]["metadata"].get("annotations", {}).get("secretset.dev/restarted-for")

    eventually(restarted_for, "the restart")
    # Whoever takes Argo Rollouts away takes the Rollouts away too, and nothing waits for them.
    org.plane.kubectl("delete", "crd", "rollouts.argoproj.io")
    eventually(lambda: bound() == before, "the end of the binding")
    revision = org.status()["revision"]
    org.source("src", a=org.canary())
    eventually(lambda: org.status().get("revision", 0) > revision, "another delivery")
    org.reaches("ready", "Synced")
