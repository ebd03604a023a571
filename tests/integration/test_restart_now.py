"""A restart that somebody asks for: every user of the set once, whatever its policy, and once for each word."""

from __future__ import annotations

import pytest

from harness import OperatorProcess, Org, env_from, eventually, holds


def generations(org: Org, *names: str) -> list[int]:
    found = [org.get("deployment", name, namespace=org.regional) for name in names]
    return [obj["metadata"]["generation"] for obj in found if obj is not None]


def ask(org: Org, word: str, name: str = "app") -> None:
    org.kubectl("annotate", "--overwrite", "secretset", name, f"secretset.dev/restart-now={word}")


def taken_up(org: Org, before: str | None = None) -> bool:
    request = org.status().get("restartRequest")
    return request is not None and request != before


@pytest.fixture(params=["Auto", "Never"])
def policy(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_each_user_restarts_once_for_each_request(org: Org, operator: OperatorProcess, policy: str) -> None:
    org.source()
    org.secret_set(restart={"policy": policy})
    org.reaches("ready", "Synced")
    org.deployment("web", env_from("app"))
    org.deployment("jobs", env_from("app"))
    org.deployment("other", {})
    eventually(lambda: org.status().get("workloads", {}).get("current") == 2)
    assert generations(org, "web", "jobs", "other") == [1, 1, 1]
    ask(org, "first")
    eventually(lambda: taken_up(org))
    assert generations(org, "web", "jobs", "other") == [2, 2, 1]
    first = org.status()["restartRequest"]
    ask(org, "first")  # the same word again
    org.poke()
    holds(lambda: generations(org, "web", "jobs", "other") == [2, 2, 1], seconds=1.5)
    ask(org, "second")
    eventually(lambda: taken_up(org, first))
    assert generations(org, "web", "jobs", "other") == [3, 3, 1]
    assert org.status()["revision"] == 1
    # Nothing of what somebody wrote is copied anywhere.
    assert "second" not in str(org.managed())


def test_a_set_that_is_born_with_a_request_restarts_nobody(org: Org, operator: OperatorProcess) -> None:
    org.source()
    org.deployment("web", {"containers": [{"name": "app", "image": "app:1", "envFrom": []}]})
    body = org.secret_set()
    org.apply(
        {**body, "metadata": {**body["metadata"], "name": "new", "annotations": {"secretset.dev/restart-now": "a"}}}
    )
    org.reaches("ready", "Synced", name="new")
    org.deployment("late", env_from("new"))
    eventually(lambda: org.status("new").get("workloads", {}).get("current") == 1)
    org.poke("new")
    holds(lambda: generations(org, "late") == [1], seconds=1.5)


def test_a_request_and_a_change_are_one_restart(org: Org, operator: OperatorProcess) -> None:
    org.source()
    org.secret_set(restart={"quietSeconds": 2, "maxWaitSeconds": 4})
    org.reaches("ready", "Synced")
    org.deployment("web", env_from("app"))
    eventually(lambda: org.status().get("workloads", {}).get("current") == 1)
    ask(org, "now")
    org.source()
    eventually(lambda: org.status().get("revision") == 2 and taken_up(org))
    assert generations(org, "web") == [2]


def test_a_request_outlives_the_secret_and_the_operator(org: Org, operator: OperatorProcess) -> None:
    org.source()
    org.secret_set(restart={"quietSeconds": 2, "maxWaitSeconds": 4})
    org.reaches("ready", "Synced")
    org.deployment("web", env_from("app"))
    eventually(lambda: org.status().get("workloads", {}).get("current") == 1)
    ask(org, "now")
    eventually(lambda: "asked" in str((org.managed() or {}).get("metadata", {}).get("annotations")))
    org.there("delete", "secret", "app")
    eventually(lambda: taken_up(org))
    assert generations(org, "web") == [2]
    org.there("delete", "secret", "app")
    eventually(lambda: org.managed() is not None)
    holds(lambda: generations(org, "web") == [2], seconds=1.5)
