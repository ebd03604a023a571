"""A region that answers, but not as it should: the Region says what is wrong, and is mended without a restart."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import web

from harness import (
    OPERATOR_ACCOUNT,
    Away,
    FaultyServer,
    Org,
    decoded,
    eventually,
    faulty,
    guarded,
    holds,
    kubeconfig_secret,
    namespace,
    regional_role,
    value_from,
)
from harness.faulty import Fault
from kubelab.plane import ControlPlane


class Distress(NamedTuple):
    """A fault, and what is said of it: `phase/Reason` of the Region, its conditions, and a part of the message."""

    fault: Fault
    region: str
    reachable: str
    authorized: str
    says: str
    valid_seconds: float | None = None


DISTRESSES = {
    "401": Distress(faulty.unauthorized(), "failed/RegionNotReady", "True", "False", "are not accepted"),
    "500": Distress(faulty.failing(500), "pending/RegionUnreachable", "False", "Unknown", "that it is not ready"),
    "503": Distress(faulty.failing(503), "pending/RegionUnreachable", "False", "Unknown", "that it is not ready"),
    "garbage": Distress(faulty.garbage(), "pending/RegionUnreachable", "False", "Unknown", "cannot be reached"),
    "expired": Distress(faulty.garbage(), "failed/RegionNotReady", "False", "Unknown", "is not to be trusted", -60),
}


@pytest.fixture
def target(org: Org, abroad: ControlPlane, canaries: list[str]) -> Org:
    """An organization that could live abroad, and has a source."""
    canaries.append(faulty.SAID)
    items = [namespace(org.name), *regional_role(org.name)]
    abroad.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    org.source()
    return org


def status_of(org: Org, region: str) -> dict[str, Any]:
    return dict((org.get("region", region) or {}).get("status") or {})


def conditions(status: dict[str, Any]) -> dict[str, str]:
    """What the conditions of the link say."""
    found = status.get("conditions") or ()
    return {each["type"]: each["status"] for each in found if each["type"] in {"Reachable", "Authorized"}}


def mend(org: Org, region: str, abroad: ControlPlane) -> None:
    """Give the region credentials of a healthy cluster."""
    kubeconfig_secret(org, region, abroad.service_account_kubeconfig(*OPERATOR_ACCOUNT).read_text())
    org.reaches("ready", "Synced")
    eventually(lambda: conditions(status_of(org, region)) == {"Reachable": "True", "Authorized": "True"})
    assert json.loads(abroad.kubectl("get", "secret", "app", "-n", org.name, "-o", "json").stdout)


@pytest.mark.parametrize("kind", DISTRESSES)
def test_an_api_server_in_distress(target: Org, abroad: ControlPlane, tmp_path: Path, kind: str) -> None:
    distress, region = DISTRESSES[kind], f"{target.name}-r"
    with guarded(target), FaultyServer(distress.fault, valid_seconds=distress.valid_seconds) as server:
        config = server.kubeconfig(tmp_path / "config").read_text()
        target.region(region, cluster=kubeconfig_secret(target, region, config))
        target.secret_set(region=region)
        target.stumbles(f"pending/{distress.region.partition('/')[2]}", distress.says)
        told = eventually(lambda: status_of(target, region), "the Region's status")
        assert f"{told['phase']}/{told['reason']}" == distress.region
        assert distress.says in told["message"]
        assert conditions(told) == {"Reachable": distress.reachable, "Authorized": distress.authorized}
        mend(target, region, abroad)
        asked = len(server.requests)
        holds(lambda: len(server.requests) == asked, seconds=1)


# What a region is asked for before anything else is done there.
FEATURES = ("/apis/argoproj.io/", "/apis/admissionregistration.k8s.io/")


class Busy(Fault):
    """429 with Retry-After to whatever is asked in earnest; who is there may be asked."""

    def __init__(self, retry_after: int) -> None:
        asks_to_wait = faulty.throttling(retry_after=retry_after)
        super().__init__(asks_to_wait._respond, well=asks_to_wait._well)

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/api/v1/namespaces/kube-system":
            return web.json_response({"metadata": {"uid": "busy"}})
        if request.path.startswith(FEATURES):
            return web.json_response({}, status=404)
        return await super().answer(request)


def test_a_region_that_asks_to_wait_is_left_alone_that_long(target: Org, abroad: ControlPlane, tmp_path: Path) -> None:
    region, pause = f"{target.name}-r", 4
    with guarded(target), FaultyServer(Busy(pause)) as server:
        config = server.kubeconfig(tmp_path / "config").read_text()
        target.region(region, cluster=kubeconfig_secret(target, region, config))
        target.secret_set(region=region)
        target.source("other")
        target.secret_set("other", region=region, data={"A": value_from("other", "a")})

        def refused() -> list[float]:
            well = ("/readyz", "/version", "/apis/authorization.k8s.io/", "/api/v1/namespaces/kube-system", *FEATURES)
            return sorted(each.at for each in server.requests if not each.path.startswith(well))

        eventually(refused, "the first request")
        time.sleep(2.5 * pause)
        target.poke()
        times = refused()
        # What was on its way with the first comes at once; from then on all keep still until the time is over.
        rounds = [at for before, at in itertools.pairwise([float("-inf"), *times]) if at - before > 0.5]
        assert len(rounds) <= 4
        assert all(later - earlier >= pause - 0.5 for earlier, later in itertools.pairwise(rounds))
        assert len(times) <= 4 * 6, "not more than its watches at a time"
        # It is there, and says so; only the work waits.
        assert conditions(status_of(target, region))["Reachable"] == "True"
        assert target.status()["phase"] == "pending"
        mend(target, region, abroad)


def test_a_region_that_asks_to_wait_from_the_start(target: Org, abroad: ControlPlane, tmp_path: Path) -> None:
    region = f"{target.name}-r"
    with guarded(target), FaultyServer(faulty.throttling(retry_after=3)) as server:
        config = server.kubeconfig(tmp_path / "config").read_text()
        target.region(region, cluster=kubeconfig_secret(target, region, config))
        target.secret_set(region=region)
        target.stumbles("pending/RegionUnreachable", "answers, but says that it is not ready")
        who = "/api/v1/namespaces/kube-system"
        eventually(lambda: len(server.times("GET", who)) >= 2, "another attempt", seconds=20)
        times = server.times("GET", who)
        assert all(later - earlier >= 2.5 for earlier, later in itertools.pairwise(times))
        mend(target, region, abroad)


# --- credentials that end while they are used


@pytest.fixture
def away(org: Org, abroad: ControlPlane) -> Iterator[Away]:
    """With two sets that are delivered: `app` and, from another source, `quiet`."""
    with guarded(Away(org, abroad)) as away:
        assert isinstance(away, Away)
        away.source()
        away.source("calm")
        away.deliver()
        away.deliver("quiet", data={"A": value_from("calm", "a")})
        yield away


def authorized(away: Away) -> str:
    return away.conditions().get("Authorized", "")


def account(away: Away, abroad: ControlPlane, name: str) -> Path:
    """A ServiceAccount that may do what the operator's may, in the organization's namespace; a kubeconfig of it."""
    abroad.kubectl("create", "serviceaccount", name, "-n", away.name)
    subject = f"--serviceaccount={away.name}:{name}"
    abroad.kubectl(*("create", "rolebinding", name, "-n", away.name, "--role=secretset-regional-namespace", subject))
    abroad.kubectl(
        *("create", "clusterrolebinding", f"{away.name}-{name}", "--clusterrole=secretset-operator-region", subject)
    )
    return abroad.service_account_kubeconfig(away.name, name)


def ended_and_renewed(away: Away, end: Callable[[], object], renew: Callable[[], None]) -> None:
    """Credentials end and are renewed: what has work waits and says why, what has none notices nothing."""
    eventually(lambda: authorized(away) == "True", "Authorized=True")
    quiet, revision = (away.status("quiet"), away.found("quiet")), away.status()["revision"]
    end()
    eventually(lambda: authorized(away) == "False", "Authorized=False", seconds=40)
    told = away.region_status()
    secret = f"Secret 'secretset-system/kubeconfig-{away.region_name}'"
    assert (told["phase"], told["reason"]) == ("failed", "RegionNotReady")
    assert away.conditions()["Reachable"] == "True"
    assert f"the credentials in {secret} are not accepted" in told["message"]
    value = away.canary()
    away.source("src", a=value)
    assert secret in away.reaches("pending", "RegionNotReady")["message"]
    assert (away.status("quiet"), away.found("quiet")) == quiet
    renew()
    eventually(lambda: decoded(away.found()) == {"A": value.encode()}, "the delivery", seconds=30)
    assert away.reaches("ready", "Synced")["revision"] == revision + 1
    eventually(lambda: authorized(away) == "True", "Authorized=True")
    assert (away.status("quiet"), away.found("quiet")) == quiet
    assert away.events("quiet") == []
    assert not [event for event in away.region_events() if event[0] == "ClusterChanged"]


def test_a_token_that_is_revoked(away: Away, abroad: ControlPlane) -> None:
    away.use(account(away, abroad, "first"))
    ended_and_renewed(
        away,
        lambda: abroad.kubectl("delete", "serviceaccount", "first", "-n", away.name),
        lambda: away.use(account(away, abroad, "second")),
    )


def test_a_client_certificate_that_expires(away: Away, abroad: ControlPlane) -> None:
    user = f"expiring-{away.name}"
    abroad.kubectl(
        *("create", "rolebinding", user, "-n", away.name, "--role=secretset-regional-namespace"),
        f"--user={user}",
    )
    abroad.kubectl("create", "clusterrolebinding", user, "--clusterrole=secretset-operator-region", f"--user={user}")
    away.use(abroad.kubeconfig_for(user, valid_seconds=8))
    ended_and_renewed(away, lambda: None, lambda: away.use(abroad.kubeconfig_for(user)))


# --- rights


def test_rights_that_are_taken_away_and_given_back(away: Away, abroad: ControlPlane) -> None:
    eventually(lambda: authorized(away) == "True", "Authorized=True")
    quiet = away.status("quiet"), away.found("quiet")
    abroad.kubectl("delete", "rolebinding", "secretset-operator-region", "-n", away.name)
    value = away.canary()
    away.source("src", a=value)
    told = away.reaches("failed", "PermissionDenied")
    assert f"secrets in namespace '{away.name}' of region '{away.region_name}'" in told["message"]
    eventually(lambda: authorized(away) == "False", "Authorized=False")
    region = away.region_status()
    assert (region["phase"], region["reason"]) == ("ready", "PermissionDenied")
    assert away.conditions()["Reachable"] == "True"
    (lacking,) = (each["message"] for each in region["conditions"] if each["type"] == "Authorized")
    assert f"may not get, list, watch, create, update, delete secrets in namespace '{away.name}'" in _sorted(lacking)
    assert (away.status("quiet"), away.found("quiet")) == quiet
    away.prepare(abroad)
    away.poke()
    eventually(lambda: decoded(away.found()) == {"A": value.encode()}, "the delivery")
    assert away.reaches("ready", "Synced")["revision"] == 2
    eventually(lambda: authorized(away) == "True", "Authorized=True", seconds=20)
    assert (away.status("quiet"), away.found("quiet")) == quiet
    assert away.events("quiet") == []


def test_one_verb_that_is_missing_is_named(away: Away, abroad: ControlPlane) -> None:
    eventually(lambda: authorized(away) == "True", "Authorized=True")
    rules = [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch", "create", "delete"]},
        {
            "apiGroups": ["apps"],
            "resources": ["deployments", "statefulsets", "daemonsets"],
            "verbs": ["get", "list", "watch", "patch"],
        },
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
    ]
    api = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "lacking", "namespace": away.name}}
    subject = {"kind": "ServiceAccount", "namespace": OPERATOR_ACCOUNT[0], "name": OPERATOR_ACCOUNT[1]}
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "lacking"}
    role: dict[str, Any] = {**api, "kind": "Role", "rules": rules}
    binding = {**api, "kind": "RoleBinding", "roleRef": ref, "subjects": [subject]}
    items = {"apiVersion": "v1", "kind": "List", "items": [role, binding]}
    abroad.kubectl("apply", "-f", "-", input=json.dumps(items))
    abroad.kubectl("delete", "rolebinding", "secretset-operator-region", "-n", away.name)
    away.source("src", a=away.canary())
    told = away.reaches("failed", "PermissionDenied")
    assert f"may not update secrets in namespace '{away.name}'" in told["message"]
    eventually(lambda: authorized(away) == "False", "Authorized=False")
    assert away.region_status()["message"] == f"The operator may not update secrets in namespace '{away.name}'."


def _sorted(message: str) -> str:
    """A message with its verbs in the order of the role."""
    order = ("get", "list", "watch", "create", "update", "delete")
    return message.replace(", ".join(sorted(order)), ", ".join(order))
