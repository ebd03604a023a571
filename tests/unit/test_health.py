"""What the doctor says of the facts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from builders import RegionBuilder, organization, region, secret_set
from secretset.domain import advice, health
from secretset.domain.health import Finding, Level, Schema
from secretset.domain.names import Kind
from secretset.domain.reasons import Phase, Reason
from secretset.domain.sealing import PrivateKey, new_seed
from secretset.domain.sealing_keys import PublicKeys, SealingKey
from secretset.domain.set_view import SetView

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def condition(kind: str, status: str, message: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "message": message}


def keys(*days: float) -> PublicKeys:
    """Keys that are so many days old."""
    made = [SealingKey(private=PrivateKey.from_seed(new_seed()), created=NOW - timedelta(days=each)) for each in days]
    return PublicKeys.of("installation", made)


def view(name: str, *, sealed_for: str | None = None, **status: Any) -> SetView:
    builder = secret_set(name).with_status(**{"phase": "ready", "observedGeneration": 1, **status})
    if sealed_for:
        builder.with_spec(data={"A": {"sealed": f"hpke1.{sealed_for}.{'A' * 1856}"}})
    return SetView.parse(Kind.SECRET_SET, builder.object())


def levels(found: list[Finding]) -> list[Level]:
    return [finding.level for finding in found]


@pytest.mark.parametrize(
    ("schema", "level"),
    [
        (Schema.CURRENT, Level.OK),
        (Schema.SERVED, Level.OK),
        (Schema.OTHER, Level.WARN),
        (Schema.NOT_ESTABLISHED, Level.FAIL),
        (Schema.ABSENT, Level.FAIL),
    ],
)
def test_definitions(schema: Schema, level: Level) -> None:
    found = health.crd("regions", schema)
    assert found.level is level
    assert "regions.secretset.dev" in found.says
    assert bool(found.to_do) is (level is not Level.OK)


@pytest.mark.parametrize(
    ("live", "dead", "leader", "expected"),
    [
        ([], [], None, [Level.FAIL]),
        ([], ["a"], "a", [Level.FAIL]),
        (["a"], [], "a", [Level.WARN]),
        (["a", "b"], [], "b", [Level.OK]),
        (["a", "b"], ["c"], "b", [Level.OK, Level.WARN]),
        (["a", "b"], [], "c", [Level.OK, Level.WARN]),
        (["a", "b"], ["c"], None, [Level.OK, Level.WARN, Level.WARN]),
    ],
)
def test_replicas(live: list[str], dead: list[str], leader: str | None, expected: list[Level]) -> None:
    assert levels(health.replicas(live, dead, leader)) == expected


def region_finding(*conditions: dict[str, str], builder: RegionBuilder | None = None, **status: Any) -> Finding:
    record = (builder or region("us")).record()
    return health.region(record, {"observedGeneration": 1, "conditions": list(conditions), **status})


def test_regions() -> None:
    reachable, authorized = condition("Reachable", "True"), condition("Authorized", "True")
    well = region_finding(reachable, authorized, condition("BindPolicy", "True"), serverVersion="v1.36.3")
    assert well == Finding(
        check="region us", level=Level.OK, says="It answers and lets the operator work; Kubernetes v1.36.3."
    )
    assert "has no effect there" in region_finding(reachable, authorized).says
    away = region_finding(condition("Reachable", "False", "It is away."), authorized)
    assert (away.level, away.says) == (Level.FAIL, "It is away.")
    poor = region_finding(reachable, condition("Authorized", "False", "It may not."))
    assert (poor.level, poor.says) == (Level.FAIL, "It may not.")
    assert region_finding(reachable, condition("Authorized", "Unknown")).level is Level.UNKNOWN
    assert region_finding().level is Level.UNKNOWN
    assert region_finding(reachable, authorized, observedGeneration=0).level is Level.UNKNOWN
    gone = region("us").with_spec(decommissioned=True)
    assert region_finding(condition("Reachable", "False"), builder=gone).level is Level.OK


def test_the_default_region() -> None:
    us = region("us").with_spec(default=True).created(1).record()
    eu = region("eu").with_spec(default=True).created(2).record()
    closed = region("closed").accepting(tier="gold").record()
    team, own = organization("team"), organization("team", default="closed")
    both = {"us": us, "eu": eu, "closed": closed}
    assert health.default_region(team, {"us": us}).level is Level.OK
    assert health.default_region(None, {"us": us}).level is Level.OK
    assert health.default_region(team, {"closed": closed}).level is Level.WARN
    several = health.default_region(team, both)
    assert (several.level, "'us' is the hub's default; eu is marked" in several.says) == (Level.WARN, True)
    assert health.default_region(own, both).level is Level.WARN
    assert health.default_region(organization("team", default="closed", tier="gold"), both).level is Level.OK
    assert health.default_region(own, {"us": us}).level is Level.FAIL


def test_sealing_keys() -> None:
    assert health.sealing_keys(None, NOW).level is Level.FAIL
    assert health.sealing_keys(keys(), NOW).level is Level.FAIL
    assert health.sealing_keys(keys(0), NOW).level is Level.OK
    fine = health.sealing_keys(keys(29, 59, 300), NOW)
    assert (fine.level, fine.says.partition(" ")[2]) == (
        Level.OK,
        "is current, 29 days old; older ones that go on opening: 2.",
    )
    assert health.sealing_keys(keys(61), NOW).level is Level.WARN


def test_what_the_user_may_do() -> None:
    assert health.may("team", []).level is Level.OK
    assert health.may("team", ["create", "patch", "delete"]).level is Level.WARN
    assert health.may("team", ["list"]).level is Level.FAIL


def test_sets() -> None:
    known = keys(0)
    kid = known.keys[0].kid
    assert levels(health.sets("team", [], known)) == [Level.OK]
    assert levels(health.sets("team", [view("one", sealed_for=kid)], known)) == [Level.OK]
    waiting = [view("one"), view("two", phase="failed"), view("three", observedGeneration=0)]
    (found,) = health.sets("team", waiting, known)
    assert found.says == "2 of 3 sets in 'team' are not ready: two, three."
    lost = health.sets("team", [view("one", sealed_for="f" * 16)], known)
    assert levels(lost) == [Level.OK, Level.FAIL]
    assert "f" * 16 in lost[1].says
    # Where the keys may not be seen, nothing can be said.
    assert levels(health.sets("team", [view("one", sealed_for="f" * 16)], None)) == [Level.OK]


def test_others() -> None:
    assert health.encryption_at_rest().level is Level.UNKNOWN
    assert [health.sealing_webhook(there).level for there in (True, False, None)] == [Level.OK, Level.OK, Level.UNKNOWN]
    assert health.listed(list("abcdefg")) == "a, b, c, d, e and 2 more"
    assert health.encryption_at_rest().to_json()["level"] == "unknown"


def test_each_reason_says_what_to_do() -> None:
    assert {reason for reason in Reason if not advice.of_reason(reason)} == {
        reason for reason in Reason if reason.phase is Phase.READY
    }
    assert advice.of_reason("OfAnotherVersion") == ""


def test_what_to_do_about_a_set() -> None:
    assert advice.of_set(view("one", reason="Synced")) == ""
    assert "smaller" in advice.of_set(view("one", phase="failed", reason="TooLarge"))
    assert "doctor" in advice.of_set(view("one", reason="Synced", observedGeneration=0))
    going = secret_set("one").with_meta(deletionTimestamp="2026-03-01T00:00:00Z")
    blocked = going.with_status(conditions=[condition("DeletionBlocked", "True", "It is away.")])
    assert advice.of_set(SetView.parse(Kind.SECRET_SET, blocked.object())) == "It is away."
