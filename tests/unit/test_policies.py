"""The policy that binds pods: its form, how it is found to stand in a cluster, and what `secretset policies` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Self, cast

import pytest
import yaml
from typer.testing import CliRunner

from secretset.cli.main import app
from secretset.domain import policies
from secretset.domain.policies import BindPolicy, bind_policy, bind_policy_binding, describe, judge
from secretset.kube import bind_policy as looking
from secretset.kube import credentials, errors
from secretset.kube.client import Client

DEPLOY = Path(__file__).parents[2] / "deploy"
API = "/apis/admissionregistration.k8s.io/v1"
POLICY, BINDING = (
    f"{API}/mutatingadmissionpolicies/secretset-bind",
    f"{API}/mutatingadmissionpolicybindings/secretset-bind",
)
SERVED = {
    "resources": [{"name": policies.POLICIES}, {"name": policies.BINDINGS}, {"name": "validatingadmissionpolicies"}]
}


def stored(manifest: Mapping[str, Any], change: Callable[[Any], object] = lambda _: None) -> dict[str, Any]:
    """An object as a cluster has it, with a change."""
    found = deepcopy(dict(manifest))
    found["metadata"] |= {"uid": "u", "resourceVersion": "7", "annotations": {"kubectl": "was here"}}
    change(found["spec"])
    return found


def test_it_is_about_pods_with_the_annotation_when_they_are_created() -> None:
    spec = bind_policy()["spec"]
    (rule,) = spec["matchConstraints"]["resourceRules"]
    assert (rule["operations"], rule["resources"], rule["apiGroups"]) == (["CREATE"], ["pods"], [""])
    (condition,) = spec["matchConditions"]
    assert "'secretset.dev/bind' in object.metadata.annotations" in condition["expression"]
    # Whoever is bound does not start without its values; nobody else is concerned.
    assert (spec["failurePolicy"], spec["reinvocationPolicy"]) == ("Fail", "Never")
    assert bind_policy_binding()["spec"] == {"policyName": bind_policy()["metadata"]["name"]}


def test_it_patches_containers_and_init_containers_alike() -> None:
    (mutation,) = bind_policy()["spec"]["mutations"]
    text = mutation["jsonPatch"]["expression"]
    assert mutation["patchType"] == "JSONPatch"
    # `Object{}` in a list panics the API server.
    assert "Object{" not in text
    init = text[text.index("object.spec.initContainers.") :].replace("initContainers", "containers")
    plain = text[1 : text.index("\n+ (has(")]
    assert init.startswith(plain)


def test_the_committed_manifest_is_current() -> None:
    text = (DEPLOY / "bind-policy.yaml").read_text()
    assert list(yaml.safe_load_all(text)) == [bind_policy(), bind_policy_binding()]
    assert CliRunner().invoke(app, ["policies"]).output == text


def test_the_policy_of_this_version_is_current_however_it_came_there() -> None:
    assert judge(stored(bind_policy()), stored(bind_policy_binding())) is BindPolicy.INSTALLED
    # What a later API server fills in, and a binding that is limited to some namespaces.
    more = stored(bind_policy(), lambda spec: spec["matchConstraints"]["resourceRules"][0].update(later=True))
    some = stored(bind_policy_binding(), lambda spec: spec.update(matchResources={"namespaceSelector": {}}))
    assert judge(more, some) is BindPolicy.INSTALLED


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec.update(failurePolicy="Ignore"),
        lambda spec: spec["mutations"][0]["jsonPatch"].update(expression="[]"),
        lambda spec: spec["mutations"].clear(),
        lambda spec: spec["matchConditions"].append({"name": "x", "expression": "false"}),
        lambda spec: spec["matchConstraints"].update(namespaceSelector={"matchLabels": {"a": "b"}}),
        lambda spec: spec.pop("matchConstraints"),
        lambda spec: spec.update(variables=None),
    ],
)
def test_another_policy_is_outdated(change: Callable[[Any], object]) -> None:
    assert judge(stored(bind_policy(), change), stored(bind_policy_binding())) is BindPolicy.OUTDATED


def test_a_binding_of_something_else_is_outdated_and_half_of_it_is_none() -> None:
    other = stored(bind_policy_binding(), lambda spec: spec.update(policyName="other"))
    assert judge(stored(bind_policy()), other) is BindPolicy.OUTDATED
    assert judge({}, {}) is BindPolicy.OUTDATED
    for half in ((stored(bind_policy()), None), (None, stored(bind_policy_binding())), (None, None)):
        assert judge(*half) is BindPolicy.NOT_INSTALLED


def test_every_state_says_what_to_do() -> None:
    for state in BindPolicy:
        assert describe(state, "v1.36.3").endswith(".")
    assert "Kubernetes v1.35.1 has no MutatingAdmissionPolicy" in describe(BindPolicy.NOT_SUPPORTED, "v1.35.1")
    assert "not supported there: reference the Secret by envFrom." in describe(BindPolicy.NOT_SUPPORTED, None)
    assert "`secretset policies`" in describe(BindPolicy.NOT_INSTALLED, None)


class Cluster:
    """A client of a cluster that answers these paths, and no others; answers that are exceptions are raised."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {"/version": {"gitVersion": "v1.36.3"}} | answers

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def get(self, path: str) -> Any:
        return await self.request("GET", path)

    async def request(self, method: str, path: str, *, timeout: float = 0.0) -> Any:  # noqa: ASYNC109  (as the client's)
        assert method == "GET"
        assert timeout < 5
        answer = self.answers.get(path, errors.NotFound(404))
        if isinstance(answer, Exception):
            raise answer
        return answer


WHOLE = {POLICY: stored(bind_policy()), BINDING: stored(bind_policy_binding())}
CASES: list[tuple[dict[str, Any], BindPolicy, int]] = [
    (WHOLE, BindPolicy.INSTALLED, 0),
    ({API: SERVED}, BindPolicy.NOT_INSTALLED, 1),
    ({API: SERVED, POLICY: WHOLE[POLICY]}, BindPolicy.NOT_INSTALLED, 1),
    (
        {**WHOLE, POLICY: stored(bind_policy(), lambda spec: spec.update(failurePolicy="Ignore"))},
        BindPolicy.OUTDATED,
        1,
    ),
    # Kubernetes 1.35 has the group in v1, and of it other kinds only.
    ({API: {"resources": [{"name": "validatingadmissionpolicies"}]}}, BindPolicy.NOT_SUPPORTED, 2),
    ({}, BindPolicy.NOT_SUPPORTED, 2),
    ({API: SERVED, POLICY: errors.Forbidden(403)}, BindPolicy.NOT_ALLOWED, 3),
    ({**WHOLE, API: SERVED, BINDING: errors.Forbidden(403)}, BindPolicy.NOT_ALLOWED, 3),
    # A role from before it was granted, on a cluster that knows no such thing.
    ({API: {"resources": None}, POLICY: errors.Forbidden(403)}, BindPolicy.NOT_SUPPORTED, 2),
    ({API: errors.Forbidden(403), POLICY: errors.Forbidden(403)}, BindPolicy.NOT_ALLOWED, 3),
    ({API: errors.Forbidden(403)}, BindPolicy.NOT_INSTALLED, 1),
]


@pytest.mark.parametrize(("answers", "state", "code"), CASES)
async def test_how_it_stands_in_a_cluster(answers: dict[str, Any], state: BindPolicy, code: int) -> None:
    del code
    assert await looking.look(cast("Client", Cluster(**answers))) is state


@pytest.mark.parametrize(("answers", "state", "code"), CASES)
def test_the_command_tells_by_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any], state: BindPolicy, code: int
) -> None:
    done = checked(monkeypatch, Cluster(**answers))
    assert done == (code, f"{state.value}: {describe(state, 'v1.36.3')}\n")


def test_a_cluster_that_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    done = CliRunner().invoke(app, ["policies", "--check", "--kubeconfig", "/nowhere"])
    assert (done.exit_code, "there is no kubeconfig at '/nowhere'" in done.output) == (3, True)
    code, said = checked(monkeypatch, Cluster(**{POLICY: errors.Unreachable("GET failed: TimeoutError")}))
    assert (code, "could not be asked" in said) == (3, True)


def checked(monkeypatch: pytest.MonkeyPatch, cluster: Cluster) -> tuple[int, str]:
    async def load(path: str | None, context: str | None) -> Any:
        assert (path, context) == ("some", "one")

    monkeypatch.setattr(credentials, "load", load)
    monkeypatch.setattr("secretset.kube.client.Client", lambda *_, **__: cluster)
    done = CliRunner().invoke(app, ["policies", "--check", "--kubeconfig", "some", "--context", "one"])
    return done.exit_code, done.output


def test_it_is_written_to_a_folder(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["policies", "-d", str(tmp_path / "new")]).exit_code == 0
    assert (tmp_path / "new/bind-policy.yaml").read_text() == (DEPLOY / "bind-policy.yaml").read_text()
