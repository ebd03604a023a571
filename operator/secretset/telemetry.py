"""Logs and metrics. Neither ever carries a value: object bodies are not logged, at any level, by anyone.

Metrics bear the names that people know from controller-runtime where those exist. No label holds the name of a set.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, Histogram

log = structlog.get_logger(__name__)

REQUESTS = Counter("rest_client_requests", "HTTP requests to API servers.", ["host", "method", "code"])
WRITES = Counter(
    "secretset_api_writes", "Requests that change something, by resource.", ["cluster", "verb", "resource"]
)
RECONCILES = Counter("controller_runtime_reconcile", "Passes over one object.", ["controller", "result"])
RECONCILE_SECONDS = Histogram(
    "controller_runtime_reconcile_time_seconds",
    "Duration of a pass that had something to do.",
    ["controller"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
QUEUE_DEPTH = Gauge("workqueue_depth", "Objects that wait for a pass.", ["name"])
QUEUE_RETRIES = Counter("workqueue_retries", "Passes that are repeated with backoff.", ["name"])
SETS = Gauge("secretset_sets", "Objects by region and phase.", ["region", "phase"])
RESTARTS = Counter("secretset_restarts", "Workloads restarted.", ["region"])
WAVES = Counter("secretset_restart_waves", "Changes of content whose restarts were all made.", ["region"])
COALESCED = Counter(
    "secretset_changes_coalesced", "Changes that became part of one whose restarts had not begun.", ["region"]
)
WORKLOADS = Gauge("secretset_workloads", "Workloads that use a managed Secret, by how they stand.", ["region", "state"])
DRIFT = Counter("secretset_drift_repaired", "Managed Secrets put right after somebody else changed them.", ["region"])
REGION_UP = Gauge("secretset_region_up", "1 while the region's API server answers.", ["region"])
REPLICAS = Gauge("secretset_replicas", "Replicas of the operator that hold a Lease, as this one sees it.")
REGIONS_OWNED = Gauge("secretset_regions_served", "Regions that this replica serves.")
DELETIONS_BRAKED = Gauge("secretset_deletions_braked", "Deleted sets whose Secret waits for its turn to be taken away.")
DELETIONS_DELAYED = Counter("secretset_deletions_delayed", "Deleted sets that had to wait for their turn.")
TOMBSTONES = Gauge("secretset_tombstones", "Managed Secrets that were left behind in a region.", ["region"])
SWEPT = Counter("secretset_tombstones_swept", "Managed Secrets left behind that were dealt with since.", ["region"])
TIME_TO_READY = Histogram(
    "secretset_time_to_ready_seconds",
    "From the creation of an object to its first delivery.",
    ["region"],
    buckets=(0.5, 1, 2, 3, 5, 10, 30, 60, 300),
)
GATE_DECISIONS = Counter("secretset_gate_decisions", "What the ready gate answered.", ["outcome"])
GATE_SECONDS = Histogram(
    "secretset_gate_seconds",
    "How long the ready gate took to answer.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
SEAL_DECISIONS = Counter("secretset_seal_decisions", "What was done to objects at their admission.", ["outcome"])
VALUES_SEALED = Counter("secretset_values_sealed", "Values that were sealed at the admission of their object.")
CERTIFICATE_EXPIRES = Gauge(
    "secretset_webhook_certificate_expires_timestamp_seconds", "When the webhook's certificate ends, in Unix time."
)
VALUES_OPENED = Counter("secretset_values_opened", "Sealed values that were opened.")
SEALED_VALUES = Gauge(
    "secretset_sealed_values", "Sealed values of all sets by the key that opens them, told by the leader.", ["kid"]
)
WATCH_RESTARTS = Counter("secretset_kopf_restarts", "Times that the watch of our own kinds had to be started anew.")

_WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# Loggers that print bodies of requests at debug level; ours do not, so only ours may go below WARNING.
_TALKATIVE = ("kopf", "aiohttp", "kubernetes", "asyncio", "urllib3")


def changes(method: str, path: str) -> bool:
    """Whether a request changes something; a review of access is a question, though it is a POST."""
    return method in _WRITING and not path.startswith("/apis/authorization.k8s.io/")


def observe_request(cluster: str, method: str, code: str, path: str) -> None:
    """Count one request to an API server."""
    REQUESTS.labels(cluster, method, code).inc()
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
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
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
