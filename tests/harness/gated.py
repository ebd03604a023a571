"""The ready gate of a cluster: `secretset webhook` as a process, and the API server asking it."""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from harness.process import ROOT, OperatorProcess
from kubelab import pki
from kubelab.plane import ControlPlane

WEBHOOK_ACCOUNT = ("secretset-system", "secretset-webhook")
# Namespaces of tests that run beside are left alone.
MINE = "gate-test"
_RIGHTS = {"ServiceAccount", "Secret", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}


def install_webhook(hub: ControlPlane, cluster: ControlPlane) -> None:
    """The webhook's account and rights, as deploy/ has them, on the hub and in the cluster that it serves."""
    text = "\n---\n".join((ROOT / f"deploy/{name}.yaml").read_text() for name in ("webhook", "webhook-self-signed"))
    rights = yaml.safe_dump_all([each for each in yaml.safe_load_all(text) if each["kind"] in _RIGHTS])
    for plane in {hub.name: hub, cluster.name: cluster}.values():
        plane.kubectl("apply", "-f", "-", input=rights)
    hub.kubectl("apply", "-f", str(ROOT / "deploy/webhook-hub.yaml"))


class Gated:
    """A cluster whose API server asks a webhook; a label with `mark` puts a namespace under its gate.

    Attributes:
        process: the webhook.
        configuration: name of the ValidatingWebhookConfiguration.
    """

    def __init__(self, hub: ControlPlane, cluster: ControlPlane, folder: Path, *flags: str) -> None:
        self.cluster = cluster
        self.mark = secrets.token_hex(3)
        self.configuration = f"gate-{self.mark}"
        self.authority = pki.Authority.create("gate")
        pki.save(folder, "tls", self.authority.serving())
        self._document = yaml.safe_load((ROOT / "deploy/gate.yaml").read_text())
        install_webhook(hub, cluster)
        there = cluster.service_account_kubeconfig(*WEBHOOK_ACCOUNT)
        where = () if cluster is hub else ("--cluster-kubeconfig", str(there))
        self.process = OperatorProcess(
            hub,
            *("--tls-cert", str(folder / "tls.crt"), "--tls-key", str(folder / "tls.key"), "--health-port", "0"),
            *where,
            *flags,
            kubeconfig=hub.service_account_kubeconfig(*WEBHOOK_ACCOUNT),
            command="webhook",
        )

    def register(self, **changes: Any) -> None:
        """Have the API server ask the process: as deploy/ has it, but by URL, and for marked namespaces only."""
        address = re.findall(r'"address": ?"(https://[^"]+)"', self.process.log.read_text())[-1]
        document = json.loads(json.dumps(self._document))
        document["metadata"] = {"name": self.configuration}
        (webhook,) = document["webhooks"]
        authority = base64.b64encode(self.authority.pair.certificate).decode()
        webhook["clientConfig"] = {"url": f"{address}/gate", "caBundle": authority}
        webhook["namespaceSelector"]["matchLabels"][MINE] = self.mark
        webhook |= changes
        self.cluster.kubectl("apply", "-f", "-", input=json.dumps(document))

    def guard(self, namespace: str) -> None:
        """Put a namespace under the gate."""
        self.cluster.kubectl("label", "namespace", namespace, f"{MINE}={self.mark}", "secretset.dev/gate=enabled")

    def drop(self) -> None:
        """The API server asks nobody any more."""
        self.cluster.kubectl(
            "delete", "validatingwebhookconfiguration", self.configuration, "--ignore-not-found", "--timeout=10s"
        )

    def outcomes(self) -> dict[str, int]:
        """What it answered so far, counted."""
        metrics = self.process.fetch("/metrics")[1]
        found = re.findall(r'^secretset_gate_decisions_total\{outcome="(\w+)"\} (\d+)', metrics, re.MULTILINE)
        return {outcome: int(count) for outcome, count in found}


@contextmanager
def gated(hub: ControlPlane, cluster: ControlPlane, folder: Path, *flags: str) -> Iterator[Gated]:
    """A gate that is on; it is off, and its process at its end, afterwards."""
    gate = Gated(hub, cluster, folder, *flags)
    gate.process.start()
    try:
        gate.register()
        yield gate
    finally:
        gate.drop()
        if gate.process.running:
            assert gate.process.stop() == 0
