"""docs/metrics.md: all metrics, from where they are defined. `make generate` writes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from prometheus_client import Counter
from prometheus_client import Metric as Description

from secretset.telemetry import METRICS, Metric, Process

PAGE = Path(__file__).resolve().parents[1] / "docs" / "metrics.md"
_FOREIGN = ("controller_runtime_", "workqueue_", "rest_client_", "leader_election_")
_HEAD = """# Reference of metrics

Made by `make generate` from the code.

Each process serves its own at `/metrics`, on the port of its health: `--port` of the operator, `--health-port` of the
webhook and of the REST API. With the chart, `podMonitor.enabled` has a Prometheus read them, `prometheusRule.enabled`
brings the alerts of [the runbooks](runbooks/README.md), and `grafanaDashboard.enabled` a dashboard. A replica inside of
a region (`secretset operator --regions`) is an operator too, of component `agent`. The rules are for a Prometheus of
one installation: that of the hub, and, with the rules of `mode: region`, that of a region with an agent or a webhook.

No label holds the name of a set, a Secret, a namespace or a workload: how many series there are depends on regions and
routes alone. `region`, `host`, `cluster` and `name` are names of Regions; what is none stands in parentheses: `(hub)`.
`controller` is a kind, `SecretSet` or `ImagePullSecret`. Besides these, each process serves `process_*` and `python_*`,
as every program with Python's client library does.

Counters begin with 0 when a process does, and several replicas add theirs up: ask for `sum(increase(…))`. Where a
metric says that each replica tells of all, a sum would count the same thing several times: ask for `max by (…)`.
"""


def described(metric: Metric) -> Description:
    """What a metric tells of itself."""
    (told,) = metric.describe()
    return told


def exposed(metric: Metric) -> str:
    """The name of a metric as it is asked for: counters end with `_total`."""
    name = described(metric).name
    return f"{name}_total" if isinstance(metric, Counter) else name


def labels(metric: Metric) -> tuple[str, ...]:
    """Names of its labels."""
    return tuple(metric._labelnames)


def series() -> dict[str, Metric]:
    """All names that a query may use, a histogram's three among them."""
    found: dict[str, Metric] = {}
    for metric in METRICS:
        name = exposed(metric)
        histogram = described(metric).type == "histogram"
        found |= {f"{name}{suffix}": metric for suffix in (("_bucket", "_sum", "_count") if histogram else ("",))}
    return found


def rendered() -> str:
    """The page as the code makes it."""
    known = [metric for metric in METRICS if exposed(metric).startswith(_FOREIGN)]
    ours = [metric for metric in METRICS if metric not in known]
    lines = [_HEAD, "## With names of controller-runtime and client-go\n"]
    lines.append("They mean what they mean there, so that dashboards and alerts for controllers work with them.\n")
    lines += _table(known)
    everywhere = [metric for metric in ours if len(METRICS[metric]) == len(Process)]
    lines += ["\n## Of every process\n", *_table(everywhere)]
    for process, title in (
        (Process.OPERATOR, "Of the operator"),
        (Process.WEBHOOK, "Of the webhook"),
        (Process.API, "Of the REST API"),
    ):
        own = [metric for metric in ours if METRICS[metric][0] is process and metric not in everywhere]
        lines += [f"\n## {title}\n", *_table(own)]
    return "\n".join(lines) + "\n"


def _table(metrics: list[Metric]) -> Iterator[str]:
    yield "| metric | type | labels | served by | |"
    yield "|---|---|---|---|---|"
    for metric in metrics:
        told = described(metric)
        named = ", ".join(f"`{label}`" for label in labels(metric)) or ""
        processes = METRICS[metric]
        by = "all" if len(processes) == len(Process) else ", ".join(processes)
        yield f"| `{exposed(metric)}` | {told.type} | {named} | {by} | {told.documentation} |"


if __name__ == "__main__":
    PAGE.write_text(rendered())
