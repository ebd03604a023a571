"""The link to a region breaks in every way it can: what must wait waits, nothing else notices, nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from harness import Proxy, holds
from harness.linked import Linked, flaps, restored
from kubelab.plane import ControlPlane

BREAKS: dict[str, Callable[[Proxy], None]] = {
    "refused": Proxy.refuse,
    "black-hole": lambda link: link.black_hole(forgets=False),
    "black-hole-that-forgets": Proxy.black_hole,
}


@pytest.mark.parametrize("how", BREAKS)
def test_a_link_that_is_broken_and_mended(there: Linked, how: str) -> None:
    quiet, generations = there.told(), (there.generation("web"), there.generation("still"))
    before = there.status_writes("regions", there.region_name)
    BREAKS[how](there.link)
    value = there.change()
    told = there.says("False")
    assert (told["phase"], told["reason"]) == ("pending", "RegionUnreachable")
    assert "lastContact" in told
    waiting = there.reaches("pending", "RegionUnreachable")
    assert waiting["message"] == f"Region '{there.region_name}' cannot be reached; it is tried again."
    assert waiting["revision"] == 1
    assert there.told() == quiet
    calm = there.spoil("quiet")
    there.link.up()
    there.holds_value(value)
    there.holds_value(calm, "quiet")
    assert there.reaches("ready", "Synced")["revision"] == 2
    assert "lastContact" not in there.says("True")
    # What was changed restarts, once; what was only put right does not, and tells of that alone.
    there.restarted("web", generations[0] + 1)
    there.reports(restarting=0)
    holds(
        lambda: (there.generation("web"), there.generation("still")) == (generations[0] + 1, generations[1]), seconds=1
    )
    assert there.told()[0] == quiet[0]
    assert [reason for reason, _ in there.events("quiet")] == ["DriftRepaired"]
    wrote = there.status_writes("regions", there.region_name) - before
    assert wrote <= 2 + 4, "lost and back, and the counts"


def test_a_link_that_is_slow_is_no_broken_one(there: Linked) -> None:
    there.link.slow(0.25)
    value = there.change()
    there.holds_value(value)
    there.restarted("web", 2)
    there.reaches("ready", "Synced")
    calm = there.spoil("quiet")
    there.holds_value(calm, "quiet")
    assert there.conditions()["Reachable"] == "True"
    assert not [event for event in there.region_events() if event[0] == "Unreachable"]
    assert not [event for event in there.events() if event[0] == "RegionUnreachable"]


def test_connections_that_are_cut_lose_nothing_and_tell_nothing(there: Linked) -> None:
    before = there.status_writes("regions", there.region_name)
    for number in range(2, 6):
        there.link.cut()
        there.holds_value(there.change())
        there.restarted("web", number)
        there.reports(revision=number)
        there.link.cut()
        calm = there.spoil("quiet")
        there.holds_value(calm, "quiet")
    assert there.generation("still") == 1
    assert not [event for event in there.region_events() if event[0] == "Unreachable"]
    assert not [event for event in there.events() if event[0] == "RegionUnreachable"]
    # Its counts may tell of the set on its way, and back.
    assert there.status_writes("regions", there.region_name) - before <= 8


def test_a_connection_that_a_nat_forgot_does_not_make_us_deaf(there: Linked) -> None:
    there.link.black_hole()
    time.sleep(0.5)
    there.link.up()
    calm = there.spoil("quiet")
    there.holds_value(calm, "quiet")


def test_a_link_that_flaps_causes_no_storm(there: Linked) -> None:
    flaps(there, seconds=8)


# --- the cluster itself


def test_a_store_that_is_put_back_to_an_earlier_state(hurt: Linked, far: ControlPlane) -> None:
    snapshot = far.snapshot()
    hurt.says("True")
    restored(hurt, lambda: far.restore(snapshot))
