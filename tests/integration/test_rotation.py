"""Credentials that rotate under load: no set fails, and nobody is told that the region cannot be reached."""

from __future__ import annotations

import json
import threading
import time
from functools import partial
from typing import Any, Self

from harness import (
    OPERATOR_ACCOUNT,
    Away,
    eventually,
    grant,
    holds,
    value_from,
    writes,
)
from kubelab.plane import ControlPlane


class Rotation(threading.Thread):
    """Gives a region other credentials five times: by turns of a user with a certificate and of the account."""

    def __init__(self, away: Away, cluster: ControlPlane) -> None:
        super().__init__(name="rotation", daemon=True)
        self.away, self.cluster = away, cluster
        self.user = f"rotated-{away.name}"
        role = grant(self.user, "secretset-regional-namespace", away.name, kind="Role")
        roles = _list(grant(self.user, "secretset-operator-region"), role)
        cluster.kubectl("apply", "-f", "-", input=json.dumps(roles))

    def run(self) -> None:
        for turn in range(5):
            if turn % 2:
                self.away.use(self.cluster.service_account_kubeconfig(*OPERATOR_ACCOUNT))
            else:
                self.away.use(self.cluster.kubeconfig_for(self.user, valid_seconds=3600 + turn))
            time.sleep(0.7)


class Onlooker(threading.Thread):
    """Notes every phase and reason that the Region and the sets of an organization tell."""

    def __init__(self, away: Away) -> None:
        super().__init__(name="onlooker", daemon=True)
        self.away = away
        self.seen: set[tuple[str, str]] = set()
        self.over = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join(10)

    def run(self) -> None:
        while not self.over.is_set():
            status = (self.away.get("region", self.away.region_name) or {})["status"]
            items = json.loads(self.away.kubectl("get", "secretsets", "-o", "json").stdout)["items"]
            self.seen |= {(each["phase"], each["reason"]) for each in (status, *(item["status"] for item in items))}


def test_credentials_that_rotate_under_load(away: Away, abroad: ControlPlane) -> None:
    """No set fails, nobody is told that the region cannot be reached, and each change restarts once."""
    names = [f"set-{number:02}" for number in range(20)]
    away.apply(*(_set(away, name) for name in names))
    away.deploy(*names)
    eventually(lambda: _counted(away, revision=1, bound=1) == 20, "20 sets in use", seconds=30)
    rotation = Rotation(away, abroad)
    with Onlooker(away) as onlooker:
        rotation.start()
        revision = 1
        while rotation.is_alive() or revision < 3:
            revision += 1
            away.source("src", a=away.canary())
            eventually(partial(_counted, away, revision=revision, current=1, all_of=20), "20 deliveries", seconds=40)
            eventually(partial(_restarted, away, times=revision - 1, all_of=20), "20 restarts", seconds=40)
    assert onlooker.seen <= {("ready", "Synced"), ("ready", "Reachable")}
    holds(partial(_restarted, away, times=revision - 1, all_of=20), seconds=1)
    told = json.loads(away.kubectl("get", "events", "-o", "json").stdout)["items"]
    assert away.region_events() == []
    assert not [event["message"] for event in told if event["reason"] not in {"Synced", "Restarted"}]
    assert writes(abroad, user=rotation.user)


def _set(away: Away, name: str) -> dict[str, Any]:
    spec = {"region": away.region_name, "data": {"A": value_from("src", "a")}}
    meta = {"name": name, "namespace": away.name}
    return {"apiVersion": "secretset.dev/v1alpha1", "kind": "SecretSet", "metadata": meta, "spec": spec}


def _counted(away: Away, *, revision: int, all_of: int = 0, **workloads: int) -> int:
    """How many sets are ready with this revision and these counts of workloads; 0 if not all of so many."""
    items = json.loads(away.kubectl("get", "secretsets", "-o", "json").stdout)["items"]
    found = [item["status"] for item in items if item["metadata"]["name"].startswith("set-")]
    good = [
        each
        for each in found
        if (each["phase"], each.get("revision")) == ("ready", revision)
        and workloads.items() <= each["workloads"].items()
    ]
    return len(good) if len(good) >= all_of else 0


def _restarted(away: Away, *, times: int, all_of: int) -> bool:
    """Whether so many Deployments were restarted this often, each."""
    items = json.loads(away.cluster.kubectl("get", "deployments", "-n", away.name, "-o", "json").stdout)["items"]
    return [item["metadata"]["generation"] for item in items] == [1 + times] * all_of


def _list(*items: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": list(items)}
