"""Records of sets: what a pass depends on, and what it does not."""

from collections.abc import Callable
from typing import Any

import pytest

from builders import SetBuilder, at, deployment, pull_secret, secret_set
from secretset.domain import names, record, rollout_status
from secretset.domain.names import Kind
from secretset.domain.reasons import Problem, Reason
from unit.slots import delivered

REF = {"region": "eu", "namespace": "team-eu", "name": "app"}
COUNTS = {"bound": 1, "current": 1, "restarting": 0, "stalled": 0, "held": 0}


def app() -> SetBuilder:
    return secret_set("app").in_("team").with_key("A", source="one").with_key("B", source="two", source_key="X")


def test_inputs_are_unknown_while_a_source_is() -> None:
    found = app().record()
    one, two = {("team", "one"): ("u1", "1")}, {("team", "two"): ("u2", "1")}
    assert found.sources == ("one", "two")
    assert found.inputs({}) is None
    assert found.inputs(one) is None
    assert found.inputs(one | {("other", "two"): ("u2", "1")}) is None
    assert found.inputs(one | two) is not None


def test_inputs_change_with_each_source_s_version_and_with_the_references() -> None:
    def inputs(built: SetBuilder, one: tuple[str, str] = ("u", "1")) -> str | None:
        return built.record().inputs({("team", "one"): one, ("team", "two"): ("u", "1")})

    assert inputs(app()) == inputs(app().with_spec(description="x", restart={"policy": "Never"}))
    assert len({inputs(app()), inputs(app(), ("u", "2")), inputs(app(), ("v", "1")), inputs(app(), ("u1", ""))}) == 4
    other = [
        app().with_key("C", source="one"),
        app().with_key("A", source="two"),
        app().with_key("A", source="one", source_key="Y"),
    ]
    assert len({inputs(built) for built in [app(), *other]}) == 4


def test_a_pull_secret_s_inputs_depend_on_host_and_user_too() -> None:
    sources = {("team", "registry"): ("u", "1")}
    built = [pull_secret(), pull_secret().with_spec(host="quay.io"), pull_secret().with_spec(username="you")]
    assert len({each.record().inputs(sources) for each in built}) == 3
    assert pull_secret().with_spec(serviceAccounts=["b", "a"]).record().service_accounts == ("a", "b")


def test_a_set_without_sources_has_inputs_at_once() -> None:
    sealed = secret_set().with_spec(data={"A": {"sealed": "hpke1.x"}}).record()
    assert sealed.sources == ()
    assert sealed.inputs({}) is not None
    assert sealed.inputs({}) != secret_set().with_spec(data={"A": {"sealed": "hpke1.y"}}).record().inputs({})


SAME: dict[str, Callable[[SetBuilder], SetBuilder]] = {
    "status": lambda built: built.with_status(phase="ready", observedGeneration=1, workloads=COUNTS, revision=3),
    "version": lambda built: built.with_meta(resourceVersion="9"),
    "labels": lambda built: built.with_meta(labels={"a": "b"}),
    "an annotation of others": lambda built: built.annotated(theirs="x"),
}
OTHER: dict[str, Callable[[SetBuilder], SetBuilder]] = {
    "uid": lambda built: built.with_meta(uid="other"),
    "generation": lambda built: built.with_meta(generation=2),
    "deletion": lambda built: built.with_meta(deletionTimestamp=at(9)),
    "finalizers": lambda built: built.with_meta(finalizers=["x"]),
    "the annotation that lets it go": lambda built: built.annotated(
        **{names.ANNOTATION_ABANDON.replace("/", "__"): "true"}
    ),
    "the annotation that forces a pass": lambda built: built.annotated(secretset__x="").annotated(
        **{names.ANNOTATION_RECONCILE.replace("/", "__"): "now"}
    ),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_what_starts_no_pass(change: Callable[[SetBuilder], SetBuilder]) -> None:
    assert app().record().same_work(change(app()).record())


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_what_starts_a_pass(change: Callable[[SetBuilder], SetBuilder]) -> None:
    assert not app().record().same_work(change(app()).record())


def test_a_record_reads_the_object() -> None:
    built = app().in_region("us").created(7).with_meta(finalizers=[names.FINALIZER], generation=4)
    found = built.with_status(
        phase="ready", reason="Synced", observedGeneration=4, region="eu", revision=3, workloads=COUNTS, secretRef=REF
    ).record()
    assert (found.key, found.created, found.generation) == ((Kind.SECRET_SET, "team", "app"), at(7), 4)
    assert (found.named_region, found.settled_region, found.revision) == ("us", "eu", 3)
    assert (found.finalized, found.settled_status, found.delivered, found.deleting) == (True, True, True, False)
    assert (found.counts, found.delivered_to) == ((0, 0, 0, 1), "team-eu")


def test_a_status_is_settled_only_if_ready_and_of_this_generation() -> None:
    assert not app().record().settled_status
    assert not app().with_status(phase="ready", observedGeneration=0).record().settled_status
    assert not app().with_status(phase="failed", observedGeneration=1).record().settled_status
    assert app().record().observed_generation == -1


def test_a_status_reports_what_is_only_with_the_same_revision_and_the_same_words_about_rollouts() -> None:
    slot = delivered()
    secret = slot.record()
    assert secret is not None
    told = rollout_status.tell(slot.outlook([deployment().env_from("app").workload()]))
    other = rollout_status.tell(slot.outlook([deployment().env_from("app").rolling().workload()]))
    value, reason, message = told.condition
    ready = app().with_status(
        phase="ready",
        observedGeneration=1,
        revision=1,
        workloads=told.workloads.model_dump(mode="json", by_alias=True, exclude_none=True),
        conditions=[{"type": "RolledOut", "status": value, "reason": reason, "message": message, "x": "y"}],
    )
    assert ready.record().reports(secret, told)
    assert not ready.record().reports(secret, other)
    assert not ready.with_status(revision=2).record().reports(secret, told)
    explained = rollout_status.explain("app", ["A"], revision=1, users=[], look=lambda _: None, now=0.0)
    assert not ready.record().reports(secret, rollout_status.tell(slot.outlook([]), explained))


def test_the_keys_that_an_annotation_asks_about_are_few_and_told_apart() -> None:
    asked = app().annotated(**{names.ANNOTATION_EXPLAIN: "A, B,,A ,"}).record()
    assert asked.explained_keys == ("A", "B")
    assert app().record().explained_keys == ()
    many = app().annotated(**{names.ANNOTATION_EXPLAIN: ",".join(f"K{n}" for n in range(999))}).record()
    assert len(many.explained_keys) == names.KEYS_MAX
    assert not app().record().same_work(asked)


def test_a_window_that_never_opens_is_reported() -> None:
    window = {"schedule": "0 0 30 2 *", "duration": "1h"}
    spec = {"data": {"A": {"sealed": "hpke1.x"}}, "restart": {"window": window}}
    with pytest.raises(Problem) as raised:
        record.parse_spec(Kind.SECRET_SET, spec)
    assert raised.value.reason is Reason.INVALID_SPEC


@pytest.mark.parametrize("spec", [{}, {"data": "x"}, {"data": {"A": 1}}, {"data": {"A": {}}, "restart": "x"}])
def test_a_spec_that_is_not_ours_is_kept_so_that_it_can_be_reported(spec: dict[str, Any]) -> None:
    found = secret_set().with_spec(**spec).record()
    assert (found.spec_inputs, found.sources, found.restart) == ("", (), None)
    with pytest.raises(Problem) as raised:
        record.parse_spec(Kind.SECRET_SET, spec)
    assert raised.value.reason is Reason.INVALID_SPEC


@pytest.mark.parametrize(
    "built",
    [
        secret_set().with_spec(region=7),
        app().with_status(workloads={"bound": 1}),
        app().with_status(region=["us"]),
    ],
    ids=["region", "workloads", "status.region"],
)
def test_no_field_of_another_schema_keeps_an_object_from_being_recorded(built: SetBuilder) -> None:
    assert built.record().key.namespace == "team"
