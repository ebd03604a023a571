"""Uses: which Secrets a pod template names, with which keys, and what a change of those means to its pods."""

from typing import Any

import pytest

from builders import WorkloadBuilder, deployment
from secretset.domain.uses import ALL, NONE, Use, bound_names, secret_uses

A, AB, ABC = frozenset("A"), frozenset("AB"), frozenset("ABC")


def uses(built: WorkloadBuilder) -> dict[str, Use]:
    return dict(built.workload().uses)


@pytest.mark.parametrize(
    ("built", "keys", "required"),
    [
        (deployment().env_from("app"), ALL, NONE),
        (deployment().env_from("app", init=True), ALL, NONE),
        (deployment().env("app", "A"), A, A),
        (deployment().env("app", "A", init=True), A, A),
        (deployment().env("app", "A", "B").env("app", "B", "C", init=True), ABC, ABC),
        (deployment().volume("app"), ALL, NONE),
        (deployment().volume("app", "A", "B"), AB, AB),
        (deployment().projected("app"), ALL, NONE),
        (deployment().projected("app", "A"), A, A),
        (deployment().env("app", "A").volume("app", "B").projected("app", "C"), ABC, ABC),
        (deployment().env("app", "A").env_from("app"), ALL, A),
        (deployment().env_from("app").env("app", "A"), ALL, A),
        (deployment().volume("app").volume("app", "A"), ALL, A),
        (deployment().pulling_with("app"), ALL, NONE),
        (deployment().bound("app"), ALL, NONE),
        (deployment().bound("other, app,"), ALL, NONE),
    ],
)
def test_every_way_to_use_a_secret_is_found_and_several_merge(
    built: WorkloadBuilder, keys: frozenset[str] | None, required: frozenset[str]
) -> None:
    assert uses(built)["app"] == Use(keys=keys, required=required)


def test_several_secrets_are_told_apart() -> None:
    built = deployment().env("one", "A").env_from("two").volume("three", "B").bound("four,two")
    found = uses(built)
    assert found.keys() == {"one", "two", "three", "four"}
    assert (found["one"].keys, found["two"].keys, found["three"].keys, found["four"].keys) == (
        A,
        ALL,
        frozenset("B"),
        ALL,
    )


@pytest.mark.parametrize(
    "pod",
    [
        {},
        {"containers": None, "volumes": None, "initContainers": None, "imagePullSecrets": None},
        {"containers": [{"envFrom": [{"configMapRef": {"name": "app"}}], "env": [{"name": "A", "value": "app"}]}]},
        {"containers": [{"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]}]},
        {"volumes": [{"configMap": {"name": "app"}}, {"projected": {"sources": [{"configMap": {"name": "app"}}]}}]},
        {"serviceAccountName": "app"},
    ],
)
def test_what_is_no_use_of_a_secret_is_none(pod: dict[str, Any]) -> None:
    assert secret_uses({"spec": pod}) == {}
    assert secret_uses({"metadata": {"annotations": None}, "spec": pod}) == {}


# --- references that need not be there


@pytest.mark.parametrize(
    ("built", "use"),
    [
        (deployment().env_from("app", optional=True), Use(optional=ALL)),
        (deployment().volume("app", optional=True), Use(optional=ALL)),
        (deployment().projected("app", "A", optional=True), Use(keys=A, optional=A)),
        (deployment().env("app", "A", "B", optional=True), Use(keys=AB, optional=AB)),
        (deployment().env("app", "A", optional=True).env_from("app", optional=True), Use(optional=ALL)),
        # The same container needs something else of it.
        (deployment().env("app", "A", optional=True).env_from("app"), Use()),
        (deployment().env("app", "A", optional=True).env("app", "B"), Use(keys=AB, required=frozenset("B"))),
        (deployment().env("app", "A", optional=True).bound("app"), Use()),
        # A volume holds up all of them.
        (deployment().env("app", "A", optional=True).volume("app", "B"), Use(keys=AB, required=frozenset("B"))),
        (deployment().env("app", "A", init=True, optional=True).projected("app"), Use()),
        # An init container holds up those after it.
        (deployment().env("app", "A", optional=True).env_from("app", init=True), Use()),
        (deployment().volume("app", optional=True).env_from("app", init=True), Use()),
        # One that ran before was not held up.
        (deployment().env("app", "A", init=True, optional=True).env_from("app"), Use(optional=A)),
        (deployment().env_from("app", init=True).env("other", "A", init=True), Use()),
        # No container waits for a pull secret.
        (deployment().env("app", "A", optional=True).pulling_with("app"), Use(optional=A)),
    ],
)
def test_what_a_container_may_have_started_without(built: WorkloadBuilder, use: Use) -> None:
    assert uses(built)["app"] == use


def several(*, init: int = 0, **spec: Any) -> dict[str, Any]:
    """A pod template with containers of which the first few come one by one."""
    containers = spec.pop("containers")
    return {"spec": {"initContainers": containers[:init], "containers": containers[init:], **spec}}


PLAIN: dict[str, Any] = {}
MAY = {"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "app", "key": "A", "optional": True}}}]}
MUST = {"envFrom": [{"secretRef": {"name": "app"}}]}
MAY_WHOLE = {"envFrom": [{"secretRef": {"name": "app", "optional": True}}]}
VOLUME_MAY = {"name": "v", "secret": {"secretName": "app", "items": [{"key": "B", "path": "b"}], "optional": True}}


@pytest.mark.parametrize(
    ("template", "optional"),
    [
        # Containers do not wait for each other …
        (several(containers=[MAY, MUST]), A),
        (several(containers=[MUST, MAY]), A),
        (several(containers=[PLAIN, MAY | MUST]), NONE),
        # … init containers do, and containers for them.
        (several(init=2, containers=[MAY, MUST, PLAIN]), A),
        (several(init=2, containers=[MUST, MAY, PLAIN]), NONE),
        (several(init=2, containers=[PLAIN, MUST, MAY]), NONE),
        (several(init=1, containers=[PLAIN, MUST, MAY]), A),
        # What a volume lacks is missed as soon as any of them has started.
        (several(containers=[MUST], volumes=[VOLUME_MAY]), NONE),
        (several(containers=[MUST, PLAIN], volumes=[VOLUME_MAY]), frozenset("B")),
        (several(init=1, containers=[PLAIN, MUST], volumes=[VOLUME_MAY]), frozenset("B")),
        (several(init=1, containers=[MUST, PLAIN], volumes=[VOLUME_MAY]), NONE),
    ],
)
def test_each_container_is_held_up_by_itself(template: dict[str, Any], optional: frozenset[str]) -> None:
    assert secret_uses(template)["app"].optional == optional


@pytest.mark.parametrize(
    ("containers", "optional"),
    [
        ([MAY, PLAIN], NONE),
        ([PLAIN, PLAIN], NONE),
        ([MAY_WHOLE, PLAIN], ALL),  # has it already, and keeps it as it is
        ([{"envFrom": [{"prefix": "P_", "secretRef": {"name": "app", "optional": True}}]}, PLAIN], NONE),
    ],
)
def test_what_is_bound_holds_up_each_container_that_gets_it(containers: Any, optional: frozenset[str] | None) -> None:
    template = several(containers=containers) | {"metadata": {"annotations": {"secretset.dev/bind": "app"}}}
    assert secret_uses(template)["app"] == Use(optional=optional)


def test_what_a_use_says_of_a_change() -> None:
    keyed, whole = Use(keys=A, required=A), Use()
    assert keyed.concerns({"A", "B"})
    assert not keyed.concerns({"B"})
    assert not keyed.concerns(())
    assert whole.concerns({"B"})
    assert not whole.concerns(())
    assert not keyed.missed({"A"})
    assert Use(keys=A, optional=A).missed({"A"})
    assert not Use(keys=A, optional=A).missed({"B"})
    assert Use(optional=ALL).missed({"B"})
    assert not Use(optional=ALL).missed(())


# --- what the annotation secretset.dev/restart says


@pytest.mark.parametrize(
    ("built", "keys"),
    [
        (deployment().volume("app"), NONE),
        (deployment().projected("app", "A"), NONE),
        (deployment().volume("app", "A").env("app", "B"), frozenset("B")),
        (deployment().env("app", "A"), A),
        (deployment().env_from("app"), ALL),
        (deployment().bound("app"), ALL),
        # A file that is mounted by a sub-path is never refreshed.
        (deployment().volume("app", "A").sub_path(), A),
        (deployment().projected("app").sub_path(), ALL),
    ],
)
def test_on_env_change_leaves_out_what_kubelet_refreshes(built: WorkloadBuilder, keys: frozenset[str] | None) -> None:
    found = uses(built.restarting("on-env-change"))["app"]
    assert found.keys == keys
    assert uses(built.restarting("something"))["app"] == uses(built.restarting(""))["app"]


def test_never_exempts_a_workload_and_tells_still_what_its_pods_need() -> None:
    found = uses(deployment().env("app", "A").env_from("app").restarting("never"))["app"]
    assert found == Use(keys=NONE, required=A, optional=NONE)
    maybe = uses(deployment().env_from("app", optional=True).restarting("never"))["app"]
    assert not maybe.missed({"A"})


def test_a_sub_path_of_another_volume_changes_nothing() -> None:
    built = deployment().volume("app", "A").restarting("on-env-change")
    built._container()["volumeMounts"] = [
        {"name": "w", "subPath": "x"},
        {"name": "v"},
        {"name": "u", "subPathExpr": "y"},
    ]
    assert uses(built)["app"].keys == NONE


# --- secretset.dev/bind


@pytest.mark.parametrize(
    ("text", "names"),
    [("app", ("app",)), (" b , a,b,, ", ("b", "a")), ("", ()), (",", ())],
)
def test_names_of_the_bind_annotation(text: str, names: tuple[str, ...]) -> None:
    assert bound_names({"metadata": {"annotations": {"secretset.dev/bind": text}}}) == names
    assert bound_names({}) == bound_names({"metadata": {}}) == ()
