"""Restarts that have to wait: for people, for a key, or for their window. The content never does."""

from __future__ import annotations

import datetime
from typing import Any

from harness import Org, env_from, env_key, eventually, value_from
from harness.rolling import (
    DATA,
    HELD,
    assert_restarted,
    change,
    condition,
    counts,
    items,
    one_user,
    put,
    settled,
)


def held(org: Org, why_: str) -> None:
    """Wait until `web` is held, and see that everything says so."""
    expected = (*HELD, f"Deployment 'web' is held: {why_}.")

    def check() -> bool:
        status = org.status()
        items = (status.get("workloads") or {}).get("items") or [{}]
        told = items[0].get("name"), items[0].get("state"), items[0].get("message")
        return condition(status) == expected and told == ("web", "held", f"{why_[:1].upper()}{why_[1:]}.")

    eventually(check, f"held: {why_}")
    eventually(lambda: ("RolloutHeld", expected[2]) in org.events(), "the event")


def test_a_paused_workload_is_held_and_restarted_afterwards(org: Org) -> None:
    one_user(org)
    org.deployment("other", env_from("app"))
    settled(org, revision=1, bound=2)
    org.there("rollout", "pause", "deployment/web")
    change(org, "a")
    held(org, "it is paused (spec.paused)")
    eventually(lambda: counts(org) == {"bound": 2, "current": 1, "restarting": 0, "stalled": 0, "held": 1})
    assert (items(org)["web"]["revision"], items(org)["other"]["revision"]) == (1, 2)
    assert (org.restarts("web"), org.restarts("other")) == (0, 1)
    org.there("rollout", "resume", "deployment/web")
    settled(org, revision=2, bound=2)
    assert_restarted(org, 1, generation=4)  # pause, resume, restart

    # By an annotation, and over two changes.
    org.there("annotate", "deployment", "web", "secretset.dev/paused=true")
    change(org, "a")
    held(org, "it is annotated secretset.dev/paused=true")
    eventually(lambda: org.restarts("other") == 2)
    change(org, "a")
    eventually(lambda: org.status().get("revision") == 4)
    eventually(lambda: org.restarts("other") == 3)
    held(org, "it is annotated secretset.dev/paused=true")
    org.there("annotate", "deployment", "web", "secretset.dev/paused-")
    settled(org, revision=4, bound=2)
    assert_restarted(org, 2, generation=7)  # two annotations
    assert org.restarts("other") == 3


def test_a_key_that_is_taken_away_holds_those_that_cannot_start_without_it(org: Org) -> None:
    without = "it reads key 'A' of 'app', which is not there: its new pods could not start"
    only_b: dict[str, Any] = {"data": {"B": value_from("src", "b")}}
    one_user(org)
    value = org.values()["A"].decode()
    org.secret_set(**only_b)
    held(org, without)
    assert sorted(org.values()) == ["B"]
    assert org.restarts("web") == 0

    org.secret_set(data=DATA)  # as it was
    settled(org, revision=3, bound=1)
    assert_restarted(org, 0)

    org.secret_set(**only_b)
    held(org, without)
    change(org, "a")
    org.secret_set(data=DATA)
    settled(org, revision=5, bound=1)
    assert_restarted(org, 1)

    # As it was, when another one has been restarted without it.
    org.deployment("other", env_from("app"))
    put(org, a=value)
    settled(org, revision=6, bound=2)
    org.secret_set(**only_b)
    held(org, without)
    eventually(lambda: org.restarts("other") == 2)
    org.secret_set(data=DATA)
    settled(org, revision=8, bound=2)
    assert_restarted(org, 3)
    assert org.restarts("other") == 3

    org.secret_set(**only_b)
    held(org, without)
    org.deployment("web", env_key("app", "B"))
    settled(org, revision=9, bound=2)
    assert_restarted(org, 3, generation=5)  # its own new template


def test_a_restart_window_holds_restarts_and_not_the_content(org: Org) -> None:
    opens = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=12)).replace(minute=0)
    closed = {"schedule": f"0 {opens.hour} * * *", "duration": "1m"}
    one_user(org, restart={"window": closed})
    change(org, "a")
    held(org, f"its restart window opens at {opens:%Y-%m-%dT%H:00Z}")
    change(org, "a")
    eventually(lambda: org.status().get("revision") == 3)
    assert org.restarts("web") == 0
    org.secret_set(data=DATA, restart={"window": {"schedule": "* * * * *", "duration": "1m"}})
    settled(org, revision=3, bound=1)
    assert_restarted(org, 1)
