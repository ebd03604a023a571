"""deploy/audit-policy.yaml on a real API server: what people do is logged, what they send is not."""

from __future__ import annotations

import json
import secrets

import pytest

from harness import ROOT
from kubelab.plane import ControlPlane
from kubelab.pytest_plugin import ControlPlanes


@pytest.fixture(scope="module")
def plane(module_control_planes: ControlPlanes) -> ControlPlane:
    policy = f"--audit-policy-file={ROOT / 'deploy/audit-policy.yaml'}"
    (plane,) = module_control_planes(["audited"], controllers=False, audit=True, extra_apiserver_args=(policy,))
    plane.kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
    plane.kubectl("wait", "--for=condition=Established", "--timeout=20s", "crd/secretsets.secretset.dev")
    return plane


def secret_set(data: object) -> str:
    meta = {"name": "app", "namespace": "default"}
    return json.dumps(
        {"apiVersion": "secretset.dev/v1alpha1", "kind": "SecretSet", "metadata": meta, "spec": {"data": data}}
    )


def test_no_value_is_in_the_audit_log(plane: ControlPlane) -> None:
    canary = secrets.token_hex(12)
    refused = plane.kubectl("create", "-f", "-", input=secret_set({"A": {"value": canary}}), check=False)
    assert "plain text is never stored" in refused.stderr
    plane.kubectl("create", "secret", "generic", "src", f"--from-literal=a={canary}")
    logged = {
        (event["verb"], event["objectRef"]["resource"], event["responseStatus"]["code"])
        for event in plane.audit_events()
        if event.get("objectRef", {}).get("resource") in {"secretsets", "secrets"}
    }
    assert {("create", "secretsets", 422), ("create", "secrets", 201)} <= logged
    assert canary not in plane.audit_log.read_text()


def test_text_in_place_of_an_entry_is_shown_before_anybody_is_asked(plane: ControlPlane) -> None:
    """docs/sealing.md, "What the API server sees": should this cease to be so, the page can be shorter."""
    canary = secrets.token_hex(12)
    done = plane.kubectl("apply", "--server-side", "-f", "-", input=secret_set({"A": canary}), check=False)
    assert canary in done.stderr
    assert canary in plane.audit_log.read_text()
    log = "".join(path.read_text() for path in (plane.data_dir / "logs").glob("*apiserver*"))
    assert canary in log
    fresh = secrets.token_hex(12)
    for data in ({"A": {"value": {"x": fresh}}}, {"A": {"value": [fresh]}}, {"A": {"valeu": fresh}}):
        for flags in (("create",), ("apply", "--server-side"), ("create", "--validate=false")):
            done = plane.kubectl(*flags, "-f", "-", input=secret_set(data), check=False)
            assert fresh not in done.stderr
    log = "".join(path.read_text() for path in (plane.data_dir / "logs").glob("*apiserver*"))
    assert fresh not in log + plane.audit_log.read_text()
