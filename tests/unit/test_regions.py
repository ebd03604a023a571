"""Regions: which one a set lives in, which namespace there, and who may."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import RegionBuilder, organization, region
from secretset.domain.models.region import LabelSelector
from secretset.domain.reasons import Problem, Reason
from secretset.domain.regions import Organization, RegionRecord, resolve, selects, target_namespace

TEAM = organization("team")


def resolved(*built: RegionBuilder, named: str | None = None, settled: str | None = None, **kw: Any) -> str | None:
    records = {b.name: b.record() for b in built}
    return resolve(named=named, settled=settled, organization=kw.get("of", TEAM), regions=records)


def placed(built: RegionBuilder, *others: RegionBuilder, of: Organization = TEAM, among: Any = ()) -> str:
    records: dict[str, RegionRecord] = {b.name: b.record() for b in (built, *others)}
    return target_namespace(
        records[built.name],
        of,
        regions=records,
        organizations={o.name: o for o in (of, *among)},
        operator_namespace="secretset-system",
    )


def refusal(built: RegionBuilder, *others: RegionBuilder, of: Organization = TEAM, among: Any = ()) -> Problem:
    with pytest.raises(Problem) as raised:
        placed(built, *others, of=of, among=among)
    return raised.value


def test_what_was_settled_or_named_wins_over_every_default() -> None:
    regions = (region("a").with_spec(default=True), region("b"))
    assert resolved(*regions, named="b", settled="c") == "c"
    assert resolved(*regions, named="b") == "b"
    assert resolved(*regions, named="gone") == "gone"
    assert resolved(*regions, of=organization("team", default="b")) == "b"
    assert resolved(*regions, of=organization("team", default="gone")) == "gone"
    assert resolved(*regions) == "a"
    assert resolved(*regions, of=None) == "a"
    assert resolved(region("a"), region("b").with_spec(default=False)) is None


def test_of_two_default_regions_the_older_counts() -> None:
    assert (
        resolved(region("a").created(2).with_spec(default=True), region("b").created(1).with_spec(default=True)) == "b"
    )
    assert resolved(region("b").with_spec(default=True), region("a").with_spec(default=True)) == "a"


@pytest.mark.parametrize(
    ("built", "namespace"),
    [
        (region("us"), "team-us"),
        (region("us").on_cluster("us"), "team"),
        (region("us").with_template("x-{namespace}"), "x-team"),
        (region("us").with_template("{region}-{namespace}-{region}"), "us-team-us"),
        (region("us").on_cluster("us").with_template("shared"), "shared"),
    ],
)
def test_the_region_alone_decides_the_namespace(built: RegionBuilder, namespace: str) -> None:
    assert placed(built) == namespace


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("kube-system", Reason.REGION_FORBIDDEN),
        ("kube-{namespace}", Reason.REGION_FORBIDDEN),
        ("secretset-system", Reason.REGION_FORBIDDEN),
        ("Team", Reason.INVALID_SPEC),
        ("-{namespace}", Reason.INVALID_SPEC),
        ("{namespace}-", Reason.INVALID_SPEC),
        ("{namespace}." + "x", Reason.INVALID_SPEC),
        ("{namespace}" + "x" * 60, Reason.INVALID_SPEC),
        ("{other}", Reason.INVALID_SPEC),
    ],
)
def test_a_namespace_that_is_not_for_sets_or_no_name_is_refused(template: str, reason: Reason) -> None:
    assert refusal(region("us").with_template(template)).reason is reason


def test_a_namespace_may_be_63_characters_long() -> None:
    assert len(placed(region("us").with_template("{namespace}" + "x" * 59))) == 63


def test_a_region_that_is_gone_or_closed_is_forbidden() -> None:
    assert refusal(region("us").with_spec(decommissioned=True)).reason is Reason.REGION_FORBIDDEN
    assert refusal(region("us").accepting(tier="gold")).reason is Reason.REGION_FORBIDDEN
    assert placed(region("us").accepting(tier="gold"), of=organization("team", tier="gold")) == "team-us"


SHORT, LONG = organization("team", second=1), organization("team-eu", second=2)


def test_of_two_pairs_that_mean_one_namespace_the_older_wins() -> None:
    prod, eu_prod = region("prod"), region("eu-prod")
    assert placed(eu_prod, prod, of=SHORT, among=[LONG]) == "team-eu-prod"
    found = refusal(prod, eu_prod, of=LONG, among=[SHORT])
    assert found.reason is Reason.REGION_FORBIDDEN
    assert "'team'" in found.message
    assert "'eu-prod'" in found.message


def test_a_pair_is_as_old_as_the_younger_of_its_halves() -> None:
    prod, eu_prod = region("prod"), region("eu-prod").created(3)
    assert placed(prod, eu_prod, of=LONG, among=[SHORT]) == "team-eu-prod"
    assert refusal(eu_prod, prod, of=SHORT, among=[LONG]).reason is Reason.REGION_FORBIDDEN


@pytest.mark.parametrize(
    "rival",
    [
        region("eu-prod").on_cluster("other").with_template("{namespace}-{region}"),
        region("eu-prod").with_spec(decommissioned=True),
        region("eu-prod").accepting(tier="gold"),
        region("eu-prod").with_template("team-eu-prod"),
        region("eu-prod").with_template("x-{namespace}"),
    ],
)
def test_a_pair_that_is_elsewhere_gone_closed_or_shares_on_purpose_is_no_rival(rival: RegionBuilder) -> None:
    assert placed(region("prod"), rival, of=LONG, among=[SHORT]) == "team-eu-prod"


def test_regions_with_one_kubeconfig_share_a_cluster() -> None:
    prod = region("prod").on_cluster("k").with_template("{namespace}-{region}")
    eu_prod = region("eu-prod").on_cluster("k").with_template("{namespace}-{region}")
    assert refusal(prod, eu_prod, of=LONG, among=[SHORT]).reason is Reason.REGION_FORBIDDEN


def test_a_template_that_shares_a_namespace_on_purpose_lets_all_in() -> None:
    shared = region("shared").with_template("shared")
    assert placed(shared, of=LONG, among=[SHORT]) == placed(shared, of=SHORT, among=[LONG]) == "shared"


def test_a_template_that_names_the_organization_twice_is_a_rival_too() -> None:
    double, plain = (
        region("double").with_template("{namespace}-{namespace}"),
        region("plain").with_template("{namespace}"),
    )
    late = organization("a-a", second=9)
    assert placed(double, plain, of=organization("a"), among=[late]) == "a-a"
    assert refusal(plain, double, of=late, among=[organization("a")]).reason is Reason.REGION_FORBIDDEN


TEMPLATES = ["{namespace}", "{namespace}-{region}", "{region}-{namespace}", "x-{namespace}", "{namespace}-{namespace}"]


@given(
    st.dictionaries(st.sampled_from(["a", "a-a", "x"]), st.tuples(st.sampled_from(TEMPLATES), st.integers(0, 3))),
    st.dictionaries(st.sampled_from(["a", "a-a", "a-a-a", "x-a", "x"]), st.integers(0, 3)),
)
def test_no_namespace_ever_stands_for_two_organizations(
    templates: dict[str, tuple[str, int]], organizations: dict[str, int]
) -> None:
    built = {n: region(n).created(s).with_template(t).record() for n, (t, s) in templates.items()}
    known = {n: organization(n, second=s) for n, s in organizations.items()}
    owners: dict[str, str] = {}
    for record in built.values():
        for each in known.values():
            try:
                target = target_namespace(
                    record, each, regions=built, organizations=known, operator_namespace="secretset-system"
                )
            except Problem:
                continue
            assert owners.setdefault(target, each.name) == each.name


def term(operator: str, *values: str, key: str = "tier") -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": list(values) or None}


@pytest.mark.parametrize(
    ("selector", "gold", "none"),
    [
        ({}, True, True),
        ({"matchLabels": {"tier": "gold"}}, True, False),
        ({"matchLabels": {"tier": "gold", "other": "x"}}, False, False),
        ({"matchExpressions": [term("In", "gold", "iron")]}, True, False),
        ({"matchExpressions": [term("In", "iron")]}, False, False),
        ({"matchExpressions": [term("NotIn", "gold")]}, False, True),
        ({"matchExpressions": [term("NotIn", "iron")]}, True, True),
        ({"matchExpressions": [term("Exists")]}, True, False),
        ({"matchExpressions": [term("DoesNotExist")]}, False, True),
        ({"matchExpressions": [term("Exists"), term("DoesNotExist", key="other")]}, True, False),
        ({"matchLabels": {"tier": "gold"}, "matchExpressions": [term("DoesNotExist")]}, False, False),
    ],
)
def test_selectors_pick_as_kubernetes_does(selector: dict[str, Any], gold: bool, none: bool) -> None:
    parsed = LabelSelector.model_validate(selector)
    assert (selects(parsed, {"tier": "gold"}), selects(parsed, {})) == (gold, none)


def test_an_absent_selector_picks_all() -> None:
    assert selects(None, {})


def test_an_organization_is_read_from_its_namespace() -> None:
    meta = {"name": "team", "creationTimestamp": "t", "annotations": {"secretset.dev/default-region": "us"}}
    assert Organization.parse({"metadata": meta}) == Organization(
        name="team", created="t", labels={}, default_region="us"
    )
