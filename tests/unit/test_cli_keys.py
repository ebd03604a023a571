"""`secretset keys` and `secretset reseal`, as far as they need no hub: what is refused before anything is asked."""

import asyncio
import getpass
import json
import stat
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from secretset.cli import hub as cli_hub
from secretset.cli import key_changes, keys, keys_backup
from secretset.cli.main import app
from secretset.cli.sealed_sets import sealed_set
from secretset.controller import key_store
from secretset.domain import backup as backup_file
from secretset.domain.names import Kind
from secretset.kube import credentials, paths
from unit.key_hub import SYSTEM, KeyHub
from unit.test_backup import FILE
from unit.test_cli_key_changes import FIRST, SECOND, installed, publish


def run(*args: str, typed: str | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(app, [*args], input=typed, env={"KUBECONFIG": "/none", "HOME": "/none"})
    return done.exit_code, done.stderr


@pytest.mark.parametrize("args", [(), ("app",), ("--all", "-n", "team"), ("--all", "app")])
def test_reseal_is_told_which_sets(args: tuple[str, ...]) -> None:
    assert run("reseal", *args) == (
        2,
        "secretset reseal: say which sets: --namespace N, NAME... with --namespace N, or --all\n",
    )


def test_a_backup_is_not_overwritten_and_its_owner_alone_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "hub.backup"
    file.write_text("old")
    code, said = run("keys", "backup", "--output", str(file))
    assert (code, "say --force" in said) == (2, True)
    with pytest.raises(FileExistsError):
        keys_backup._write(file, b"new", force=False)
    assert file.read_text() == "old"
    keys_backup._write(file, b"new", force=True)
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"new", 0o600)
    keys_backup._write(tmp_path / "second", b"x", force=False)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["hub.backup", "second"]


def test_what_cannot_be_restored_is_told_before_the_hub_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "hub.backup"
    assert run("keys", "restore", str(file))[0] == 2
    file.write_bytes(b"garbage")
    assert run("keys", "restore", str(file), typed="a passphrase of mine\n")[0] == 1
    file.write_bytes(FILE)
    code, said = run("keys", "restore", str(file), typed="a passphrase of mine\n")
    assert (code, "the passphrase is another, or the file was altered" in said) == (1, True)


def test_a_passphrase_is_not_asked_for_in_the_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def prompt(*_: object, **__: object) -> str:
        warnings.warn("Can not control echo on the terminal.", getpass.GetPassWarning, stacklevel=1)
        return "typed and seen"

    monkeypatch.setattr(typer, "prompt", prompt)
    file = tmp_path / "hub.backup"
    file.write_bytes(FILE)
    said = "\nsecretset keys restore: there is no terminal to ask at: use --passphrase-file\n"
    assert run("keys", "restore", str(file)) == (1, said)


def test_without_a_hub_the_exit_code_says_so() -> None:
    for command in (("list",), ("rotate",), ("retire", "0" * 16)):
        code, said = run("keys", *command)
        assert (code, said.startswith(f"secretset keys {command[0]}: ")) == (2, True)
    code, said = run("keys", "list", "--operator-namespace", "../other")
    assert code == 2


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> KeyHub:
    """A hub with two keys, for commands; it has no sets."""
    found = asyncio.run(_published())

    @asynccontextmanager
    async def connected(*_: object, **__: object) -> AsyncIterator[KeyHub]:
        yield found

    async def load(*_: object) -> None:
        """No credentials."""

    monkeypatch.setattr(credentials, "load", load)
    monkeypatch.setattr(cli_hub, "Client", connected)
    monkeypatch.setattr(key_changes, "RETIRE_SECONDS", 0)
    for kind in Kind:
        found.objects[paths.custom_list(kind)] = {"metadata": {}, "items": []}
    return found


async def _published() -> KeyHub:
    return await publish(installed(1, 2), 1, 2)


def told(*args: str) -> Any:
    """What a command prints as JSON."""
    done = CliRunner().invoke(app, [*args, "-o", "json"])
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_the_namespace_of_the_operator_has_an_option_of_its_own(hub: KeyHub, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    path = str(tmp_path / "file")
    for command in (("list",), ("rotate",), ("retire", FIRST), ("backup", "--output", path), ("restore", path)):
        for flag in ("-n", "--namespace"):
            code, said = run("keys", *command, flag, "shop")
            assert (code, "No such option" in said) == (2, True)
    says = "there are no public keys in the ConfigMap 'shop/secretset-public-keys'"
    code, said = run("keys", "list", "--operator-namespace", "shop")
    assert (code, says in said) == (2, True)
    assert hub.writes() == []


def test_keys_are_listed_without_sets_and_not_held_ones_are_told(hub: KeyHub) -> None:
    assert [(row["kid"], row["state"]) for row in told("keys", "list")] == [(SECOND, "current"), (FIRST, "opens")]
    for kind in Kind:
        del hub.objects[paths.custom_list(kind)]
    assert [row["values"] for row in told("keys", "list")] == [0, 0]
    assert "the CRDs are not installed" in run("keys", "list")[1]
    for command in (("keys", "retire", FIRST), ("reseal", "--all")):
        code, said = run(*command)
        assert (code, "the CRDs are not installed" in said) == (2, True)
    asyncio.run(key_store.publish(hub.client, SYSTEM, replace(hub.document, held=False)))
    assert [row["state"] for row in told("keys", "list")] == ["not-held", "unknown"]
    assert "Nobody can seal" in run("keys", "list")[1]


def test_who_cannot_be_asked_is_told_so(hub: KeyHub) -> None:
    code, said = run("keys", "retire", FIRST)
    assert (code, said.endswith("\nsecretset keys retire: there is no terminal to ask at: use --yes\n")) == (2, True)
    assert run("keys", "retire", FIRST, typed="n\n")[0] == 1
    assert hub.kids == {FIRST, SECOND}
    assert run("keys", "retire", FIRST, typed="y\n")[0] == 0
    assert hub.kids == {SECOND}


def test_what_was_done_is_told_to_machines(hub: KeyHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_file, "_COST", 2**10)
    (tmp_path / "phrase").write_text("a passphrase of mine\n")
    file, phrase = str(tmp_path / "hub.backup"), ("--passphrase-file", str(tmp_path / "phrase"))
    saved = told("keys", "backup", "--output", file, *phrase)
    assert saved == {"file": file, "keys": sorted([FIRST, SECOND]), "unusable": {}}
    assert told("keys", "retire", FIRST, "--yes") == {"kid": FIRST, "status": "retired"}
    back = told("keys", "restore", file, *phrase)
    assert (back["added"], back["replaced"], back["notInBackup"]) == ([FIRST], [], None)
    made = told("keys", "rotate")
    assert made == {"kid": hub.document.keys[0].kid, "kek": None, "published": True, "unusable": []}
    done = told("reseal", "--all")
    assert (done["kid"], done["values"], done["problems"], done["dryRun"]) == (made["kid"], 0, [], False)
    # What is to be done is said to people, in the singular where there is one.
    assert f"the key to seal with, {made['kid']}, is not in this backup" in run("keys", "restore", file, *phrase)[1]
    one = keys._in_use([(sealed_set(Kind.SECRET_SET, {"metadata": {"namespace": "team", "name": "app"}}), "A")])
    assert one == "1 value needs it: SecretSet team/app: A"


def test_sealed_values_are_found_whatever_else_is_in_an_object() -> None:
    meta = {"name": "app", "namespace": "team"}
    data = {"A": {"sealed": "a"}, "B": {"valueFrom": {}}, "C": None, "D": {"sealed": 5}, "E~/": {"sealed": "e"}}
    found = sealed_set(Kind.SECRET_SET, {"metadata": meta, "spec": {"data": data}})
    assert found.values == {"A": "a", "E~/": "e"}
    assert found.path("E~/") == "/spec/data/E~0~1/sealed"
    pull = sealed_set(Kind.IMAGE_PULL_SECRET, {"metadata": meta, "spec": {"password": {"sealed": "p"}}})
    assert (pull.values, pull.path("password")) == ({"password": "p"}, "/spec/password/sealed")
    odd: tuple[Any, ...] = ({}, {"data": []}, {"data": {"A": []}}, None, [])
    for spec in odd:
        assert sealed_set(Kind.SECRET_SET, {"metadata": meta, "spec": spec}).values == {}
    assert sealed_set(Kind.IMAGE_PULL_SECRET, {"metadata": meta, "spec": {"password": "x"}}).values == {}
