"""The CRDs on a real API server: what it takes, what it refuses, and what kubectl then tells a user."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.crd_table import (
    CANARY,
    PLAIN_TEXT,
    REFERENCE,
    ROWS,
    SEALED,
    Object,
    Row,
    many,
    pull_secret,
    region,
    secret_set,
)
from kubelab import ControlPlane
from kubelab.pytest_plugin import ControlPlanes

CRDS = Path(__file__).parents[2] / "crds"
Done = subprocess.CompletedProcess[str]
MOVED = "spec.region: Forbidden: Secret already exists in region 'us-west'. Cannot change region to 'us-east'."
REMOVED = "spec.region: Forbidden: cannot be removed: a set lives in one region, for ever"
MAKERS = pytest.mark.parametrize("make", [secret_set, pull_secret])


@pytest.fixture(scope="module")
def plane(module_control_planes: ControlPlanes) -> ControlPlane:
    """A plane of its own: Regions are cluster-scoped, and `get` of a category must find only what is here."""
    (plane,) = module_control_planes(["crds"], controllers=False)
    plane.kubectl("apply", "--server-side", "-k", str(CRDS))
    plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
    _until(lambda: "regions" in plane.kubectl("api-resources", "--api-group=secretset.dev").stdout)
    return plane


def apply(plane: ControlPlane, obj: Object, *options: str) -> Done:
    """Apply as users do; what kubectl answers must never show what may be a secret."""
    done = plane.kubectl("apply", "-f", "-", *options, input=json.dumps(obj), check=False)
    assert CANARY not in done.stdout + done.stderr
    return done


def accept(plane: ControlPlane, obj: Object, *options: str) -> Done:
    """Apply what must be accepted, without a warning."""
    done = apply(plane, obj, *options)
    assert (done.returncode, done.stderr) == (0, "")
    return done


def refuse(plane: ControlPlane, obj: Object, says: str, *options: str) -> None:
    """Apply what must be refused, with this in the message."""
    done = apply(plane, obj, *options)
    assert done.returncode == 1
    assert says in done.stderr


def read(plane: ControlPlane, obj: Object) -> Object:
    answer = plane.kubectl("get", obj["kind"], obj["metadata"]["name"], "-o", "json")
    return dict(json.loads(answer.stdout))


def settle(plane: ControlPlane, obj: Object, status: Object) -> None:
    """Write into the status, as the operator does."""
    target = (obj["kind"], obj["metadata"]["name"])
    plane.kubectl("patch", *target, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))


def _until(holds: Any, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.1)


Answers = dict[str, str | None]  # what kubectl says to a row's object; None if it is accepted


@pytest.fixture(scope="module")
def server_side(plane: ControlPlane) -> Answers:
    return _answers(plane, ROWS, "--server-side")


@pytest.fixture(scope="module")
def client_side(plane: ControlPlane) -> Answers:
    return _answers(plane, [row for row in ROWS if not row.only_server_side])


def _answers(plane: ControlPlane, rows: list[Row], *options: str) -> Answers:
    """Apply many objects with one kubectl: to start it takes 100 ms, and an object 5."""

    def ask(rows: list[Row]) -> Done:
        documents = "\n---\n".join(json.dumps(row.object) for row in rows)
        return plane.kubectl("apply", "--dry-run=server", *options, "-f", "-", input=documents, check=False)

    good, bad = ([row for row in rows if (row.says is None) is valid] for valid in (True, False))
    accepted, refused = ask(good), ask(bad)
    lines = refused.stderr.splitlines()
    if not accepted.returncode and not accepted.stderr and not refused.stdout and len(lines) == len(bad):
        return dict.fromkeys((row.id for row in good), None) | dict(zip((row.id for row in bad), lines, strict=True))
    # Not as expected: one by one, to know which.
    alone = {row.id: ask([row]) for row in rows}
    return {id_: done.stderr if done.returncode or done.stderr else None for id_, done in alone.items()}


@pytest.mark.parametrize("row", ROWS, ids=[row.id for row in ROWS])
def test_table(row: Row, client_side: Answers, server_side: Answers) -> None:
    answer = (server_side if row.only_server_side else client_side)[row.id]
    if row.says is None:
        assert answer is None
    else:
        assert answer is not None
        assert row.says in answer
        assert CANARY not in answer


@pytest.mark.parametrize("row", ROWS, ids=[row.id for row in ROWS])
def test_server_side_apply_refuses_the_same(row: Row, server_side: Answers) -> None:
    answer = server_side[row.id]
    assert (answer is None) == (row.says is None)
    # The one thing that no CRD can mend: what is not of the schema's type is shown before any rule is asked.
    if answer is not None and ": expected " not in answer:
        assert CANARY not in answer


def test_as_much_as_may_be_sealed_fits_into_etcd(plane: ControlPlane) -> None:
    accept(plane, secret_set("full", data=many(100, size=10_000)), "--server-side")


# --- updates


@MAKERS
def test_region_cannot_be_changed_or_removed(plane: ControlPlane, make: Any) -> None:
    accept(plane, make("named", region="us-west"))
    refuse(plane, make("named", region="us-east"), MOVED)
    refuse(plane, make("named"), REMOVED)
    accept(plane, make("named", region="us-west", description="All else may change."))


@MAKERS
def test_region_can_be_named_before_one_was_resolved(plane: ControlPlane, make: Any) -> None:
    accept(plane, make("unresolved"))
    accept(plane, make("unresolved", region="us-west"))
    refuse(plane, make("unresolved", region="us-east"), MOVED)


@MAKERS
def test_only_the_resolved_region_can_be_named_later(plane: ControlPlane, make: Any) -> None:
    accept(plane, make("resolved"))
    settle(plane, make("resolved"), {"region": "us-west"})
    refuse(plane, make("resolved", region="us-east"), MOVED)
    accept(plane, make("resolved", description="Naming none stays possible."))
    accept(plane, make("resolved", region="us-west"))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"value": CANARY}, PLAIN_TEXT),
        ({"value": CANARY, **SEALED}, PLAIN_TEXT),
        ({"value": int(CANARY)}, PLAIN_TEXT),
        ({"value": [CANARY]}, "must be of type integer,string"),
        ({"sealed": CANARY}, "must begin with 'hpke1.'"),
        ({"sealed": f"hpke1.0123456789abcdef.{CANARY}"}, "1,879 characters long at least"),
        (CANARY, "must be of type object"),
    ],
    ids=["plain", "plain-and-sealed", "number", "list", "sealed", "prefixed", "bare"],
)
def test_an_update_shows_no_value_either(plane: ControlPlane, value: Any, says: str) -> None:
    accept(plane, secret_set("old"))
    refuse(plane, secret_set("old", data={"A": value}), says)


@pytest.mark.parametrize(
    "spec", [{"stringData": {"A": CANARY}}, {"data": {"A": {"Value": CANARY}}}], ids=["stringData", "Value"]
)
def test_an_unknown_field_of_an_update_is_not_shown_by_server_side_apply(plane: ControlPlane, spec: Object) -> None:
    # To a client-side apply the API server answers with the whole patched object, before any rule of ours.
    plane.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(secret_set("typo")))
    refuse(plane, secret_set("typo", **spec), "field not declared in schema", "--server-side")


# --- what is stored


@pytest.mark.parametrize(
    "obj",
    [
        secret_set("plain"),
        secret_set(
            "whole",
            region="us-west",
            description="All fields.",
            metadata={"owner": "payments"},
            data={"A": SEALED, "B": REFERENCE},
            restart={
                "policy": "Never",
                "quietSeconds": 1,
                "maxWaitSeconds": 2,
                "maxConcurrent": 3,
                "window": {"schedule": "0 2 * * 6", "duration": "4h", "timeZone": "Europe/Berlin"},
            },
            deletionPolicy="Retain",
        ),
        secret_set("partial", restart={}),
        pull_secret("plain"),
        pull_secret("whole", region="us-west", restart={"maxConcurrent": 1}, serviceAccounts=["default", "builder"]),
        region("plain"),
        region(
            "whole",
            displayName="US West",
            default=True,
            cluster={"kubeconfigSecretRef": {"namespace": "a", "name": "b", "key": "c"}},
            namespace="{namespace}",
            createNamespaces=False,
            organizations={"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "Exists"}]},
            decommissioned=False,
        ),
    ],
    ids=lambda obj: f"{obj['kind']}-{obj['metadata']['name']}",
)
def test_spec_is_stored_as_sent_and_status_is_pending_at_once(plane: ControlPlane, obj: Object) -> None:
    created = plane.kubectl("create", "-f", "-", "-o", "json", input=json.dumps(obj))
    for seen in (json.loads(created.stdout), read(plane, obj)):
        assert seen["spec"] == obj["spec"]
        assert seen["status"] == {"phase": "pending", "reason": "Accepted", "observedGeneration": -1}
        assert seen["metadata"]["generation"] == 1


def test_unknown_fields_are_pruned_where_the_user_insists(plane: ControlPlane) -> None:
    obj = secret_set("pruned", stringData={"A": CANARY}, data={"A": {**SEALED, "plain": CANARY}})
    done = plane.kubectl("create", "--validate=warn", "-f", "-", input=json.dumps(obj))
    assert 'Warning: unknown field "spec.stringData"' in done.stderr
    assert read(plane, obj)["spec"] == {"data": {"A": SEALED}}


def test_users_cannot_write_the_status_with_the_object(plane: ControlPlane) -> None:
    obj = {**secret_set("boast"), "status": {"phase": "ready", "reason": "Synced", "observedGeneration": 1}}
    accept(plane, obj)
    assert read(plane, obj)["status"]["phase"] == "pending"


# --- kubectl get and explain


@pytest.fixture(scope="module")
def delivered(plane: ControlPlane) -> Iterator[None]:
    """One object of each kind, with a status."""
    done = {"phase": "ready", "reason": "Synced", "observedGeneration": 1, "updatedAt": "2026-01-01T00:00:00Z"}
    workloads = {"bound": 3, "current": 3, "restarting": 0, "stalled": 0, "held": 0}
    for obj in (secret_set("shown"), pull_secret("shown")):
        accept(plane, obj)
        settle(plane, obj, {**done, "region": "us-west", "keyCount": 7, "workloads": workloads})
    said = {"reason": "So", "message": "It is so.", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    held = {"Reachable": "True", "Authorized": "False", "Default": "True"}
    conditions = [{"type": kind, "status": value, **said} for kind, value in held.items()]
    accept(plane, region("shown", default=True))
    counts = {"ready": 4, "pending": 5, "failed": 6}
    settle(plane, region("shown"), {**done, "serverVersion": "v1.36.3", "sets": counts, "conditions": conditions})
    yield
    plane.kubectl("delete", "sset/shown", "ips/shown", "region/shown")


@pytest.mark.usefixtures("delivered")
@pytest.mark.parametrize("resource", ["secretsets", "secretset", "sset", "imagepullsecrets", "imagepullsecret", "ips"])
def test_get_a_set(plane: ControlPlane, resource: str) -> None:
    header, line = _cells(plane.kubectl("get", resource, "shown").stdout)
    assert header == ["NAME", "REGION", "STATUS", "REASON", "KEYS", "BOUND", "UPDATED", "AGE"]
    assert line[:6] == ["shown", "us-west", "ready", "Synced", "7", "3"]
    assert len(line) == len(header)


@pytest.mark.usefixtures("delivered")
@pytest.mark.parametrize("resource", ["regions", "region"])
def test_get_a_region(plane: ControlPlane, resource: str) -> None:
    header, line = _cells(plane.kubectl("get", resource, "shown").stdout)
    assert header == [
        *("NAME", "STATUS", "REACHABLE", "AUTHORIZED", "REASON", "DEFAULT"),
        *("READY", "PENDING", "FAILED", "VERSION", "LAST", "CONTACT", "AGE"),
    ]
    # Nothing stands under LAST CONTACT: it answers.
    assert line[:-1] == ["shown", "ready", "True", "False", "Synced", "True", "4", "5", "6", "v1.36.3"]


@pytest.mark.usefixtures("delivered")
def test_the_category_is_all_that_is_ours(plane: ControlPlane) -> None:
    found = set(plane.kubectl("get", "secretset-operator", "-o", "name").stdout.split())
    assert {
        "secretset.secretset.dev/shown",
        "imagepullsecret.secretset.dev/shown",
        "region.secretset.dev/shown",
    } <= found


def _cells(table: str) -> list[list[str]]:
    return [line.split() for line in table.splitlines()]


def test_explain_teaches_every_field(plane: ControlPlane) -> None:
    def schemas() -> dict[str, Any]:
        answer = plane.kubectl("get", "--raw", "/openapi/v3/apis/secretset.dev/v1alpha1", check=False)
        document = json.loads(answer.stdout) if answer.returncode == 0 else {}
        return dict(document.get("components", {}).get("schemas", {}))

    # It is published after the CRDs, in the background.
    kinds = {f"dev.secretset.v1alpha1.{kind}" for kind in ("SecretSet", "ImagePullSecret", "Region")}
    _until(lambda: kinds <= schemas().keys())
    found = schemas()
    assert [field for kind in kinds for field in _silent(found[kind], kind.rsplit(".", 1)[1])] == []
    assert "without the webhook it is refused" in " ".join(
        plane.kubectl("explain", "sset.spec.data.value").stdout.split()
    )


def _silent(node: Object, path: str) -> Iterator[str]:
    """The fields that have no description, by their paths."""
    for name, child in node.get("properties", {}).items():
        if not child.get("description") and not (path.count(".") == 0 and name == "metadata"):
            yield f"{path}.{name}"
        yield from _silent(child, f"{path}.{name}")
    for inner in ("items", "additionalProperties"):
        if isinstance(node.get(inner), dict):
            yield from _silent(node[inner], path)
