"""The ready gate's decision: which Secrets are new to a workload, whose sets they are, and whether they are ready."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import RegionBuilder, SetBuilder, organization, pull_secret, region, secret_set
from secretset.domain import gate
from secretset.domain.gate import Standing
from secretset.domain.names import Kind
from secretset.domain.regions import Organization, RegionRecord

TEAM, OTHER = organization("team"), organization("other")
US = region("us")


def pod(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main"}], **spec}}


def main(**container: Any) -> dict[str, Any]:
    return pod(containers=[{"name": "main", **container}])


def env_from(name: str, **more: Any) -> dict[str, Any]:
    return {"envFrom": [{"secretRef": {"name": name, **more}}]}


KEY_REF = {"name": "V", "valueFrom": {"secretKeyRef": {"name": "app", "key": "A"}}}


@pytest.mark.parametrize(
    "template",
    [
        main(**env_from("app")),
        main(**env_from("app", optional=True)),
        main(env=[KEY_REF]),
        pod(initContainers=[{"name": "init", **env_from("app")}]),
        pod(volumes=[{"name": "v", "secret": {"secretName": "app"}}]),
        pod(volumes=[{"name": "v", "projected": {"sources": [{"secret": {"name": "app"}}]}}]),
        pod(imagePullSecrets=[{"name": "app"}]),
        {**pod(), "metadata": {"annotations": {"secretset.dev/bind": "app"}}},
    ],
)
def test_any_form_of_reference_counts(template: dict[str, Any]) -> None:
    assert gate.newly_used(template, None) == ["app"]
    assert gate.newly_used(template, pod()) == ["app"]
    # Whatever form the old one had.
    assert gate.newly_used(template, main(**env_from("app"))) == []


def test_what_is_no_name_of_a_set_is_nobodys() -> None:
    names = ["../../x", "UPPER", "x", "a" * 64, "two..dots", "", "ok-1.x"]
    assert gate.newly_used(pod(imagePullSecrets=[{"name": name} for name in names]), None) == ["ok-1.x"]


def test_no_template_uses_nothing() -> None:
    assert gate.newly_used({}, {}) == []
    assert gate.newly_used({}, None) == []


# --- whose namespace it is


def records(*built: RegionBuilder) -> dict[str, RegionRecord]:
    return {each.name: each.record() for each in built}


def claims(namespace: str, *built: RegionBuilder, of: tuple[Organization, ...] = (TEAM, OTHER)) -> dict[str, set[str]]:
    regions = records(*built)
    return gate.claims(
        namespace,
        here=regions.values(),
        regions=regions,
        organizations={each.name: each for each in of},
        operator_namespace="secretset-system",
    )


def test_a_namespace_is_that_of_the_organization_that_delivers_to_it() -> None:
    assert claims("team-us", US, region("eu")) == {"team": {"us"}}
    assert claims("team", US) == {}
    assert claims("nobody-us", US) == {}
    assert claims("team", region("far").on_cluster("far"), region("same").with_template("team")) == {
        "team": {"far", "same"},
        "other": {"same"},
    }


def test_who_is_not_admitted_has_no_claim() -> None:
    assert claims("team-us", US.with_spec(), region("eu").accepting(tier="gold")) == {"team": {"us"}}
    closed = region("us").accepting(tier="gold")
    assert claims("team-us", closed) == {}
    assert claims("team-us", region("us").with_spec(decommissioned=True)) == {}
    assert claims("secretset-system", region("us").with_template("secretset-system")) == {}
    # `team` + `eu-prod` came after `team-eu` + `prod`.
    of = (organization("team", second=9), organization("team-eu"))
    assert claims("team-eu-prod", region("prod"), region("eu-prod"), of=of) == {"team-eu": {"prod"}}


def test_the_regions_of_a_cluster() -> None:
    regions = records(region("us"), region("eu").on_cluster("eu"), region("twin").on_cluster("twin"), region("x"))
    statuses: dict[str, dict[str, Any]] = {"us": {"clusterId": "1"}, "eu": {"clusterId": "2"}, "twin": {}}

    def here(cluster_id: str, *, on_hub: bool, named: tuple[str, ...] = ()) -> list[str]:
        found = gate.regions_here(regions, statuses, cluster_id=cluster_id, on_hub=on_hub, named=named)
        return [each.name for each in found]

    assert here("1", on_hub=True) == ["us", "x"]
    assert here("", on_hub=True) == ["us", "x"]
    assert here("2", on_hub=False) == ["eu"]
    assert here("2", on_hub=False, named=("twin",)) == ["eu", "twin"]
    # A region whose identity is not known is in no cluster that does not tell its own.
    assert here("", on_hub=False) == []


# --- how the sets stand


def told(built: SetBuilder, phase: str = "ready", reason: str = "Synced", generation: int = 1, **more: Any) -> Standing:
    status = {"phase": phase, "reason": reason, "observedGeneration": generation, "region": "us", **more}
    return Standing.parse(built._kind, built.with_status(**status).object())


def refused(*standings: Standing, whose: dict[str, set[str]] | None = None) -> str:
    found = gate.in_the_way(
        standings,
        {"team": {"us"}} if whose is None else whose,
        regions=records(US, region("eu")),
        organizations={"team": TEAM, "other": OTHER},
    )
    return gate.refusal(found)


PENDING = "Secret set 'app' is not yet ready. Retry once it has been provisioned."


def test_a_set_that_is_ready_is_in_nobodys_way() -> None:
    assert refused(told(secret_set())) == ""
    assert refused() == ""


@pytest.mark.parametrize("built", [secret_set("app"), pull_secret("app")])
def test_pending(built: SetBuilder) -> None:
    assert refused(told(built, "pending", "SourceMissing")) == PENDING
    # Until this generation was delivered, whatever the status says of the one before.
    assert refused(told(built.with_meta(generation=2))) == PENDING
    assert refused(told(built, "failed", "TooLarge", message="x")) == PENDING


def test_a_set_that_nobody_has_seen_is_pending() -> None:
    built = secret_set().in_region("us")
    assert refused(Standing.parse(Kind.SECRET_SET, built.object())) == PENDING
    initial = {"phase": "pending", "reason": "Accepted", "observedGeneration": -1}
    assert refused(Standing.parse(Kind.SECRET_SET, built.with_status(**initial).object())) == PENDING


def test_failed_tells_why_and_where_to_look() -> None:
    text = refused(told(pull_secret("app"), "failed", "TooLarge", message="The value of 'A' is longer than allowed."))
    assert text == (
        "Secret set 'app' has failed: TooLarge. The value of 'A' is longer than allowed. "
        "Its status tells more: `kubectl get imagepullsecret app -n team` on the hub."
    )


def test_a_phase_of_a_later_version_is_not_ready() -> None:
    assert refused(told(secret_set(), "resting", "Tired")).startswith("Secret set 'app' has failed: Tired. Its status")


def test_a_set_that_goes_takes_its_secret_along() -> None:
    gone = {"deletionTimestamp": "2026-03-01T00:00:00Z"}
    assert refused(told(secret_set().with_meta(**gone))).startswith("Secret set 'app' is being deleted.")
    assert refused(told(secret_set().with_meta(**gone).with_spec(deletionPolicy="Retain"))) == ""


def test_sets_that_live_elsewhere_are_not_asked() -> None:
    pending = told(secret_set(), "pending", "SourceMissing")
    assert refused(pending, whose={}) == ""
    assert refused(pending, whose={"other": {"us"}}) == ""
    assert refused(pending, whose={"team": {"eu"}}) == ""


def test_one_that_is_ready_frees_its_name() -> None:
    loser = told(pull_secret("app"), "failed", "NameConflict")
    assert refused(loser, told(secret_set())) == ""
    elsewhere = told(secret_set().in_("other"), "failed", "NameConflict")
    assert refused(elsewhere, told(secret_set()), whose={"team": {"us"}, "other": {"us"}}) == ""


def test_who_lost_the_name_does_not_speak_for_it() -> None:
    loser = told(pull_secret("app").created(1), "failed", "NameConflict")
    assert refused(loser, told(secret_set().created(5), "pending", "Accepted")) == PENDING
    assert "NameConflict" in refused(loser)


def test_all_are_told_up_to_a_number() -> None:
    names = [f"set-{number}" for number in range(7)]
    text = refused(*(told(secret_set(name), "pending", "Accepted") for name in reversed(names)))
    assert [name for name in names if f"'{name}'" in text] == names[:5]
    assert text.index("set-0") < text.index("set-4")
    assert text.endswith("And 2 more.")


# --- templates that ran before

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def hashed(template: dict[str, Any], **notes: str) -> dict[str, Any]:
    old = copy.deepcopy(template)
    old["metadata"]["labels"]["pod-template-hash"] = "5d4f8"
    old["metadata"]["creationTimestamp"] = None
    old["metadata"].setdefault("annotations", {}).update(notes)
    return old


def test_a_template_that_ran_is_known_by_what_pods_get() -> None:
    template = main(**env_from("app"))
    assert gate.ran_before(template, [pod(), hashed(template)])
    assert not gate.ran_before(template, [])
    assert not gate.ran_before(template, [main(**env_from("app2"))])
    assert not gate.ran_before(template, [pod()])
    more = pod(containers=[{"name": "main", **env_from("app")}, {"name": "side"}])
    assert not gate.ran_before(more, [hashed(template)])
    assert not gate.ran_before(template, [hashed(more)])


def test_marks_of_restarts_do_not_count() -> None:
    template = main(**env_from("app"))
    notes = {"secretset.dev/restarted-for": "w2", "kubectl.kubernetes.io/restartedAt": "now"}
    restarted = {**template, "metadata": {**template["metadata"], "annotations": notes}}
    assert gate.ran_before(restarted, [hashed(template)])
    assert gate.ran_before(template, [hashed(template, **notes)])
    bound = {**template, "metadata": {**template["metadata"], "annotations": {"secretset.dev/bind": "app"}}}
    assert not gate.ran_before(bound, [hashed(template)])


def test_defaults_that_an_earlier_template_has_do_not_count() -> None:
    template = main(**env_from("app"), resources={"limits": None})
    filled = hashed(main(**env_from("app"), resources={}, terminationMessagePath="/dev/termination-log"))
    assert gate.ran_before(template, [filled])
    assert not gate.ran_before(filled, [template])


@given(json_values, json_values)
def test_whatever_a_template_holds_is_compared(first: Any, second: Any) -> None:
    one, two = pod(volumes=first), pod(volumes=second)
    assert gate.ran_before(one, [hashed(one)])
    if gate.ran_before(one, [two]) and gate.ran_before(two, [one]):
        assert _bare(first) == _bare(second)


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _bare(each) for name, each in value.items() if each is not None}
    return [_bare(each) for each in value] if isinstance(value, list) else value


def test_only_the_history_of_the_workload_itself_counts() -> None:
    def owned(uid: str, *, controller: bool = True, **body: Any) -> dict[str, Any]:
        return {"metadata": {"ownerReferences": [{"uid": uid, "controller": controller}]}, **body}

    template = main(**env_from("app"))
    replica_set = owned("u", spec={"template": hashed(template)})
    revision = owned("u", data={"spec": {"template": {"$patch": "replace", **template}}})
    for item in (replica_set, revision):
        assert gate.ran_before(template, gate.earlier_templates([item], "u"))
        assert not gate.ran_before(template, gate.earlier_templates([item], "v"))
    assert not list(gate.earlier_templates([owned("u", controller=False, spec={"template": template})], "u"))
    assert not list(gate.earlier_templates([{"metadata": {}, "spec": {"template": template}}], "u"))
    assert not gate.ran_before(template, gate.earlier_templates([owned("u")], "u"))
