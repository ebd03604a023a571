"""Sealing at admission: `secretset webhook` as a process, and the API server of a hub asking it before it stores."""

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

from harness.gated import WEBHOOK_ACCOUNT, install_webhook
from harness.process import ROOT, OperatorProcess
from harness.waiting import eventually
from kubelab import pki
from kubelab.plane import ControlPlane

# Namespaces of tests that run beside are left alone.
MINE = "seal-test"


class Sealing:
    """A hub whose API server asks a webhook about sets of the namespaces that are guarded.

    Attributes:
        process: the webhook.
        configuration: name of the MutatingWebhookConfiguration.
    """

    def __init__(self, hub: ControlPlane, folder: Path, *flags: str) -> None:
        self.hub = hub
        self.mark = secrets.token_hex(3)
        self.configuration = f"seal-{self.mark}"
        self.authority = pki.Authority.create("seal")
        pki.save(folder, "tls", self.authority.serving())
        install_webhook(hub, hub)
        files = ("--tls-cert", str(folder / "tls.crt"), "--tls-key", str(folder / "tls.key"))
        self.process = OperatorProcess(
            hub,
            *(*files, "--health-port", "0", *flags),
            kubeconfig=hub.service_account_kubeconfig(*WEBHOOK_ACCOUNT),
            command="webhook",
        )

    def register(self, **changes: Any) -> None:
        """Have the API server ask the process: as deploy/ has it, but by URL, and for marked namespaces only."""
        port = re.findall(r'"address": ?"https://127.0.0.1:(\d+)"', self.process.log.read_text())[-1]
        document = asking(port, name=self.configuration, mark=self.mark)
        authority = base64.b64encode(self.authority.pair.certificate).decode()
        document["webhooks"][0]["clientConfig"]["caBundle"] = authority
        document["webhooks"][0] |= changes
        self.hub.kubectl("apply", "-f", "-", input=json.dumps(document))

    def guard(self, namespace: str) -> None:
        """Have what is stored in a namespace sealed; returns when that works."""
        self.hub.kubectl("label", "namespace", namespace, f"{MINE}={self.mark}")
        probe = {
            "apiVersion": "secretset.dev/v1alpha1",
            "kind": "SecretSet",
            "metadata": {"name": "probe", "namespace": namespace},
            "spec": {"data": {"A": {"value": "probe"}}},
        }

        def sealed() -> bool:
            done = self.hub.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(probe), check=False)
            return done.returncode == 0

        eventually(sealed, "sealing at admission")

    def drop(self) -> None:
        """The API server asks nobody any more."""
        self.hub.kubectl("delete", "mutatingwebhookconfiguration", self.configuration, "--ignore-not-found")

    def outcomes(self) -> dict[str, int]:
        """What it answered so far, counted."""
        metrics = self.process.fetch("/metrics")[1]
        found = re.findall(r'^secretset_seal_decisions_total\{outcome="(\w+)"\} (\d+)', metrics, re.MULTILINE)
        return {outcome: int(count) for outcome, count in found}


def asking(port: int, *, name: str, mark: str) -> dict[str, Any]:
    """The configuration of deploy/, for a process on this machine; without its CA."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "deploy/seal.yaml").read_text())
    document["metadata"] = {"name": name}
    (webhook,) = document["webhooks"]
    webhook["clientConfig"] = {"url": f"https://localhost:{port}/seal"}
    webhook["namespaceSelector"] = {"matchLabels": {MINE: mark}}
    return document


@contextmanager
def sealing(hub: ControlPlane, folder: Path, *flags: str) -> Iterator[Sealing]:
    """A webhook that is asked; nobody is asked, and its process at its end, afterwards."""
    webhook = Sealing(hub, folder, *flags)
    webhook.process.start()
    try:
        webhook.register()
        yield webhook
    finally:
        webhook.drop()
        if webhook.process.running:
            assert webhook.process.stop() == 0
