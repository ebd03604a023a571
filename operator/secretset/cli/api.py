"""`secretset api`: the REST API, which Pipecat's own CLI can drive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secretset.cli.options import (
    Context,
    HealthPort,
    Host,
    LogFormat,
    LogFormatOption,
    LogLevel,
    LogLevelOption,
    OperatorNamespaceOption,
    listed,
    run_until_stopped,
)

if TYPE_CHECKING:
    from secretset.api.app import Part


def api(
    kubeconfig: Annotated[
        Path | None,
        typer.Option(
            envvar="SECRETSET_KUBECONFIG",
            help="Where the hub is: its address and CA are read, its users are not. Absent: $KUBECONFIG, the pod's own "
            "cluster, or ~/.kube/config.",
        ),
    ] = None,
    context: Context = None,
    hub_ca_file: Annotated[
        Path | None,
        typer.Option(
            envvar="SECRETSET_HUB_CA_FILE",
            help="In a pod: the CA of the hub's API server, where no service account is mounted.",
        ),
    ] = None,
    operator_namespace: OperatorNamespaceOption = "secretset-system",
    host: Host = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar="SECRETSET_PORT", min=0, max=65535, help="Port of the API; 0: a free one.")
    ] = 8000,
    health_port: HealthPort = 8080,
    tls_cert: Annotated[
        Path | None,
        typer.Option(
            envvar="SECRETSET_TLS_CERT",
            help="Certificate to serve with (PEM); read again when it changes. Absent: plain HTTP, for a proxy that "
            "ends TLS.",
        ),
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(envvar="SECRETSET_TLS_KEY", help="Its key (PEM, not encrypted).")
    ] = None,
    trusted_proxies: Annotated[
        str,
        typer.Option(
            envvar="SECRETSET_TRUSTED_PROXIES",
            help="Addresses and networks, separated by commas, whose X-Forwarded-For is believed. Absent: none.",
        ),
    ] = "",
    max_body_bytes: Annotated[
        int, typer.Option(envvar="SECRETSET_MAX_BODY_BYTES", min=1024, help="Of a request; longer ones get a 413.")
    ] = 2 * 2**20,
    rate: Annotated[
        str,
        typer.Option(
            envvar="SECRETSET_RATE",
            help="How often one token may ask, such as 1200/minute; several are separated by ';'. More gets a 429.",
        ),
    ] = "1200/minute",
    concurrency: Annotated[
        int,
        typer.Option(
            envvar="SECRETSET_CONCURRENCY",
            min=1,
            help="Requests answered at a time; more get a 503, and one token's more than half of them a 429.",
        ),
    ] = 100,
    timeout: Annotated[
        float,
        typer.Option(envvar="SECRETSET_TIMEOUT", min=0.1, help="Seconds for one request; a 504 then."),
    ] = 30.0,
    body_timeout: Annotated[
        float,
        typer.Option(
            envvar="SECRETSET_BODY_TIMEOUT", min=0.1, help="Seconds of these for its body to arrive; a 408 then."
        ),
    ] = 10.0,
    reserved_keys: Annotated[
        str,
        typer.Option(
            envvar="SECRETSET_RESERVED_KEYS", help="More names that sets may not use, as the operator has them."
        ),
    ] = "",
    services: Annotated[
        bool,
        typer.Option(
            "--services/--no-services",
            envvar="SECRETSET_SERVICES",
            help="Also serve the paths of `pipecat cloud deploy`, which make Deployments in namespaces of the hub.",
        ),
    ] = False,
    dashboard: Annotated[
        bool,
        typer.Option(
            "--dashboard/--no-dashboard",
            envvar="SECRETSET_DASHBOARD",
            help="Also serve the dashboard, under /. Browsers sign in over TLS alone, or on this machine.",
        ),
    ] = False,
    session_key_file: Annotated[
        Path | None,
        typer.Option(
            envvar="SECRETSET_SESSION_KEY_FILE",
            help="Keys that the dashboard's cookies are encrypted with, a line of 32 random characters or more each, "
            "the newest first; all replicas need the same. Absent: sessions end with the process.",
        ),
    ] = None,
    session_hours: Annotated[
        float,
        typer.Option(envvar="SECRETSET_SESSION_HOURS", min=0.1, max=168, help="Until one has to sign in again."),
    ] = 8.0,
    log_format: LogFormatOption = LogFormat.TEXT,
    log_level: LogLevelOption = LogLevel.INFO,
) -> None:
    """Run the REST API, and with --dashboard the pages, until it gets SIGTERM.

    It has no rights of its own: what it does on the hub, it does with the token of whoever asks, so that RBAC of the
    hub decides. An audit line is logged for each request, at any level.

    Exit code 0: it was told to end, and has answered what it had begun; 2: wrong usage, or it is not configured well.

    Example: secretset api --kubeconfig hub.yaml --port 8000 --dashboard
    """
    from secretset import telemetry
    from secretset.api.config import ApiConfig
    from secretset.api.process import run
    from secretset.domain import names

    telemetry.configure_logging(level=log_level.value, form=log_format.value)
    config = ApiConfig(
        kubeconfig=str(kubeconfig) if kubeconfig else None,
        context=context,
        hub_ca_file=hub_ca_file,
        operator_namespace=operator_namespace,
        host=host,
        port=port,
        health_port=health_port,
        tls_cert=tls_cert,
        tls_key=tls_key,
        trusted_proxies=listed(trusted_proxies),
        max_body_bytes=max_body_bytes,
        rate=rate,
        concurrency=concurrency,
        timeout=timeout,
        body_timeout=body_timeout,
        reserved_keys=names.RESERVED_KEYS | listed(reserved_keys),
        services=services,
    )

    async def serve() -> None:
        await run(config, [_dashboard(session_key_file, session_hours)] if dashboard else [])

    run_until_stopped("api", serve())


def _dashboard(key_file: Path | None, hours: float) -> Part:
    """The dashboard.

    Raises:
        ConfigError: the file has no keys.
    """
    from secretset.web import app, cookies

    keys = cookies.keys_of(key_file) if key_file is not None else None
    return app.dashboard(cookies.Sessions(keys, hours=hours))
