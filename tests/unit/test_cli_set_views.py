"""How sets are printed: nothing of a value, nothing that a terminal obeys, and each change once."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from secretset.cli.delete import _consequences
from secretset.cli.hub import plain
from secretset.cli.list_watch import Changes
from secretset.cli.options import OutputFormat
from secretset.cli.set_views import columns, show_change, show_set, show_sets
from secretset.domain.names import Key, Kind
from secretset.domain.sealing import Place
from secretset.domain.set_view import SetView
from unit.sealed import NEW

SEALED = NEW.private.public.seal(Place("i", Kind.SECRET_SET, "shop", "app", "A"), b"x")
TIME = "2026-01-02T03:04:05Z"
Captured = pytest.CaptureFixture[str]


def view(name: str = "app", *, kind: Kind = Kind.SECRET_SET, namespace: str = "shop", **changes: Any) -> SetView:
    """A set as the API server has it; changes of its metadata, spec and status."""
    entry = {"sealed": SEALED}
    content = {"data": {"A": entry, "B": {"valueFrom": {"secretKeyRef": {"name": "src", "key": "b"}}}}}
    if kind is Kind.IMAGE_PULL_SECRET:
        content = {"host": "ghcr.io", "username": "bot", "password": entry}  # type: ignore[dict-item]
    metadata = {"name": name, "namespace": namespace, "uid": "u", "generation": 1, "creationTimestamp": TIME}
    status = {"phase": "ready", "reason": "Synced", "observedGeneration": 1, "region": "us-west", "updatedAt": TIME}
    keys = [{"name": "A", "createdAt": TIME, "updatedAt": TIME}]
    return SetView.parse(
        kind,
        {
            "metadata": {**metadata, **changes.get("metadata", {})},
            "spec": {**content, **changes.get("spec", {})},
            "status": {**status, "keys": keys, **changes.get("status", {})},
        },
    )


def test_a_list_for_people_and_for_machines(capsys: Captured) -> None:
    pending = view("new", status={"observedGeneration": 0})
    failed = view("bad", status={"phase": "failed", "reason": "NameConflict"})
    going = view("old", metadata={"deletionTimestamp": TIME})
    show_sets(OutputFormat.TABLE, [view(), pending, failed, going], organizations=True)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["NAMESPACE", "NAME", "KIND", "REGION", "STATUS", "KEYS", "CREATED", "UPDATED"]
    assert lines[1] == ["shop", "app", "SecretSet", "us-west", "ready", "2", TIME, TIME]
    assert [" ".join(line[4:-3]) for line in lines[1:]] == [
        "ready",
        "pending (Accepted)",
        "failed (NameConflict)",
        "ready (deleting)",
    ]
    show_sets(OutputFormat.JSON, [view()])
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["status"], row["keys"][0]["updatedAt"]) == ("ready", TIME)
    show_sets(OutputFormat.TABLE, [view(kind=Kind.IMAGE_PULL_SECRET)], kind=Kind.IMAGE_PULL_SECRET)
    assert capsys.readouterr().out.splitlines()[1].split()[:4] == ["app", "ghcr.io", "bot", "us-west"]


def test_one_set_shows_its_keys_and_no_sealed_text(capsys: Captured) -> None:
    show_set(OutputFormat.TABLE, view(spec={"description": "for all"}))
    shown = capsys.readouterr().out
    lines = [line.split() for line in shown.splitlines()]
    assert ["A", TIME, TIME, NEW.kid] in lines
    assert ["B", "-", "-", "Secret", "src/b"] in lines
    assert ["Description:", "for", "all"] in lines
    show_set(OutputFormat.YAML, view())
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed)["keys"][1] == {"name": "B", "source": "src/b"}
    assert SEALED not in shown + printed


def test_text_of_others_does_not_reach_the_terminal_as_it_is(capsys: Captured) -> None:
    evil = "\x1b]0;x\x07\x1b[31m\r\n\x9b1m\u202e[bold]x"
    show_set(OutputFormat.TABLE, view(spec={"description": evil, "metadata": {evil: evil}}, status={"message": evil}))
    show_sets(OutputFormat.TABLE, [view(status={"phase": "failed", "reason": evil})])
    out = capsys.readouterr().out
    assert not set(out) & set("\x1b\x07\r\x9b\u202e")
    assert "[bold]x" in out
    assert plain("schlüssel 鍵 🔑 [x]") == "schlüssel 鍵 🔑 [x]"


def test_what_was_done_is_one_line(capsys: Captured) -> None:
    show_change(OutputFormat.TABLE, view(), "created", waited=True)
    assert capsys.readouterr().out == "shop/app: created in us-west, ready\n"
    later = view(status={"observedGeneration": 0, "region": None})
    show_change(OutputFormat.TABLE, later, "changed", waited=False)
    assert capsys.readouterr().out == "shop/app: changed, pending; secretset wait app -n shop\n"
    show_change(OutputFormat.JSON, view(), "created", waited=True)
    assert json.loads(capsys.readouterr().out)["name"] == "app"


def test_a_watch_prints_each_change_once(capsys: Captured) -> None:
    def printed() -> list[tuple[str, str]]:
        return [(row["name"], row["status"]) for row in map(json.loads, capsys.readouterr().out.splitlines())]

    changes, first, second = Changes(OutputFormat.JSON, columns()), view("a"), view("b", status={"phase": "failed"})
    changes({second.key: second, first.key: first})
    assert printed() == [("a", "ready"), ("b", "failed")]
    changes({first.key: first, second.key: second})
    assert printed() == []
    healed = view("b")
    changes({first.key: first, healed.key: healed})
    assert printed() == [("b", "ready")]
    changes({healed.key: healed})
    assert printed() == [("a", "deleted")]


def test_a_watch_for_people_and_as_yaml(capsys: Captured) -> None:
    changes = Changes(OutputFormat.TABLE, columns())
    changes({})
    changes({view("a").key: view("a")})
    changes({})
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == ["NAME", "a", "a"]
    assert (lines[1][3], lines[2][3]) == ("ready", "deleted")
    assert lines[2][:3] == ["a", "SecretSet", "us-west"]
    changes = Changes(OutputFormat.YAML, columns())
    changes({view("a").key: view("a"), view("b").key: view("b")})
    assert [each["name"] for each in yaml.safe_load_all(capsys.readouterr().out)] == ["a", "b"]


def test_the_question_before_a_deletion_names_workloads() -> None:
    items = [{"kind": "Deployment", "name": f"web-{number}", "state": "current"} for number in range(12)]
    workloads = {"bound": 60, "current": 60, "restarting": 0, "stalled": 0, "held": 0}
    text = _consequences(view(status={"workloads": {**workloads, "items": items}}))
    assert text.startswith(
        "SecretSet shop/app has 2 keys in us-west; 60 workloads use it: Deployment web-0, Deployment"
    )
    assert text.endswith("Deployment web-9 and 50 more.")
    assert _consequences(view()) == "SecretSet shop/app has 2 keys in us-west; no workload is known to use it."
    kept = _consequences(view(spec={"deletionPolicy": "Retain"}, status={"workloads": {**workloads, "bound": 1}}))
    assert "where its Secret is retained; 1 workload uses it: " in kept
    assert view().key == Key(Kind.SECRET_SET, "shop", "app")
