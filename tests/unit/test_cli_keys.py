"""`secretset keys` and `secretset reseal`, as far as they need no hub: what is refused before anything is asked."""

import getpass
import stat
import warnings
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from secretset.cli import keys_backup
from secretset.cli.main import app
from secretset.cli.sealed_sets import sealed_set
from secretset.domain.names import Kind
from unit.test_backup import FILE


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
    said = "secretset keys restore: there is no terminal to ask at: use --passphrase-file\n"
    assert run("keys", "restore", str(file)) == (1, said)


def test_without_a_hub_the_exit_code_says_so() -> None:
    for command in (("list",), ("rotate",), ("retire", "0" * 16)):
        code, said = run("keys", *command)
        assert (code, said.startswith(f"secretset keys {command[0]}: ")) == (2, True)
    code, said = run("keys", "list", "-n", "../other")
    assert code == 2


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
