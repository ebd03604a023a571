"""Whatever somebody does to a managed Secret is put right at once, restarts nothing, and is told once."""

from __future__ import annotations

import copy
import functools
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from harness import OperatorProcess, Org, env_from, env_key, eventually, value_from

AT_ONCE = 2.0  # seconds within which a Secret is right again
Obj = dict[str, Any]

MANAGED_BY = "app.kubernetes.io/managed-by"
SET = "secretset.dev/set"
ORGANIZATION = "secretset.dev/organization"
WAVE = "secretset.dev/wave"


@pytest.fixture
def secret(org: Org) -> Obj:
    """A delivered managed Secret that a Deployment uses."""
    org.source("src", a=org.canary(), b=org.canary())
    org.deployment("web", env_from("app"))
    org.secret_set(data={"A": value_from("src", "a"), "B": value_from("src", "b")})
    return delivered(org)


def delivered(org: Org) -> Obj:
    """The managed Secret, once the status speaks of it and of its one workload."""
    eventually(lambda: (org.status().get("workloads") or {}).get("current") == 1, "the rollout")
    found = org.managed()
    assert found is not None
    return found


def essence(secret: Obj | None) -> Obj:
    """What we answer for in a Secret."""
    if secret is None:
        return {}
    meta = secret["metadata"]
    return {
        "type": secret["type"],
        "data": secret["data"],
        "immutable": secret.get("immutable", False),
        "labels": meta["labels"],
        # Whether a finished wave is put back as well is no matter.
        "annotations": {name: text for name, text in meta["annotations"].items() if name != WAVE},
    }


def expect_repair(org: Org, before: Obj, told: str, edit: Callable[[], Any], *, repairs: int = 1) -> None:
    """Do the damage; then all is as before, at once, without a restart, and one event more tells so."""
    generation, restarts = org.generation("web"), org.restarts("web")
    edit()
    began = time.monotonic()
    eventually(lambda: essence(org.managed()) == essence(before), "the repair", seconds=AT_ONCE + 8)
    took = time.monotonic() - began
    expected = ("DriftRepaired", f"The Secret was {told} and has been put right.")
    eventually(lambda: org.events().count(expected) >= repairs, "the event")
    time.sleep(0.5)
    drift = [event for event in org.events() if event[0] == "DriftRepaired"]
    assert drift.count(expected) == len(drift) == repairs
    assert essence(org.managed()) == essence(before)
    assert (org.generation("web"), org.restarts("web")) == (generation, restarts)
    assert org.status()["phase"] == "ready"
    assert took < AT_ONCE


def patch(org: Org, body: Obj) -> Callable[[], Any]:
    return lambda: org.there("patch", "secret", "app", "--type=merge", "-p", json.dumps(body))


def note(org: Org, name: str, text: str | None) -> Callable[[], Any]:
    change = f"{name}-" if text is None else f"{name}={text}"
    return lambda: org.there("annotate", "--overwrite", "secret", "app", change)


def test_edits_are_undone(org: Org, secret: Obj) -> None:
    patched = "changed by 'kubectl-patch'"
    expect_repair(org, secret, patched, patch(org, {"data": {"A": "b3RoZXI="}}))
    expect_repair(org, secret, patched, patch(org, {"data": {"C": "bW9yZQ=="}}), repairs=2)
    expect_repair(org, secret, patched, patch(org, {"immutable": True}), repairs=3)


def test_a_key_taken_away_is_put_back(org: Org, secret: Obj) -> None:
    expect_repair(org, secret, "changed", patch(org, {"data": {"A": None}}))


@pytest.mark.parametrize(("change", "told"), [("-", "changed"), ("=other", "changed by 'kubectl-label'")])
def test_labels_are_put_back(org: Org, secret: Obj, change: str, told: str) -> None:
    for done, label in enumerate((MANAGED_BY, SET, ORGANIZATION)):
        edit = functools.partial(org.there, "label", "--overwrite", "secret", "app", label + change)
        expect_repair(org, secret, told, edit, repairs=done + 1)


def test_a_removed_memory_is_written_anew(org: Org, secret: Obj) -> None:
    expect_repair(org, secret, "changed", note(org, "secretset.dev/keys", None))
    expect_repair(org, secret, "changed", note(org, "secretset.dev/revision", None), repairs=2)


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        pytest.param("keys", ["{not json", "[]"], id="keys"),
        pytest.param("keys", ['{"A":["k.0","2020-01-01T00:00:00Z","2020-01-01T00:00:00Z"]}'], id="keys-forged"),
        pytest.param("revision", ["many", "-1", "0"], id="revision"),
    ],
)
def test_a_garbled_memory_is_written_anew(org: Org, secret: Obj, name: str, texts: list[str]) -> None:
    for done, text in enumerate(texts):
        edit = note(org, f"secretset.dev/{name}", text)
        expect_repair(org, secret, "changed by 'kubectl-annotate'", edit, repairs=done + 1)


def test_a_forged_fingerprint_restarts_nothing(org: Org, secret: Obj) -> None:
    """All keys are named, but the fingerprint of one is not what was delivered."""
    keys = json.loads(secret["metadata"]["annotations"]["secretset.dev/keys"])
    keys["A"][0] = keys["B"][0]
    edit = note(org, "secretset.dev/keys", json.dumps(keys, separators=(",", ":")))
    expect_repair(org, secret, "changed by 'kubectl-annotate'", edit)


def test_a_wave_taken_away_after_its_restarts_brings_none(org: Org, secret: Obj) -> None:
    org.source("src", a=org.canary(), b=org.canary())
    eventually(lambda: org.restarts("web") == 1)
    eventually(lambda: (org.status().get("workloads") or {}).get("current") == 1)
    for change in ("-", "={not json"):
        org.there("annotate", "--overwrite", "secret", "app", f"secretset.dev/wave{change}")
        time.sleep(1.0)
    assert (org.restarts("web"), org.generation("web")) == (1, 2)
    assert org.status()["workloads"]["current"] == 1
    assert secret["metadata"]["uid"] == (org.managed() or {})["metadata"]["uid"]


def test_a_deleted_secret_comes_back(org: Org, secret: Obj) -> None:
    expect_repair(org, secret, "deleted", lambda: org.there("delete", "secret", "app"))
    assert (org.managed() or {})["metadata"]["uid"] != secret["metadata"]["uid"]


def test_another_type_is_undone(org: Org, operator: OperatorProcess, secret: Obj) -> None:
    retyped = copy.deepcopy(secret)
    retyped["type"] = "kubernetes.io/basic-auth"
    retyped["data"] |= {"username": "eA==", "password": "eA=="}
    del retyped["metadata"]["uid"], retyped["metadata"]["resourceVersion"]

    def edit() -> None:
        operator.pause()
        try:
            org.there("delete", "secret", "app")
            org.there("create", "-f", "-", input=json.dumps(retyped))
        finally:
            operator.resume()

    expect_repair(org, secret, "changed by 'kubectl-create'", edit)


def test_an_older_copy_of_itself_is_undone(org: Org, secret: Obj) -> None:
    org.source("src", a=org.canary(), b=org.canary())
    eventually(lambda: org.status().get("revision") == 2 and org.restarts("web") == 1)
    newer = delivered(org)
    del secret["metadata"]["resourceVersion"]
    expect_repair(
        org,
        newer,
        "changed by 'kubectl-replace'",
        lambda: org.there("replace", "-f", "-", input=json.dumps(secret)),
    )
    assert org.status()["revision"] == 2


@pytest.mark.parametrize("damage", ["edit", "delete", "older copy", "wave off", "wave garbled"])
def test_drift_in_the_quiet_window_loses_no_restart(org: Org, damage: str) -> None:
    org.source("src", a=org.canary())
    org.deployment("web", env_key("app", "A"))
    org.secret_set(restart={"quietSeconds": 4})
    older = delivered(org)
    org.source("src", a=org.canary())
    eventually(lambda: org.status().get("revision") == 2)
    newer = org.values()
    if damage == "edit":
        patch(org, {"data": {"A": "b3RoZXI="}})()
    elif damage == "delete":
        org.there("delete", "secret", "app")
    elif damage.startswith("wave"):
        note(org, WAVE, None if damage == "wave off" else "{not json")()
    else:
        del older["metadata"]["resourceVersion"]
        org.there("replace", "-f", "-", input=json.dumps(older))
    if not damage.startswith("wave"):  # that is remembered, and put back when it is needed
        eventually(lambda: "DriftRepaired" in dict(org.events()) and org.values() == newer, seconds=AT_ONCE)
    assert org.restarts("web") == 0
    eventually(lambda: org.restarts("web") == 1)
    eventually(lambda: (org.status().get("workloads") or {}).get("current") == 1)
    assert (org.restarts("web"), org.generation("web")) == (1, 2)


def test_what_others_add_stays(org: Org, secret: Obj) -> None:
    theirs = {
        "labels": {"team": "payments"},
        "annotations": {"note": "theirs"},
        "finalizers": ["example.com/backup"],
    }
    writes = len(org.writes())
    patch(org, {"metadata": theirs})()
    time.sleep(0.5)
    assert len(org.writes()) == writes  # no drift: nothing of ours was touched
    patch(org, {"data": {"A": "b3RoZXI="}})()
    eventually(lambda: (org.managed() or {})["data"] == secret["data"])
    meta = (org.managed() or {})["metadata"]
    assert meta["labels"] == {**secret["metadata"]["labels"], "team": "payments"}
    assert meta["annotations"] == {**secret["metadata"]["annotations"], "note": "theirs"}
    assert meta["finalizers"] == ["example.com/backup"]
    patch(org, {"metadata": {"finalizers": None}})()


def test_what_others_add_stays_even_if_the_secret_must_be_made_anew(org: Org, secret: Obj) -> None:
    patch(org, {"metadata": {"labels": {"team": "payments"}, "annotations": {"note": "theirs"}}})()
    patch(org, {"immutable": True})()
    eventually(lambda: not (found := org.managed()) or found["metadata"]["uid"] != secret["metadata"]["uid"])
    meta = eventually(org.managed)["metadata"]
    assert meta["labels"].get("team") == "payments"
    assert meta["annotations"].get("note") == "theirs"


def test_a_fight_gets_slower_and_ends_right(org: Org, secret: Obj) -> None:
    for number in range(20):
        patch(org, {"stringData": {"A": f"edit-{number}"}})()
    eventually(lambda: essence(org.managed()) == essence(secret), "peace", seconds=20)
    # An edit while a repair is under way makes it a conflict: a request, and no repair.
    assert 3 <= org.writes().count("update secrets app") <= 8
    repairs = org.writes(done=True).count("update secrets app")
    eventually(lambda: len([e for e in org.events() if e[0] == "DriftRepaired"]) == repairs, "an event for each")
    assert org.restarts("web") == 0
    # A change of content does not wait for the fight.
    changed = org.canary()
    org.source("src", a=changed, b="b")
    eventually(lambda: org.values()["A"] == changed.encode(), seconds=AT_ONCE)
