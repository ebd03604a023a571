"""Several replicas on one hub: who serves what, and what a change is worth while one of them dies, sleeps or errs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from harness import (
    OPERATOR_ACCOUNT,
    ROOT,
    Org,
    described,
    eventually,
    holds,
    kubeconfig_secret,
    region,
    start_hub,
)
from harness.fleet import (
    ALL,
    LONG,
    ON_HUB,
    REGIONS,
    SYSTEM,
    Fleet,
    Spread,
    for_group,
    shares,
    until_empty,
    user,
)
from kubelab.plane import ControlPlane
from kubelab.pytest_plugin import ControlPlanes
from secretset.domain.replicas import Replica, owner

# An operator that believes that everything is its own.
SELFISH = """
from secretset.__main__ import main
from secretset.controller.membership import Membership
Membership.owner = lambda self, region: self.me.name
Membership.leads = property(lambda self: self.valid)
main()
"""


@pytest.fixture(scope="module")
def fleet(module_control_planes: ControlPlanes, abroad: ControlPlane) -> Iterator[Fleet]:
    plane = start_hub(module_control_planes, "replicas")
    bindings = [
        for_group(obj)
        for obj in yaml.safe_load_all((ROOT / "deploy/rbac.yaml").read_text())
        if obj["kind"].endswith("Binding")
    ]
    plane.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(bindings))
    root = Org(plane, SYSTEM, [])
    cluster = kubeconfig_secret(root, "far", abroad.service_account_kubeconfig(*OPERATOR_ACCOUNT).read_text())
    root.apply(*(region(each) for each in ON_HUB), region("far", cluster=cluster))
    fleet = Fleet(plane)
    yield fleet
    fleet.stop(*fleet.processes)


@pytest.fixture
def new_spread(fleet: Fleet, abroad: ControlPlane, request: pytest.FixtureRequest) -> Spread:
    """An organization of the test's own, with nothing delivered yet."""
    name = f"spread-{abs(hash(request.node.name)) % 10**6}"
    return Spread(fleet, name, abroad)


@pytest.fixture
def spread(fleet: Fleet, new_spread: Spread) -> Spread:
    """An organization whose sets are delivered by three replicas, each with its share."""
    fleet.settle(*ALL)
    new_spread.deliver()
    return new_spread


def test_two_that_both_believe_that_everything_is_theirs_do_no_harm(fleet: Fleet, new_spread: Spread) -> None:
    spread = new_spread
    fleet.stop(*fleet.processes)
    try:
        fleet.run("a", "b", code=SELFISH)
        spread.deliver()
        before = spread.restarted()
        changed = spread.change()
        spread.gets(changed, 2)
        holds(lambda: spread.restarted_once_more_than(before), seconds=1.0)
        # Both were at it, and drift is put right all the same.
        both = Counter(event["user"]["username"] for event in fleet.audit("a", "b") if _of(event, spread))
        assert min(both[user("a")], both[user("b")]) > 0
        spread.plane.kubectl("delete", "secret", "north", "-n", f"{spread.name}-north")
        spread.gets(changed, 2)
        managed = spread.plane.kubectl("get", "secrets", "-n", f"{spread.name}-north", "-o", "name").stdout.split()
        assert managed == ["secret/north"]
        assert spread.restarted_once_more_than(before)
        # They do not quarrel: once all is told, both are still.
        _is_still(fleet, "a", "b")
        spread.kubectl("delete", "secretset", "north", "--timeout=10s")
        assert "north" not in spread.secrets()
        spread.secret_set("north", region="north")
        spread.reaches("ready", name="north")
    finally:
        fleet.stop(*fleet.processes)


def test_regions_are_shared_and_a_stopped_replica_is_replaced_at_once(fleet: Fleet, spread: Spread) -> None:
    assert set(shares(*ALL).values()) == set(ALL)
    assert set(fleet.leases()) == {"secretset-leader", *(f"secretset-replica-{name}" for name in ALL)}
    # Everyone wrote where it serves, and nowhere else.
    secrets = {
        (event["user"]["username"], event["objectRef"]["namespace"])
        for event in fleet.audit(*ALL)
        if event["objectRef"]["resource"] == "secrets" and event["objectRef"]["namespace"].startswith(spread.name)
    }
    mine = shares(*ALL)
    assert secrets == {(user(str(mine[each])), f"{spread.name}-{each}") for each in ON_HUB}
    # In a steady state nothing is written but Leases.
    _is_still(fleet, *ALL)
    for each in REGIONS:
        told = fleet.status(each)["sets"]
        assert (told["ready"] > 0, told["pending"], told["failed"]) == (True, 0, 0)
    before = len(fleet.audit(*ALL))
    time.sleep(5.0)
    idle = fleet.audit(*ALL)[before:]
    assert set(described(idle)) == {f"update leases secretset-replica-{name}" for name in ALL}
    # The one that leads stops: its Leases go, and others have its regions and the lead long before they would expire.
    stopped = fleet.leader()
    left = [name for name in ALL if name != stopped]
    secrets_before = spread.secrets()
    fleet.stop(stopped)
    fleet.serves(shares(*left), seconds=5)
    assert fleet.leader() in left
    assert f"secretset-replica-{stopped}" not in fleet.leases()
    changes = fleet.serving()
    assert {each for each in REGIONS if changes[each] != mine[each]} == {e for e in REGIONS if mine[e] == stopped}
    # What was delivered is only looked at.
    time.sleep(1.0)
    assert spread.secrets() == secrets_before
    assert set(spread.restarted().values()) == {0}
    # It comes again and has its regions again.
    fleet.settle(*ALL)
    assert {status.get("revision") for status in spread.sets().values()} == {1}


def test_a_killed_leader_is_replaced_and_what_changed_meanwhile_is_delivered_once(fleet: Fleet, spread: Spread) -> None:
    killed = fleet.leader()
    left = [name for name in ALL if name != killed]
    before = spread.restarted()
    fleet.kill(killed)
    changed = spread.change()
    spread.secret_set("nowhere", region="atlantis")
    # Regions of the others get it at once.
    theirs = [each for each, name in shares(*ALL).items() if name != killed]
    eventually(lambda: spread.has(changed, *theirs))
    eventually(lambda: spread.has(changed), "takeover", seconds=LONG)
    spread.gets(changed, 2)
    assert spread.restarted_once_more_than(before)
    fleet.serves(shares(*left))
    assert fleet.leader() in left
    spread.reaches("failed", "RegionUnknown", name="nowhere")
    assert f"secretset-replica-{killed}" in fleet.leases()  # cleared away later
    fleet.settle(*ALL)
    assert fleet.leader() in left
    assert spread.restarted_once_more_than(before)


def test_a_replica_that_slept_writes_nothing_before_it_has_its_lease_again(fleet: Fleet, spread: Spread) -> None:
    sleeper = "b"
    assert shares(*ALL)["north"] == shares(*ALL)["east"] == sleeper
    left = [name for name in ALL if name != sleeper]
    # It falls asleep with restarts to make: the Secret is written, and the quiet window goes on.
    spread.deliver(restart={"quietSeconds": 2, "maxWaitSeconds": 6})
    before = spread.restarted()
    changed = spread.change()
    eventually(lambda: spread.has(changed, "north", "east"))
    fleet.processes[sleeper].pause()
    assert spread.restarted()["north"] == before["north"]
    fleet.serves(shares(*left))
    spread.gets(changed, 2)
    assert spread.restarted_once_more_than(before)
    # There is more for it to do when it wakes up than it knows.
    before = spread.restarted()
    changed = spread.change()
    spread.gets(changed, 3)
    asleep = len(fleet.audit(sleeper))
    fleet.processes[sleeper].resume()
    fleet.serves(shares(*ALL))
    awake = fleet.audit(sleeper)[asleep:]
    assert described(awake[:1]) == [f"update leases secretset-replica-{sleeper}"]
    assert awake[0]["responseStatus"]["code"] == 200
    early = [e for e in awake[1:] if e["requestReceivedTimestamp"] < awake[0]["stageTimestamp"]]
    assert described(early) == []
    # All is as it was, and what comes next is delivered by the one who slept.
    time.sleep(2.0)
    assert spread.restarted_once_more_than(before)
    assert spread.lacking(changed, 3) == {}
    before = spread.restarted()
    changed = spread.change()
    spread.gets(changed, 4)
    assert spread.restarted_once_more_than(before)
    assert f"update secrets north in {spread.name}-north" in _placed(fleet.audit(sleeper)[asleep:])


def test_leases_that_somebody_deletes_are_made_again(fleet: Fleet, spread: Spread) -> None:
    fleet.plane.kubectl("delete", "leases", "-n", SYSTEM, "secretset-replica-b", "secretset-leader")
    eventually(lambda: {"secretset-replica-b", "secretset-leader"} <= set(fleet.leases()))
    fleet.serves(shares(*ALL))
    before = spread.restarted()
    changed = spread.change()
    spread.gets(changed, 2)
    assert spread.restarted_once_more_than(before)
    assert all(process.running for process in fleet.processes.values())


def test_the_first_of_two_with_one_name_ends_and_says_why(fleet: Fleet, spread: Spread) -> None:
    first = fleet.processes["c"]
    second = fleet.make("c")
    second.start()
    assert first.ends() == 2
    last = first.log.read_text().splitlines()[-1]
    assert last == (
        "secretset operator: another process took the name 'c' of this replica: give each its own (--replica)"
    )
    assert "Traceback" not in first.log.read_text()
    fleet.processes["c"] = second
    fleet.settle(*ALL)
    changed = spread.change()
    spread.gets(changed, 2)


def test_a_hub_that_is_away_longer_than_the_leases_moves_nothing(fleet: Fleet, spread: Spread) -> None:
    _is_still(fleet, *ALL)
    marks = {name: len(fleet.told(name)) for name in ALL}
    before = len(fleet.audit(*ALL))
    leader, restarted = fleet.leader(), spread.restarted()
    fleet.plane.kill("kube-apiserver")
    time.sleep(12.0)
    fleet.plane.restart("kube-apiserver")
    eventually(
        lambda: {e["user"]["username"] for e in fleet.audit(*ALL)[before:]} == {user(name) for name in ALL},
        "all have their Leases again",
        seconds=LONG,
    )
    time.sleep(3.0)
    assert fleet.serving() == shares(*ALL)
    assert fleet.leader() == leader
    written = [line for line in described(fleet.audit(*ALL)[before:]) if " leases " not in line]
    # Regions on the hub were away with it, and may say so; no set does, and no Secret is touched.
    assert {line.partition(" ")[2].split()[0] for line in written} <= {"regions/status", "events"}
    for name in ALL:
        assert "no longer serving region" not in fleet.told(name)[marks[name] :]
    changed = spread.change()
    # The plane's own controllers take longer to roll it out.
    until_empty(lambda: spread.lacking(changed, 2, rolled_out=False), seconds=LONG)
    eventually(lambda: spread.restarted_once_more_than(restarted))


def test_who_is_limited_serves_that_and_nothing_else(fleet: Fleet, spread: Spread) -> None:
    fleet.stop("b", "c")
    limited = fleet.make("b", "--regions", "north,south")
    fleet.processes["b"] = limited
    limited.start()
    wanted = {
        each: owner(each, [Replica(name="a"), Replica(name="b", regions=frozenset({"north", "south"}))])
        for each in REGIONS
    }
    assert wanted["north"] == "b"
    fleet.serves(wanted)
    before = spread.restarted()
    changed = spread.change()
    until_empty(lambda: spread.lacking(changed, 2, rolled_out=False), seconds=LONG)
    eventually(lambda: spread.restarted_once_more_than(before))
    assert fleet.leader() == "a"
    fleet.stop("a")
    # It takes over what it may, and the rest waits; of that it tells nothing.
    fleet.serves({**wanted, "south": "b"}, seconds=5)
    assert "secretset-leader" not in fleet.leases()
    fleet.stop("b")


def _placed(events: list[dict[str, Any]]) -> list[str]:
    return [
        f"{line} in {event['objectRef'].get('namespace')}"
        for line, event in zip(described(events), events, strict=True)
    ]


def _of(event: dict[str, Any], org: Org) -> bool:
    return str(event["objectRef"].get("namespace", "")).startswith(org.name)


def _is_still(fleet: Fleet, *names: str) -> None:
    """Wait until nothing but Leases is written any more."""

    def others() -> list[str]:
        return [line for line in _placed(fleet.audit(*names)) if " leases " not in line]

    deadline, before = time.monotonic() + LONG, others()
    while True:
        time.sleep(3.5)
        now = others()
        if now == before:
            return
        assert time.monotonic() < deadline, now[len(before) :]
        before = now
