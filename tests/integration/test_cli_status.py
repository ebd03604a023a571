"""`secretset status`, `wait`, `regions` and `restart` through a real shell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness import OperatorProcess, Org, env_from, eventually, value_from
from harness.rolling import change, no_node, node_of, one_user, settled, workload
from harness.sealed import published, sealed
from harness.shell import Shell


@pytest.fixture
def shell(org: Org, tmp_path: Path) -> Shell:
    """A shell whose `secretset` is about the organization."""
    return Shell(org.plane, org.name, tmp_path)


def rows(text: str) -> list[list[str]]:
    """The words of each line."""
    return [line.split() for line in text.splitlines()]


def told(shell: Shell, line: str, *, code: int = 0) -> Any:
    """What a command prints for machines."""
    return json.loads(shell.run(f"{line} -o json", code=code).out)


# --- status


def test_the_page_of_a_set(org: Org, shell: Shell) -> None:
    value = org.canary()
    kid = published(org.plane).keys[0].kid
    org.source("src", a=org.canary())
    org.deployment("web", env_from("app"))
    org.secret_set(
        description="payments \x1b[31mred",
        metadata={"owner": "ann"},
        data={"SEALED": sealed(org, value, key="SEALED"), "READ": value_from("src", "a")},
    )
    settled(org, revision=1, bound=1)
    done = shell.run("secretset status app")
    assert value not in done.out
    assert "\x1b" not in done.out
    for part in (
        f"SecretSet {org.name}/app",
        "ready (Synced)",
        "us-west",
        f"{org.regional}/app",
        "payments",
        "owner=ann",
        f"sealed for {kid} (current, ",
        "from Secret src/a",
        "Workloads (1 current)",
        "All workloads run with the present content.",
        "None lately.",
    ):
        assert part in done.out
    assert ["deployment/web", "current", "1"] in rows(done.out)
    change(org, "a")
    settled(org, revision=2, bound=1)
    eventually(lambda: {"Synced", "Restarted"} <= {reason for reason, _ in org.events()})
    found = told(shell, "secretset status app")
    assert found["status"] == "ready"
    assert found["revision"] == 2
    assert {key["name"]: key.get("sealingKey", {}).get("state") for key in found["keys"]} == {
        "READ": None,
        "SEALED": "current",
    }
    assert {"Synced", "Restarted"} <= {event["reason"] for event in found["events"]}
    assert "toDo" not in found
    assert value not in json.dumps(found)


def test_why_and_what_to_do(org: Org, shell: Shell) -> None:
    org.secret_set()
    org.reaches("pending", "SourceMissing")
    eventually(lambda: "SourceMissing" in {reason for reason, _ in org.events()})
    done = shell.run("secretset status app")
    assert "pending (SourceMissing)" in done.out
    assert "Secret 'src' does not exist in namespace" in done.out
    assert "Create that Secret, with the label secretset.dev/source=true" in done.out
    assert "not delivered yet" in done.out
    assert "secretset bind DEPLOYMENT app" in done.out
    assert "Warning" in done.out
    shell.run("secretset status none", code=1)
    assert "there is no set 'none'" in shell.run("secretset status none", code=1).said


@pytest.mark.usefixtures("regions_hidden")
def test_somebody_who_may_see_sets_alone(org: Org, tmp_path: Path) -> None:
    org.source()
    org.secret_set()
    org.reaches("ready")
    rule = ["--verb=get,list,watch", "--resource=secretsets.secretset.dev,imagepullsecrets.secretset.dev"]
    org.kubectl("create", "role", "sees", *rule)
    org.kubectl("create", "rolebinding", "sees", "--role=sees", f"--serviceaccount={org.name}:default")
    shell = Shell(org.plane, org.name, tmp_path, kubeconfig=org.plane.service_account_kubeconfig(org.name, "default"))
    done = shell.run("secretset status app")
    assert "ready (Synced)" in done.out
    assert "You may not see events there." in done.out
    shell.run("secretset wait app")
    assert "you may not get regions" in shell.run("secretset regions list", code=2).said
    assert "you may not patch secretsets" in shell.run("secretset restart app", code=2).said


# --- wait


def test_waiting(org: Org, shell: Shell) -> None:
    org.source()
    org.secret_set()
    assert shell.run("secretset wait app --timeout 30").out == f"SecretSet {org.name}/app is ready in us-west.\n"
    org.secret_set("later", data={"A": value_from("missing", "a")})
    org.reaches("pending", "SourceMissing", name="later")
    slow = shell.run("secretset wait later --timeout 1", code=3)
    assert "was not ready after 1 s: pending: SourceMissing" in slow.said
    org.secret_set("broken", region="nowhere")
    failed = shell.run("secretset wait broken --timeout 30", code=4)
    assert "RegionUnknown" in failed.said
    shell.run("secretset wait none", code=1)
    assert told(shell, "secretset wait app")["status"] == "ready"
    for line in ("wait none --for other", "wait No/Name", "status No/Name", "restart No/Name"):
        shell.run(f"secretset {line}", code=2)


def test_waiting_until_it_is_gone(org: Org, shell: Shell, operator: OperatorProcess) -> None:
    org.source()
    org.secret_set()
    org.reaches("ready")
    still = shell.run("secretset wait app --for deleted --timeout 1", code=3)
    assert "nobody has deleted" in still.said
    operator.pause()
    try:
        org.kubectl("delete", "secretset", "app", "--wait=false")
        assert "is being deleted" in shell.run("secretset wait app", code=1).said
        assert "was not gone after 1 s" in shell.run("secretset wait app --for deleted --timeout 1", code=3).said
    finally:
        operator.resume()
    shell.run("secretset wait app --for deleted --timeout 30")
    assert org.get("secretset", "app") is None
    assert shell.run("secretset wait app --for deleted").out == "It is gone.\n"
    assert told(shell, "secretset wait app --for deleted")["status"] == "deleted"
    assert org.managed() is None


def test_waiting_for_what_was_applied(org: Org, shell: Shell, operator: OperatorProcess) -> None:
    """A set that was ready before is not ready while the operator has not seen its newest generation."""
    org.source("src", a=org.canary(), b=org.canary())
    org.secret_set()
    org.reaches("ready")
    operator.pause()
    try:
        org.secret_set(data={"A": value_from("src", "a"), "B": value_from("src", "b")})
        assert "not ready after 1 s: pending" in shell.run("secretset wait app --timeout 1", code=3).said
    finally:
        operator.resume()
    shell.run("secretset wait app --timeout 30")
    assert set(org.values()) == {"A", "B"}


# --- regions


def test_regions(org: Org, shell: Shell) -> None:
    closed = org.region(f"{org.name}-closed", displayName="Closed", organizations={"matchLabels": {"tier": "gold"}})
    try:
        found = {row["name"]: row for row in told(shell, "secretset regions list")}
        assert found["us-west"]["default"] is True
        assert found["us-west"]["usable"] is True
        assert found["us-west"]["namespace"] == org.regional
        assert found[closed]["default"] is False
        assert found[closed]["usable"] is False
        table = {line[0]: line for line in rows(shell.run("secretset regions list").out)}
        assert table["us-west"][1:4] == ["ready", "yes", "yes"]
        assert table[closed][1] == "Closed"
        page = shell.run("secretset regions show us-west").out
        assert f"yes, for new sets of {org.name} that name no region" in page
        assert f"{org.regional}, on the hub" in page
        assert ["Reachable", "True"] in [line[:2] for line in rows(page)]
        assert "no: ask the platform team" in shell.run(f"secretset regions show {closed}").out
        assert told(shell, "secretset regions show us-west")["cluster"] == "hub"
        assert "there is no region 'nowhere'" in shell.run("secretset regions show nowhere", code=1).said
    finally:
        org.forget_regions()


# --- restart


def test_restart_once_and_wait_until_all_is_through(org: Org, shell: Shell) -> None:
    one_user(org)
    org.deployment("other", {})
    assert told(shell, "secretset restart app --dry-run") == [
        {"workload": "deployment/web", "state": "current", "restarts": "now, unless held"}
    ]
    assert org.generation("web") == 1
    assert shell.run("secretset restart app").out == "1 workload restarted.\n"
    assert (org.generation("web"), org.restarts("web"), org.generation("other")) == (2, 1, 1)
    assert org.status()["workloads"]["current"] == 1
    shell.run("secretset restart app --no-wait")
    eventually(lambda: org.restarts("web") == 2)
    settled(org, revision=1, bound=1)


def test_restart_of_what_is_held(org: Org, shell: Shell) -> None:
    org.source("src", a=org.canary(), b=org.canary())
    org.secret_set(restart={"policy": "Never"})
    workload(org, "Deployment", "free", env_from("app"))
    workload(org, "Deployment", "paused", env_from("app"), notes={"secretset.dev/paused": "true"})
    settled(org, revision=1, bound=2, off=True)
    before = shell.run("secretset restart app --dry-run")
    assert before.out.count("now, unless held") == 2  # the status does not know of the pause yet
    assert "note: one that is paused" in before.said
    held = shell.run("secretset restart app --timeout 60", code=3)
    assert "deployment/paused is held: It is annotated secretset.dev/paused=true." in held.said
    assert (org.restarts("free"), org.restarts("paused")) == (1, 0)
    dry = {row["workload"]: row for row in told(shell, "secretset restart app --dry-run")}
    assert dry["deployment/paused"]["restarts"] == "later"
    assert "paused=true" in dry["deployment/paused"]["why"]
    org.there("annotate", "deployment", "paused", "secretset.dev/paused-")
    eventually(lambda: (org.restarts("free"), org.restarts("paused")) == (1, 1))


def test_restart_outside_of_the_window(org: Org, shell: Shell) -> None:
    one_user(org, restart={"window": {"schedule": "0 0 1 1 *", "duration": "1m"}})
    dry = shell.run("secretset restart app --dry-run").out
    assert "Its restart window opens at" in dry
    assert "later" in dry
    assert "its restart window opens at" in shell.run("secretset restart app", code=3).said.lower()
    assert org.generation("web") == 1


def test_restart_that_stalls(org: Org, shell: Shell) -> None:
    org.source("src", a=org.canary(), b=org.canary())
    org.secret_set()
    workload(org, "Deployment", "web", {**env_from("app"), **node_of(org)}, {"progressDeadlineSeconds": 2})
    settled(org, revision=1, bound=1)
    with no_node(org):
        done = shell.run("secretset restart app --timeout 60", code=1)
        assert "a rollout does not get on: deployment/web is stalled" in done.said


def test_nothing_restarts_of_a_set_that_is_not_ready(org: Org, shell: Shell) -> None:
    org.secret_set()
    org.reaches("pending")
    assert "nothing was asked for" in shell.run("secretset restart app", code=3).said
    dry = shell.run("secretset restart app --dry-run").said
    assert "is not ready (pending: SourceMissing" in dry
    assert "nothing would be asked for" in dry
    org.secret_set("broken", region="nowhere")
    org.reaches("failed", name="broken")
    shell.run("secretset restart broken", code=4)
    org.source()
    org.reaches("ready")
    assert shell.run("secretset restart app").out == f"No workload uses SecretSet {org.name}/app.\n"
