"""What a Region tells: from what is known of its link, its sets and the other Regions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from builders import at, region, secret_set
from secretset.domain import reasons
from secretset.domain.models import RegionStatus
from secretset.domain.policies import BindPolicy
from secretset.domain.region_status import LinkState, region_status, verdict
from secretset.domain.rights import Missing, Right

UP = LinkState(
    problem=None,
    answered=True,
    missing=(),
    last_contact=at(4),
    server_version="v1.36.3",
    cluster_id="id-1",
    replica="one",
)
AWAY = LinkState(
    problem=reasons.region_unreachable("us"), answered=False, last_contact=at(4), cluster_id="id-1", replica="one"
)
LACKS = (Missing(Right("create", "", "secrets"), "team-us"),)


def told(link: LinkState, *, previous: Any = None, second: int = 5, defaults: tuple[str, ...] = ()) -> dict[str, Any]:
    ready = {"phase": "ready", "observedGeneration": 1}
    sets = [
        secret_set("a").with_status(**ready),
        secret_set("b").with_status(**ready).with_meta(generation=2),
        secret_set("c").with_status(phase="failed", observedGeneration=1),
        secret_set("d"),
        secret_set("e").with_status(phase="odd", observedGeneration=1),
    ]
    found = region_status(
        region("us").with_meta(generation=3).record(),
        link=link,
        sets=[each.record() for each in sets],
        defaults=defaults,
        previous=previous,
        timestamp=at(second),
    )
    RegionStatus.model_validate(found)
    return found


def condition(status: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return next((dict(each) for each in status["conditions"] if each["type"] == kind), {})


def shown(status: Mapping[str, Any]) -> dict[str, str]:
    """What the conditions of the link say."""
    return {
        each["type"]: each["status"] for each in status["conditions"] if each["type"] in {"Reachable", "Authorized"}
    }


def test_a_region_that_answers_is_ready_and_counts_its_sets() -> None:
    found = told(UP)
    assert (found["phase"], found["reason"], found["observedGeneration"]) == ("ready", "Reachable", 3)
    assert (found["serverVersion"], found["clusterId"], found["replica"]) == ("v1.36.3", "id-1", "one")
    assert found["sets"] == {"ready": 1, "pending": 3, "failed": 1}
    assert shown(found) == {"Reachable": "True", "Authorized": "True"}
    # A time that moved with every answer would be a write for each.
    assert "lastContact" not in found


def test_one_that_does_not_says_since_when_and_keeps_what_is_known_of_it() -> None:
    found = told(AWAY, previous=told(UP), second=6)
    assert (found["phase"], found["reason"], found["lastContact"]) == ("pending", "RegionUnreachable", at(4))
    assert (found["serverVersion"], found["clusterId"]) == ("v1.36.3", "id-1")
    assert shown(found) == {"Reachable": "False", "Authorized": "Unknown"}
    assert condition(found, "Reachable")["lastTransitionTime"] == at(6)
    # A replica that took over, and never reached it, does not forget when it was there.
    after = told(LinkState(problem=AWAY.problem, answered=False, replica="two"), previous=found, second=7)
    assert (after["lastContact"], after["clusterId"]) == (at(4), "id-1")
    assert condition(after, "Reachable")["lastTransitionTime"] == at(6)
    assert "lastContact" not in told(UP, previous=after)


def test_nothing_to_tell_gives_the_same_status_again() -> None:
    for link in (UP, AWAY):
        before = told(link, second=5)
        assert told(link, previous=before, second=9) == before


@pytest.mark.parametrize(
    ("link", "phase", "reason", "conditions"),
    [
        pytest.param(
            LinkState(problem=None, answered=True, missing=None, replica="one"),
            *("ready", "Reachable", {"Reachable": "True", "Authorized": "Unknown"}),
            id="rights not known yet",
        ),
        pytest.param(
            LinkState(problem=None, answered=True, missing=LACKS, replica="one"),
            *("ready", "PermissionDenied", {"Reachable": "True", "Authorized": "False"}),
            id="a right is missing",
        ),
        pytest.param(
            LinkState(
                problem=reasons.region_not_ready("us", "they are not accepted."),
                answered=True,
                refused=True,
                replica="one",
            ),
            *("failed", "RegionNotReady", {"Reachable": "True", "Authorized": "False"}),
            id="credentials refused",
        ),
        pytest.param(
            LinkState(problem=reasons.region_not_ready("us", "no Secret."), replica="one"),
            *("failed", "RegionNotReady", {"Reachable": "Unknown", "Authorized": "Unknown"}),
            id="no credentials",
        ),
        pytest.param(
            LinkState(problem=reasons.region_not_served("us")),
            *("pending", "RegionNotReady", {"Reachable": "Unknown", "Authorized": "Unknown"}),
            id="nobody serves it",
        ),
    ],
)
def test_what_each_state_of_the_link_shows(
    link: LinkState, phase: str, reason: str, conditions: dict[str, str]
) -> None:
    found = told(link)
    assert (found["phase"], found["reason"], shown(found)) == (phase, reason, conditions)


@pytest.mark.parametrize(
    ("bind", "shows"),
    [
        (None, ("Unknown", "NotAsked", "is not known")),
        (BindPolicy.INSTALLED, ("True", "Installed", "secretset.dev/bind")),
        (BindPolicy.NOT_INSTALLED, ("False", "NotInstalled", "apply what `secretset policies` prints")),
        (BindPolicy.OUTDATED, ("False", "Outdated", "apply what `secretset policies` prints")),
        (BindPolicy.NOT_ALLOWED, ("Unknown", "NotAllowed", "may not look")),
        (BindPolicy.NOT_SUPPORTED, ("False", "NotSupported", "not supported there: reference the Secret by envFrom")),
    ],
)
def test_whether_pods_are_bound_is_a_condition_of_its_own(bind: BindPolicy | None, shows: tuple[str, str, str]) -> None:
    found = told(replace(UP, bind=bind))
    status, reason, text = shows
    said = condition(found, "BindPolicy")
    assert (said["status"], said["reason"], text in said["message"]) == (status, reason, True)
    # Who references Secrets by hand needs none of it.
    assert (found["phase"], found["reason"], found.get("message")) == ("ready", "Reachable", None)


def test_a_cluster_that_is_too_old_is_told_with_its_version() -> None:
    found = told(replace(UP, bind=BindPolicy.NOT_SUPPORTED, server_version="v1.34.1"))
    assert "v1.34.1" in condition(found, "BindPolicy")["message"]


def test_a_missing_right_is_named() -> None:
    found = told(LinkState(problem=None, answered=True, missing=LACKS, replica="one"))
    for text in (found["message"], condition(found, "Authorized")["message"]):
        assert "create secrets in namespace 'team-us'" in text


def test_the_default_that_counts_and_the_one_that_does_not() -> None:
    assert condition(told(UP), "Default") == {}
    alone = condition(told(UP, defaults=("us",)), "Default")
    assert (alone["status"], alone["reason"]) == ("True", "OnlyDefault")
    older = condition(told(UP, defaults=("us", "eu")), "Default")
    assert (older["status"], older["reason"]) == ("True", "SeveralDefaults")
    assert "'eu'" in older["message"]
    younger = condition(told(UP, defaults=("eu", "us")), "Default")
    assert (younger["status"], younger["reason"]) == ("False", "SeveralDefaults")
    assert "'eu'" in younger["message"]
    assert "unmark" in younger["message"]


def test_a_flip_is_a_change_of_the_verdict_and_not_of_the_counts() -> None:
    up = told(UP)
    assert verdict(up) == verdict({**up, "sets": {"ready": 0, "pending": 0, "failed": 0}, "replica": "two"})
    assert verdict(up) != verdict(told(AWAY, previous=up))
    assert verdict({}) == ("", "")
