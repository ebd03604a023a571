"""Each program of a plane: its flags, its environment, and who it is to the API server. No process is started here.

Flags are chosen for a quick start, little memory and quick reactions, never for a behaviour that a real cluster would
not show: RBAC decides, admission plugins run, namespaces and owners are collected.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kubelab.layout import Folder
from kubelab.options import Options

ETCD = "etcd"
APISERVER = "kube-apiserver"
CONTROLLERS = "kube-controller-manager"
SCHEDULER = "kube-scheduler"
KWOK = "kwok"

ADMIN = "admin"
SUPERVISOR = "kubelab"
MASTERS = "system:masters"
# The user of each identity. They are masters because the controllers share one identity here: with one for each
# controller, as in production, there would be thirty more clients.
IDENTITIES = {
    ADMIN: "admin",
    SUPERVISOR: "kubelab",
    CONTROLLERS: "system:kube-controller-manager",
    SCHEDULER: "system:kube-scheduler",
    KWOK: "kwok",
}

# What workloads, quotas, namespaces, owners, tokens and aggregated roles need. Nodes, volumes, endpoints and
# autoscalers are cut: a client each, watching kinds that no pod under kwok has a use for.
ENABLED_CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "replicaset-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "statefulset-controller",
)

# Reads are not what a test asks about, and the plane's own programs would fill the file.
AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: [system:kube-controller-manager, system:kube-scheduler, system:apiserver, kwok, kubelab]
- level: None
  userGroups: [system:nodes, "system:serviceaccounts:kube-system"]
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
{reads}- level: None
"""
_AUDITED_READS = """\
- level: Metadata
  verbs: [get, list, watch]
  userGroups: {groups}
"""


@dataclass(frozen=True, kw_only=True)
class Ports:
    """The loopback ports of one plane."""

    apiserver: int
    etcd: int
    etcd_peer: int

    @property
    def server(self) -> str:
        """URL of the API server."""
        return f"https://127.0.0.1:{self.apiserver}"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that decides how the programs of one plane are started."""

    folder: Folder
    options: Options
    ports: Ports

    def programs(self) -> list[str]:
        """Returns the programs that this plane has, in the order in which they start."""
        names = [ETCD, APISERVER]
        if self.options.controllers:
            names.append(CONTROLLERS)
        if self.options.nodes:
            names += [SCHEDULER, KWOK]
        return names

    def flags(self, program: str) -> list[str]:
        """Returns the flags of a program."""
        flags = {
            ETCD: self._etcd,
            APISERVER: self._apiserver,
            CONTROLLERS: self._controllers,
            SCHEDULER: self._scheduler,
            KWOK: self._kwok,
        }
        return flags[program]()

    def _etcd(self) -> list[str]:
        client = f"http://127.0.0.1:{self.ports.etcd}"
        peer = f"http://127.0.0.1:{self.ports.etcd_peer}"
        return [
            "--name=plane",
            f"--data-dir={self.folder.etcd}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=plane={peer}",
            f"--unsafe-no-fsync={str(not self.options.durable).lower()}",
            "--socket-reuse-address=true",
            # A benchmark may hold more than the default 2 GiB allows; the file only grows with what is stored.
            f"--quota-backend-bytes={8 * 1024**3}",
            "--log-level=warn",
        ]

    def _apiserver(self) -> list[str]:
        pki = self.folder.pki
        flags = [
            f"--etcd-servers=http://127.0.0.1:{self.ports.etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self.ports.apiserver}",
            f"--cert-dir={pki}",
            f"--tls-cert-file={pki / 'serving.crt'}",
            f"--tls-private-key-file={pki / 'serving.key'}",
            f"--client-ca-file={pki / 'ca.crt'}",
            f"--service-account-key-file={pki / 'service-account.key'}",
            f"--service-account-signing-key-file={pki / 'service-account.key'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--endpoint-reconciler-type=none",
            "--authorization-mode=RBAC",
            # The node lifecycle controller, which would take the taint away again, does not run.
            "--disable-admission-plugins=TaintNodesByCondition",
            "--max-requests-inflight=2000",
            "--max-mutating-requests-inflight=1000",
            "--profiling=false",
            "--event-ttl=10m",
        ]
        if self.options.audit:
            flags += [
                f"--audit-policy-file={self.folder.path / 'audit-policy.yaml'}",
                f"--audit-log-path={self.folder.audit_log}",
                # Batched, a test that looks into the log right after a request would not find it.
                "--audit-log-mode=blocking",
                "--audit-log-maxsize=0",
            ]
        return [*flags, *self.options.extra_apiserver_args]

    def _controllers(self) -> list[str]:
        pki = self.folder.pki
        return [
            *self._client(CONTROLLERS),
            f"--controllers={','.join(ENABLED_CONTROLLERS)}",
            f"--service-account-private-key-file={pki / 'service-account.key'}",
            f"--root-ca-file={pki / 'ca.crt'}",
            "--use-service-account-credentials=false",
            "--kube-api-qps=1000",
            "--kube-api-burst=2000",
            "--leader-elect=false",
            "--secure-port=0",
            "--resource-quota-sync-period=5s",
            "--namespace-sync-period=30s",
            "--concurrent-deployment-syncs=10",
            "--concurrent-replicaset-syncs=10",
            "--concurrent-statefulset-syncs=10",
            "--concurrent-daemonset-syncs=5",
            "--concurrent-gc-syncs=10",
            "--concurrent-namespace-syncs=10",
            "--profiling=false",
        ]

    def _scheduler(self) -> list[str]:
        return [
            *self._client(SCHEDULER),
            "--kube-api-qps=1000",
            "--kube-api-burst=2000",
            "--leader-elect=false",
            "--secure-port=0",
            "--profiling=false",
        ]

    def _kwok(self) -> list[str]:
        # No leases: one kwok that was killed and started again would have to wait until its own have run out.
        return [*self._client(KWOK), "--manage-all-nodes=true", "--node-lease-duration-seconds=0"]

    def _client(self, identity: str) -> list[str]:
        return [f"--kubeconfig={self.folder.kubeconfigs / identity}"]

    def environment(self) -> dict[str, str]:
        """Returns the whole environment of the programs: of the caller's only what programs need to run at all.

        The rest is left out because these programs read much of it: ETCD_*, KUBECONFIG, proxies.
        """
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TZ", "SYSTEMROOT") if name in os.environ}
        return {**kept, "HOME": str(self.folder.path), "TMPDIR": str(self.folder.path)}


def node(name: str) -> dict[str, object]:
    """Returns a node for kwok to look after."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "type": "kwok"},
        },
    }


def audit_policy(path: Path, readers: Sequence[str] = ()) -> None:
    """Writes the audit policy.

    Args:
        path: Where.
        readers: Groups of users whose reads are logged too.
    """
    reads = _AUDITED_READS.format(groups=json.dumps(list(readers))) if readers else ""
    path.write_text(AUDIT_POLICY.format(reads=reads))
