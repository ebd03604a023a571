"""The story: what a user does with kubectl, and what they see. Every step is checked."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from demo.stage import EU_NAMESPACE, ORGANIZATION, ROOT, US_NAMESPACE, Failed, Stage, wait_for
from kubelab.plane import ControlPlane

_PLAIN = """
apiVersion: secretset.dev/v1alpha1
kind: SecretSet
metadata: {name: careless, namespace: shop}
spec: {data: {TOKEN: {value: in-plain-text}}}
"""


_SETS = ("-f", str(ROOT / "examples/secret-set.yaml"), "-f", str(ROOT / "examples/image-pull-secret.yaml"))


class Teller:
    """Prints each step in a line with its time, and the command that shows it."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def __call__(self, text: str, show: str = "") -> None:
        """Tell what was done and seen, and how to see it."""
        print(f"[{time.monotonic() - self._begun:5.1f} s] {text}", flush=True)
        if show:
            print(f"          $ {show}", flush=True)


def play(stage: Stage, tell: Teller, *, leash: bool) -> None:
    """Walk through the main job.

    Raises:
        Failed: a step did not happen.
    """
    tell("two control planes are up: the hub, and eu-central as another cluster")
    _install(stage, tell, leash=leash)
    _deliver(stage, tell)
    generation = _bind(stage, tell)
    _heal(stage, tell, generation)
    _refuse(stage, tell)
    _seal(stage, tell)
    _rotate(stage, tell, generation)
    _survive(stage, tell, generation + 1, leash=leash)
    _clean(stage, tell)
    if not leash:
        stage.hub.kubectl("apply", *_SETS)  # something to look at


def _install(stage: Stage, tell: Teller, *, leash: bool) -> None:
    stage.install()
    tell(
        "installed the CRDs and the roles of deploy/ (no cluster-wide access to Secrets)",
        "kubectl api-resources --api-group secretset.dev",
    )
    stage.start_operator(leash=leash)
    stage.hub.kubectl("apply", "-f", str(ROOT / "examples/platform/regions.yaml"))
    for region in ("us-west", "eu-central"):
        wait_for(f"region {region} ready", partial(_ready, stage, "region", region))
    tell("the operator runs with its own service account; both regions are ready", "kubectl get regions")


def _deliver(stage: Stage, tell: Teller) -> None:
    stage.hub.kubectl("apply", "-f", str(ROOT / "examples/source.yaml"))
    stage.hub.kubectl("apply", *_SETS)
    applied = time.monotonic()
    for kind, name in (("sset", "checkout"), ("sset", "checkout-eu"), ("ips", "docker-hub")):
        wait_for(f"{kind} {name} ready", partial(_ready, stage, kind, name))
    seconds = time.monotonic() - applied
    _expect(stage.values(stage.hub, US_NAMESPACE, "checkout"), "API_KEY", "change-me")
    _expect(stage.values(stage.eu, EU_NAMESPACE, "checkout-eu"), "API_KEY", "change-me")
    account = stage.object(stage.hub, "serviceaccount", "default", "-n", US_NAMESPACE) or {}
    if {"name": "docker-hub"} not in (account.get("imagePullSecrets") or []):
        raise Failed("the pull secret was not attached to the ServiceAccount")
    tell(
        f"two sets and a pull secret became native Secrets in their regions, seen ready after {seconds:.1f} s",
        "kubectl get sset,ips -n shop",
    )


def _bind(stage: Stage, tell: Teller) -> int:
    """Returns the generation of the Deployment, which grows by one with each restart."""
    stage.hub.kubectl("apply", "-f", str(ROOT / "examples/deployment.yaml"))
    _rolled_out(stage)
    wait_for("bound", lambda: _status(stage, "sset", "checkout").get("workloads", {}).get("current") == 1)
    tell("a Deployment uses the Secret; the set counts it as bound", "kubectl get sset checkout -n shop")
    return _generation(stage)


def _heal(stage: Stage, tell: Teller, generation: int) -> None:
    secret = ("secret", "checkout", "-n", US_NAMESPACE)
    for text, command in (
        ("edited", ("patch", *secret, "-p", '{"stringData":{"API_KEY":"tampered"}}')),
        ("deleted", ("delete", *secret)),
    ):
        stage.hub.kubectl(*command)
        began = time.monotonic()
        wait_for("healed", partial(_holds, stage, "change-me"))
        seconds = time.monotonic() - began
        tell(f"the Secret was {text} by hand, and put right within {seconds:.1f} s", "kubectl get events -n shop")
    if _generation(stage) != generation:
        raise Failed("repaired drift restarted the Deployment")


def _rotate(stage: Stage, tell: Teller, generation: int) -> None:
    patch = '{"stringData":{"api-key":"rotated"}}'
    stage.hub.kubectl("patch", "secret", "checkout-values", "-n", ORGANIZATION, "-p", patch)
    began = time.monotonic()
    wait_for("delivered", partial(_holds, stage, "rotated"))
    wait_for(
        "delivered abroad",
        lambda: (stage.values(stage.eu, EU_NAMESPACE, "checkout-eu") or {}).get("API_KEY") == "rotated",
    )
    delivered = time.monotonic() - began
    wait_for("restarted", lambda: _generation(stage) == generation + 1)
    restarted = time.monotonic() - began
    _rolled_out(stage)
    wait_for("rolled out", lambda: _condition(stage, "RolledOut") == "True")
    tell(
        f"the source changed: both regions had it after {delivered:.1f} s; the Deployment was restarted once, "
        f"after {restarted:.1f} s (2 s of them the quiet window)",
        "kubectl get sset checkout -n shop -o yaml",
    )


def _refuse(stage: Stage, tell: Teller) -> None:
    refused = stage.hub.kubectl("apply", "-f", "-", input=_PLAIN, check=False)
    told = refused.stderr
    if refused.returncode == 0 or "plain text is never stored" not in told or "in-plain-text" in told:
        raise Failed("a value in plain text was not refused, or was echoed")
    tell("a value in plain text was refused, and not echoed", "kubectl explain secretset.spec.data")


def _seal(stage: Stage, tell: Teller) -> None:
    manifest = stage.seal("sealed", "TOKEN", "only-the-operator-opens-it")
    if "only-the-operator-opens-it" in manifest or "hpke1." not in manifest:
        raise Failed("the manifest is not sealed")
    stage.hub.kubectl("apply", "-f", "-", input=manifest)
    wait_for("sealed ready", partial(_ready, stage, "sset", "sealed"))
    _expect(stage.values(stage.hub, US_NAMESPACE, "sealed"), "TOKEN", "only-the-operator-opens-it")
    tell(
        "the same, sealed by the command line, can be committed; the operator opened it",
        "kubectl get sset sealed -n shop -o yaml",
    )


def _survive(stage: Stage, tell: Teller, generation: int, *, leash: bool) -> None:
    for region, sets in (("us-west", 3), ("eu-central", 1)):
        wait_for(f"{region} tells of its sets", partial(_counts, stage, region, sets))
    before = len(_written(stage.hub)), len(_written(stage.eu))
    stage.kill_operator()
    stage.start_operator(leash=leash)
    wait_for("ready again", lambda: stage.log.read_text().count(" ready ") >= 2)
    time.sleep(3.0)
    if writes := _written(stage.hub)[before[0] :] + _written(stage.eu)[before[1] :]:
        raise Failed(f"a restart of the operator wrote something: {', '.join(writes)}")
    if _generation(stage) != generation:
        raise Failed("a restart of the operator restarted the Deployment")
    tell("the operator was killed and started again: it wrote nothing and restarted nothing")


def _clean(stage: Stage, tell: Teller) -> None:
    stage.hub.kubectl("delete", *_SETS, "--timeout=20s")
    stage.hub.kubectl("delete", "sset", "sealed", "-n", ORGANIZATION, "--timeout=20s")
    account = stage.object(stage.hub, "serviceaccount", "default", "-n", US_NAMESPACE) or {}
    left = {
        "checkout in us-west": stage.values(stage.hub, US_NAMESPACE, "checkout"),
        "checkout-eu in eu-central": stage.values(stage.eu, EU_NAMESPACE, "checkout-eu"),
        "sealed in us-west": stage.values(stage.hub, US_NAMESPACE, "sealed"),
        "docker-hub in us-west": stage.values(stage.hub, US_NAMESPACE, "docker-hub"),
        "imagePullSecrets of the ServiceAccount": account.get("imagePullSecrets"),
    }
    if any(left.values()):
        raise Failed(f"left after the deletion: {', '.join(name for name, found in left.items() if found)}")
    tell("the sets were deleted, and nothing is left of them in the regions", "kubectl get secrets -A")


def _holds(stage: Stage, value: str) -> bool:
    return (stage.values(stage.hub, US_NAMESPACE, "checkout") or {}).get("API_KEY") == value


def _rolled_out(stage: Stage) -> None:
    stage.hub.kubectl("rollout", "status", "deployment/checkout", "-n", US_NAMESPACE, "--timeout=20s")


def _status(stage: Stage, kind: str, name: str) -> dict[str, Any]:
    where = [] if kind == "region" else ["-n", ORGANIZATION]
    obj = stage.object(stage.hub, kind, name, *where) or {}
    status: dict[str, Any] = obj.get("status") or {}
    return status if status.get("observedGeneration", -1) >= obj.get("metadata", {}).get("generation", 0) else {}


def _ready(stage: Stage, kind: str, name: str) -> bool:
    status = _status(stage, kind, name)
    if status.get("phase") == "failed":
        raise Failed(f"{kind} {name} failed: {status.get('message')}")
    return status.get("phase") == "ready"


def _counts(stage: Stage, region: str, sets: int) -> bool:
    return bool(_status(stage, "region", region).get("sets", {}).get("ready") == sets)


def _condition(stage: Stage, kind: str) -> str:
    conditions = _status(stage, "sset", "checkout").get("conditions") or []
    return next((str(condition["status"]) for condition in conditions if condition["type"] == kind), "")


def _generation(stage: Stage) -> int:
    deployment = stage.object(stage.hub, "deployment", "checkout", "-n", US_NAMESPACE)
    return int(deployment["metadata"]["generation"]) if deployment else 0


def _expect(values: dict[str, str] | None, key: str, value: str) -> None:
    if (values or {}).get(key) != value:
        raise Failed(f"the Secret does not hold {key} as it should")


def _written(plane: ControlPlane) -> list[str]:
    """Writes of the operator in a plane's audit log; reviews of access are questions, and Leases a heartbeat."""
    return [
        f"{event['verb']} {event['objectRef']['resource']}/{event['objectRef'].get('name')}"
        for event in plane.audit_events()
        if event["user"]["username"].endswith(":secretset-operator")
        and not event["objectRef"]["resource"].endswith("reviews")
        and event["objectRef"]["resource"] != "leases"
    ]
