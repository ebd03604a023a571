"""`secretset import`, as far as no cluster is asked: files, and manifests for Git."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from secretset.cli.main import app
from secretset.domain.models import ImagePullSecret, SecretSet
from unit.kubeseals import FOLDER, KNOWN
from unit.sealed import PUBLISHED, opened

CANARY = "cAnArY-0b6f2e-YrAnAc"
KEYS, SEALED = FOLDER / "keys.yaml", FOLDER / "sealed.yaml"


class Command:
    """`secretset import`, without a cluster that could be asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = self.write("keys.json", PUBLISHED.render())

    def write(self, name: str, content: str) -> str:
        path = self.folder / name
        path.write_text(content)
        return str(path)

    def run(self, *arguments: str, code: int = 0, typed: bytes | None = None) -> Result:
        done = CliRunner().invoke(app, ["import", "-n", "shop", *arguments], input=typed)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert done.exit_code == code, done.output
        assert CANARY not in done.output
        return done

    def printed(self, *arguments: str, typed: bytes | None = None) -> dict[str, dict[str, Any]]:
        done = self.run("--print", "--public-key", self.keys, *arguments, typed=typed)
        return {each["metadata"]["name"]: each for each in yaml.safe_load_all(done.stdout)}

    def refused(self, *arguments: str, code: int = 1) -> str:
        done = self.run("--print", "--public-key", self.keys, *arguments, code=code)
        assert not done.stdout
        return done.stderr


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("COLUMNS", "400")
    return Command(tmp_path)


def test_env_files_become_one_set(command: Command) -> None:
    first = command.write(".env", f"A={CANARY}\nLIVEKIT_URL=wss://x\nmy.key='two words'\nOLD=1\n")
    second = command.write(".env.local", "B=$HOME # stays\n")
    rules = ("--rename", "my.key=MY_KEY", "--skip-key", "OLD")
    done = command.run(
        *("app", "--print", "--public-key", command.keys, "--region", "eu"),
        *("--from-env", first, "--from-env", second, *rules),
    )
    body = yaml.safe_load(done.stdout)
    assert opened(body) == {"A": CANARY.encode(), "MY_KEY": b"two words", "B": b"$HOME"}
    assert body["spec"]["region"] == "eu"
    SecretSet.model_validate(body)
    assert f"'{first}', line 2: 'LIVEKIT_URL' is left out" in done.stderr


def test_what_an_env_file_cannot_give_is_refused(command: Command) -> None:
    file = command.write(".env", f"my.key={CANARY}\n")
    assert "line 1: what stands before '=' is no name for a key" in command.refused("app", "--from-env", file)
    file = command.write(".env", "A=\nB=x\n")
    assert "the value of 'A' is empty: --allow-empty" in command.refused("app", "--from-env", file)
    assert opened(command.printed("app", "--from-env", file, "--allow-empty")["app"]) == {"A": b"", "B": b"x"}
    assert "nothing has the key 'C'" in command.refused("app", "--from-env", file, "--allow-empty", "--skip-key", "C")
    assert "'B' is given twice" in command.refused("app", "--from-env", file, "--rename", "A=B")


def test_sealed_secrets_become_sets_and_pull_secrets(command: Command) -> None:
    sealed = ("--from-sealed-secret", str(SEALED), "--recovery-private-key", str(KEYS))
    found = command.printed(*sealed, "--allow-empty")
    assert found.keys() == KNOWN.keys()
    for name in ("database", "cache", "mail"):
        assert opened(found[name]) == KNOWN[name]
        SecretSet.model_validate(found[name])
    pull = found["registry"]
    assert opened(pull) == {"password": b"t0ken:with:colons"}
    assert (pull["kind"], pull["spec"]["host"], pull["spec"]["username"]) == ("ImagePullSecret", "ghcr.io", "robot")
    ImagePullSecret.model_validate(pull)


def test_a_binary_value_is_taken_with_a_note(command: Command) -> None:
    sealed = ("--from-sealed-secret", str(SEALED), "--recovery-private-key", str(KEYS), "--skip-key", "EMPTY")
    done = command.run("--print", "--public-key", command.keys, *sealed)
    (note,) = [line for line in done.stderr.splitlines() if "is no text" in line]
    assert "SealedSecret shop/database: the value of 'BINARY'" in note


def test_one_sealed_secret_from_standard_input_gets_another_name(command: Command) -> None:
    (text,) = [each for each in SEALED.read_text().split("---\n") if "name: mail\n" in each]
    sealed = ("--from-sealed-secret", "-", "--recovery-private-key", str(KEYS))
    found = command.printed("post", *sealed, "--rename", "TOKEN=MAIL_TOKEN", typed=text.encode())
    assert opened(found["post"]) == {"MAIL_TOKEN": KNOWN["mail"]["TOKEN"]}
    assert "NAME is for one set, and there are 4: SealedSecret shop/database, " in command.refused(
        "post", "--from-sealed-secret", str(SEALED), *sealed[2:], "--allow-empty"
    )


def test_several_key_files_and_a_list(command: Command) -> None:
    older, newer = (
        base64.b64decode(each["data"]["tls.key"]).decode() for each in yaml.safe_load(KEYS.read_text())["items"]
    )
    listed = {"apiVersion": "v1", "kind": "List", "items": list(yaml.safe_load_all(SEALED.read_text()))}
    file = command.write("list.yaml", yaml.safe_dump(listed))
    keys = [command.write("old.pem", older), command.write("new.pem", newer)]
    flags = ("--from-sealed-secret", file, "--allow-empty", "--recovery-private-key", keys[1])
    told = command.refused(*flags)
    assert "SealedSecret shop/cache: no key of --recovery-private-key opens 'TOKEN'" in told
    assert "database" not in told
    assert opened(command.printed(*flags, "--recovery-private-key", keys[0])["cache"]) == KNOWN["cache"]


def test_the_namespace_that_a_manifest_leaves_out(command: Command) -> None:
    file = command.write("app.yaml", SEALED.read_text().replace("\n  namespace: shop\n", "\n"))
    flags = ("--from-sealed-secret", file, "--recovery-private-key", str(KEYS), "--allow-empty")
    assert opened(command.printed(*flags)["database"]) == KNOWN["database"]
    found = command.printed(*flags, "-n", "moved", "--from-namespace", "shop")
    assert opened(found["database"], "moved") == KNOWN["database"]
    assert "SealedSecret moved/database: no key" in command.refused(*flags, "-n", "moved")


def test_what_a_template_makes_is_named(command: Command) -> None:
    body = list(yaml.safe_load_all(SEALED.read_text()))[2]
    body["spec"]["template"]["data"] = {"HOST": "db", "URL": "{{ .TOKEN }}"}
    file = command.write("app.yaml", yaml.safe_dump(body))
    flags = ("--from-sealed-secret", file, "--recovery-private-key", str(KEYS))
    assert "SealedSecret shop/mail: its template makes 'URL'" in command.refused(*flags)
    assert opened(command.printed(*flags, "--skip-key", "URL")["mail"]) == {**KNOWN["mail"], "HOST": b"db"}


def test_the_same_name_twice(command: Command) -> None:
    flags = ("--recovery-private-key", str(KEYS), "--allow-empty", *("--from-sealed-secret", str(SEALED)) * 2)
    assert "two of them would be 'cache'" in command.refused(*flags)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("kind: ConfigMap\n", "has no SealedSecrets"),
        ("", "has no SealedSecrets"),
        (f"a: '{CANARY}", "line 1: not YAML"),
        (f"a: !x {CANARY}", "line 1: not YAML"),
        ("a: \x07", "is not YAML"),
        ("apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\n", "form of a SealedSecret"),
        ("apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nspec: {data: x}\n", "the old form"),
    ],
)
def test_files_without_sealed_secrets(command: Command, content: str, says: str) -> None:
    file = command.write("app.yaml", content)
    assert says in command.refused("--from-sealed-secret", file, "--recovery-private-key", str(KEYS))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read"),
        ("", "there are no private keys in it"),
        (f"a: '{CANARY}", "neither PEM nor YAML"),
        (f"kind: Secret\ndata: {{tls.key: '{CANARY}'}}", "has no 'tls.key' in base64"),
        (f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n", "no private key in PEM form"),
    ],
)
def test_files_without_private_keys(command: Command, content: str | None, says: str) -> None:
    file = str(command.folder / "absent") if content is None else command.write("key", content)
    assert says in command.refused("--from-sealed-secret", str(SEALED), "--recovery-private-key", file)


USAGE: dict[str, tuple[list[str], str]] = {
    "nothing": ([], "needs --from-env, --from-secret, --selector"),
    "mixed": (["app", "--from-env", "x", "--from-secret", "y"], "one after another"),
    "no name": (["--from-env", "x"], "needs the NAME"),
    "no key": (["--from-sealed-secret", "x"], "need each other"),
    "no file": (["--from-secret", "x", "--recovery-private-key", "y"], "need each other"),
    "dry": (["--from-secret", "x", "--dry-run", "--print"], "leave --dry-run out"),
    "key": (["--from-secret", "x", "--public-key", "y"], "belongs to --print"),
    "rename": (["--from-secret", "x", "--rename", "A"], "must be OLD=NEW"),
    "rename to nothing": (["--from-secret", "x", "--rename", "A="], "must be OLD=NEW"),
    "rename twice": (["--from-secret", "x", "--rename", "A=B", "--rename", "A=C"], "a key is given twice"),
}


@pytest.mark.parametrize("name", USAGE)
def test_usage_that_makes_no_sense(command: Command, name: str) -> None:
    arguments, says = USAGE[name]
    assert says in command.run(*arguments, code=2).stderr


def test_a_name_that_is_none(command: Command) -> None:
    file = command.write(".env", "A=x\n")
    assert "is no name for a set" in command.refused("No_Name", "--from-env", file)


def test_without_a_hub_nothing_is_stored(command: Command) -> None:
    file = command.write(".env", f"A={CANARY}\n")
    assert command.run("app", "--from-env", file, code=2).stdout == ""
