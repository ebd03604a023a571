"""The operator as a process: what it tells, how it begins, and how it ends."""

from __future__ import annotations

import base64
import json
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from harness import (
    OPERATOR_ACCOUNT,
    OperatorProcess,
    Org,
    eventually,
    forms,
    start_hub,
    value_from,
)
from kubelab.plane import ControlPlane
from kubelab.pytest_plugin import ControlPlanes

ALL_LEVELS = {"debug", "info", "warning", "error"}


@pytest.fixture(scope="module")
def plane(module_control_planes: ControlPlanes) -> ControlPlane:
    """A plane of this module's own."""
    return start_hub(module_control_planes, "process")


@pytest.fixture(scope="module")
def process(plane: ControlPlane) -> Iterator[OperatorProcess]:
    """The operator that most tests look at; whoever needs one of its own stops it before."""
    made = OperatorProcess(plane, "--quiet-seconds", "0.4", "--max-wait-seconds", "2")
    yield made
    if made.running:
        assert made.stop() == 0


@pytest.fixture
def running(process: OperatorProcess) -> OperatorProcess:
    if not process.running:
        process.start()
    return process


@pytest.fixture
def stopped(process: OperatorProcess) -> OperatorProcess:
    if process.running:
        assert process.stop() == 0
    return process


def make_org(plane: ControlPlane, name: str) -> Org:
    made = Org(plane, name, []).create()
    made.source()
    return made


def many_sets(org: Org, number: int) -> None:
    """Create many sets in one go."""
    sets = [
        {
            "apiVersion": "secretset.dev/v1alpha1",
            "kind": "SecretSet",
            "metadata": {"name": f"set-{index:03}"},
            "spec": {"data": {"A": value_from("src", "a")}},
        }
        for index in range(number)
    ]
    org.kubectl("create", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": sets}))


def phases(org: Org) -> Counter[str]:
    items = json.loads(org.kubectl("get", "secretsets", "-o", "json").stdout)["items"]
    return Counter(item["status"]["phase"] for item in items)


def secrets_there(org: Org) -> int:
    return len(org.there("get", "secrets", "-o", "name", "-l", "secretset.dev/set").stdout.split())


def errors(process: OperatorProcess) -> list[str]:
    """Errors that we logged; what kopf says of a link that is gone is its own."""
    return [str(line) for line in process.lines() if line["level"] == "error" and "kopf" not in line["logger"]]


def run(plane: ControlPlane, *flags: str) -> tuple[int, str]:
    """Start an operator that is expected to end by itself; its exit code and last words."""
    kubeconfig = plane.service_account_kubeconfig(*OPERATOR_ACCOUNT)
    command = [sys.executable, "-m", "secretset", "operator", "--kubeconfig", str(kubeconfig), "--port", "0"]
    done = subprocess.run([*command, *flags], capture_output=True, text=True, timeout=20)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.splitlines()[-1]


def test_probes_and_metrics(plane: ControlPlane, running: OperatorProcess) -> None:
    org = make_org(plane, "metrics")
    org.secret_set()
    org.secret_set("waiting", data={"A": value_from("nothing", "a")})
    org.reaches("ready")
    org.reaches("pending", "SourceMissing", name="waiting")
    assert running.fetch("/healthz") == (200, "ok")
    assert running.fetch("/readyz") == (200, "ok")
    assert running.fetch("/else")[0] == 404

    def tells(line: str) -> bool:
        return re.search(f"^{line}", running.fetch("/metrics")[1], re.MULTILINE) is not None

    eventually(lambda: tells(r'secretset_sets\{phase="ready",region="us-west"\} [1-9]'))
    assert tells(r'secretset_sets\{phase="pending",region="us-west"\} 1\.0$')
    assert tells(r'workqueue_depth\{name="us-west"\} 0\.0$')
    assert tells(r'rest_client_requests_total\{code="201",host="us-west",method="POST"\} [1-9]')
    assert tells(r'controller_runtime_reconcile_total\{controller="SecretSet",result="success"\} [1-9]')
    assert tells(r'secretset_region_up\{region="us-west"\} 1\.0$')
    assert "waiting" not in running.fetch("/metrics")[1]  # no label holds the name of a set


def test_json_logs_are_json_and_hold_no_value_at_debug_level(plane: ControlPlane, running: OperatorProcess) -> None:
    org = Org(plane, "logs", [])
    org.create()
    canary = org.canary()
    org.source("src", a=canary)
    org.secret_set()
    org.reaches("ready")
    text = running.log.read_text()
    for line in text.splitlines():
        entry: dict[str, Any] = json.loads(line)
        assert {"event", "level", "timestamp"} <= set(entry)
        assert entry["level"] in ALL_LEVELS
    assert not [form for form in forms(canary) if form in text]
    bodies = ("secretKeyRef", "managedFields", "apiVersion")
    assert not [line for line in text.splitlines() for word in bodies if word in line]


def test_text_logs_are_for_people(plane: ControlPlane, stopped: OperatorProcess) -> None:
    assert not stopped.running
    process = OperatorProcess(plane, "--log-format", "text", "--log-level", "info")
    process.start(wait=False)
    eventually(lambda: process.log.exists() and " ready " in process.log.read_text())
    assert process.stop() == 0
    text = process.log.read_text()
    assert "\x1b" not in text
    form = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z \[(info|warning) *\] ")
    assert not [line for line in text.splitlines() if not form.match(line)]
    assert " stopping " in text


def test_sigterm_when_idle(running: OperatorProcess) -> None:
    with _within(5):
        assert running.stop() == 0


def test_sigterm_in_the_middle_of_work(plane: ControlPlane, running: OperatorProcess) -> None:
    org = make_org(plane, "terminated")
    many_sets(org, 200)
    eventually(lambda: secrets_there(org) > 10)
    with _within(5):
        assert running.stop() == 0
    assert not errors(running)
    running.start()
    eventually(lambda: phases(org) == {"ready": 200}, seconds=30)


def test_killed_in_the_middle_of_work(plane: ControlPlane, stopped: OperatorProcess) -> None:
    org = make_org(plane, "killed")
    many_sets(org, 100)
    stopped.start(wait=False)
    eventually(lambda: secrets_there(org) > 5)
    stopped.kill()
    assert phases(org) != {"ready": 100}
    stopped.start()
    eventually(lambda: phases(org) == {"ready": 100}, seconds=30)
    tried = [event for event in stopped.writes() if event["objectRef"].get("namespace") in {org.name, org.regional}]
    # A write under way at the kill may be done and yet be audited as an error: nobody was there to be answered.
    done = [event for event in tried if event["responseStatus"]["code"] < 300]
    created = Counter(event["objectRef"]["name"] for event in done if event["verb"] == "create")
    assert set(created.values()) == {1}
    # The finalizer, the Secret, the status: what was done before the crash is not done again.
    steps = Counter(event["objectRef"]["name"] for event in done)
    cut = Counter(event["objectRef"]["name"] for event in tried if event not in done)
    names = [f"set-{index:03}" for index in range(100)]
    assert [name for name in names if not steps[name] <= 3 <= steps[name] + cut[name]] == []


def test_no_such_kubeconfig(plane: ControlPlane) -> None:
    code, words = run(plane, "--kubeconfig", "/nowhere/kubeconfig")
    assert (code, words) == (2, "secretset operator: there is no kubeconfig at '/nowhere/kubeconfig'")


def test_no_kubeconfig_but_something_else(plane: ControlPlane) -> None:
    code, words = run(plane, "--kubeconfig", sys.executable)
    assert code == 2
    assert words.startswith(f"secretset operator: no usable kubeconfig at '{sys.executable}'")


def test_no_such_context(plane: ControlPlane) -> None:
    code, words = run(plane, "--context", "nowhere")
    assert code == 2
    assert "secretset operator: " in words


def test_the_port_is_taken(plane: ControlPlane) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, words = run(plane, "--port", str(port))
    assert (code, words.partition(" (")[0]) == (2, f"secretset operator: cannot listen at 127.0.0.1:{port}")


def test_a_damaged_installation(plane: ControlPlane, running: OperatorProcess) -> None:
    running.stop()
    at = ["-n", "secretset-system", "secret", "secretset-installation"]
    before = json.loads(plane.kubectl("get", *at, "-o", "json").stdout)["data"]
    damaged = {"id": base64.b64encode(b"not an id").decode()}
    plane.kubectl("patch", *at, "--type=merge", "-p", json.dumps({"data": damaged}))
    try:
        code, words = run(plane)
    finally:
        plane.kubectl("patch", *at, "--type=merge", "-p", json.dumps({"data": before}))
    assert code == 2
    assert words.startswith(
        "secretset operator: Secret 'secretset-installation' in the operator's namespace is damaged"
    )
    running.start()


def test_the_api_server_comes_back(plane: ControlPlane, running: OperatorProcess) -> None:
    org = make_org(plane, "outage")
    org.secret_set("before")
    org.reaches("ready", name="before")
    plane.kill("kube-apiserver")
    time.sleep(2)
    assert running.fetch("/healthz")[0] == 200
    plane.restart("kube-apiserver")
    org.secret_set("after")
    org.reaches("ready", name="after")
    changed = org.canary()
    org.source("src", a=changed)
    eventually(lambda: org.values("before").get("A") == org.values("after").get("A") == changed.encode())
    org.there("delete", "secret", "before")
    eventually(lambda: org.managed("before"))
    assert not errors(running)


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds
