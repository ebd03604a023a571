"""helm on a plane, and the pods of its hooks, which no kubelet runs here: their commands run as processes instead."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from harness.process import ROOT, OperatorProcess
from harness.waiting import eventually
from kubelab.plane import ControlPlane

CHART = ROOT / "charts" / "secretset-operator"
NAMESPACE = "secretset-system"
RELEASE = "secretset-operator"
HOOKS = "app.kubernetes.io/name in (secretset-uninstall, secretset-test)"

SETS = {("secretset", "checkout"), ("secretset", "checkout-eu"), ("imagepullsecret", "docker-hub")}
"""Of examples/."""

Manifest = dict[str, Any]


def example_values() -> Manifest:
    """Of examples/platform/values.yaml: two regions, and the organization of the examples."""
    found: Manifest = yaml.safe_load((ROOT / "examples/platform/values.yaml").read_text())
    return found


class Helm:
    """helm on a plane, as its administrator; the release is the chart's, in the namespace of deploy/."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane

    def run(self, *args: str, values: Manifest | None = None) -> str:
        """Returns what helm printed; a failure fails the test."""
        done = self.ended(*args, values=values)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ended(self, *args: str, values: Manifest | None = None) -> subprocess.CompletedProcess[str]:
        """Returns how helm ended."""
        return subprocess.run(
            [*self.plane.command("helm"), *args, "-n", NAMESPACE, *(() if values is None else ("-f", "-"))],
            input=None if values is None else json.dumps(values),
            env=self.plane.environment(),
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )

    def install(self, *more: str, values: Manifest | None = None, chart: Path = CHART) -> str:
        """Install a chart, with the values of the examples unless others are given."""
        values = example_values() if values is None else values
        wait = ("--wait", "--timeout=60s", "--create-namespace")
        return self.run("install", RELEASE, str(chart), *wait, *more, values=values)

    def upgrade(self, chart: Path = CHART, values: Manifest | None = None) -> str:
        """Upgrade to a chart, with the values of the examples unless others are given."""
        values = example_values() if values is None else values
        return self.run("upgrade", RELEASE, str(chart), "--wait", "--timeout=60s", values=values)

    def uninstall(self, *more: str) -> subprocess.CompletedProcess[str]:
        """Returns how it ended; the pods of hooks do what they would in a cluster."""
        with hook_pods(self.plane):
            return self.ended("uninstall", RELEASE, "--wait", "--timeout=60s", *more)


@contextmanager
def installed(helm: Helm, **how: Any) -> Iterator[OperatorProcess]:
    """Install the chart; the operator runs with the account that it made, in the place of its pods.

    Helm waits for Regions too, so the operator starts meanwhile.

    Args:
        helm: on a plane.
        **how: as `Helm.install` takes it.

    Yields:
        the operator; it is ended, if it still runs.
    """
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(helm.install, **how)
        eventually(lambda: found(helm.plane, "deployment", RELEASE, "-n", NAMESPACE) or done.done(), seconds=60)
        if done.done():
            done.result()
        process = OperatorProcess(helm.plane, "--quiet-seconds", "0.2")
        process.start()
        done.result()
    sets_are_taken(helm.plane)
    yield process
    if process.running:
        assert process.stop() == 0


def sets_are_taken(plane: ControlPlane) -> None:
    """Wait until the API server takes sets as it will from then on.

    For up to ten seconds after the CRDs are made it has no answer (503) to what admission policies are to change: its
    schemas for them are polled. Before a policy has reached it, it takes sets all the same, and refuses them later; so
    what is waited for is an answer that the policy has had its hand in, or has not any more where it was deleted.
    """
    changes = found(plane, "mutatingadmissionpolicybinding", "secretset-finalizer") is not None
    ref = {"name": "a", "key": "a"}
    specs: dict[str, Manifest] = {
        "SecretSet": {"data": {"A": {"valueFrom": {"secretKeyRef": ref}}}},
        "ImagePullSecret": {
            "host": "registry.example",
            "username": "probe",
            "password": {"valueFrom": {"secretKeyRef": ref}},
        },
    }
    items = [
        {
            "apiVersion": "secretset.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": "probe", "namespace": "default"},
            "spec": spec,
        }
        for kind, spec in specs.items()
    ]
    probe = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})

    def taken() -> bool:
        done = plane.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", input=probe, check=False)
        return done.returncode == 0 and done.stdout.count("secretset.dev/cleanup") == (len(items) if changes else 0)

    eventually(taken, "sets are taken", seconds=30)


def found(plane: ControlPlane, *args: str) -> Any:
    """What kubectl gets, or None; a list of nothing is None too."""
    text = plane.kubectl("get", *args, "--ignore-not-found", "-o", "json").stdout
    return json.loads(text) if text else None


def apply_examples(plane: ControlPlane) -> None:
    """Apply all of examples/, and wait until the sets are ready."""
    plane.kubectl("apply", "-f", str(ROOT / "examples"))
    for kind, name in SETS:
        plane.kubectl("wait", f"{kind}/{name}", "-n", "shop", "--for=jsonpath={.status.phase}=ready", "--timeout=30s")


def delivered(plane: ControlPlane) -> set[tuple[str, str]]:
    """Where managed Secrets are."""
    listed = found(plane, "secrets", "-A", "-l", "app.kubernetes.io/managed-by=secretset-operator") or {"items": ()}
    return {(each["metadata"]["namespace"], each["metadata"]["name"]) for each in listed["items"]}


def listed(plane: ControlPlane, label: str) -> set[str]:
    """Objects with a label, of all kinds but events, as kind/name."""
    kinds = plane.kubectl("api-resources", "--verbs=list", "-o", "name").stdout.split()
    wanted = ",".join(each for each in kinds if not each.startswith(("events", "componentstatuses")))
    return set(plane.kubectl("get", wanted, "-A", "-l", label, "-o", "name").stdout.split())


@contextmanager
def hook_pods(plane: ControlPlane) -> Iterator[list[str]]:
    """Run pods of hooks as a kubelet would: the command, with the pod's account; kwok would call each a success.

    Yields:
        what the pods printed, one text for each.
    """
    node = plane.kubectl("get", "nodes", "-o", "name").stdout.split()[0]
    plane.kubectl("cordon", node)
    over, printed = threading.Event(), list[str]()
    thread = threading.Thread(target=_play, args=(plane, over, printed))
    thread.start()
    try:
        yield printed
    finally:
        over.set()
        thread.join()
        plane.kubectl("uncordon", node)


def _play(plane: ControlPlane, over: threading.Event, printed: list[str]) -> None:
    seen: set[str] = set()
    while not over.wait(0.2):
        waiting = ("get", "pods", "-n", NAMESPACE, "-l", HOOKS, "--field-selector=status.phase=Pending", "-o", "json")
        for pod in json.loads(plane.kubectl(*waiting).stdout)["items"]:
            if pod["metadata"]["uid"] not in seen:
                seen.add(pod["metadata"]["uid"])
                printed.append(_run(plane, pod))


def _run(plane: ControlPlane, pod: Manifest) -> str:
    """Do what a pod does, write into its status how it ended, and return what it printed."""
    (container,) = pod["spec"]["containers"]
    account = plane.service_account_kubeconfig(NAMESPACE, pod["spec"]["serviceAccountName"])
    kept = {name: value for name, value in os.environ.items() if not re.match(r"SECRETSET_|KUBE", name)}
    done = subprocess.run(
        [sys.executable, "-m", "secretset", *container["args"]],
        env={**kept, "SECRETSET_KUBECONFIG": str(account)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = done.stdout + done.stderr
    state = {"exitCode": done.returncode, "reason": "Error" if done.returncode else "Completed", "message": said}
    status = {
        "phase": "Failed" if done.returncode else "Succeeded",
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": "",
                "ready": False,
                "restartCount": 0,
                "state": {"terminated": state},
            }
        ],
    }
    plane.kubectl(
        *("patch", "pod", pod["metadata"]["name"], "-n", NAMESPACE, "--subresource=status", "--type=merge"),
        *("-p", json.dumps({"status": status})),
    )
    return said
