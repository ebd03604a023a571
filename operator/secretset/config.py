"""What the installer can set. Every field is a flag of `secretset operator` and an environment variable."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field
from pathlib import Path

from secretset.domain import names, windows
from secretset.domain.models import RestartSpec
from secretset.domain.names import Kind
from secretset.domain.restarts import RestartRule, automatic_by_default


def replica_name(wanted: str = "") -> str:
    """What a replica is called, in the form that the name of a Lease needs; absent, the host's name."""
    text = re.sub(r"[^a-z0-9]+", "-", (wanted or socket.gethostname()).lower()).strip("-")
    return text[:63].rstrip("-") or "operator"


_ABSENT = RestartSpec()


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of the operator.

    Attributes:
        namespace: the operator's own namespace on the hub; holds its installation Secret.
        kubeconfig: file to use for the hub; None for $KUBECONFIG, the pod's account, or ~/.kube/config.
        context: context of that file; None for its current one.
        host: address that health and metrics listen at.
        port: port of them; 0 for a free one.
        replica: name of this process among the replicas of the operator.
        regions: the only regions that it serves; None for all whose credentials are on the hub.
        region_kubeconfig: file with its credentials for regions that are served from inside of their cluster; None
            for the pod's account.
        workers: passes at a time in each region.
        resync_seconds: how often all objects are compared, whether or not anything happened.
        quiet_seconds: what an absent ``restart.quietSeconds`` means.
        max_rollouts: workloads that may roll at a time in each region, because of us; 0 for no limit.
        max_wait_seconds: what an absent ``restart.maxWaitSeconds`` means.
        reserved_keys: names that ``spec.data`` may not use.
        exec_plugins: programs that the credentials of regions may have run, by name or absolute path.
        request_timeout: seconds for one request to an API server.
        deletion_burst: how many managed Secrets may be deleted at once because their sets were.
        deletions_per_minute: how many may be after that; 0: none, until somebody decides.
        sealing_key_days: age at which the newest sealing key is followed by another; 0: never.
        sealing_keys_dir: folder with the sealing keys, if they are not in a Secret; nothing is written there.
        sealing_kek_files: files with keys that sealing keys are wrapped with; the first one wraps new ones.
        look_again_seconds: how often a failure outside our watches is looked at again.
    """

    namespace: str = "secretset-system"
    kubeconfig: str | None = None
    context: str | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    replica: str = field(default_factory=replica_name)
    regions: frozenset[str] | None = None
    region_kubeconfig: str | None = None
    workers: int = 8
    resync_seconds: float = 600.0
    quiet_seconds: float = 2.0
    max_wait_seconds: float = 10.0
    max_rollouts: int = 50
    reserved_keys: frozenset[str] = field(default=names.RESERVED_KEYS)
    exec_plugins: frozenset[str] = frozenset()
    request_timeout: float = 15.0
    deletion_burst: int = 50
    deletions_per_minute: float = 30.0
    sealing_key_days: float = 30.0
    sealing_keys_dir: Path | None = None
    sealing_kek_files: tuple[Path, ...] = ()
    look_again_seconds: float = 60.0

    def restart_rule(self, kind: Kind, spec: RestartSpec | None) -> RestartRule:
        """Fill in what a restart section leaves out.

        Raises:
            Problem: ``InvalidSpec``: its window never opens; a spec that was read (`record.parse_spec`) has none such.
        """
        spec = spec or _ABSENT
        quiet = self.quiet_seconds if spec.quiet_seconds is None else float(spec.quiet_seconds)
        longest = self.max_wait_seconds if spec.max_wait_seconds is None else float(spec.max_wait_seconds)
        return RestartRule(
            automatic=spec.policy == "Auto" if spec.policy else automatic_by_default(kind),
            quiet=quiet,
            max_wait=max(longest, quiet) if spec.max_wait_seconds is None else longest,
            max_concurrent=spec.max_concurrent,
            window=None if spec.window is None else windows.parse(spec.window),
        )
