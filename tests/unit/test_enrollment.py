"""Regions that are registered for one organization, in Pipecat's words."""

from __future__ import annotations

from typing import Any

import pytest

from secretset.domain.enrollment import NAME_LABEL, account, belongs_to, created, told
from secretset.domain.models.region import RegionSpec
from secretset.domain.regions import Organization, RegionRecord, selects

ALONE = {"matchLabels": {NAME_LABEL: "shop"}}


def record(**spec: Any) -> RegionRecord:
    return RegionRecord(
        name="pce-a", uid="u1", resource_version="1", created="", generation=2, spec=RegionSpec.model_validate(spec)
    )


def test_it_admits_that_organization_and_is_served_from_inside() -> None:
    obj = created("pce-a", "shop", display_name="A", namespace="agents")
    assert obj["metadata"] == {"name": "pce-a"}
    found = record(**obj["spec"])
    assert belongs_to(found, "shop")
    assert not belongs_to(found, "other")
    for name, admitted in (("shop", True), ("other", False)):
        labels = Organization(name=name, created="", labels={NAME_LABEL: name}, default_region=None).labels
        assert selects(found.spec.organizations, labels) is admitted
    assert found.namespace_for("shop") == "agents"
    assert account("pce-a") == "secretset-agent-pce-a"


def test_without_a_namespace_it_is_that_of_the_organization() -> None:
    obj = created("pce-a", "shop", display_name=None, namespace=None)
    assert sorted(obj["spec"]) == ["cluster", "organizations"]
    assert record(**obj["spec"]).namespace_for("shop") == "shop"


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"cluster": {"inCluster": True}},
        {"organizations": ALONE},
        {"cluster": {"inCluster": True}, "organizations": {"matchLabels": {NAME_LABEL: "shop", "tier": "a"}}},
        {"cluster": {"inCluster": True}, "organizations": {"matchLabels": {"team": "shop"}}},
        {
            "cluster": {"inCluster": True},
            "organizations": {**ALONE, "matchExpressions": [{"key": "tier", "operator": "Exists"}]},
        },
        {"cluster": {"kubeconfigSecretRef": {"namespace": "a", "name": "b"}}, "organizations": ALONE},
    ],
)
def test_all_others_are_the_platform_teams(spec: dict[str, Any]) -> None:
    assert not belongs_to(record(**spec), "shop")


@pytest.mark.parametrize(
    ("status", "standing", "reason"),
    [
        ({}, "pending", None),
        ({"observedGeneration": 2, "phase": "pending", "reason": "RegionNotReady"}, "pending", "RegionNotReady"),
        ({"observedGeneration": 2, "phase": "ready", "reason": "Reachable"}, "enrolled", "Reachable"),
        ({"observedGeneration": 1, "phase": "ready", "reason": "Reachable"}, "pending", None),
        ({"observedGeneration": 2, "phase": "failed", "reason": "RegionForbidden"}, "failed", "RegionForbidden"),
        ({"observedGeneration": 2, "phase": "of a later version"}, "pending", None),
    ],
)
def test_how_it_stands(status: dict[str, Any], standing: str, reason: str | None) -> None:
    found = told(record(displayName="A", cluster={"inCluster": True}), status)
    assert (found["region_key"], found["display_name"]) == ("pce-a", "A")
    assert (found["enrollment_status"], found["reason"]) == (standing, reason)
