"""A SecretSet becomes a native Secret, byte for byte, and the status says so."""

from __future__ import annotations

import datetime
import os

from harness import Org, eventually, holds, value_from

AWKWARD = {
    "SPACES": b"value with spaces ",
    "EQUALS": b"a=b==c",
    "QUOTES": b"\"double\" and 'single'",
    "BACKSLASH": rb"C:\path\n",
    "NEWLINES": b"-----BEGIN-----\nline\n\n-----END-----\n",
    "UTF8": "schlüssel-鍵-🔑".encode(),
    "BINARY": bytes(range(256)),
    "EMPTY": b"",
    "dash-and_underscore": b"x",
    "Case": b"upper",
    "case": b"lower",
}


def test_values_arrive_byte_for_byte(org: Org) -> None:
    largest = os.urandom(16_384)
    org.source_of({**AWKWARD, "LARGEST": largest})
    org.secret_set(data={key: value_from("src", key) for key in [*AWKWARD, "LARGEST"]})
    org.reaches("ready", "Synced")
    assert org.values() == {**AWKWARD, "LARGEST": largest}


def test_the_secret_is_marked_and_typed(org: Org) -> None:
    org.source()
    org.secret_set()
    org.kubectl("label", "secretset", "app", "app.kubernetes.io/instance=argo", "team=x")
    org.kubectl("annotate", "secretset", "app", "argocd.argoproj.io/tracking-id=app:x")
    org.reaches("ready")
    secret = org.managed()
    assert secret is not None
    assert secret["type"] == "Opaque"
    assert secret["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "secretset-operator",
        "secretset.dev/set": "app",
        "secretset.dev/organization": org.name,
    }
    notes = secret["metadata"]["annotations"]
    assert notes["secretset.dev/owner-uid"] == (org.get("secretset", "app") or {})["metadata"]["uid"]
    assert notes["secretset.dev/revision"] == "1"
    assert not [name for name in notes if "argocd" in name]
    assert "ownerReferences" not in secret["metadata"]


def test_the_status_tells_everything_but_values(org: Org) -> None:
    org.source("src", a=org.canary(), b=org.canary())
    org.secret_set(data={"A": value_from("src", "a"), "B": value_from("src", "b")}, description="for the test")
    status = org.reaches("ready")
    assert status["region"] == "us-west"
    assert status["secretRef"] == {"region": "us-west", "namespace": org.regional, "name": "app"}
    assert status["revision"] == 1
    assert [key["name"] for key in status["keys"]] == ["A", "B"]
    assert status["keyCount"] == 2
    assert status["workloads"] == {"bound": 0, "current": 0, "restarting": 0, "stalled": 0, "held": 0}
    conditions = {condition["type"]: condition for condition in status["conditions"]}
    assert {name: c["status"] for name, c in conditions.items()} == {"Ready": "True", "RolledOut": "True"}
    assert all(c["observedGeneration"] == 1 for c in conditions.values())
    assert org.events() == []


def test_columns_read_well(org: Org) -> None:
    org.source()
    org.secret_set()
    org.reaches("ready")
    head, row = org.kubectl("get", "sset").stdout.splitlines()
    assert head.split() == ["NAME", "REGION", "STATUS", "REASON", "KEYS", "BOUND", "UPDATED", "AGE"]
    assert row.split()[:6] == ["app", "us-west", "ready", "Synced", "1", "0"]


def test_a_changed_source_arrives_at_once_and_only_its_key_is_newer(org: Org) -> None:
    org.source("src", a=org.canary(), b=org.canary())
    org.secret_set(data={"A": value_from("src", "a"), "B": value_from("src", "b")})
    before = {key["name"]: key for key in org.reaches("ready")["keys"]}
    changed = org.canary()
    eventually(lambda: _seconds_passed(before["A"]["updatedAt"]))
    org.kubectl("patch", "secret", "src", "-p", f'{{"stringData":{{"a":"{changed}"}}}}')
    eventually(lambda: org.values()["A"] == changed.encode(), seconds=5)
    status = eventually(lambda: (s := org.status()).get("revision") == 2 and s)
    after = {key["name"]: key for key in status["keys"]}
    assert after["B"] == before["B"]
    assert after["A"]["createdAt"] == before["A"]["createdAt"]
    assert after["A"]["updatedAt"] > before["A"]["updatedAt"]
    assert org.events() == [("Synced", "Revision 2 is in place.")]


def test_keys_come_and_go(org: Org) -> None:
    org.source("src", a=org.canary(), b=org.canary())
    org.secret_set(data={"A": value_from("src", "a")})
    org.reaches("ready")
    org.secret_set(data={"A": value_from("src", "a"), "B": value_from("src", "b")})
    assert org.reaches("ready")["revision"] == 2
    org.secret_set(data={"B": value_from("src", "b")})
    assert org.reaches("ready")["revision"] == 3
    assert set(org.values()) == {"B"}


def test_writes_are_the_least_possible(org: Org) -> None:
    org.source()
    org.secret_set()
    org.reaches("ready")
    assert org.writes() == ["patch secretsets app", "create secrets app", "update secretsets/status app"]
    org.source("src", a=org.canary())
    eventually(lambda: org.status().get("revision") == 2)
    assert org.writes()[3:] == ["update secrets app", "update secretsets/status app"]
    # What changes nothing writes nothing, but for the generation in the status.
    org.kubectl("label", "secretset", "app", "team=x")
    org.kubectl("label", "secret", "src", "note=x")
    org.kubectl("annotate", "secretset", "app", "secretset.dev/reconcile=1")
    holds(lambda: len(org.writes()) == 5, seconds=1.5)
    org.secret_set(description="only words")
    org.reaches("ready")
    assert org.writes()[5:] == ["update secretsets/status app"]
    org.kubectl("delete", "secretset", "app", "--timeout=20s")
    assert org.writes()[6:] == ["delete secrets app", "patch secretsets app"]


def _seconds_passed(timestamp: str) -> bool:
    return datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(timestamp) > datetime.timedelta(
        seconds=1.1
    )
