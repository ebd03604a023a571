"""The webhook's certificate: made, kept and renewed by itself, and trusted by the API server."""

from __future__ import annotations

import base64
import json
import secrets
import time
from datetime import UTC, datetime

import yaml

from harness import ROOT, OperatorProcess, Org, decoded, eventually
from harness.gated import WEBHOOK_ACCOUNT
from harness.sealing import MINE, Sealing, asking
from kubelab.plane import ControlPlane
from kubelab.ports import free_ports
from secretset.webhook import issue
from secretset.webhook.self_signed import SECRET_NAME

LONG = issue.LIFETIME * 0.7


def test_it_makes_its_own_certificate_and_has_it_trusted(hub: ControlPlane, webhook: Sealing, org: Org) -> None:
    """With the configuration's own name, which its rights are for."""
    assert webhook.process.running
    name, mark = "secretset-seal", secrets.token_hex(3)
    guarded = f"{org.name}-signed"
    hub.kubectl("create", "namespace", guarded)
    hub.kubectl("label", "namespace", guarded, f"{MINE}={mark}")
    body = {
        "apiVersion": "secretset.dev/v1alpha1",
        "kind": "SecretSet",
        "metadata": {"name": "app", "namespace": guarded},
        "spec": {"data": {"A": {"value": org.canary()}}},
    }

    def sealed() -> bool:
        return not hub.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(body), check=False).returncode

    def secret() -> dict[str, bytes]:
        done = hub.kubectl("get", "secret", SECRET_NAME, "-n", "secretset-system", "-o", "json")
        return decoded(json.loads(done.stdout))

    def gate_trusts() -> bool:
        done = hub.kubectl("get", "validatingwebhookconfiguration", gate["metadata"]["name"], "-o", "json")
        return bool(json.loads(done.stdout)["webhooks"][0]["clientConfig"].get("caBundle"))

    gate = yaml.safe_load((ROOT / "deploy/gate.yaml").read_text())
    gate["webhooks"][0]["namespaceSelector"] = {"matchLabels": {MINE: f"{mark}-none"}}
    (port,) = free_ports(1)
    own = OperatorProcess(
        hub,
        *("--self-signed", "--health-port", "0", "--port", str(port)),
        kubeconfig=hub.service_account_kubeconfig(*WEBHOOK_ACCOUNT),
        command="webhook",
    )
    try:
        hub.kubectl("apply", "-f", "-", input=json.dumps(asking(port, name=name, mark=mark)))
        hub.kubectl("apply", "-f", "-", input=json.dumps(gate))
        own.start()
        eventually(sealed, "trust")
        eventually(gate_trusts, "trust of the gate")
        first = secret()
        assert set(first) == {"tls.crt", "tls.key", "ca.crt"}
        # Another start serves the same one; when it has aged, a new one, with the authority of before beside its own.
        own.restart()
        assert secret() == first
        own.kill()
        aged = issue.renewed({}, ("secretset-webhook.secretset-system.svc", "localhost"), datetime.now(UTC) - LONG)
        data = {key: base64.b64encode(value).decode() for key, value in aged.items()}
        patch = json.dumps({"data": data})
        hub.kubectl("patch", "secret", SECRET_NAME, "-n", "secretset-system", "-p", patch)
        own.start()
        eventually(sealed, "trust in the next one")
        assert secret()["ca.crt"].endswith(aged["ca.crt"])
        assert secret()["tls.crt"] != aged["tls.crt"]
        # A configuration that is applied again keeps what was put into it.
        hub.kubectl("apply", "-f", "-", input=json.dumps(asking(port, name=name, mark=mark)))
        time.sleep(1)
        assert sealed()
    finally:
        hub.kubectl("delete", "mutatingwebhookconfiguration", name, "--ignore-not-found")
        hub.kubectl("delete", "validatingwebhookconfiguration", gate["metadata"]["name"], "--ignore-not-found")
        if own.running:
            assert own.stop() == 0
    assert "PRIVATE KEY" not in own.log.read_text()


def test_without_a_certificate_it_says_what_it_needs(webhook: Sealing) -> None:
    bare = OperatorProcess(webhook.hub, "--health-port", "0", command="webhook")
    bare.start(wait=False)
    assert bare.ends() == 2
    assert "--tls-cert, --tls-key), or --self-signed" in bare.log.read_text()
