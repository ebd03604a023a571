"""Logs and metrics. Neither ever carries a value: object bodies are not logged, at any level, by anyone.

Metrics bear the names that people know from controller-runtime and client-go where those exist, with their labels and
their meaning. No label holds the name of a set, a Secret or a namespace. docs/metrics.md is made from this module.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from enum import StrEnum
from typing import Any, TypeVar

import structlog
from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

from secretset import __version__

log = structlog.get_logger(__name__)


class Process(StrEnum):
    """Processes that serve metrics, each those that are its own."""

    OPERATOR = "operator"
    WEBHOOK = "webhook"
    API = "api"


Metric = Counter | Gauge | Histogram
_Of = TypeVar("_Of", Counter, Gauge, Histogram)

METRICS: dict[Metric, tuple[Process, ...]] = {}
"""All metrics, in the order of docs/metrics.md, and the processes that serve each."""

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_SLOW = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


def _of(metric: _Of, *processes: Process) -> _Of:
    """Say which processes serve a metric; the operator, unless others are named."""
    METRICS[metric] = processes or (Process.OPERATOR,)
    return metric


# --- names, labels and meaning of controller-runtime and client-go

RECONCILES = _of(
    Counter(
        "controller_runtime_reconcile",
        "Passes over one object. result: success; requeue_after, planned again; requeue, repeated with backoff; error.",
        ["controller", "result"],
    )
)
RECONCILE_ERRORS = _of(
    Counter(
        "controller_runtime_reconcile_errors",
        "Passes that an error ended: of an API server, or of the operator itself. They are repeated with backoff.",
        ["controller"],
    )
)
RECONCILE_PANICS = _of(
    Counter(
        "controller_runtime_reconcile_panics",
        "Those of the errors that are defects of the operator itself; its log names the place.",
        ["controller"],
    )
)
RECONCILE_SECONDS = _of(
    Histogram(
        "controller_runtime_reconcile_time_seconds",
        "Duration of passes that had something to do.",
        ["controller"],
        buckets=_SLOW,
    )
)
ACTIVE_WORKERS = _of(
    Gauge("controller_runtime_active_workers", "Passes that are being made, in all regions.", ["controller"])
)
MAX_WORKERS = _of(
    Gauge(
        "controller_runtime_max_concurrent_reconciles",
        "Passes that can be made at a time, in all regions of this replica; the kinds share them.",
        ["controller"],
    )
)
QUEUE_DEPTH = _of(
    Gauge("workqueue_depth", "Objects that wait for a pass, by region; (unresolved): of no usable region.", ["name"])
)
QUEUE_ADDS = _of(Counter("workqueue_adds", "Objects that were queued for a pass.", ["name"]))
QUEUE_RETRIES = _of(Counter("workqueue_retries", "Passes that are repeated with backoff.", ["name"]))
QUEUE_SECONDS = _of(
    Histogram(
        "workqueue_queue_duration_seconds", "How long objects waited in the queue for a pass.", ["name"], buckets=_SLOW
    )
)
WORK_SECONDS = _of(
    Histogram("workqueue_work_duration_seconds", "How long passes took, all of them.", ["name"], buckets=_SLOW)
)
QUEUE_UNFINISHED = _of(
    Gauge("workqueue_unfinished_work_seconds", "Seconds that the passes under way have taken, together.", ["name"])
)
QUEUE_LONGEST = _of(
    Gauge("workqueue_longest_running_processor_seconds", "Seconds that the longest pass under way has taken.", ["name"])
)
REQUESTS = _of(
    Counter(
        "rest_client_requests",
        "Requests to API servers. host: a region, (hub), or (here): the webhook's cluster; code: error if no answer.",
        ["host", "method", "code"],
    ),
    *Process,
)
REQUEST_SECONDS = _of(
    Histogram(
        "rest_client_request_duration_seconds",
        "How long requests to API servers took, without watches. host: as above.",
        ["verb", "host"],
        buckets=(0.001, *_SLOW),
    ),
    *Process,
)
LEADER = _of(
    Gauge(
        "leader_election_master_status",
        "1 while this replica leads: does what belongs to no region. Regions are shared by all replicas.",
        ["name"],
    )
)

# --- ours

BUILD_INFO = _of(
    Gauge(
        "secretset_build_info",
        "1; the process that serves it (agent: an operator in a region), and its version.",
        ["component", "version"],
    ),
    *Process,
)
WRITES = _of(
    Counter("secretset_api_writes", "Requests that change something, by resource.", ["cluster", "verb", "resource"]),
    *Process,
)
SETS = _of(
    Gauge(
        "secretset_sets",
        "Objects by region and phase; none of decommissioned regions. Each replica tells of all: take the max.",
        ["region", "phase"],
    )
)
TIME_TO_READY = _of(
    Histogram(
        "secretset_time_to_ready_seconds",
        "From the creation of an object to its first delivery.",
        ["region"],
        buckets=(0.5, 1, 2, 3, 5, 10, 30, 60, 300),
    )
)
REGION_UP = _of(
    Gauge(
        "secretset_region_up",
        "1 while the region can be used, told by the replica that serves it; that none does, by the leader; none of a "
        "decommissioned one.",
        ["region"],
    )
)
REGIONS_OWNED = _of(Gauge("secretset_regions_served", "Regions that this replica serves."))
REPLICAS = _of(
    Gauge("secretset_replicas", "Replicas on the hub that hold a Lease, as this one sees it; 0: its own does not hold.")
)
WATCH_RESTARTS = _of(
    Counter("secretset_kopf_restarts", "Times that the watch of our own kinds had to be started anew.")
)
RESTARTS = _of(Counter("secretset_restarts", "Workloads restarted.", ["region"]))
WAVES = _of(Counter("secretset_restart_waves", "Changes of content whose restarts were all made.", ["region"]))
COALESCED = _of(
    Counter("secretset_changes_coalesced", "Changes that became part of one whose restarts had not begun.", ["region"])
)
WORKLOADS = _of(
    Gauge(
        "secretset_workloads",
        "Workloads that use a managed Secret, once for each that they use, by how they stand. Each replica tells of "
        "all: take the max.",
        ["region", "state"],
    )
)
DRIFT = _of(
    Counter("secretset_drift_repaired", "Managed Secrets put right after somebody else changed them.", ["region"])
)
DELETIONS_BRAKED = _of(
    Gauge("secretset_deletions_braked", "Deleted sets whose Secret waits for its turn to be taken away.")
)
DELETIONS_DELAYED = _of(Counter("secretset_deletions_delayed", "Deleted sets that had to wait for their turn."))
TOMBSTONES = _of(
    Gauge(
        "secretset_tombstones",
        "Managed Secrets that were left behind in a region. Each replica tells of all: take the max.",
        ["region"],
    )
)
SWEPT = _of(
    Counter("secretset_tombstones_swept", "Managed Secrets left behind that were dealt with since.", ["region"])
)
VALUES_OPENED = _of(Counter("secretset_values_opened", "Sealed values that were opened."))
SEALED_VALUES = _of(
    Gauge(
        "secretset_sealed_values",
        "Sealed values of all sets by the key that opens them, told by the leader; lost: of keys that were here and "
        "are not held; foreign: of others.",
        ["kid"],
    )
)
SEALING_KEY_CREATED = _of(
    Gauge(
        "secretset_sealing_key_created_timestamp_seconds",
        "When the sealing keys that this replica holds were made, in Unix time: a backup has to be newer.",
        ["kid"],
    )
)
SEALING_KEY_MAX_AGE = _of(
    Gauge(
        "secretset_sealing_key_max_age_seconds",
        "Age of the newest sealing key at which the operator makes another; 0: it makes none.",
    )
)
SEALING_KEY_BACKED_UP = _of(
    Gauge(
        "secretset_sealing_key_backed_up",
        "1 for each published sealing key of which a backup was noted, 0 for the others; told by the leader.",
        ["kid"],
    )
)
SEAL_DECISIONS = _of(
    Counter(
        "secretset_seal_decisions",
        "What was done to objects at their admission: patched, unchanged, refused, no_key (public keys are not known).",
        ["outcome"],
    ),
    Process.WEBHOOK,
)
VALUES_SEALED = _of(
    Counter("secretset_values_sealed", "Values that were sealed at the admission of their object."), Process.WEBHOOK
)
GATE_DECISIONS = _of(
    Counter(
        "secretset_gate_decisions",
        "What the ready gate answered: allowed, refused, rollback (ran before), unknown (the hub could not tell).",
        ["outcome"],
    ),
    Process.WEBHOOK,
)
GATE_SECONDS = _of(
    Histogram("secretset_gate_seconds", "How long the ready gate took to answer.", buckets=_FAST), Process.WEBHOOK
)
CERTIFICATE_EXPIRES = _of(
    Gauge(
        "secretset_webhook_certificate_expires_timestamp_seconds",
        "When the certificate that is served ends, in Unix time; 0: none is, as by a REST API without TLS.",
    ),
    Process.WEBHOOK,
    Process.API,
)
HTTP_REQUESTS = _of(
    Counter("secretset_http_requests", "Requests to the REST API.", ["method", "route", "code"]), Process.API
)
HTTP_SECONDS = _of(
    Histogram("secretset_http_request_seconds", "How long the REST API took to answer.", ["route"], buckets=_SLOW),
    Process.API,
)
HTTP_IN_FLIGHT = _of(
    Gauge("secretset_http_requests_in_flight", "Requests that the REST API is answering."), Process.API
)
HTTP_REFUSED = _of(
    Counter("secretset_http_requests_refused", "Requests that were over a limit of the REST API.", ["limit"]),
    Process.API,
)


def registry(process: Process, component: str = "") -> CollectorRegistry:
    """What a process serves: its metrics, those of Python and of the operating system, and its version.

    Args:
        process: whose metrics are served.
        component: what it calls itself, if not by the name of the process: ``agent``.

    A metric that is another's would stand there with 0, and be told from a true 0 by nobody.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each, that nobody asks for
    served = CollectorRegistry(auto_describe=True)
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        served.register(collector)
    for metric, processes in METRICS.items():
        if process in processes:
            served.register(metric)
    BUILD_INFO.clear()
    BUILD_INFO.labels(component or process, __version__).set(1)
    return served


_WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# Loggers that print bodies of requests at debug level; ours do not, so only ours may go below WARNING.
_TALKATIVE = ("kopf", "aiohttp", "kubernetes", "asyncio", "urllib3", "uvicorn", "fastapi", "limits")
_PROCESSORS: list[structlog.types.Processor] = []  # one list for good, which loggers that are cached follow
# Reviews of access and of identity are questions, though they are POSTs.
_QUESTIONS = ("/apis/authorization.k8s.io/", "/apis/authentication.k8s.io/")


def changes(method: str, path: str) -> bool:
    """Whether a request changes something; a review is a question, though it is a POST."""
    return method in _WRITING and not path.startswith(_QUESTIONS)


def observe_request(cluster: str, method: str, code: str, path: str, seconds: float | None = None) -> None:
    """Count one request to an API server.

    Args:
        cluster: a region, or ``(hub)``.
        method: of HTTP, or ``WATCH``.
        code: of the answer; ``error`` if there was none.
        path: what was asked for.
        seconds: until the answer was read; None for a watch.
    """
    REQUESTS.labels(cluster, method, code).inc()
    if seconds is not None:
        REQUEST_SECONDS.labels(method, cluster).observe(seconds)
    if changes(method, path):
        WRITES.labels(cluster, method, resource_of(path)).inc()


def resource_of(path: str) -> str:
    """The resource, with its subresource, that a path of the API names: ``secretsets/status``."""
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if len(rest) > 2 and rest[0] == "namespaces":
        rest = rest[2:]
    return "/".join(rest[::2])


def nobody_waits(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tell of an error that no task waits for, mostly connections that end while they are read, but not its text."""
    log.warning("nobody waits for this error", error=type(context.get("exception")).__name__)


def configure_logging(*, level: str, form: str) -> None:
    """Send everything to standard error: ``text`` for people, ``json`` for machines."""
    timestamper = structlog.processors.TimeStamper(fmt="iso", utc=True)
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        timestamper,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    _PROCESSORS[:] = [structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter]
    structlog.configure(
        processors=_PROCESSORS,
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info if form == "json" else _keep,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.getLogger("kopf._core.reactor.running").setLevel(
        logging.ERROR
    )  # it runs in a thread: no signals, on purpose


def _keep(_: Any, __: str, event: Any) -> Any:
    return event
