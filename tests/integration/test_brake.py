"""Many sets deleted at once: a few go, the others wait, and whoever made the mistake can still keep their Secrets."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from harness import OperatorProcess, Org, eventually, forms, holds, install_hub, start_hub
from kubelab.plane import ControlPlane
from kubelab.pytest_plugin import ControlPlanes

_RETAIN = '{"spec":{"deletionPolicy":"Retain"}}'
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def plane(module_control_planes: ControlPlanes) -> ControlPlane:
    """A hub of this module's own, whose CRDs may be deleted."""
    return start_hub(module_control_planes, "brake")


@pytest.fixture
def crowd(plane: ControlPlane, canaries: list[str]) -> Callable[[OperatorProcess, int], Org]:
    """An organization with so many sets that are ready."""

    def make(operator: OperatorProcess, count: int) -> Org:
        assert operator.running
        org = Org(plane, f"crowd{next(_numbers)}", canaries).create()
        org.source()
        for number in range(count):
            org.secret_set(f"app-{number}")
        for number in range(count):
            org.reaches("ready", name=f"app-{number}")
        return org

    return make


@contextmanager
def braking(plane: ControlPlane, burst: int, per_minute: int) -> Iterator[OperatorProcess]:
    flags = ("--deletion-burst", str(burst), "--deletions-per-minute", str(per_minute))
    operator = OperatorProcess(plane, "--quiet-seconds", "0.4", *flags)
    operator.start()
    try:
        yield operator
    finally:
        assert operator.stop() == 0


def names(org: Org, kind: str, namespace: str) -> set[str]:
    found = org.plane.kubectl("get", kind, "-n", namespace, "-o", "jsonpath={.items[*].metadata.name}").stdout
    return {name for name in found.split() if name.startswith("app-")}


def sets(org: Org) -> set[str]:
    return names(org, "secretsets", org.name)


def secrets(org: Org) -> set[str]:
    return names(org, "secrets", org.regional)


def braked(org: Org) -> set[str]:
    return {name for name in sets(org) if org.status(name).get("reason") == "DeletionBraked"}


def told(plane: ControlPlane, region: str = "us-west") -> list[tuple[str, str]]:
    """(type, reason) of the events on a Region, oldest first."""
    fields = f"involvedObject.kind=Region,involvedObject.name={region}"
    done = plane.kubectl("get", "events", "-n", "default", "-o", "json", "--field-selector", fields)
    items = sorted(json.loads(done.stdout)["items"], key=lambda item: item["eventTime"] or "")
    return [(item["type"], item["reason"]) for item in items]


def metric(operator: OperatorProcess, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", operator.fetch("/metrics")[1], re.MULTILINE)
    return float(found.group(1)) if found else -1.0


def test_some_go_at_once_and_the_others_one_after_the_other(
    plane: ControlPlane, crowd: Callable[[OperatorProcess, int], Org], canaries: list[str]
) -> None:
    before = len(told(plane))
    with braking(plane, 2, 20) as operator:
        org = crowd(operator, 6)
        org.kubectl("delete", "secretset", "--all", "--wait=false")
        eventually(lambda: len(secrets(org)) == 4)
        waiting = eventually(lambda: len(braked(org)) >= 3 and braked(org))
        assert metric(operator, "secretset_deletions_braked") >= 3
        # One of them is kept: it goes at once, and leaves its Secret.
        kept = max(waiting)
        status = org.status(kept)
        conditions = {each["type"]: each for each in status["conditions"]}
        blocked = conditions["DeletionBlocked"]
        assert (blocked["status"], blocked["reason"]) == ("True", "DeletionBraked")
        assert "deletionPolicy" in blocked["message"]
        assert status["phase"] == "pending"
        org.kubectl("patch", "secretset", kept, "--type=merge", "-p", _RETAIN)
        eventually(lambda: kept not in sets(org))
        assert kept in secrets(org)
        # The others go in their turn, and all that was written of each is that it waits.
        eventually(lambda: not sets(org), seconds=25)
        assert secrets(org) == {kept}
        assert metric(operator, "secretset_deletions_braked") == 0
        assert metric(operator, "secretset_deletions_delayed_total") == 4
        eventually(lambda: len(told(plane)) == before + 2, seconds=25)
        assert told(plane)[before:] == [("Warning", "DeletionBraked"), ("Normal", "DeletionBrakeReleased")]
        statuses = [write for write in org.writes() if write.startswith("update secretsets/status app-")]
        of_the_kept = [write for write in statuses if write.endswith(kept)]
        assert len(of_the_kept) <= 2 + 1  # while it became ready, and once while it waited
        assert not [event for name in (kept, "app-0") for event in org.events(name) if "Braked" in event[0]]
        text = plane.kubectl("get", "events,secretsets,configmaps", "-A", "-o", "json").stdout
        assert not [
            value for value in canaries for form in forms(value) if form in text or form in operator.log.read_text()
        ]


def test_a_restart_gives_no_new_burst(plane: ControlPlane, crowd: Callable[[OperatorProcess, int], Org]) -> None:
    with braking(plane, 1, 0) as operator:
        org = crowd(operator, 4)
        org.kubectl("delete", "secretset", "--all", "--wait=false")
        eventually(lambda: len(braked(org)) == 3)
        operator.restart()
        holds(lambda: len(secrets(org)) == 3, seconds=3)
    # Whoever decides that it was no mistake lets all go.
    with braking(plane, 1, 600):
        eventually(lambda: not sets(org))
        eventually(lambda: not secrets(org))


def test_a_crd_that_is_deleted_by_mistake_wipes_nothing(
    plane: ControlPlane, crowd: Callable[[OperatorProcess, int], Org]
) -> None:
    with braking(plane, 1, 0) as operator:
        org = crowd(operator, 4)
        plane.kubectl("delete", "crd", "secretsets.secretset.dev", "--wait=false")
        eventually(lambda: len(braked(org)) == 3)
        holds(lambda: len(secrets(org)) == 3, seconds=2)
        for name in sets(org):
            org.kubectl("patch", "secretset", name, "--type=merge", "-p", _RETAIN)
        gone = ("get", "crd", "secretsets.secretset.dev", "--ignore-not-found")
        eventually(lambda: not plane.kubectl(*gone).stdout.strip())
        assert len(secrets(org)) == 3
    # With the CRD back, the sets are applied again, and adopt what was kept.
    install_hub(plane)
    with braking(plane, 1, 0):
        for name in secrets(org):
            org.secret_set(name)
            assert org.reaches("ready", name=name)["revision"] == 1
        assert len(secrets(org)) == 3
