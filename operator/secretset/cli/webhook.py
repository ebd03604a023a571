"""`secretset webhook`: what API servers ask before they store an object."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from secretset.cli.options import (
    Context,
    HealthPort,
    Host,
    Kubeconfig,
    LogFormat,
    LogFormatOption,
    LogLevel,
    LogLevelOption,
    listed,
    run_until_stopped,
)


def webhook(
    tls_cert: Annotated[
        Path | None,
        typer.Option(envvar="SECRETSET_TLS_CERT", help="Certificate to serve with (PEM); read again when it changes."),
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(envvar="SECRETSET_TLS_KEY", help="Its key (PEM, not encrypted).")
    ] = None,
    self_signed: Annotated[
        bool,
        typer.Option(
            "--self-signed/--no-self-signed",
            envvar="SECRETSET_SELF_SIGNED",
            help="Make a certificate, keep it in the Secret secretset-webhook-tls, renew it, and have the API server "
            "trust it; --tls-cert and --tls-key are not read then.",
        ),
    ] = False,
    namespace: Annotated[
        str, typer.Option(envvar="SECRETSET_NAMESPACE", help="The operator's own namespace on the hub.")
    ] = "secretset-system",
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    cluster_kubeconfig: Annotated[
        str,
        typer.Option(
            envvar="SECRETSET_CLUSTER_KUBECONFIG",
            help="Kubeconfig of the cluster whose API server asks; `in-cluster` for the pod's service account. "
            "Absent: that cluster is the hub.",
        ),
    ] = "",
    regions: Annotated[
        str,
        typer.Option(
            envvar="SECRETSET_REGIONS",
            help="Regions in that cluster, separated by commas, beside those whose status.clusterId tells it.",
        ),
    ] = "",
    host: Host = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar="SECRETSET_PORT", min=0, max=65535, help="Port of the webhook (HTTPS); 0: a free one.")
    ] = 8443,
    health_port: HealthPort = 8080,
    fail_closed: Annotated[
        bool,
        typer.Option(
            "--fail-closed/--fail-open",
            envvar="SECRETSET_FAIL_CLOSED",
            help="Refuse a workload while the hub cannot say whether its sets are ready; else let it through, with a "
            "warning. What happens while the webhook itself is away, its failurePolicy says.",
        ),
    ] = False,
    reserved_keys: Annotated[
        str,
        typer.Option(
            envvar="SECRETSET_RESERVED_KEYS", help="More names that sets may not use, as the operator has them."
        ),
    ] = "",
    log_format: LogFormatOption = LogFormat.TEXT,
    log_level: LogLevelOption = LogLevel.INFO,
) -> None:
    """Run the webhook for the API server of one cluster until it gets SIGTERM.

    /gate holds back workloads that begin to use a secret set which is not ready; /seal, on the hub, seals the values of
    sets before they are stored.

    Example: secretset webhook --tls-cert tls.crt --tls-key tls.key --kubeconfig hub.yaml
    """
    from secretset import telemetry
    from secretset.domain import names
    from secretset.webhook.process import Webhook, WebhookConfig

    telemetry.configure_logging(level=log_level.value, form=log_format.value)
    config = WebhookConfig(
        tls_cert=tls_cert,
        tls_key=tls_key,
        self_signed=self_signed,
        namespace=namespace,
        kubeconfig=str(kubeconfig) if kubeconfig else None,
        context=context,
        cluster_kubeconfig=cluster_kubeconfig or None,
        regions=listed(regions),
        host=host,
        port=port,
        health_port=health_port,
        fail_closed=fail_closed,
        reserved_keys=names.RESERVED_KEYS | listed(reserved_keys),
    )
    run_until_stopped("webhook", Webhook(config).run())
