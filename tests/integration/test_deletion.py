"""Deletion takes away exactly what the set put there, and nothing can hang it that is not ours."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from harness import OperatorProcess, Org, env_from, eventually, start_hub
from kubelab.plane import ControlPlane
from kubelab.pytest_plugin import ControlPlanes

FOREIGN = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "app"}, "stringData": {"X": "theirs"}}


def delete(org: Org, name: str = "app") -> None:
    org.kubectl("delete", "secretset", name, "--timeout=10s")


def hold(org: Org, *args: str) -> None:
    """Put a finalizer of somebody else on an object, or take all of them off with `off`."""
    finalizers = None if "off" in args else ["secretset.dev/cleanup", "example.com/hold"]
    body = json.dumps({"metadata": {"finalizers": finalizers}})
    org.kubectl("patch", "secretset", "app", "--type=merge", "-p", body)


def used(org: Org) -> None:
    """A set at revision 2 that a Deployment uses, which was restarted once."""
    org.source()
    org.deployment("web", env_from("app"))
    org.secret_set(deletionPolicy="Retain")
    org.reaches("ready")
    org.source("src", a=org.canary())
    eventually(lambda: org.restarts("web") == 1)
    eventually(lambda: (org.status().get("workloads") or {}).get("current") == 1)


def assert_adopted(org: Org, before: dict[str, Any]) -> None:
    """The new set took over the Secret that was there: same content, same count, no restart."""
    status = org.reaches("ready", "Synced")
    assert status["revision"] == 2
    secret = org.managed()
    assert secret is not None
    assert (secret["metadata"]["uid"], secret["data"]) == (before["metadata"]["uid"], before["data"])
    notes = secret["metadata"]["annotations"]
    assert notes["secretset.dev/owner-uid"] == (org.get("secretset", "app") or {})["metadata"]["uid"]
    time.sleep(1.0)
    assert (org.restarts("web"), org.generation("web")) == (1, 2)
    assert not [event for event in org.events() if event[0] == "DriftRepaired"]


def test_delete_takes_the_secret_away(org: Org) -> None:
    org.source()
    org.secret_set(deletionPolicy="Delete")
    org.secret_set("other")
    org.reaches("ready")
    org.reaches("ready", name="other")
    delete(org)
    assert org.managed() is None
    assert org.managed("other") is not None
    assert org.kubectl("get", "secret", "src").returncode == 0


def test_a_deletion_needs_no_restart_and_a_new_set_is_new(org: Org) -> None:
    org.source()
    org.deployment("web", env_from("app"))
    org.secret_set()
    org.reaches("ready")
    org.source("src", a=org.canary())
    eventually(lambda: org.restarts("web") == 1)
    delete(org)
    org.secret_set()
    assert org.reaches("ready")["revision"] == 1
    assert org.generation("web") == 2


def test_retain_leaves_the_secret_and_a_new_set_adopts_it(org: Org) -> None:
    used(org)
    before = org.managed()
    assert before is not None
    delete(org)
    time.sleep(0.5)
    left = org.managed()
    assert left is not None
    assert left["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    org.secret_set()
    assert_adopted(org, before)


def test_a_foreign_secret_survives_the_set(org: Org) -> None:
    org.there("create", "-f", "-", input=json.dumps(FOREIGN))
    org.source()
    org.secret_set()
    org.reaches("failed", "NameConflict")
    delete(org)
    assert org.values() == {"X": b"theirs"}


@pytest.mark.parametrize("spec", [{}, {"region": "nowhere"}], ids=["no-source", "no-region"])
def test_what_was_never_delivered_goes_at_once(org: Org, spec: dict[str, Any]) -> None:
    org.secret_set(**spec)
    org.reaches(*(("failed", "RegionUnknown") if spec else ("pending", "SourceMissing")))
    began = time.monotonic()
    delete(org)
    assert time.monotonic() - began < 3


def test_finalizers_of_others_are_theirs(org: Org) -> None:
    org.source()
    org.secret_set()
    org.reaches("ready")
    hold(org)
    org.kubectl("delete", "secretset", "app", "--wait=false")
    eventually(lambda: (org.get("secretset", "app") or {})["metadata"]["finalizers"] == ["example.com/hold"])
    assert org.managed() is None
    time.sleep(1.0)
    assert org.managed() is None
    assert org.writes().count("create secrets app") == 1
    hold(org, "off")
    eventually(lambda: org.get("secretset", "app") is None)


def test_a_finalizer_on_the_managed_secret_does_not_hang_the_set(org: Org) -> None:
    org.source()
    org.secret_set()
    org.reaches("ready")
    body = '{"metadata":{"finalizers":["example.com/backup"]}}'
    org.there("patch", "secret", "app", "--type=merge", "-p", body)
    delete(org)
    lingering = org.managed()
    assert lingering is not None
    assert lingering["metadata"]["finalizers"] == ["example.com/backup"]
    assert "deletionTimestamp" in lingering["metadata"]
    # A new set waits for the name to be free, and then takes it.
    org.secret_set()
    org.reaches("pending", "Retrying")
    org.there("patch", "secret", "app", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    org.reaches("ready")


def test_a_secret_that_somebody_put_there_meanwhile_is_not_touched(org: Org, operator: OperatorProcess) -> None:
    org.source()
    org.secret_set()
    org.reaches("ready")
    operator.pause()
    try:
        org.kubectl("delete", "secretset", "app", "--wait=false")
        org.there("delete", "secret", "app")
        org.there("create", "-f", "-", input=json.dumps(FOREIGN))
    finally:
        operator.resume()
    eventually(lambda: org.get("secretset", "app") is None)
    time.sleep(0.5)
    assert org.values() == {"X": b"theirs"}


def test_deleted_while_the_operator_was_away(org: Org, operator: OperatorProcess) -> None:
    org.source()
    org.secret_set()
    org.reaches("ready")
    operator.kill()
    try:
        org.kubectl("delete", "secretset", "app", "--wait=false")
    finally:
        operator.start()
    eventually(lambda: org.get("secretset", "app") is None)
    assert org.managed() is None


def test_deleted_and_created_again_while_the_operator_was_away(org: Org, operator: OperatorProcess) -> None:
    used(org)
    before = org.managed()
    assert before is not None
    operator.kill()
    try:
        _force_away(org)
        org.secret_set()
    finally:
        operator.start()
    assert_adopted(org, before)


@pytest.fixture(scope="module")
def lonely(module_control_planes: ControlPlanes) -> ControlPlane:
    """A plane of this module's own, whose API server may be hurt."""
    return start_hub(module_control_planes, "deletion")


@pytest.fixture(scope="module")
def resyncing(lonely: ControlPlane) -> Iterator[OperatorProcess]:
    """An operator that compares everything every second."""
    process = OperatorProcess(lonely, "--resync-seconds", "1", "--quiet-seconds", "0.4")
    process.start()
    yield process
    assert process.stop() == 0


def test_a_lost_deletion_is_noticed_by_resync(
    lonely: ControlPlane, resyncing: OperatorProcess, canaries: list[str]
) -> None:
    """A watch that begins anew never tells what was deleted meanwhile (410 and a new list)."""
    org = Org(lonely, "lost", canaries).create()
    used(org)
    before = org.managed()
    assert before is not None
    resyncing.pause()
    try:
        _force_away(org)
        # A new API server has no history: whoever comes back to it with an old version gets 410.
        lonely.restart("kube-apiserver")
    finally:
        resyncing.resume()
    eventually(lambda: 'secretset_sets{phase="ready",region="us-west"}' not in resyncing.fetch("/metrics")[1])
    # The Secret stays: nobody asked for its deletion (whoever takes the finalizer off keeps it).
    left = org.managed()
    assert left is not None
    assert left["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    org.secret_set()
    assert_adopted(org, before)


def test_a_namespace_of_the_hub_goes_with_everything(
    lonely: ControlPlane, resyncing: OperatorProcess, canaries: list[str]
) -> None:
    assert resyncing.running
    org = Org(lonely, "going", canaries).create()
    org.source()
    org.secret_set()
    org.reaches("ready")
    lonely.kubectl("delete", "namespace", "going", "--wait=false")
    eventually(lambda: org.managed() is None)
    eventually(lambda: org.get("secretset", "app") is None)


def _force_away(org: Org) -> None:
    """What people do to a set that hangs."""
    org.kubectl("delete", "secretset", "app", "--wait=false")
    org.kubectl("patch", "secretset", "app", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    assert org.get("secretset", "app") is None
