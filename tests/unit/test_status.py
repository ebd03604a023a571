"""Status of sets: what is reported, what a failure leaves as it was, and what is remembered."""

from dataclasses import replace
from typing import Any, Literal

import pytest

from builders import at
from secretset.domain import reasons, status
from secretset.domain.models import SetStatus
from secretset.domain.models.status import WorkloadsStatus
from secretset.domain.reasons import Problem
from secretset.domain.rollout_status import Told, digest_of
from secretset.domain.sealing import Cause
from unit.slots import OWNER, delivered, wanted

PLACE = status.Place(region="us", namespace="team-us", name=OWNER.name)


def told(value: Literal["True", "False"] = "True", reason: str = "NothingBound", **some: int) -> Told:
    tally = {"current": 0, "restarting": 0, "stalled": 0, "held": 0} | some
    return Told(WorkloadsStatus(bound=sum(tally.values()), **tally), (value, reason, "…"))


ROLLING = told("False", "RollingOut", restarting=1)
DONE = told("True", "RolloutComplete", current=1)


def synced(second: int = 5, previous: Any = None, found: Told | None = None, **kw: Any) -> dict[str, Any]:
    slot = delivered({"A": b"1"})
    slot.deliver(wanted({"A": b"1", "B": b"2"}), slot.status(), second=3)
    marks = slot.secret.marks
    assert marks is not None
    return status.synced(
        generation=kw.get("generation", 1),
        place=PLACE,
        marks=marks,
        rollout=found or told(),
        restarted=kw.get("restarted", ""),
        planned=kw.get("planned", ""),
        sealed=kw.get("sealed", ()),
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


def test_what_is_told_of_rollouts_stands_in_the_status() -> None:
    found = synced(found=ROLLING)
    rolled = condition(found, "RolledOut")
    assert (rolled["status"], rolled["reason"], rolled["message"]) == ROLLING.condition
    assert found["workloads"] == {"bound": 1, "current": 0, "restarting": 1, "stalled": 0, "held": 0}
    assert digest_of(found) == ROLLING.digest
    assert digest_of(synced(found=DONE)) != ROLLING.digest


def test_a_set_tells_how_many_values_need_which_sealing_key() -> None:
    uses = [{"kid": "0f", "values": 2}, {"kid": "5b", "values": 1}]
    assert synced(sealed=(("0f", 2), ("5b", 1)))["sealingKeys"] == uses
    failed = status.unsynced(
        reasons.value_too_large("A"),
        generation=2,
        region="us",
        sealed=(("0f", 2), ("5b", 1)),
        previous=None,
        timestamp="",
    )
    assert failed["sealingKeys"] == uses
    assert "sealingKeys" not in synced()


def test_a_transition_keeps_its_time_until_the_status_turns() -> None:
    first = synced(5, found=ROLLING)
    second = synced(6, first, found=DONE)
    assert condition(second, "Ready")["lastTransitionTime"] == at(5)
    assert condition(second, "RolledOut")["lastTransitionTime"] == at(6)
    failed = unsynced(reasons.unseal_failed("A", Cause.MALFORMED), 7, second)
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
        (reasons.unseal_failed("A", Cause.MALFORMED), "failed", "Stalled"),
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
    blocked = condition(found, "DeletionBlocked")
    assert (blocked["status"], blocked["reason"]) == ("True", problem.reason.value)
    assert blocked["message"].startswith(problem.message)
    assert all(way in blocked["message"] for way in ways)
    assert found["message"] == problem.message
    again = status.unsynced(problem, generation=2, region="us", previous=found, timestamp=at(9), deleting=True)
    assert again == found


def test_a_failure_keeps_what_was_delivered() -> None:
    before = synced(found=DONE, restarted="2-u", planned="3-u")
    found = unsynced(reasons.unseal_failed("A", Cause.MALFORMED), 7, before, region=None)
    assert all(found.get(name) == before.get(name) for name in status._KEPT)
    assert (before["restartedFor"], before["plannedFor"]) == ("2-u", "3-u")
    assert found["region"] == "us"
    assert condition(found, "RolledOut") == condition(before, "RolledOut")
    assert status.memory(found) == status.memory(before)
    mended = synced(8, found, found=DONE)
    assert {entry["type"] for entry in mended["conditions"]} == {"Ready", "RolledOut"}
    assert "message" not in mended


def test_what_was_delivered_is_remembered_whole() -> None:
    slot = delivered({"A": b"1"})
    slot.deliver(wanted({"A": b"1", "B": b"2"}), slot.status(), second=3)
    assert status.memory(synced()) == slot.status()
    remembered = replace(slot.status(), restarted="2-u", planned="3-u")
    assert status.memory(synced(restarted="2-u", planned="3-u")) == remembered


@pytest.mark.parametrize(
    "found", [None, {}, {"revision": 3}, {"fingerprint": "x"}, {"revision": "3", "fingerprint": "x"}]
)
def test_a_status_without_a_delivery_remembers_none(found: Any) -> None:
    assert status.memory(found) is None
