"""A hub that is rebuilt, put back to an earlier state or cloned: what was delivered is taken over, or left alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from harness import Away, OperatorProcess, Org, decoded, eventually, guarded, holds, start_hub, value_from
from kubelab.plane import ControlPlane
from kubelab.pytest_plugin import ControlPlanes

INSTALLATION = "secretset-installation"
SYSTEM = "secretset-system"
NONE = {"bound": 0, "current": 0, "restarting": 0, "stalled": 0, "held": 0}


@pytest.fixture(scope="module")
def first(module_control_planes: ControlPlanes) -> ControlPlane:
    """A hub of these tests' own: it is hurt."""
    return start_hub(module_control_planes, "first")


@pytest.fixture(scope="module")
def made(first: ControlPlane) -> Iterator[OperatorProcess]:
    process = OperatorProcess(first, "--quiet-seconds", "0.4", "--max-wait-seconds", "2")
    yield process
    if process.running:
        assert process.stop() == 0


@pytest.fixture
def process(made: OperatorProcess) -> OperatorProcess:
    """The operator on the first hub; it runs."""
    if not made.running:
        made.start()
    return made


def home(plane: ControlPlane, name: str, cluster: ControlPlane, canaries: list[str], user: str) -> Away:
    """An organization with a region on another cluster."""
    org = Org(plane, name, canaries).create()
    org.source()
    return Away(org, cluster, user=user)


def exported(plane: ControlPlane, *args: str) -> list[dict[str, Any]]:
    """Objects as a backup gives them back: without what the API server adds, and without status."""
    done = json.loads(plane.kubectl("get", *args, "-o", "json").stdout)
    items: list[dict[str, Any]] = done["items"] if done["kind"] == "List" else [done]
    for item in items:
        item.pop("status", None)
        for field in ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"):
            item["metadata"].pop(field, None)
    return items


def pull_secret(away: Away) -> None:
    """A pull secret that the ServiceAccount `default` of the region got."""
    body = {
        "apiVersion": "secretset.dev/v1alpha1",
        "kind": "ImagePullSecret",
        "metadata": {"name": "regcred", "namespace": away.name},
        "spec": {
            "region": away.region_name,
            "host": "ghcr.io",
            "username": "bot",
            "password": value_from("src", "a"),
            "serviceAccounts": ["default"],
        },
    }
    eventually(lambda: away.found("default", "serviceaccount"))
    away.apply(body)
    away.reaches("ready", name="regcred", kind="imagepullsecret")


def test_a_rebuilt_hub_adopts_what_it_delivered(
    process: OperatorProcess,
    first: ControlPlane,
    abroad: ControlPlane,
    function_control_planes: ControlPlanes,
    canaries: list[str],
) -> None:
    """With the installation's Secret and its custom resources: one write for each Secret, and no restart."""
    old = home(first, "rebuilt", abroad, canaries, "before")
    old.used()
    old.deliver("other")
    pull_secret(old)
    names = ("app", "other", "regcred")
    before = {name: old.found(name) for name in names}
    account = old.found("default", "serviceaccount")
    assert process.stop() == 0
    kept = [
        *exported(first, "secret", INSTALLATION, "-n", SYSTEM),
        *exported(first, "secrets", "-n", "rebuilt", "-l", "secretset.dev/source=true"),
    ]
    objects = exported(first, "secretsets,imagepullsecrets", "-n", "rebuilt")
    second = start_hub(function_control_planes, "second")
    second.kubectl("create", "namespace", "rebuilt")
    new_org = Org(second, "rebuilt", canaries).create()
    new_org.apply(*kept)
    new = Away(new_org, abroad, user="after")
    new.apply(*objects)
    operator = OperatorProcess(second, "--quiet-seconds", "0.4", "--max-wait-seconds", "2")
    operator.start()
    for name in names:
        kind = "imagepullsecret" if name == "regcred" else "secretset"
        assert new.reaches("ready", "Synced", name=name, kind=kind)["revision"] == (2 if name == "app" else 1)
        found, owner = new.found(name), new.get(kind, name)
        assert (found["metadata"]["uid"], found["data"]) == (before[name]["metadata"]["uid"], before[name]["data"])
        assert owner is not None
        assert found["metadata"]["annotations"]["secretset.dev/owner-uid"] == owner["metadata"]["uid"]
        assert {reason for reason, _ in new.events(name)} <= {"Synced"}
    holds(lambda: sorted(new.writes_there()) == [f"update secrets {name}" for name in names], seconds=1.5)
    assert new.generation("app") == 2
    assert new.found("default", "serviceaccount") == account
    new.changes("app", revision=3)
    for name in names[:2]:
        new.kubectl("delete", "secretset", name, "--timeout=10s")
        assert new.found(name) == {}
    assert operator.stop() == 0


def test_a_clone_with_another_installation_touches_nothing(
    process: OperatorProcess, first: ControlPlane, abroad: ControlPlane, org: Org, canaries: list[str]
) -> None:
    """The session's hub plays the clone: same names, same region, an installation of its own."""
    original = home(first, org.name, abroad, canaries, f"original-{org.name}")
    original.used()
    pull_secret(original)
    before, wrote = [original.found(name) for name in ("app", "regcred")], original.writes_there()
    sources = exported(first, "secrets", "-n", org.name, "-l", "secretset.dev/source=true")
    org.apply(*sources)
    with guarded(Away(org, abroad, user=f"clone-{org.name}")) as clone:
        assert isinstance(clone, Away)
        clone.apply(*exported(first, "secretsets,imagepullsecrets", "-n", org.name))
        for name, kind in (("app", "secretset"), ("regcred", "imagepullsecret")):
            assert "belongs to" in clone.reaches("failed", "NameConflict", name=name, kind=kind)["message"]
        clone.source("of-app", a=clone.canary())
        clone.poke()
        holds(lambda: [clone.found(name) for name in ("app", "regcred")] == before, seconds=2)
        # Nor when it is taken away.
        clone.kubectl("delete", "secretset", "app", "--timeout=10s")
        clone.kubectl("delete", "imagepullsecret", "regcred", "--timeout=10s")
        assert clone.writes_there() == []
        assert [clone.found(name) for name in ("app", "regcred")] == before
        assert clone.found("default", "serviceaccount")["imagePullSecrets"] == [{"name": "regcred"}]
    assert process.running
    assert original.writes_there() == wrote
    assert original.reaches("ready")["revision"] == 2
    original.changes("app", revision=3)


def test_sets_that_were_torn_out_and_created_again(
    process: OperatorProcess, first: ControlPlane, abroad: ControlPlane, canaries: list[str]
) -> None:
    """Their finalizer was taken off by hand while no operator ran, so that nothing was taken away."""
    away = home(first, "torn", abroad, canaries, "torn")
    away.used()
    before, uid = away.found(), (away.get("secretset", "app") or {})["metadata"]["uid"]
    assert process.stop() == 0
    again = exported(first, "secretset", "app", "-n", "torn")
    away.kubectl("delete", "secretset", "app", "--wait=false")
    away.kubectl("patch", "secretset", "app", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    away.kubectl("wait", "--for=delete", "secretset/app", "--timeout=10s")
    again[0]["metadata"].pop("finalizers")
    away.apply(*again)
    wrote = away.writes_there()
    process.start()
    assert away.reaches("ready", "Synced")["revision"] == 2
    found, owner = away.found(), (away.get("secretset", "app") or {})["metadata"]["uid"]
    assert (found["metadata"]["uid"], found["data"]) == (before["metadata"]["uid"], before["data"])
    assert found["metadata"]["annotations"]["secretset.dev/owner-uid"] == owner != uid
    holds(lambda: away.writes_there() == [*wrote, "update secrets app"], seconds=1)
    assert away.generation("app") == 2
    away.changes("app", revision=3)


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_a_hub_that_is_put_back_to_an_earlier_state(
    running: bool, process: OperatorProcess, first: ControlPlane, abroad: ControlPlane, canaries: list[str]
) -> None:
    """What was delivered since is taken over or put right, what did not change is left alone, and nobody is deaf."""
    away = home(first, f"back-{running}".lower(), abroad, canaries, f"back-{running}".lower())
    for name in ("calm", "changed"):
        away.used(name)
    away.deliver("gone")
    assert process.stop() == 0
    away.secret_set("lost", region=away.region_name)
    away.deploy("lost")
    snapshot = first.snapshot()
    process.start()
    # Since then: a first delivery, a change, a deletion, and a new set.
    away.reaches("ready", name="lost")
    earlier = decoded(away.found("changed"))
    away.changes("changed", revision=3)
    away.kubectl("delete", "secretset", "gone", "--timeout=10s")
    away.deliver("late")
    calm, lost, late = (away.found(name) for name in ("calm", "lost", "late"))
    if not running:
        assert process.stop() == 0
    first.restore(snapshot)
    if not running:
        process.start()
    eventually(lambda: decoded(away.found("changed")) == earlier, "the earlier content", seconds=40)
    eventually(lambda: away.generation("changed") == 4, "its restart")
    assert away.reaches("ready", name="changed")["revision"] == 4
    assert away.reaches("ready", "Synced", name="lost")["revision"] == 1
    assert away.reaches("ready", name="calm")["revision"] == 2
    away.reaches("ready", "Synced", name="gone")
    eventually(lambda: away.found("gone"))
    assert away.get("secretset", "late") is None
    holds(lambda: [away.found(name) for name in ("calm", "lost", "late")] == [calm, lost, late], seconds=1)
    assert [away.generation(name) for name in ("calm", "lost", "changed")] == [2, 1, 4]
    # What nobody knows of any more is adopted when it is created again; and all that comes is heard.
    away.deliver("late")
    assert away.found("late")["metadata"]["uid"] == late["metadata"]["uid"]
    away.changes("calm", revision=3)
    away.kubectl("delete", "secretset", "lost", "--timeout=15s")
    assert away.found("lost") == {}
    eventually(lambda: away.region_status().get("sets") == {"ready": 4, "pending": 0, "failed": 0}, "the counts")
