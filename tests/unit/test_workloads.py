"""Workloads: the record that is kept of each, and the kinds."""

from typing import Any

import pytest

from builders import argo_rollout, daemon_set, deployment, stateful_set
from secretset.domain import names
from secretset.domain.workloads import (
    DAEMON_SET,
    DEPLOYMENT,
    ROLLOUT,
    STATEFUL_SET,
    WORKLOAD_KINDS,
    WorkloadKind,
    parse,
)


def test_the_kinds_and_which_of_them_a_cluster_need_not_know() -> None:
    assert [(kind.kind, kind.group, kind.optional) for kind in WORKLOAD_KINDS] == [
        ("Deployment", "apps", False),
        ("StatefulSet", "apps", False),
        ("DaemonSet", "apps", False),
        ("Rollout", "argoproj.io", True),
    ]


@pytest.mark.parametrize(
    ("built", "kind"),
    [(deployment(), DEPLOYMENT), (stateful_set(), STATEFUL_SET), (daemon_set(), DAEMON_SET), (argo_rollout(), ROLLOUT)],
)
def test_a_record_knows_its_kind(built: Any, kind: WorkloadKind) -> None:
    found = built.env_from("app").workload()
    assert (found.path_kind, str(found)) == (kind, f"{kind.kind} 'web'")
    assert (found.namespace, found.name, found.uid, found.resource_version) == ("team-us", "web", "uid-web", "1")
    assert (found.generation, found.account, found.selector) == (1, "default", "")


def test_a_template_that_stands_elsewhere_uses_nothing() -> None:
    """A Rollout of Argo may name a Deployment in place of a template."""
    obj = argo_rollout().object()
    del obj["spec"]["template"]
    found = parse(ROLLOUT, obj)
    assert (found.uses, found.restarted_for) == ({}, "")
    assert found.account == "", "so that no pull secret of a ServiceAccount counts as its own"


def test_marks_are_those_of_the_workload_and_what_made_it_roll_that_of_its_template() -> None:
    built = deployment().env_from("app").restarted_for("app", "3-u").annotated(other="x")
    found = built.workload()
    assert (found.marks, found.restarted_for) == ({"app": "3-u"}, "app@3-u")


@pytest.mark.parametrize(
    ("built", "why"),
    [
        (deployment(), ""),
        (deployment().paused(), "is paused (spec.paused)"),
        (argo_rollout().paused(), "is paused (spec.paused)"),
        (deployment().annotated(**{names.ANNOTATION_PAUSED: "true"}), "is annotated secretset.dev/paused=true"),
        (deployment().annotated(**{names.ANNOTATION_PAUSED: "false"}), ""),
        (deployment().annotated(**{names.ANNOTATION_PAUSED: ""}), ""),
    ],
)
def test_who_pauses_a_workload(built: Any, why: str) -> None:
    assert built.workload().paused == why


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        ({}, ""),
        ({"matchLabels": {"b": "2", "a": "1"}}, "a=1,b=2"),
        (
            {
                "matchLabels": {"a": "1"},
                "matchExpressions": [
                    {"key": "b", "operator": "In", "values": ["x", "y"]},
                    {"key": "c", "operator": "NotIn", "values": ["z"]},
                    {"key": "d", "operator": "Exists"},
                    {"key": "e", "operator": "DoesNotExist"},
                ],
            },
            "a=1,b in (x,y),c notin (z),d,!e",
        ),
    ],
)
def test_a_selector_is_written_as_a_query_wants_it(selector: Any, text: str) -> None:
    assert deployment().with_spec(selector=selector).workload().selector == text


def test_only_what_a_set_depends_on_makes_a_difference() -> None:
    def app() -> Any:
        return deployment().env_from("app")

    one = app().workload()
    assert one.looks_like(app().with_meta(resourceVersion="9").workload())
    assert one.looks_like(app().with_spec(minReadySeconds=5).workload())
    assert not one.looks_like(None)
    for other in (
        app().with_meta(uid="other"),
        deployment().env("app", "A"),
        app().restarting("never"),
        app().restarted_for("app", "2-u"),
        app().rolling(),
        app().annotated(**{names.ANNOTATION_PAUSED: "true"}),
    ):
        assert not one.looks_like(other.workload())
