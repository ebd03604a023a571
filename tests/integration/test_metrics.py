"""Metrics of an operator at work: all that are documented are served, and tell what was done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness import OperatorProcess, Org, eventually
from harness.manifests import namespace, regional_role, value_from
from metrics_reference import labels, series
from secretset import __version__
from secretset.telemetry import METRICS, Process

Labels = dict[str, str]


class Told:
    """What an operator serves now."""

    def __init__(self, operator: OperatorProcess) -> None:
        families = list(text_string_to_metric_families(operator.fetch("/metrics")[1]))
        self.samples = [sample for family in families for sample in family.samples]
        self.types = {family.name: family.type for family in families}

    def all(self, name: str, /, **wanted: str) -> Iterator[tuple[Labels, float]]:
        """Labels and value of each series."""
        for sample in self.samples:
            if sample.name == name and wanted.items() <= sample.labels.items():
                yield sample.labels, sample.value

    def sum(self, name: str, /, **wanted: str) -> float:
        """Of all series; 0 if there is none."""
        return sum(value for _, value in self.all(name, **wanted))

    def one(self, name: str, /, **wanted: str) -> float:
        """The only one."""
        (found,) = self.all(name, **wanted)
        return found[1]


@pytest.fixture
def region(org: Org) -> Iterator[str]:
    """A region of the test's own, in a namespace of the hub: nobody else is counted in its metrics."""
    name = f"{org.name}-counted"
    org.regional = f"{org.name}-{name}"
    org.apply(namespace(org.regional), *regional_role(org.regional))
    yield org.region(name)
    org.kubectl("delete", "sset,ips", "--all")
    org.forget_regions()


def _deployed(org: Org) -> None:
    container = {"name": "app", "image": "app:1", "envFrom": [{"secretRef": {"name": "app"}}]}
    org.deployment("web", {"containers": [container]})


def test_what_is_documented_is_told_after_known_work(org: Org, operator: OperatorProcess, region: str) -> None:
    # One that is delivered, one that waits for a source, one that nobody but its owner can mend.
    org.source()
    org.secret_set(region=region)
    org.secret_set("waiting", region=region, data={"A": value_from("nothing", "a")})
    org.source("foreign", labelled=False)
    org.secret_set("forbidden", region=region, data={"A": value_from("foreign", "a")})
    org.reaches("ready")
    org.reaches("pending", "SourceMissing", name="waiting")
    org.reaches("failed", "SourceForbidden", name="forbidden")

    def phases() -> dict[str, float]:
        return {found["phase"]: value for found, value in Told(operator).all("secretset_sets", region=region)}

    eventually(lambda: phases() == {"ready": 1, "pending": 1, "failed": 1}, "sets by phase")
    # One change, which restarts one workload.
    _deployed(org)
    eventually(lambda: (org.status().get("workloads") or {}).get("bound") == 1, "the workload bound")
    org.source(a=org.canary())
    eventually(lambda: org.restarts("web") == 1, "the restart")
    eventually(lambda: org.status()["workloads"].get("current") == 1, "the rollout")
    # One change by somebody else.
    org.there("patch", "secret", "app", "--type=merge", "-p", '{"data":{"A":"eA=="}}')
    eventually(lambda: any(reason == "DriftRepaired" for reason, _ in org.events()), "the repair")
    eventually(lambda: Told(operator).sum("secretset_restart_waves_total", region=region) == 1, "the wave")

    told = Told(operator)
    assert told.one("secretset_time_to_ready_seconds_count", region=region) == 1
    assert 0 < told.one("secretset_time_to_ready_seconds_sum", region=region) < 60
    assert told.one("secretset_restarts_total", region=region) == 1
    assert told.one("secretset_drift_repaired_total", region=region) == 1
    assert told.one("secretset_region_up", region=region) == 1
    assert told.one("secretset_regions_served") >= 2
    assert told.one("secretset_replicas") == 1
    assert told.one("leader_election_master_status", name="secretset-leader") == 1
    assert told.one("secretset_build_info", component="operator") == 1
    eventually(lambda: Told(operator).sum("secretset_workloads", region=region, state="current") == 1, "the workload")
    _of_queue(told, region)
    _of_requests(told, region, org)
    _of_keys(told)


def _of_queue(told: Told, region: str) -> None:
    assert told.one("workqueue_depth", name=region) == 0
    assert told.one("workqueue_longest_running_processor_seconds", name=region) >= 0
    passes = told.one("workqueue_work_duration_seconds_count", name=region)
    assert 6 <= passes <= told.one("workqueue_queue_duration_seconds_count", name=region)
    assert passes <= told.one("workqueue_adds_total", name=region)
    reconciles = told.sum("controller_runtime_reconcile_total", controller="SecretSet")
    assert reconciles >= passes
    assert reconciles == sum(
        told.sum("controller_runtime_reconcile_total", controller="SecretSet", result=result)
        for result in ("success", "requeue", "requeue_after", "error")
    )
    errors = told.sum("controller_runtime_reconcile_total", controller="SecretSet", result="error")
    assert told.one("controller_runtime_reconcile_errors_total", controller="SecretSet") == errors
    for kind in ("SecretSet", "ImagePullSecret"):
        assert told.one("controller_runtime_reconcile_panics_total", controller=kind) == 0
        # Two regions or more, and the runner of sets that have none.
        assert told.one("controller_runtime_max_concurrent_reconciles", controller=kind) >= 3
    assert 0 <= told.one("controller_runtime_active_workers", controller="SecretSet") <= 64


def _of_requests(told: Told, region: str, org: Org) -> None:
    made = sum(
        value for found, value in told.all("rest_client_requests_total", host=region) if found["method"] != "WATCH"
    )
    assert made == told.sum("rest_client_request_duration_seconds_count", host=region) > 0
    assert told.sum("rest_client_requests_total", host=region, method="POST", code="201") >= 1
    assert told.sum("rest_client_requests_total", host=region, method="WATCH", code="200") >= 2
    assert told.one("secretset_api_writes_total", cluster=region, verb="PATCH", resource="deployments") == 1
    assert told.sum("secretset_api_writes_total", cluster="(hub)", resource="secretsets/status") >= 3
    values = {value for sample in told.samples for value in sample.labels.values()}
    assert not {org.name, org.regional, "app", "waiting", "forbidden", "web"} & values


def _of_keys(told: Told) -> None:
    saved = {found["kid"]: value for found, value in told.all("secretset_sealing_key_backed_up")}
    created = {found["kid"] for found, _ in told.all("secretset_sealing_key_created_timestamp_seconds")}
    assert created <= saved.keys()
    assert set(saved.values()) <= {0, 1}
    assert told.one("secretset_sealing_key_max_age_seconds") == 30 * 86_400


def test_all_that_is_documented_is_served_and_nothing_else(operator: OperatorProcess, org: Org) -> None:
    org.source()
    org.secret_set()
    org.reaches("ready")
    told = Told(operator)
    ours = {name: metric for name, metric in series().items() if Process.OPERATOR in METRICS[metric]}
    found: dict[str, set[Any]] = {}
    for sample in told.samples:
        if not sample.name.startswith(("python_", "process_")):
            found.setdefault(sample.name, set()).add(frozenset(sample.labels) - {"le"})
    assert found.keys() <= ours.keys()
    for name, sets in found.items():
        assert sets == {frozenset(labels(ours[name]))}, name
    # What has labels that nothing has had yet is there by its type.
    documented = {name.removesuffix("_total") for name in ours}
    assert documented <= {name.removesuffix("_total") for name in found} | {
        f"{name}{suffix}" for name in told.types for suffix in ("", "_bucket", "_sum", "_count")
    }
    assert told.one("secretset_build_info", component="operator", version=__version__) == 1
