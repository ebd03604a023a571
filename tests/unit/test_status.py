"""Status of sets: what is reported, what a failure leaves as it was, and what is remembered."""

from typing import Any

import pytest

from builders import at
from secretset.domain import reasons, status
from secretset.domain.models import SetStatus, WorkloadCounts
from secretset.domain.reasons import Problem
from unit.slots import OWNER, delivered, wanted

PLACE = status.Place(region="us", namespace="team-us", name=OWNER.name)


def counts(**some: int) -> WorkloadCounts:
    tally = {"current": 0, "restarting": 0, "stalled": 0, "held": 0} | some
    return WorkloadCounts(bound=sum(tally.values()), **tally)


def synced(second: int = 5, previous: Any = None, found: WorkloadCounts | None = None, **kw: Any) -> dict[str, Any]:
    slot = delivered({"A": b"1"})
    slot.deliver(wanted({"A": b"1", "B": b"2"}), slot.status(), second=3)
    marks = slot.secret.marks
    assert marks is not None
    return status.synced(
        generation=kw.get("generation", 1),
        place=PLACE,
        marks=marks,
        counts=found or counts(),
        restarted=kw.get("restarted", ""),
        previous=previous,
        timestamp=at(second),
    )


def unsynced(problem: Problem, second: int = 5, previous: Any = None, region: str | None = "us") -> dict[str, Any]:
    return status.unsynced(problem, generation=2, region=region, previous=previous, timestamp=at(second))


def condition(found: dict[str, Any], kind: str) -> dict[str, Any]:
    matching: list[dict[str, Any]] = [entry for entry in found["conditions"] if entry["type"] == kind]
    assert len(matching) == 1, kind
    return matching[0]


def test_a_synced_set_tells_everything_but_values() -> None:
    found = synced(generation=4)
    SetStatus.model_validate(found)
    rest = {name: found[name] for name in found if name not in {"conditions", "fingerprint", "workloads"}}
    assert rest == {
        "phase": "ready",
        "reason": "Synced",
        "observedGeneration": 4,
        "region": "us",
        "secretRef": {"region": "us", "namespace": "team-us", "name": "app"},
        "revision": 2,
        "keyCount": 2,
        "keys": [
            {"name": "A", "createdAt": at(0), "updatedAt": at(0)},
            {"name": "B", "createdAt": at(3), "updatedAt": at(3)},
        ],
        "createdAt": at(0),
        "updatedAt": at(3),
    }
    assert {entry["type"] for entry in found["conditions"]} == {"Ready", "RolledOut"}
    assert all(entry["observedGeneration"] == 4 for entry in found["conditions"])


@pytest.mark.parametrize(
    ("found", "rolled", "reason"),
    [
        (counts(), "True", "NothingBound"),
        (counts(current=2), "True", "RolloutComplete"),
        (counts(current=1, restarting=1), "False", "RollingOut"),
        (counts(restarting=1, held=1), "False", "RolloutHeld"),
        (counts(restarting=1, held=1, stalled=1), "False", "RolloutStalled"),
    ],
)
def test_rolled_out_tells_the_worst_of_the_workloads(found: WorkloadCounts, rolled: str, reason: str) -> None:
    told = condition(synced(found=found), "RolledOut")
    assert (told["status"], told["reason"]) == (rolled, reason)


def test_a_transition_keeps_its_time_until_the_status_turns() -> None:
    first = synced(5, found=counts(restarting=1))
    second = synced(6, first, found=counts(current=1))
    assert condition(second, "Ready")["lastTransitionTime"] == at(5)
    assert condition(second, "RolledOut")["lastTransitionTime"] == at(6)
    failed = unsynced(reasons.unseal_failed("A"), 7, second)
    assert condition(failed, "Ready")["lastTransitionTime"] == at(7)
    again = unsynced(reasons.value_too_large("A"), 8, failed)
    assert condition(again, "Ready")["lastTransitionTime"] == at(7)
    assert condition(again, "Ready")["reason"] == "TooLarge"
    assert synced(9, synced(8)) == synced(8)


@pytest.mark.parametrize(
    ("problem", "phase", "kind"),
    [
        (reasons.region_unreachable("us"), "pending", "Reconciling"),
        (reasons.source_missing("team", "src"), "pending", "Reconciling"),
        (reasons.unseal_failed("A"), "failed", "Stalled"),
        (reasons.secret_taken("us", "team-us", "app"), "failed", "Stalled"),
    ],
)
def test_an_unsynced_set_tells_why_as_kstatus_wants_it(problem: Problem, phase: str, kind: str) -> None:
    found = unsynced(problem)
    SetStatus.model_validate(found)
    assert (found["phase"], found["reason"], found["message"]) == (phase, problem.reason.value, problem.message)
    assert (found["observedGeneration"], found["region"]) == (2, "us")
    assert condition(found, "Ready")["status"] == "False"
    assert condition(found, kind)["status"] == "True"
    assert len(found["conditions"]) == 2
    assert "secretRef" not in found


@pytest.mark.parametrize(
    ("problem", "ways"),
    [
        (reasons.region_unreachable("us"), ("secretset.dev/abandon=true", "spec.decommissioned")),
        (
            reasons.permission_denied("us", "get", "secrets", "ns"),
            ("secretset.dev/abandon=true", "spec.decommissioned"),
        ),
        (reasons.deletion_braked(), ("spec.deletionPolicy", "--deletions-per-minute")),
    ],
)
def test_a_deletion_that_waits_tells_why_and_the_ways_out(problem: Problem, ways: tuple[str, ...]) -> None:
    found = status.unsynced(problem, generation=2, region="us", previous=None, timestamp=at(5), deleting=True)
    SetStatus.model_validate(found)
    told = condition(found, "DeletionBlocked")
    assert (told["status"], told["reason"]) == ("True", problem.reason.value)
    assert told["message"].startswith(problem.message)
    assert all(way in told["message"] for way in ways)
    assert found["message"] == problem.message
    again = status.unsynced(problem, generation=2, region="us", previous=found, timestamp=at(9), deleting=True)
    assert again == found


def test_a_failure_keeps_what_was_delivered() -> None:
    before = synced(found=counts(current=1), restarted="2-u")
    found = unsynced(reasons.unseal_failed("A"), 7, before, region=None)
    assert all(found.get(name) == before.get(name) for name in status._KEPT)
    assert before["restartedFor"] == "2-u"
    assert found["region"] == "us"
    assert condition(found, "RolledOut") == condition(before, "RolledOut")
    assert status.memory(found) == status.memory(before)
    mended = synced(8, found, found=counts(current=1))
    assert {entry["type"] for entry in mended["conditions"]} == {"Ready", "RolledOut"}
    assert "message" not in mended


def test_what_was_delivered_is_remembered_whole() -> None:
    slot = delivered({"A": b"1"})
    slot.deliver(wanted({"A": b"1", "B": b"2"}), slot.status(), second=3)
    assert status.memory(synced()) == slot.status()


@pytest.mark.parametrize(
    "found", [None, {}, {"revision": 3}, {"fingerprint": "x"}, {"revision": "3", "fingerprint": "x"}]
)
def test_a_status_without_a_delivery_remembers_none(found: Any) -> None:
    assert status.memory(found) is None
