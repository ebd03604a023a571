"""`secretset set`: how its command line is read, where .env files come from, and what is refused and not shown."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from secretset.cli import env_files, pull_credentials
from secretset.cli.hub import CommandError
from secretset.cli.main import app
from secretset.cli.seal_values import Values
from secretset.cli.set_arguments import Arguments
from secretset.cli.set_options import metadata_of
from secretset.domain.names import Kind

CANARY = "cAnArY-7c1e0f-YrAnAc"


def run(*arguments: str, input: bytes | None = None, code: int) -> Result:  # noqa: A002
    """Run a command where there is no hub and no terminal; it ends with this code, and with no traceback."""
    environment = {"KUBECONFIG": "/none", "HOME": "/none", "COLUMNS": "400", "SECRETSET_ORGANIZATION": "shop"}
    done = CliRunner().invoke(app, [*arguments], input=input, env=environment)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == code, done.output
    assert CANARY not in done.output
    return done


def said(done: Result) -> str:
    return " ".join(done.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("given", "pairs", "asked"),
    [
        ([], [], None),
        (["A=1"], ["A=1"], None),
        (["A"], [], "A"),
        (["A=1", "B=a=b", "C"], ["A=1", "B=a=b"], "C"),
        (["A= x=y "], ["A= x=y "], None),
        (["A=-"], ["A=-"], None),
        (["A==x="], ["A==x="], None),
    ],
)
def test_arguments_are_pairs_and_one_key_to_ask_for(given: list[str], pairs: list[str], asked: str | None) -> None:
    found = Arguments.parse("app", given)
    assert (list(found.pairs), found.asked) == (pairs, asked)


WRONG: list[tuple[list[str], str]] = [
    (["KEY", CANARY], "number 1 behind NAME: it has no '=', and more follows. Write each as KEY=VALUE"),
    (["A=1", "KEY", CANARY, "B=2"], "number 2 behind NAME: it has no '=', and more follows"),
    (["KEY", f"{CANARY}=="], "secretset set my-secrets KEY=VALUE KEY_2=VALUE_2"),
    ([f"{CANARY} x"], "it has no '=', and is no name for a key"),
    ([f"{CANARY}.x=1"], "what stands before '=' is no name for a key"),
    (["=1"], "what stands before '=' is no name for a key"),
    ([f"{CANARY}="], "nothing stands behind '='; if that is meant, say --allow-empty"),
    ([f"{CANARY}=="], "nothing but '=' stands behind its first '='"),
    ([f"--{CANARY}"], "it begins with '-', and is no option of this command: see --help"),
    ([f"-x{CANARY}"], "it begins with '-'"),
    (["--regoin=eu"], "did you mean --region?"),
    ([f"A={CANARY}", f"-o{CANARY}"], "number 3 behind 'set': it begins with '-', and is no option alone"),
    (["API_KEY", f"-n{CANARY}"], "number 3 behind 'set': it begins with '-', and is no option alone"),
    (["-n", "shop", "API_KEY", f"-n{CANARY}"], "as two words, -n VALUE, and a value as KEY=VALUE"),
    (["API_KEY", f"-1n{CANARY}"], "number 3 behind 'set'"),
    (["API_KEY", f"-x=h{CANARY}"], "number 3 behind 'set'"),
    (["A=1", "--", f"-{CANARY}=1"], "number 2 behind NAME: it begins with '-'"),
]


@pytest.mark.parametrize(("given", "says"), WRONG)
def test_what_is_no_argument_is_told_by_its_number_and_not_shown(given: list[str], says: str) -> None:
    assert says in said(run("set", "my-secrets", *given, code=2))


def test_what_an_option_is_set_to_may_begin_like_an_option() -> None:
    done = run("set", "app", "--description", "-not an option", "A=1", "-n", "shop", code=2)
    assert "there is no kubeconfig" in done.stderr


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=12), min_size=1, max_size=4))
def test_no_refusal_shows_what_was_given(arguments: list[str]) -> None:
    refused = ""
    try:
        found = Arguments.parse("app", arguments, options=["--region"])
    except typer.BadParameter as error:
        refused = error.message
    else:
        assert [*found.pairs, *([found.asked] if found.asked else [])] == arguments
    assert not [each for each in arguments if each in refused]


@pytest.mark.parametrize("command", ["set", "unset", "get", "delete", "export", "image-pull-secrets set"])
def test_what_stands_where_the_name_should_is_not_shown(command: str) -> None:
    done = run(*command.split(), f"KEY={CANARY}", *(["A"] if command == "unset" else []), code=2)
    assert "3 to 63 lower-case letters, digits, '-' and '.'" in said(done)


def test_wrong_options_are_told() -> None:
    assert "must be K=V" in said(run("set", "app", "A=1", "--metadata", CANARY, code=2))
    assert "--overwrite replaces all values" in said(run("set", "app", "--description", "x", "--overwrite", code=2))
    assert metadata_of(None) is None
    assert metadata_of(["a=b=c", "d="]) == {"a": "b=c", "d": ""}
    with pytest.raises(typer.BadParameter, match="twice"):
        metadata_of(["a=1", "a=2"])


EVERY = (
    "set app A=1",
    "unset app A",
    "list",
    "list -A",
    "get app",
    "status app",
    "wait app",
    "delete app -y",
    "export",
    "restart app",
    "bind web app",
    "doctor",
    "regions list",
    "tokens list",
    "tokens create ci --role viewer",
    "image-pull-secrets list",
    "import --from-secret app",
)


@pytest.mark.parametrize("name", ["A/B", "A_B", "-", "x" * 64])
@pytest.mark.parametrize("command", EVERY)
def test_what_can_be_no_namespace_is_refused_by_every_command(command: str, name: str) -> None:
    told = said(run(*command.split(), f"--namespace={name}", code=2))
    assert "Invalid value for '--namespace' / '-n'" in told
    assert "can be no namespace, which is 1 to 63 lower-case letters" in told


@pytest.mark.parametrize("command", ["set app A=1", "doctor", "import app --from-secret app", "keys list"])
def test_nor_can_the_operator_have_one(command: str) -> None:
    told = said(run(*command.split(), "--operator-namespace", CANARY, code=2))
    assert "Invalid value for '--operator-namespace'" in told


def test_nor_can_a_context_name_one(tmp_path: Path) -> None:
    context = {"name": "x", "context": {"cluster": "x", "user": "x", "namespace": "A/B"}}
    file = tmp_path / "config"
    file.write_text(json.dumps({"contexts": [context], "current-context": "x"}))
    environment = {"KUBECONFIG": str(file), "SECRETSET_ORGANIZATION": ""}
    done = CliRunner().invoke(app, ["list"], env=environment)
    assert done.exit_code == 2, done.output
    assert "the context's namespace can be none, which is 1 to 63 lower-case letters" in done.stderr


UNENCODABLE = os.fsdecode(CANARY.encode() + b"\xff")  # as Python has the word of a command line that is not UTF-8


@pytest.mark.parametrize("option", ["--description", "--metadata", "--region"])
def test_text_that_is_none_is_refused_and_not_shown(option: str) -> None:
    text = f"a={UNENCODABLE}"
    for command in (("set", "app", "A=1"), ("image-pull-secrets", "set", "hub", "ghcr.io")):
        told = said(run(*command, option, text, code=2))
        assert f"Invalid value for '{option}'" in told
        assert "is not UTF-8 text" in told


def test_nor_are_names_of_users_and_accounts_and_images() -> None:
    hub = ("image-pull-secrets", "set", "hub", "ghcr.io")
    assert "of UTF-8 text" in run(*hub, "--username", UNENCODABLE, code=1).stderr
    assert "is not UTF-8 text" in said(run(*hub, "--service-account", UNENCODABLE, code=2))
    assert "is not UTF-8 text" in said(run("bind", "web", "app", "--image", UNENCODABLE, code=2))


REFUSED: list[tuple[list[str], bytes, str]] = [
    (["LIVEKIT_URL=x"], b"", "the platform itself sets 'LIVEKIT_URL'"),
    (["MINE=x", "--reserved-keys", "A, MINE"], b"", "the platform itself sets 'MINE'"),
    (["--from-stdin", "LIVEKIT_API_KEY"], b"x", "the platform itself sets 'LIVEKIT_API_KEY'"),
    (["A=1", f"A={CANARY}"], b"", "'A' is given twice"),
    (["--from-stdin", "A"], b"", "nothing is the value of 'A'"),
    (["--from-stdin", f"A={CANARY}"], b"x", "--from-stdin: what is given is no name for a key"),
    (["--from-env", f"A={CANARY}"], b"", "--from-env: there is no file there"),
    (["--from-stdin", "A"], b"x" * 16_385, "longer than 16,384 bytes"),
]


@pytest.mark.parametrize(("arguments", "stdin", "says"), REFUSED)
def test_values_that_break_a_rule_are_refused_before_the_hub_is_asked(
    arguments: list[str], stdin: bytes, says: str
) -> None:
    done = run("set", "app", *arguments, input=stdin, code=1)
    assert says in done.stderr
    assert done.stdout == ""


def test_a_file_of_reserved_names_alone_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "x.env"
    file.write_text(f"LIVEKIT_URL={CANARY}\n")
    done = run("set", "app", "--from-env", str(file), code=1)
    assert f"note: '{file}', line 1: 'LIVEKIT_URL' is left out: the platform itself sets it" in done.stderr
    assert "nothing is left to be put into the set" in done.stderr


def test_reserved_names_are_left_out_of_files_only_if_that_is_asked_for(tmp_path: Path) -> None:
    file, notes = tmp_path / "x.env", list[str]()
    file.write_text("A=1\n\nLIVEKIT_URL=x\nB=2\n")
    values = Values(Kind.SECRET_SET, notes.append)
    values.from_env_file(str(file), without_reserved=True)
    assert values.content == {"A": b"1", "B": b"2"}
    assert [note.partition(", ")[2] for note in notes] == [
        "line 3: 'LIVEKIT_URL' is left out: the platform itself sets it"
    ]
    with pytest.raises(CommandError, match="line 3: the platform itself sets 'LIVEKIT_URL'"):
        Values(Kind.SECRET_SET, notes.append).from_env_file(str(file))


def test_without_a_hub_the_exit_code_says_so() -> None:
    done = run("set", "app", f"A={CANARY}", code=2)
    assert "there is no kubeconfig" in done.stderr
    assert done.stderr.count("lists of processes") == 1
    for command in (("unset", "app", "A"), ("list",), ("get", "app"), ("delete", "app", "-y"), ("export",)):
        assert "there is no kubeconfig" in run(*command, code=2).stderr


def test_off_a_terminal_no_file_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(f"A={CANARY}\n")
    done = run("set", "app", code=2)
    assert "no values: give KEY=VALUE, a KEY that is asked for, --from-env FILE or --from-stdin KEY" in done.stderr


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("there", "typed", "taken"),
    [
        ([".env"], "\n", ".env"),
        ([".env.production"], "y\n", ".env.production"),
        ([".env", ".env.local"], "2\n", ".env.local"),
        ([".env.local", ".env.production"], "0\n\n.env.production\n", ".env.production"),
        ([".env", ".env.local", ".env.production"], "1\n", ".env"),
    ],
)
def test_the_files_of_a_folder_are_offered(
    there: list[str], typed: str, taken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [*there, ".env.test"]:
        (tmp_path / name).write_text("A=1\n")
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr(sys, "stdin", Tty(typed))
    assert env_files.chosen(tmp_path, "shop/app", "this") == str(tmp_path / taken)


def test_a_folder_without_files_and_a_no_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Tty("n\n"))
    (tmp_path / ".env").mkdir()
    with pytest.raises(CommandError, match=r"there is no \.env, \.env\.local or \.env\.production here: give this"):
        env_files.chosen(tmp_path, "shop/app", "this")
    (tmp_path / ".env.local").write_text("")
    with pytest.raises(CommandError, match="nothing was changed"):
        env_files.chosen(tmp_path, "shop/app", "this")


def git(folder: Path, *arguments: str) -> None:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", *arguments], cwd=folder, check=True, env=environment, capture_output=True)


def warned(path: Path | str) -> bool:
    notes: list[str] = []
    env_files.warn_unless_ignored(str(path), notes.append)
    assert not [note for note in notes if "git does not ignore" not in note]
    return bool(notes)


def test_git_is_asked_whether_it_ignores_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    file, inner = tmp_path / ".env", tmp_path / "a b" / "-:(glob)*"
    inner.parent.mkdir()
    for each in (file, inner):
        each.write_text("A=1\n")
    assert not warned(file)  # no repository
    git(tmp_path, "init", "-q")
    assert warned(file)
    assert warned(inner)
    assert not warned(tmp_path / "absent")
    (tmp_path / ".gitignore").write_text(".env*\n-*\n")
    assert not warned(file)
    assert not warned(inner)
    git(tmp_path, "add", "-f", ".env")
    assert warned(file)  # a file that git has is committed whatever is ignored
    monkeypatch.chdir(tmp_path)
    assert warned(".env")
    monkeypatch.setenv("PATH", "/none")
    assert not warned(".env")


@pytest.mark.parametrize(
    "host", ["", "https://", f"https://user:{CANARY}@ghcr.io", f"x/{CANARY}@y", f"{CANARY} x", "ftp://ghcr.io"]
)
def test_a_registry_that_is_none_is_refused_and_not_shown(host: str) -> None:
    assert "HOST is not a registry" in run("image-pull-secrets", "set", "hub", host, code=1).stderr


@pytest.mark.parametrize("username", ["", f"bot:{CANARY}", "x" * 1025])
def test_a_username_that_no_registry_has_is_refused_and_not_shown(username: str) -> None:
    line = ("image-pull-secrets", "set", "hub", "ghcr.io", "--username", username)
    assert "a username is 1 to 1,024 characters of UTF-8 text, none of them ':'" in run(*line, code=1).stderr


@pytest.mark.parametrize(("raw", "token"), [(b"t", b"t"), (b"t\n", b"t"), (b"t\r\n", b"t"), (b" t\n\n", b" t\n")])
def test_one_line_break_at_the_end_of_a_token_is_not_part_of_it(
    raw: bytes, token: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
    assert pull_credentials.token(stdin=True) == token


@pytest.mark.parametrize(("raw", "says"), [(b"\n", "cannot be empty"), (b"\xff", "UTF-8"), (b"x" * 16_385, "16,384")])
def test_a_token_that_no_pull_secret_can_hold_is_refused(
    raw: bytes, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
    with pytest.raises(CommandError, match=says):
        pull_credentials.token(stdin=True)
