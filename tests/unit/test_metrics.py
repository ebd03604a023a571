"""Metrics: who serves which, what their labels may hold, and what the queue tells."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import REGISTRY, generate_latest

import metrics_reference
from metrics_reference import described, exposed, labels
from secretset import __version__, telemetry
from secretset.controller import region_metrics
from secretset.controller.queue import WorkQueue
from secretset.telemetry import METRICS, Process

# Of these there may be any number, and some are nobody's business.
_NEVER = {"name", "set", "secret", "secretset", "namespace", "organization", "workload", "pod", "key", "value", "user"}
# As client-go has it; there, and here, it is not that of an object.
_QUEUES = {"workqueue_", "leader_election_"}


def test_all_metrics_of_the_module_are_served_by_somebody() -> None:
    defined = [each for each in vars(telemetry).values() if isinstance(each, telemetry.Metric)]
    assert set(defined) == set(METRICS)
    assert all(processes for processes in METRICS.values())
    assert len({exposed(metric) for metric in METRICS}) == len(METRICS)


@pytest.mark.parametrize("metric", METRICS, ids=exposed)
def test_no_label_holds_the_name_of_an_object(metric: telemetry.Metric) -> None:
    queue = exposed(metric).startswith(tuple(_QUEUES))
    assert not (set(labels(metric)) - ({"name"} if queue else set())) & _NEVER


@pytest.mark.parametrize("metric", METRICS, ids=exposed)
def test_each_says_what_it_means(metric: telemetry.Metric) -> None:
    told = described(metric)
    assert told.documentation.endswith(".")
    assert "|" not in told.documentation
    if told.type == "histogram":
        assert exposed(metric).endswith("_seconds")


def test_the_names_of_controller_runtime_and_client_go() -> None:
    """As sigs.k8s.io/controller-runtime and k8s.io/component-base name them, with their labels."""
    known = {
        "controller_runtime_reconcile_total": {"controller", "result"},
        "controller_runtime_reconcile_errors_total": {"controller"},
        "controller_runtime_reconcile_panics_total": {"controller"},
        "controller_runtime_reconcile_time_seconds": {"controller"},
        "controller_runtime_active_workers": {"controller"},
        "controller_runtime_max_concurrent_reconciles": {"controller"},
        "workqueue_depth": {"name"},
        "workqueue_adds_total": {"name"},
        "workqueue_retries_total": {"name"},
        "workqueue_queue_duration_seconds": {"name"},
        "workqueue_work_duration_seconds": {"name"},
        "workqueue_unfinished_work_seconds": {"name"},
        "workqueue_longest_running_processor_seconds": {"name"},
        "rest_client_requests_total": {"host", "method", "code"},
        "rest_client_request_duration_seconds": {"verb", "host"},
        "leader_election_master_status": {"name"},
    }
    found = {exposed(metric): set(labels(metric)) for metric in METRICS}
    assert {name: found.get(name) for name in known} == known
    assert {name for name in found if not name.startswith("secretset_")} == known.keys()


@pytest.mark.parametrize("process", Process)
def test_a_process_serves_its_own_metrics_and_its_version(process: Process) -> None:
    served = {family.name: family for family in telemetry.registry(process).collect()}
    ours = {described(metric).name for metric, processes in METRICS.items() if process in processes}
    assert {name for name in served if not name.startswith(("python_", "process_"))} == ours
    assert "process_resident_memory_bytes" in served
    (told,) = served["secretset_build_info"].samples
    assert told.labels == {"component": process.value, "version": __version__}
    assert told.value == 1
    assert b"_created" not in generate_latest(telemetry.registry(process)).replace(b"key_created", b"")


def test_an_agent_says_that_it_is_one() -> None:
    served = {family.name: family for family in telemetry.registry(Process.OPERATOR, "agent").collect()}
    assert [each.labels["component"] for each in served["secretset_build_info"].samples] == ["agent"]
    telemetry.registry(Process.OPERATOR)


def test_counters_of_a_region_begin_with_0_and_end_with_it() -> None:
    names = ("restarts", "restart_waves", "changes_coalesced", "drift_repaired", "tombstones_swept")

    def values() -> set[float | None]:
        return {REGISTRY.get_sample_value(f"secretset_{name}_total", {"region": "told"}) for name in names}

    assert values() == {None}
    region_metrics.begin("told")
    assert values() == {0.0}
    region_metrics.forget("told")
    region_metrics.forget("told")
    assert values() == {None}


def test_the_reference_is_current() -> None:
    assert metrics_reference.PAGE.read_text() == metrics_reference.rendered()


def _told(name: str, **labelled: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"name": "told", **labelled})


async def test_what_a_queue_tells() -> None:
    queue: WorkQueue[str] = WorkQueue("told")
    for key in "aab":
        queue.add(key)
    assert (_told("workqueue_adds_total"), _told("workqueue_depth")) == (2, 2)
    assert await queue.get() == "a"
    assert _told("workqueue_depth") == 1
    queue.add("a")
    queue.add("a")
    assert (_told("workqueue_adds_total"), _told("workqueue_depth")) == (3, 1)
    await asyncio.sleep(0.01)
    assert (_told("workqueue_longest_running_processor_seconds") or 0) >= 0.01
    assert (_told("workqueue_unfinished_work_seconds") or 0) >= 0.01
    queue.done("a")
    assert _told("workqueue_depth") == 2
    assert _told("workqueue_longest_running_processor_seconds") == 0
    assert _told("workqueue_work_duration_seconds_count") == 1
    assert (_told("workqueue_work_duration_seconds_sum") or 0) >= 0.01
    for _ in range(2):
        queue.done(await queue.get())
    assert _told("workqueue_queue_duration_seconds_count") == 3
    # The second one for `a` was queued while the first was worked on, and has waited since.
    assert (_told("workqueue_queue_duration_seconds_sum") or 0) >= 0.01
    queue.retry("a")
    assert _told("workqueue_retries_total") == 1
    assert _told("workqueue_adds_total") == 3  # not yet
    queue.close()
    assert _told("workqueue_depth") is None
    assert _told("workqueue_unfinished_work_seconds") is None


def test_requests_are_counted_and_measured_and_watches_are_counted() -> None:
    telemetry.observe_request("told", "GET", "200", "/api/v1/namespaces/shop/secrets/app", 0.02)
    telemetry.observe_request("told", "PATCH", "409", "/api/v1/namespaces/shop/secrets/app", 0.02)
    telemetry.observe_request("told", "WATCH", "200", "/api/v1/secrets")
    value = REGISTRY.get_sample_value
    for method, code in (("GET", "200"), ("PATCH", "409"), ("WATCH", "200")):
        assert value("rest_client_requests_total", {"host": "told", "method": method, "code": code}) == 1
    for verb, count in (("GET", 1), ("PATCH", 1), ("WATCH", None)):
        assert value("rest_client_request_duration_seconds_count", {"host": "told", "verb": verb}) == count
    assert value("secretset_api_writes_total", {"cluster": "told", "verb": "PATCH", "resource": "secrets"}) == 1
