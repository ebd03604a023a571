"""The look for values finds each of their forms, wherever it stands."""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import traces as looked
from harness.traces import SHORTEST, Traces, forms, of_folder, of_plane, of_processes

CANARY = f"canary-{secrets.token_urlsafe(24)}"
AWKWARD = 'pä "ss" & <w>/ö=\\rd?~' + CANARY + "+\n'"
OTHERS = [f"canary-{secrets.token_urlsafe(24)}" for _ in range(30)]
NOISE = secrets.token_bytes(1000)

values = st.text(st.characters(exclude_categories=["Cs"]), min_size=22, max_size=60)


def written(value: str, before: bytes, after: bytes) -> dict[str, str]:
    """Every way in which a program may write a value with something around it."""
    raw = value.encode()
    around = before + raw + after
    return {
        "raw": value,
        "hex": around.hex(),
        "HEX": around.hex().upper(),
        "base64": base64.b64encode(around).decode(),
        "base64url": base64.urlsafe_b64encode(around).decode().rstrip("="),
        "url": quote(value),
        "url, all of it": quote(value, safe=""),
        "form": quote_plus(value),
        "JSON": json.dumps({"a": value}),
        "JSON, UTF-8": json.dumps({"a": value}, ensure_ascii=False),
        "JSON in JSON": json.dumps(json.dumps(value)),
        "Go's JSON": json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"),
        "Python": repr({"a": value}),
        "Python's bytes": repr({"a": raw}),
    }


@pytest.mark.parametrize("value", [CANARY, AWKWARD], ids=["plain", "awkward"])
@pytest.mark.parametrize("way", written("", b"", b""))
def test_each_form_is_found_at_each_place(value: str, way: str) -> None:
    traces, others = Traces([*OTHERS, value]), Traces(OTHERS)
    for shift in range(3):
        text = written(value, b"x" * shift, b"y" * (2 - shift))[way].encode()
        for start in range(17):
            assert traces.found(NOISE[:start] + text + NOISE[start:]) == {value}
        assert traces.found(text) == {value}
        assert not others.found(NOISE + text)


@given(values, st.binary(max_size=4), st.binary(max_size=4))
def test_any_value_is_found_in_any_form(value: str, before: bytes, after: bytes) -> None:
    traces = Traces([value])
    for text in written(value, before, after).values():
        assert traces.found(text.encode()) == {value}


@given(values)
def test_each_form_is_there_once_and_long_enough(value: str) -> None:
    found = list(forms(value))
    assert len(found) == len(set(found))
    assert min(len(form.encode()) for form in found) >= SHORTEST


def test_what_is_too_short_is_not_looked_for() -> None:
    with pytest.raises(ValueError, match="told from chance"):
        Traces(["short"])


def test_what_is_not_there_is_not_found() -> None:
    Traces([CANARY, *OTHERS]).assert_nowhere([("noise", NOISE), ("nothing", b""), ("a part", CANARY[:-1].encode())])
    Traces([]).assert_nowhere([("anything", CANARY.encode())])


def test_what_is_found_is_told_without_the_value() -> None:
    with pytest.raises(AssertionError) as raised:
        Traces([CANARY]).assert_nowhere([("a log", CANARY.encode())])
    assert "a log" in str(raised.value)
    assert CANARY not in str(raised.value)


def test_files_and_their_names_are_looked_through(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/file").write_text(f"x{CANARY}")
    (tmp_path / OTHERS[0]).touch()
    traces = Traces([CANARY, *OTHERS])
    assert set().union(*(traces.found(content) for _, content in of_folder(tmp_path))) == {CANARY, OTHERS[0]}


class Plane:
    """What a plane has written, with a value in one place."""

    def __init__(self, folder: Path, where: str) -> None:
        self.data_dir = folder
        (folder / "logs").mkdir()
        (folder / "pki").mkdir()
        for name in ("operator-1.log", "logs/kube-apiserver.log", "logs/audit.log", "pki/ca.crt"):
            (folder / name).write_text(CANARY if where == name else "nothing")
        self._where = where

    def _is(self, where: str) -> str:
        return CANARY if where == self._where else "nothing"

    def stored(self, _: object, since: int) -> list[tuple[str, bytes]]:
        assert since == 0
        keys = ("events/shop/app", "secretset.dev/secretsets/shop/app", "secrets/shop-us-west/app")
        own = ("secrets/secretset-system/secretset-installation", "secrets/secretset-system/kubeconfig-far")
        return [(f"/registry/{key}", self._is(key).encode()) for key in (*keys, *own)]

    def kubectl(self, *args: str) -> Any:
        if args[:2] == ("get", "--raw"):
            return SimpleNamespace(stdout=self._is("metrics"))
        notes = {
            "secretset.dev/keys": self._is("mark"),
            "kubectl.kubernetes.io/last-applied-configuration": self._is("noted"),
        }
        data = {"A": base64.b64encode(self._is("data").encode()).decode()}
        return SimpleNamespace(
            stdout=json.dumps(
                {
                    "items": [
                        {"metadata": {"annotations": notes}, "type": self._is("type"), "data": data},
                        {"metadata": {}},
                    ]
                }
            )
        )


@pytest.mark.parametrize(
    ("where", "told"),
    {
        "events/shop/app": "etcd: /registry/events/shop/app",
        "secretset.dev/secretsets/shop/app": "etcd: /registry/secretset.dev/secretsets/shop/app",
        "secrets/secretset-system/secretset-installation": (
            "etcd: /registry/secrets/secretset-system/secretset-installation"
        ),
        "mark": "marks",
        "type": "marks",
        "metrics": "metrics of the API server",
        "logs/kube-apiserver.log": "logs/kube-apiserver.log",
        "logs/audit.log": "logs/audit.log",
        # Where a value may be: Secrets, what kubectl noted of them, and credentials.
        "secrets/shop-us-west/app": None,
        "secrets/secretset-system/kubeconfig-far": None,
        "data": None,
        "noted": None,
        "pki/ca.crt": None,
    }.items(),
)
def test_everything_of_a_plane_is_looked_through(
    where: str, told: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane: Any = Plane(tmp_path, where)
    monkeypatch.setattr(looked, "in_etcd", plane.stored)
    found = [place for place, content in of_plane(plane) if Traces([CANARY]).found(content)]
    assert found == ([told] if told else [])


def test_the_log_of_a_process_of_ours_is_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plane: Any = Plane(tmp_path, "operator-1.log")
    monkeypatch.setattr(looked, "in_etcd", plane.stored)
    found = [place for place, content in of_plane(plane) if Traces([CANARY]).found(content)]
    assert found == [f"{tmp_path.name}/operator-1.log"]


def test_arguments_of_processes_are_looked_through() -> None:
    own, traces = f"canary-{secrets.token_urlsafe(24)}", Traces([CANARY])
    traces.assert_nowhere(of_processes())
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", f"--password={own}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        assert any(Traces([own]).found(content) for _, content in of_processes())
        process.stdin.close()
