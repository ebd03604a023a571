"""An ImagePullSecret becomes a docker configuration, attached to the ServiceAccounts that it names."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from harness import OperatorProcess, Org, env_from, eventually, value_from

KIND = "imagepullsecret"


def pull_secret(org: Org, name: str = "regcred", **spec: Any) -> None:
    """Apply an ImagePullSecret; its password comes from the source `src`."""
    spec = {"host": "ghcr.io", "username": "robot", "password": value_from("src", "a")} | spec
    org.apply(
        {
            "apiVersion": "secretset.dev/v1alpha1",
            "kind": "ImagePullSecret",
            "metadata": {"name": name, "namespace": org.name},
            "spec": spec,
        }
    )


def ready(org: Org, name: str = "regcred") -> dict[str, Any]:
    return org.reaches("ready", "Synced", name=name, kind=KIND)


def account(org: Org, name: str, *pull_secrets: str) -> None:
    org.apply(
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": org.regional},
            "imagePullSecrets": [{"name": secret} for secret in pull_secrets],
        }
    )


def attached(org: Org, name: str) -> list[str]:
    obj = org.get("serviceaccount", name, namespace=org.regional) or {}
    return [entry["name"] for entry in obj.get("imagePullSecrets") or ()]


def marks(org: Org, name: str) -> list[str]:
    notes = (org.get("serviceaccount", name, namespace=org.regional) or {})["metadata"].get("annotations", {})
    return [note for note in notes if "secretset.dev/" in note]


def test_the_docker_configuration(org: Org) -> None:
    password = 'p"ä:ss\\word=' + org.canary()
    org.source_of({"a": password})
    pull_secret(org, host="https://index.docker.io/v1/")
    status = ready(org)
    assert [key["name"] for key in status["keys"]] == [".dockerconfigjson"]
    secret = org.managed("regcred")
    assert secret is not None
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    assert secret["metadata"]["labels"]["secretset.dev/pull-secret"] == "regcred"
    assert json.loads(org.values("regcred")[".dockerconfigjson"]) == {
        "auths": {
            "https://index.docker.io/v1/": {
                "username": "robot",
                "password": password,
                "auth": base64.b64encode(f"robot:{password}".encode()).decode(),
            }
        }
    }


def test_attached_beside_what_others_have_there(org: Org) -> None:
    account(org, "build", "theirs", "more")
    account(org, "bystander", "theirs")
    org.source()
    pull_secret(org, serviceAccounts=["build", "default"])
    ready(org)
    assert attached(org, "build") == ["theirs", "more", "regcred"]
    assert attached(org, "default") == ["regcred"]
    assert attached(org, "bystander") == ["theirs"]
    assert org.writes() == [
        "patch imagepullsecrets regcred",
        "create secrets regcred",
        "patch serviceaccounts build",
        "patch serviceaccounts default",
        "update imagepullsecrets/status regcred",
    ]


def test_a_missing_service_account_is_named_and_waited_for(org: Org) -> None:
    org.source()
    pull_secret(org, serviceAccounts=["default", "late"])
    status = org.reaches("pending", "Retrying", name="regcred", kind=KIND)
    assert "'late'" in status["message"]
    assert "'default'" not in status["message"]
    assert attached(org, "default") == ["regcred"]
    account(org, "late")
    eventually(lambda: attached(org, "late") == ["regcred"], seconds=2)
    ready(org)


def test_taken_from_the_list_and_deleted(org: Org) -> None:
    account(org, "one", "theirs")
    account(org, "two")
    account(org, "own", "regcred")  # somebody's own reference, from before
    org.source()
    pull_secret(org, serviceAccounts=["one", "two", "own"])
    ready(org)
    assert marks(org, "own") == []
    pull_secret(org, serviceAccounts=["one", "own"])
    eventually(lambda: attached(org, "two") == [], seconds=3)
    assert (attached(org, "one"), marks(org, "two")) == (["theirs", "regcred"], [])
    org.kubectl("delete", KIND, "regcred", "--timeout=20s")
    assert org.managed("regcred") is None
    assert (attached(org, "one"), marks(org, "one")) == (["theirs"], [])
    assert attached(org, "own") == ["regcred"]


def test_the_whole_list_taken_away(org: Org) -> None:
    account(org, "one")
    org.source()
    pull_secret(org, serviceAccounts=["one"])
    ready(org)
    pull_secret(org)
    eventually(lambda: attached(org, "one") == [], "detached", seconds=3)
    assert marks(org, "one") == []
    ready(org)


def test_deleted_after_the_list_was_taken_away_while_the_operator_was_away(org: Org, operator: OperatorProcess) -> None:
    account(org, "one")
    org.source()
    pull_secret(org, serviceAccounts=["one"])
    ready(org)
    operator.kill()
    try:
        pull_secret(org)
        org.kubectl("delete", KIND, "regcred", "--wait=false")
    finally:
        operator.start()
    eventually(lambda: org.get(KIND, "regcred") is None)
    assert org.managed("regcred") is None
    assert attached(org, "one") == []


def test_somebody_takes_our_entry_away(org: Org) -> None:
    account(org, "one", "theirs")
    org.source()
    pull_secret(org, serviceAccounts=["one"])
    ready(org)
    org.there("patch", "serviceaccount", "one", "--type=merge", "-p", '{"imagePullSecrets":[{"name":"theirs"}]}')
    eventually(lambda: attached(org, "one") == ["theirs", "regcred"], seconds=2)


def test_a_retained_pull_secret_stays_attached(org: Org) -> None:
    account(org, "one")
    org.source()
    pull_secret(org, serviceAccounts=["one"], deletionPolicy="Retain")
    ready(org)
    org.kubectl("delete", KIND, "regcred", "--timeout=20s")
    assert org.managed("regcred") is not None
    assert attached(org, "one") == ["regcred"]


def test_who_pulls_with_it_is_bound_and_restarted_only_if_asked(org: Org) -> None:
    """By its own reference, or by its ServiceAccount."""
    account(org, "build")
    org.source()
    users: dict[str, dict[str, Any]] = {
        "web": {"imagePullSecrets": [{"name": "regcred"}]},
        "built": {"serviceAccountName": "build"},
        "reader": env_from("regcred"),
    }
    for name, pod in users.items():
        org.deployment(name, pod)
    org.deployment("bystander", {})
    pull_secret(org, serviceAccounts=["build"])
    ready(org)

    def current() -> list[str]:
        workloads = org.status("regcred", KIND).get("workloads") or {}
        return [each["name"] for each in workloads.get("items") or () if each["state"] == "current"]

    eventually(lambda: current() == sorted(users), "the binding")
    password = org.canary()
    org.source("src", a=password)
    eventually(lambda: password.encode() in org.values("regcred")[".dockerconfigjson"], seconds=3)
    eventually(lambda: org.status("regcred", KIND).get("revision") == 2)
    time.sleep(1.0)
    assert current() == sorted(users)
    assert {org.generation(name) for name in users} == {1}

    pull_secret(org, serviceAccounts=["build"], restart={"policy": "Auto"})
    time.sleep(0.5)  # asks for no restart that was not made
    org.source("src", a=org.canary())
    eventually(lambda: org.status("regcred", KIND).get("revision") == 3)
    eventually(lambda: current() == sorted(users), "the rollout")
    assert {name: org.restarts(name) for name in users} == dict.fromkeys(users, 1)
    assert {org.generation(name) for name in users} == {2}
    # Who leaves the account is bound no more.
    org.deployment("built", {"serviceAccountName": "default"})
    eventually(lambda: current() == ["reader", "web"], "the binding")
    assert org.generation("bystander") == 1
