"""The link to a region breaks for long, or again and again, and its cluster is hurt more than once."""

from __future__ import annotations

import json
import time

import pytest

from harness import eventually, holds
from harness.linked import Linked, flaps, restored
from kubelab.plane import ControlPlane

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


def test_a_link_that_flaps_for_long_causes_no_storm(there: Linked) -> None:
    wrote = flaps(there, seconds=40)
    print("status writes in 40 s of flapping:", wrote)  # `pytest -s` shows the figure


def test_a_region_that_is_away_for_long(there: Linked) -> None:
    """It costs no writes while it lasts, and ends in one delivery and one restart, whatever was changed meanwhile."""
    quiet = there.told()
    there.link.black_hole()
    there.change()
    there.says("False")
    there.reaches("pending", "RegionUnreachable")
    counts = {"ready": 1, "pending": 1, "failed": 0}
    eventually(lambda: there.region_status()["sets"] == counts, "the counts")
    before = there.writes(), there.status_writes("regions", there.region_name)
    holds(lambda: (there.writes(), there.status_writes("regions", there.region_name)) == before, seconds=45)
    there.change()
    value = there.change()
    calm = there.spoil("quiet")
    there.link.up()
    there.holds_value(value)
    there.holds_value(calm, "quiet")
    assert there.reaches("ready", "Synced")["revision"] == 2
    there.restarted("web", 2)
    holds(lambda: (there.generation("web"), there.generation("still")) == (2, 1), seconds=10)
    assert there.told()[0] == quiet[0]


def test_an_api_server_that_is_killed_again_and_again(hurt: Linked, far: ControlPlane) -> None:
    quiet = hurt.told()
    for number in range(2, 6):
        far.kill("kube-apiserver")
        value = hurt.change()
        if number % 2:
            hurt.says("False")
        far.restart("kube-apiserver")
        hurt.holds_value(value)
        hurt.restarted("web", number)
        assert hurt.reaches("ready", "Synced")["revision"] == number
        calm = hurt.spoil("quiet")
        hurt.holds_value(calm, "quiet")
    hurt.says("True", seconds=40)
    holds(lambda: (hurt.generation("web"), hurt.generation("still")) == (5, 1), seconds=5)
    assert hurt.told()[0] == quiet[0]


def test_a_store_that_is_put_back_unseen_and_has_caught_up(hurt: Linked, far: ControlPlane) -> None:
    """While the link was down: no version tells that it happened."""
    snapshot = far.snapshot()
    hurt.says("True", seconds=40)

    def restore() -> None:
        version = _version(far)
        hurt.link.refuse()
        far.restore(snapshot)
        items = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"age-{n}"}} for n in range(400)]
        body = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        far.kubectl("create", "-n", "default", "-f", "-", input=body)
        assert _version(far) > version + 50
        hurt.link.up()

    restored(hurt, restore)


def test_a_store_that_is_put_back_under_our_eyes_twice(hurt: Linked, far: ControlPlane) -> None:
    snapshot = far.snapshot()
    hurt.says("True", seconds=40)
    calm = hurt.found("quiet")["data"]
    for revision in (2, 3):
        value = hurt.change()
        hurt.holds_value(value)
        hurt.reports(revision=revision)
        far.restore(snapshot)
        hurt.holds_value(value)
        assert hurt.reaches("ready", "Synced")["revision"] == revision
        time.sleep(1)
        assert hurt.found("quiet")["data"] == calm
    assert hurt.generation("still") == 1


def _version(plane: ControlPlane) -> int:
    listed = json.loads(plane.kubectl("get", "--raw", "/api/v1/namespaces?limit=1").stdout)
    return int(listed["metadata"]["resourceVersion"])
