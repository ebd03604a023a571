"""`secretset seal --check`: what a pipeline is told, with the public keys and with the private ones."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Self

import pytest
import yaml
from typer.testing import CliRunner

from secretset.cli import hub
from secretset.cli.main import app
from secretset.controller.kek import LocalKey
from secretset.domain.last_applied import ANNOTATION
from secretset.domain.names import Kind
from secretset.domain.sealing import Place
from secretset.domain.sealing_keys import Entry, PublicKeys, SealingKey
from secretset.kube import credentials, errors
from unit.sealed import FOREIGN, INSTALLATION, NEW, OLD, PUBLISHED, Command, seal

__all__ = ["seal"]

CANARY = "cAnArY-7c1e0f-YrAnAc"


def sealed(sealing: SealingKey, **place: str) -> dict[str, str]:
    where = {"namespace": "shop", "name": "app", "key": "A", **place}
    return {"sealed": sealing.private.public.seal(Place(INSTALLATION, Kind.SECRET_SET, **where), CANARY.encode())}


def manifest(data: object, name: str = "app", namespace: str | None = "shop", **annotations: str) -> str:
    metadata = {"name": name, "annotations": annotations} | ({"namespace": namespace} if namespace else {})
    body = {"apiVersion": "secretset.dev/v1alpha1", "kind": "SecretSet", "metadata": metadata, "spec": {"data": data}}
    return yaml.safe_dump(body, sort_keys=False, width=10**6)


def states(seal: Command, text: str, *flags: str, code: int = 0) -> dict[str, str]:
    done = seal.run("--check", seal.write("app.yaml", text), "-o", "json", *flags, code=code)
    assert CANARY not in done.output
    return {row["key"]: row["state"] for row in json.loads(done.stdout)}


def test_what_can_be_known_from_public_keys(seal: Command) -> None:
    well = {"A": sealed(NEW), "B": sealed(OLD), "C": {"valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}}
    assert states(seal, manifest(well)) == {"A": "current", "B": "older", "C": "reference"}
    text = sealed(NEW)["sealed"]
    wrong = {
        "FOREIGN": sealed(FOREIGN),
        "CUT": {"sealed": text[:-3]},
        "TEXT": {"sealed": CANARY},
        "NUMBER": {"sealed": 5},
        "PLAIN": {"value": CANARY},
        "BARE": CANARY,
        "TWO": {"sealed": text, "valueFrom": {}},
        "NONE": {},
        "MORE": {"sealed": text, "valeu": CANARY},
        "LIVEKIT_URL": {"sealed": text},
        "BAD.NAME": {"sealed": text},
    }
    assert states(seal, manifest(wrong), code=1) == {
        "FOREIGN": "unknown-key",
        "CUT": "malformed",
        "TEXT": "malformed",
        "NUMBER": "malformed",
        "PLAIN": "plain",
        "BARE": "plain",
        "TWO": "invalid",
        "NONE": "invalid",
        "MORE": "invalid",
        "LIVEKIT_URL": "invalid",
        "BAD.NAME": "invalid",
    }


@pytest.mark.parametrize(
    ("says", "text"),
    [
        ("no YAML", f"{{{CANARY}"),
        ("no name for a set", manifest({"A": sealed(NEW)}, name="X")),
        ("has no values", manifest({})),
        ("more than 256 keys", manifest({f"K{n}": sealed(NEW) for n in range(257)})),
        ("1,000,000 bytes", manifest({f"K{n}": {"sealed": "x" * 20_000} for n in range(51)})),
        (
            "last-applied-configuration holds plain text",
            manifest(
                {"A": sealed(NEW)},
                **{"kubectl.kubernetes.io/last-applied-configuration": f'{{"spec":{{"data":{{"A":"{CANARY}"}}}}}}'},
            ),
        ),
        ("last-applied", manifest({"A": sealed(NEW)}, **{"kubectl.kubernetes.io/last-applied-configuration": CANARY})),
    ],
)
def test_what_is_wrong_with_a_set_or_a_file(seal: Command, says: str, text: str) -> None:
    done = seal.run("--check", seal.write("app.yaml", text), "-o", "yaml", code=1)
    assert any(says in row["detail"] and not row["ok"] for row in yaml.safe_load(done.stdout))
    assert CANARY not in done.output


def test_the_table_names_places_and_files_without_sets_are_well(seal: Command) -> None:
    path = seal.write("app.yaml", manifest({"A": sealed(NEW), "B\x1b[31m": {"value": CANARY}}))
    head, first, second = seal.run("--check", "-f", path, path, code=1).stdout.splitlines()
    assert head.split() == ["FILE", "SET", "KEY", "STATE", "DETAIL"]
    assert first.split()[:4] == [f"{path}:9", "shop/app", "A", "current"]
    assert "\x1b" not in second
    other = seal.write("other.yaml", "kind: Deployment\napiVersion: apps/v1\n")
    well = seal.write("well.yaml", manifest({"A": sealed(NEW)}))
    assert f"no sets, so nothing was looked at, in '{other}'\n" in seal.run("--check", other, well).stderr
    assert "no sets" not in seal.run("--check", well).stderr


def test_a_file_that_cannot_be_read_is_told_among_the_others(seal: Command) -> None:
    well = seal.write("well.yaml", manifest({"A": sealed(NEW)}))
    binary, absent = seal.write("binary.yaml", b"\xff"), str(seal.folder / "absent")
    rows = json.loads(seal.run("--check", absent, well, binary, str(seal.folder), "-o", "json", code=1).stdout)
    assert [(row["file"], row["state"], row["ok"]) for row in rows] == [
        (absent, "invalid", False),
        (well, "current", True),
        (binary, "invalid", False),
        (str(seal.folder), "invalid", False),
    ]
    assert "No such file or directory" in rows[0]["detail"]
    assert "is not UTF-8 text" in rows[2]["detail"]


@pytest.mark.parametrize("kind", ["SecretSetList", "List", "SecretSet"])
def test_a_set_in_a_list_is_seen_whatever_that_is_called(seal: Command, kind: str) -> None:
    item = yaml.safe_load(manifest({"A": {"value": CANARY}}))
    version = "v1" if kind == "List" else "secretset.dev/v1alpha1"
    head = {"metadata": {"name": "all"}, "spec": {"data": {"X": sealed(NEW)}}} if kind == "SecretSet" else {}
    text = yaml.safe_dump({"apiVersion": version, "kind": kind, **head, "items": [item]}, width=10**6)
    assert states(seal, text, code=1)["A"] == "plain"


@pytest.mark.parametrize(
    "entry", [CANARY, {"value": CANARY}, {"sealed": CANARY}, {"sealed": [CANARY]}, {"sealed": f"hpke1.{CANARY}"}]
)
def test_plain_text_in_what_kubectl_noted_is_seen_in_any_form(seal: Command, entry: object) -> None:
    def noted(entry: object) -> str:
        note = json.dumps({"spec": {"data": {"A": entry}}})
        return seal.write("app.yaml", manifest({"A": sealed(NEW)}, **{ANNOTATION: note}))

    done = seal.run("--check", noted(entry), code=1)
    assert "holds plain text" in done.stdout
    assert CANARY not in done.output
    seal.run("--check", noted(sealed(NEW)))
    seal.run("--check", noted({"valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}))


def test_what_is_piped_is_not_cut_off(seal: Command) -> None:
    (seal.folder / ("d" * 200)).mkdir()
    path = seal.write(f"{'d' * 200}/{'f' * 200}.yaml", manifest({"A": sealed(NEW)}))
    assert f"{path}:" in seal.run("--check", path).stdout


class FakeHub:
    """Stands for the hub: what the operator keeps there."""

    def __init__(self, private: dict[str, bytes], public: PublicKeys | None = PUBLISHED) -> None:
        self.private = {kid: base64.b64encode(raw).decode() for kid, raw in private.items()}
        self.public = public
        self.refuses = ""

    async def get(self, path: str) -> Any:
        if self.refuses and path.endswith(self.refuses):
            raise errors.Forbidden(403)
        if path == "/api/v1/namespaces/secretset-system/secrets/secretset-sealing-keys":
            return {"metadata": {"uid": "secret", "resourceVersion": "1"}, "data": self.private}
        if path == "/api/v1/namespaces/secretset-system/configmaps/secretset-public-keys" and self.public:
            return {"data": {"keys.json": self.public.render()}}
        raise errors.Absent(404)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


def kept(key: SealingKey, number: int) -> dict[str, bytes]:
    return {key.kid: Entry(created=key.created, secret=bytes([number]) * 32).render()}


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    """A hub that is asked instead of a real one."""
    fake = FakeHub({**kept(OLD, 1), **kept(NEW, 2)})

    async def load(*_: object) -> None:
        return None

    monkeypatch.setattr(credentials, "load", load)
    monkeypatch.setattr(hub, "Client", lambda *_, **__: fake)
    return fake


MOVED = {"A": sealed(NEW), "B": sealed(OLD, key="B"), "C": sealed(NEW), "D": sealed(FOREIGN, key="D")}
OPENED = {"A": "opens", "B": "opens", "C": "not-for-here", "D": "unknown-key"}


def test_with_the_private_keys_the_place_is_known_too(seal: Command, there: FakeHub) -> None:
    assert there.public
    assert states(seal, manifest(MOVED), "--open", code=1) == OPENED
    assert states(seal, manifest({"A": sealed(NEW)}), "--open") == {"A": "opens"}
    assert states(seal, manifest({"A": sealed(NEW)}, name="app-eu"), "--open", code=1) == {"A": "not-for-here"}
    assert states(seal, manifest({"A": sealed(NEW)}, namespace=None), "--open", "-n", "shop") == {"A": "opens"}
    assert states(seal, manifest({"A": sealed(NEW)}, namespace=None), "--open", code=1) == {"A": "invalid"}


def test_private_keys_from_a_folder_and_wrapped_ones(seal: Command, tmp_path: Path) -> None:
    key = tmp_path / "kek"
    key.write_bytes(b"k" * 32)
    kek = LocalKey(b"k" * 32)
    folder = tmp_path / "private"
    folder.mkdir()
    (folder / OLD.kid).write_bytes(kept(OLD, 1)[OLD.kid])
    (folder / NEW.kid).write_bytes(Entry(created=NEW.created, secret=kek.wrap(bytes([2]) * 32), kek=kek.id).render())
    flags = ("--open", "--sealing-keys-dir", str(folder))
    assert states(seal, manifest(MOVED), *flags, "--sealing-kek-file", str(key), code=1) == OPENED
    path = seal.write("app.yaml", manifest(MOVED))
    assert "was not given" in seal.run("--check", path, *flags, code=2).stderr
    assert "kek' cannot be read" in seal.run("--check", path, *flags, "--sealing-kek-file", "no-kek", code=2).stderr
    absent = ("--open", "--sealing-keys-dir", str(tmp_path / "absent"))
    # As `reseal` has it.
    says = f"the folder '{absent[-1]}' cannot be read (--sealing-keys-dir)"
    assert says in seal.run("--check", path, *absent, code=2).stderr
    (tmp_path / "empty").mkdir()
    empty = ("--open", "--sealing-keys-dir", str(tmp_path / "empty"))
    assert "no sealing keys in the folder" in seal.run("--check", path, *empty, code=2).stderr


def test_the_hub_is_asked_for_public_keys_where_no_file_is_given(seal: Command, there: FakeHub) -> None:
    runner = CliRunner()
    printed = runner.invoke(app, ["seal", "--print-public-key"])
    assert PublicKeys.parse(printed.stdout) == PUBLISHED
    there.refuses = "secretset-public-keys"
    done = runner.invoke(app, ["seal", "--print-public-key"])
    assert (done.exit_code, "you may not" in done.stderr) == (2, True)
    there.refuses, there.public = "", None
    done = runner.invoke(app, ["seal", "--print-public-key"])
    assert (done.exit_code, "does the operator run on this hub" in done.stderr) == (1, True)
    # 1 would say that something is wrong with a file.
    done = runner.invoke(app, ["seal", "--check", seal.write("app.yaml", manifest(MOVED))])
    assert (done.exit_code, "does the operator run on this hub" in done.stderr) == (2, True)
    done = runner.invoke(app, ["seal", "--print-public-key", "--operator-namespace", "../x"])
    assert (done.exit_code, "is no namespace" in done.stderr) == (1, True)


def test_without_the_right_to_private_keys_that_is_said(seal: Command, there: FakeHub) -> None:
    there.refuses = "secretset-sealing-keys"
    done = seal.run("--check", seal.write("app.yaml", manifest(MOVED)), "--open", code=2)
    assert "you may not" in done.stderr
    there.refuses, there.private = "", {NEW.kid: base64.b64encode(b"{}").decode()}
    done = seal.run("--check", seal.write("app.yaml", manifest(MOVED)), "--open", code=2)
    assert "its entry is damaged" in done.stderr
