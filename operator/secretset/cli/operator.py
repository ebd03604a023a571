"""`secretset operator`: the controller, until it gets SIGTERM."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from secretset.cli.options import (
    Context,
    Kubeconfig,
    LogFormat,
    LogFormatOption,
    LogLevel,
    LogLevelOption,
    SealingKekFiles,
    listed,
    run_until_stopped,
)


def operator(
    namespace: Annotated[
        str, typer.Option(envvar="SECRETSET_NAMESPACE", help="The operator's own namespace; holds its installation.")
    ] = "secretset-system",
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    host: Annotated[
        str, typer.Option(envvar="SECRETSET_HOST", help="Address that /healthz, /readyz and /metrics listen at.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar="SECRETSET_PORT", min=0, max=65535, help="Their port; 0: a free one.")
    ] = 8080,
    replica: Annotated[
        str,
        typer.Option(envvar="SECRETSET_REPLICA", help="This replica's name. Absent: the host's, which is the pod's."),
    ] = "",
    regions: Annotated[
        str,
        typer.Option(
            envvar="SECRETSET_REGIONS",
            help="Serve these regions only, separated by commas: also those that are served from inside their cluster.",
        ),
    ] = "",
    region_kubeconfig: Annotated[
        Path | None,
        typer.Option(
            envvar="SECRETSET_REGION_KUBECONFIG",
            help="For regions that are served from inside: credentials there. Absent: the pod's service account.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(envvar="SECRETSET_WORKERS", min=1, max=128, help="Passes at a time in each region.")
    ] = 8,
    resync_seconds: Annotated[
        float, typer.Option(envvar="SECRETSET_RESYNC_SECONDS", min=1, help="How often everything is compared.")
    ] = 600.0,
    quiet_seconds: Annotated[
        float,
        typer.Option(envvar="SECRETSET_QUIET_SECONDS", min=0, help="What an absent restart.quietSeconds means."),
    ] = 2.0,
    max_wait_seconds: Annotated[
        float,
        typer.Option(envvar="SECRETSET_MAX_WAIT_SECONDS", min=0, help="What an absent restart.maxWaitSeconds means."),
    ] = 10.0,
    max_rollouts: Annotated[
        int,
        typer.Option(
            envvar="SECRETSET_MAX_ROLLOUTS", min=0, help="Workloads that roll at a time in each region; 0: no limit."
        ),
    ] = 50,
    reserved_keys: Annotated[
        str,
        typer.Option(envvar="SECRETSET_RESERVED_KEYS", help="More names that sets may not use, separated by commas."),
    ] = "",
    exec_plugins: Annotated[
        str,
        typer.Option(
            envvar="SECRETSET_EXEC_PLUGINS",
            help="Programs that credentials of regions may have run, by name or absolute path, separated by commas; "
            "each lends out the operator's cloud identity. Absent: none.",
        ),
    ] = "",
    deletion_burst: Annotated[
        int,
        typer.Option(
            envvar="SECRETSET_DELETION_BURST", min=1, help="Sets whose Secret is deleted at once when they are."
        ),
    ] = 50,
    deletions_per_minute: Annotated[
        float,
        typer.Option(
            envvar="SECRETSET_DELETIONS_PER_MINUTE",
            min=0,
            help="Sets a minute after that, a brake on mistakes; 0: the others wait until somebody decides.",
        ),
    ] = 30.0,
    sealing_key_days: Annotated[
        float,
        typer.Option(
            envvar="SECRETSET_SEALING_KEY_DAYS",
            min=0,
            help="A new sealing key is made when the newest is so old; older ones go on opening. 0: never.",
        ),
    ] = 30.0,
    sealing_keys_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="SECRETSET_SEALING_KEYS_DIR",
            help="Folder with the sealing keys, one file each, instead of the Secret; none is made there.",
        ),
    ] = None,
    sealing_kek_file: SealingKekFiles = None,
    log_format: LogFormatOption = LogFormat.TEXT,
    log_level: LogLevelOption = LogLevel.INFO,
) -> None:
    """Run the operator until it gets SIGTERM.

    It watches SecretSets, ImagePullSecrets and Regions on the hub and keeps a native Secret for each set in its region.

    Example: secretset operator --kubeconfig hub.yaml --namespace secretset-system --log-format json
    """
    from secretset import telemetry
    from secretset.app import Operator
    from secretset.config import Config, replica_name
    from secretset.domain import names

    telemetry.configure_logging(level=log_level.value, form=log_format.value)
    config = Config(
        namespace=namespace,
        kubeconfig=str(kubeconfig) if kubeconfig else None,
        context=context,
        host=host,
        port=port,
        replica=replica_name(replica),
        regions=listed(regions) or None,
        region_kubeconfig=str(region_kubeconfig) if region_kubeconfig else None,
        workers=workers,
        resync_seconds=resync_seconds,
        quiet_seconds=quiet_seconds,
        max_wait_seconds=max_wait_seconds,
        max_rollouts=max_rollouts,
        exec_plugins=listed(exec_plugins),
        deletion_burst=deletion_burst,
        deletions_per_minute=deletions_per_minute,
        sealing_key_days=sealing_key_days,
        sealing_keys_dir=sealing_keys_dir,
        sealing_kek_files=tuple(sealing_kek_file or ()),
        reserved_keys=names.RESERVED_KEYS | listed(reserved_keys),
    )
    run_until_stopped("operator", Operator(config).run())
