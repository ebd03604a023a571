"""The change of a pod template that binds it: what is missing, nothing twice, and nobody else's."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import deployment
from secretset.domain import names
from secretset.domain.binding import Binding, Unbindable, bind
from secretset.domain.uses import ALL, secret_uses


def applied(obj: dict[str, Any], change: Binding) -> dict[str, Any]:
    """The object after the patch (RFC 6902), of which we need `test` and `add` alone."""
    out = copy.deepcopy(obj)
    for operation in change.operations:
        *path, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        where: Any = out
        for part in path:
            where = where[int(part)] if isinstance(where, list) else where[part]
        if operation["op"] == "test":
            assert where[last] == operation["value"]
        elif isinstance(where, list):
            assert last == "-"
            where.append(operation["value"])
        else:
            where[last] = operation["value"]
    return out


def template(obj: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = obj["spec"]["template"]
    return found


def test_it_is_of_what_was_seen() -> None:
    change = bind(deployment().object(), sets=["app"])
    assert [(o["op"], o["path"], o["value"]) for o in change.operations] == [
        ("test", "/metadata/uid", "uid-web"),
        ("test", "/metadata/generation", 1),
        ("add", "/spec/template/spec/containers/0/envFrom", [{"secretRef": {"name": "app"}}]),
    ]
    assert change.touched == ("container 'main'",)


def test_what_is_there_stays_where_it_is() -> None:
    obj = deployment().env_from("app", optional=True).env("more", "A").env_from("more", init=True).object()
    change = bind(obj, sets=["more", "app", "more"])
    assert change.touched == ("init container 'init'", "container 'main'")
    assert template(applied(obj, change))["spec"] == {
        "initContainers": [{"name": "init", "envFrom": [{"secretRef": {"name": n}} for n in ("more", "app")]}],
        "containers": [
            {
                "name": "main",
                "env": [{"name": "V_A", "valueFrom": {"secretKeyRef": {"name": "more", "key": "A"}}}],
                "envFrom": [{"secretRef": {"name": "app", "optional": True}}, {"secretRef": {"name": "more"}}],
            }
        ],
    }


def test_a_prefix_is_not_the_whole() -> None:
    obj = deployment().object()
    template(obj)["spec"]["containers"][0]["envFrom"] = [{"prefix": "X_", "secretRef": {"name": "app"}}]
    assert len(bind(obj, sets=["app"]).operations) == 3


def test_other_sources_of_an_environment_stay() -> None:
    obj = deployment().object()
    template(obj)["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "app"}}]
    found = template(applied(obj, bind(obj, sets=["app"])))["spec"]["containers"][0]["envFrom"]
    assert found == [{"configMapRef": {"name": "app"}}, {"secretRef": {"name": "app"}}]


@pytest.mark.parametrize("annotated", [True, False])
def test_what_the_annotation_binds(annotated: bool) -> None:
    obj = deployment().bound("app, other").object()
    assert bool(bind(obj, sets=["app"], annotated=annotated).operations) is not annotated


@pytest.mark.parametrize(
    ("before", "after"), [(None, "app, more"), ("app", "app, more"), (" x ,, app", "x, app, more"), ("more,app", None)]
)
def test_by_annotation(before: str | None, after: str | None) -> None:
    obj = (deployment() if before is None else deployment().bound(before)).object()
    template(obj).setdefault("metadata", {})
    change = bind(obj, sets=["app", "more"], annotate=True)
    assert bool(change.operations) is (after is not None)
    notes = template(applied(obj, change))["metadata"]["annotations"]
    assert notes[names.ANNOTATION_BIND] == (after or before)
    assert change.touched == (() if after is None else (f"the annotation {names.ANNOTATION_BIND}",))


def test_no_annotation_for_what_every_container_has() -> None:
    obj = deployment().env_from("app").object()
    assert bind(obj, sets=["app"], annotate=True) == Binding()
    template(obj)["spec"]["containers"].append({"name": "second"})
    assert bind(obj, sets=["app"], annotate=True).touched == (f"the annotation {names.ANNOTATION_BIND}",)


def test_the_annotation_keeps_the_others() -> None:
    obj = deployment().restarted_for("other", "w").object()
    change = bind(obj, sets=["app"], annotate=True)
    notes = template(applied(obj, change))["metadata"]["annotations"]
    assert notes == {names.ANNOTATION_RESTARTED_FOR: "other@w", names.ANNOTATION_BIND: "app"}


def test_pull_secrets() -> None:
    obj = deployment().pulling_with("one").object()
    change = bind(obj, pull_secrets=["two", "one", "two"])
    assert change.touched == ("imagePullSecrets",)
    assert template(applied(obj, change))["spec"]["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]
    first = deployment().object()
    assert template(applied(first, bind(first, pull_secrets=["one"])))["spec"]["imagePullSecrets"] == [{"name": "one"}]


def test_without_a_template_of_its_own() -> None:
    obj = {"metadata": {"uid": "u"}, "spec": {"workloadRef": {"kind": "Deployment", "name": "web"}}}
    with pytest.raises(Unbindable, match="no pod template"):
        bind(obj, sets=["app"])


_NAMES = st.lists(st.sampled_from(["a", "b", "c"]), max_size=4)


@given(there=_NAMES, init=_NAMES, noted=_NAMES, sets=_NAMES, pulls=_NAMES, annotate=st.booleans())
def test_bound_once_and_for_all(
    there: list[str], init: list[str], noted: list[str], sets: list[str], pulls: list[str], annotate: bool
) -> None:
    """Whatever was there: afterwards each set is used whole, and doing it again changes nothing."""
    builder = deployment()
    for name in there:
        builder.env_from(name)
    for name in init:
        builder.env_from(name, init=True)
    if noted:
        builder.bound(",".join(noted))
    obj = builder.object()
    template(obj).setdefault("metadata", {})
    after = applied(obj, bind(obj, sets=sets, pull_secrets=pulls, annotate=annotate))
    assert bind(after, sets=sets, pull_secrets=pulls, annotate=annotate) == Binding()
    uses = secret_uses(template(after))
    assert all(uses[name].keys is ALL for name in sets)
    assert {ref["name"] for ref in template(after)["spec"].get("imagePullSecrets", ())} == set(pulls)
    for container in template(after)["spec"]["containers"]:
        found = [source["secretRef"]["name"] for source in container.get("envFrom") or ()]
        assert found[: len(there)] == there
        assert len(found[len(there) :]) == len(set(found[len(there) :]) - set(there))
