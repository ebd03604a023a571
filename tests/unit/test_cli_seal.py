"""`secretset seal NAME`: where values come from, what is printed, and what is refused without showing anything."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from secretset.cli import manifests, seal_files
from secretset.cli.main import app
from secretset.domain.models import ImagePullSecret, SecretSet
from secretset.domain.names import Kind
from secretset.kube import contexts, credentials
from unit.sealed import INSTALLATION, NEW, PUBLISHED, Command, opened, seal

__all__ = ["seal"]

CANARY = "cAnArY-7c1e0f-YrAnAc"
ENV = b"""\
# a comment
PLAIN=value with spaces # and a comment
EQUALS=a=b==c
export EXPORTED=yes
SINGLE='single "quotes" $HOME ${HOME} \\n stay'
DOUBLE="double 'quotes'\\tand \\"escapes\\" \\\\ $HOME"
  INDENTED = "  spaces inside  "
MULTI="-----BEGIN-----
line # no comment

-----END-----
"
EMPTY=
QUOTED_EMPTY=''
UNICODE=schl\xc3\xbcssel-\xe9\x8d\xb5-\xf0\x9f\x94\x91
HASH=#novalue
dash-and_case=x
"""
FROM_ENV = {
    "PLAIN": b"value with spaces",
    "EQUALS": b"a=b==c",
    "EXPORTED": b"yes",
    "SINGLE": b'single "quotes" $HOME ${HOME} \\n stay',
    "DOUBLE": b"double 'quotes'\tand \"escapes\" \\ $HOME",
    "INDENTED": b"  spaces inside  ",
    "MULTI": b"-----BEGIN-----\nline # no comment\n\n-----END-----\n",
    "EMPTY": b"",
    "QUOTED_EMPTY": b"",
    "UNICODE": "schlüssel-鍵-🔑".encode(),
    "HASH": b"#novalue",
    "dash-and_case": b"x",
}


def forms(value: str) -> set[str]:
    raw = value.encode()
    return {value, raw.hex(), *(base64.b64encode(b"x" * n + raw).decode()[4:-4] for n in range(3))}


def assert_hidden(text: str, value: str = CANARY) -> None:
    assert not {form for form in forms(value) if form in text}


def test_a_new_manifest_holds_what_was_given_and_is_a_valid_set(seal: Command) -> None:
    flags = ("--region", "eu", "--description", "for: all", "--restart-policy", "Never")
    done = seal.run("checkout", "-n", "shop", "--from-stdin", "KEY", *flags, input=b"s3cret")
    body = yaml.safe_load(done.stdout)
    assert opened(body) == {"KEY": b"s3cret"}
    sealed = body["spec"].pop("data")
    assert body == {
        "apiVersion": "secretset.dev/v1alpha1",
        "kind": "SecretSet",
        "metadata": {"name": "checkout", "namespace": "shop"},
        "spec": {"region": "eu", "description": "for: all", "restart": {"policy": "Never"}},
    }
    SecretSet.model_validate({**body, "spec": {**body["spec"], "data": sealed}})
    assert sealed["KEY"]["sealed"].startswith(f"hpke1.{NEW.kid}.")
    assert "\n".join(line for line in done.stdout.splitlines() if "sealed" in line).count("\n") == 0  # not folded


def test_every_byte_of_every_source_arrives(seal: Command) -> None:
    binary = bytes(range(256)) * 64
    seal.write("tls.key", b"nobody has this name")
    done = seal.run(
        *("app", "-n", "shop", "--from-env-file", seal.write(".env", ENV), "--from-stdin", "STDIN"),
        *("--from-file", f"BINARY={seal.write('b=c', binary)}", "--from-file", seal.write("tls_key", b"pem\n")),
        *("--value", "FLAG= a=b\n", "--allow-empty"),
        input=b"\xff\x00",
    )
    assert opened(done.stdout) == {
        **FROM_ENV,
        "BINARY": binary,
        "tls_key": b"pem\n",
        "FLAG": b" a=b\n",
        "STDIN": b"\xff\x00",
    }


def test_a_prompt_asks_twice_and_shows_nothing(seal: Command) -> None:
    typed = f"{CANARY}\nother\n{CANARY}\n{CANARY}\n"
    done = seal.run("app", "-n", "shop", "--prompt", "KEY", input=typed)
    assert "do not match" in done.stderr
    assert opened(done.stdout) == {"KEY": CANARY.encode()}
    assert_hidden(done.output + done.stderr)


def test_a_value_without_a_byte_has_to_be_meant(seal: Command) -> None:
    sources: list[tuple[list[str], str]] = [
        (["--from-stdin", "KEY"], ""),
        (["--from-file", f"KEY={seal.write('nothing', '')}"], ""),
        (["--from-env-file", seal.write(".env", "KEY=\nB=x\n")], ""),
        (["--value", "KEY="], ""),
        (["--prompt", "KEY"], "\n\n"),
    ]
    for flags, typed in sources:
        done = seal.run("app", "-n", "shop", *flags, input=typed, code=1)
        assert done.stdout.strip() == ""
        assert "nothing is the value of 'KEY': if that is meant, say --allow-empty" in done.stderr
        text = seal.run("app", "-n", "shop", *flags, "--allow-empty", input=typed).stdout
        assert opened(text)["KEY"] == b""
    # Nobody is asked for one value while another cannot be had.
    done = seal.run("app", "-n", "shop", "--from-stdin", "KEY", "--prompt", "B", input="", code=1)
    assert "Value of B" not in done.stderr


def test_without_a_terminal_nobody_is_asked_in_the_clear(seal: Command) -> None:
    command = [sys.executable, "-m", "secretset", "seal", "app", "-n", "shop", "--public-key", seal.keys]
    done = subprocess.run(
        [*command, "--prompt", "KEY"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # no terminal to open either
    )
    assert (done.returncode, done.stdout) == (1, "")
    *_, last = done.stderr.splitlines()
    assert last == "secretset seal: there is no terminal to ask at: use --from-stdin or --from-file"


def test_a_value_on_the_command_line_is_taken_with_a_warning(seal: Command) -> None:
    done = seal.run("app", "-n", "shop", "--value", f"KEY={CANARY}")
    assert "list of processes" in done.stderr
    assert opened(done.stdout) == {"KEY": CANARY.encode()}
    assert_hidden(done.output)


def test_a_line_break_at_the_end_of_standard_input_is_kept_and_told(seal: Command) -> None:
    done = seal.run("app", "-n", "shop", "--from-stdin", "KEY", input=b"echoed\n")
    assert opened(done.stdout) == {"KEY": b"echoed\n"}
    assert "ends with a line break" in done.stderr
    assert "note" not in seal.run("app", "-n", "shop", "--from-stdin", "KEY", input=b"--\nPEM\n--\n").stderr


def test_windows_line_ends_and_a_byte_order_mark_of_an_env_file(seal: Command) -> None:
    path = seal.write("dos.env", b'\xef\xbb\xbfA=one\r\nB="two\r\nlines"\r\n\r\nC=three')
    assert opened(seal.run("app", "-n", "shop", "--from-env-file", path).stdout) == {
        "A": b"one",
        "B": b"two\r\nlines",
        "C": b"three",
    }


def test_a_pull_secret_seals_its_password(seal: Command) -> None:
    flags = ("hub", "-n", "shop", "--kind", "imagepullsecret", "--from-stdin", "password")
    body = yaml.safe_load(seal.run(*flags, "--host", "ghcr.io", "--username", "bot", input=b"token").stdout)
    assert opened(body) == {"password": b"token"}
    assert (body["spec"]["host"], body["spec"]["username"]) == ("ghcr.io", "bot")
    ImagePullSecret.model_validate(body)
    assert "--host and --username" in seal.run(*flags, input=b"token", code=2).stderr
    refused = seal.run(*flags, "--host", "ghcr.io", "--username", "bot", input=b"\xff", code=1)
    assert "UTF-8" in refused.stderr


@pytest.mark.parametrize("key", ["yes", "n", "1e3", "010", "null", "-", "0x1F", "1_0", "12", "_", "Off", "0o17", "a1"])
def test_keys_that_look_like_something_else_stay_text_for_every_reader(seal: Command, key: str) -> None:
    text = seal.run("app", "-n", "shop", f"--value={key}=v").stdout
    assert opened(text) == {key: b"v"}
    if key != "a1":
        assert f'"{key}":' in text or key == "_"


REFUSED: dict[str, tuple[list[str], bytes, str]] = {
    "reserved": (["--from-stdin", "LIVEKIT_URL"], b"", "the platform itself sets 'LIVEKIT_URL'"),
    "key": (["--from-stdin", "A.B"], b"", "--from-stdin: what is given is no name for a key"),
    "file name": (["--from-file", "{}/tls.crt"], b"", "'tls.crt' is no name for a key"),
    "long": (["--from-stdin", "A"], CANARY.encode() * 900, "the value of 'A' is longer than 16,384 bytes"),
    "twice": (["--from-stdin", "A", "--value", f"A={CANARY}"], b"", "'A' is given twice"),
    "no file": (["--from-file", "A={}/absent"], b"", "--from-file A=…: there is no file"),
    "value for stdin": (["--from-stdin", f"A={CANARY}"], b"", "--from-stdin: what is given is no name"),
    "value for prompt": (["--prompt", f"A={CANARY}"], b"", "--prompt: what is given is no name"),
    "value for file": (["--from-file", f"A={CANARY}"], b"", "--from-file A=…: there is no file"),
    "base64 for file": (["--from-file", f"{CANARY.replace('-', '_')}=="], b"", "--from-file: must be [KEY=]PATH"),
    "bare value for file": (["--from-file", CANARY], b"", "--from-file: there is no file"),
    "value for env file": (["--from-env-file", f"A={CANARY}"], b"", "--from-env-file: there is no file"),
    "env key": (["--from-env-file", "{}/key.env"], b"", "line 2: what stands before '=' is no name"),
    "env bare": (["--from-env-file", "{}/bare.env"], b"", "line 3: no '='"),
    "env open": (["--from-env-file", "{}/open.env"], b"", "line 1: not KEY=VALUE"),
    "env twice": (["--from-env-file", "{}/twice.env"], b"", "line 2: 'A' stood before, in line 1"),
    "env binary": (["--from-env-file", "{}/binary.env"], b"", "is not UTF-8 text"),
    "env empty": (["--from-env-file", "{}/empty.env"], b"", "has no entries"),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_breaks_a_rule_is_refused_by_name_and_nothing_is_printed(seal: Command, case: str) -> None:
    seal.write("tls.crt", CANARY)
    seal.write("key.env", f"A=1\n{CANARY}.x=2\n")
    seal.write("bare.env", f"A=1\n\n{CANARY}\n")
    seal.write("open.env", f"A='{CANARY}\nB=2\n")
    seal.write("twice.env", f"A={CANARY}\nA=2\n")
    seal.write("binary.env", b"A=\xff")
    seal.write("empty.env", "# nothing\n")
    flags, stdin, says = REFUSED[case]
    done = seal.run("app", "-n", "shop", *(flag.format(seal.folder) for flag in flags), input=stdin, code=1)
    assert says in done.stderr
    assert done.stdout == ""
    assert_hidden(done.stderr)
    assert "cAnArY" not in done.stderr
    assert ("write KEY=PATH to give a file another name" in done.stderr) == (case == "file name")


@pytest.mark.parametrize(
    "flags",
    [("--prompt", CANARY), ("--from-stdin", CANARY), ("--value", f"{CANARY}=x"), ("--from-file", f"{CANARY}=x")],
)
def test_a_key_that_a_pull_secret_does_not_have_is_not_shown(seal: Command, flags: tuple[str, str]) -> None:
    pull = ("--kind", "imagepullsecret", "--host", "ghcr.io", "--username", "bot")
    done = seal.run("app", "-n", "shop", *pull, *flags, code=1)
    assert "seals one value, its 'password'" in done.stderr
    assert_hidden(done.stderr.replace(f"value of '{CANARY}' stands in the list", ""))


WRONG: list[tuple[str, list[str]]] = [
    ("belongs behind --value", ["app", f"KEY={CANARY}"]),
    ("takes one NAME", ["app", CANARY, "--prompt", "A"]),
    ("KEY=VALUE", ["app", "-n", "shop", "--value", CANARY]),
    ("KEY=VALUE", ["app", "-n", "shop", "--value", f"{CANARY}.=="]),
    ("needs NAME", []),
    ("no values", ["app"]),
    ("NAME of their set", ["--value", f"A={CANARY}", "-f", "f"]),
    ("--in-place needs", ["app", "--value", f"A={CANARY}", "--in-place"]),
    ("--check takes no values", ["--check", "f", "--value", f"A={CANARY}"]),
    ("--open belongs", ["-f", "f", "--open"]),
    ("the same", ["-f", "f", "--merge-into", "g"]),
    ("one file", ["app", "--prompt", "A", "-f", "f", "-f", "g"]),
    ("both a manifest and a value", ["app", "--from-stdin", "A", "-f", "-"]),
    ("new manifest", ["-f", "f", "--region", "eu"]),
    *(
        (f"Invalid value for '{option}'", ["app", "--prompt", "A", option, "x", option, CANARY])
        for option in ("--from-stdin", "--merge-into", "--region", "--description", "--host")
    ),
    ("is given twice, and can be once", ["app", "--from-stdin", "A", "--from-stdin", CANARY]),
    ("is given twice, and can be once", ["app", "--prompt", "A", "--public-key", "k", f"--public-key={CANARY}"]),
    ("is given twice, and can be once", ["app", "--prompt", "A", "-n", "shop", "--namespace", CANARY]),
    ("imagepullsecret", ["app", "--prompt", "A", "--host", "ghcr.io"]),
]


@pytest.mark.parametrize(("says", "flags"), WRONG)
def test_wrong_usage_says_what_is_right_and_shows_no_argument(seal: Command, says: str, flags: list[str]) -> None:
    done = seal.run(*flags, code=2)
    assert says in " ".join(done.stderr.replace("│", " ").split())
    assert_hidden(done.output)


def test_names_follow_the_rules_of_the_cluster(seal: Command) -> None:
    assert "is no name for a set" in seal.run("Ab", "-n", "shop", "--value", "A=1", code=1).stderr
    assert "is no namespace" in seal.run("app", "-n", "a_b", "--value", "A=1", code=1).stderr
    assert "say --namespace" in seal.run("app", "--value", "A=1", code=1).stderr


def test_too_many_keys_and_too_much_text_are_refused_and_much_text_is_told(seal: Command) -> None:
    many = seal.write("many.env", "".join(f"K{n}=x\n" for n in range(257)))
    assert "257 keys, 256 at most" in seal.run("app", "-n", "shop", "--from-env-file", many, code=1).stderr
    large = [f"--from-file=K{n}={seal.write('large', 'x' * 16_384)}" for n in range(45)]
    done = seal.run("app", "-n", "shop", *large, code=1)
    assert "1,000,000 at most: split the set" in done.stderr
    assert done.stdout == ""
    done = seal.run("app", "-n", "shop", *large[:12])
    assert "kubectl apply --server-side" in done.stderr
    assert "server-side" not in seal.run("app", "-n", "shop", *large[:9]).stderr


def test_the_namespace_is_that_of_the_context_unless_keys_are_of_a_file(
    seal: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = {"name": "c", "context": {"cluster": "x", "user": "y", "namespace": "shop"}}
    other = {"name": "other", "context": {"cluster": "x", "user": "y"}}
    config = {"current-context": "c", "contexts": [context, other], "clusters": [], "users": []}
    path = seal.write("kubeconfig", yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **config}))
    text = seal.run("app", "--value", "A=1", "--kubeconfig", path).stdout
    assert yaml.safe_load(text)["metadata"]["namespace"] == "shop"
    monkeypatch.setenv("KUBECONFIG", path)
    seal.run("app", "--value", "A=1", "--context", "c")
    assert "say --namespace" in seal.run("app", "--value", "A=1", code=1).stderr
    assert "say --namespace" in seal.run("app", "--value", "A=1", "--context", "other", code=1).stderr


def test_the_namespace_of_a_pod_is_that_of_its_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setattr(credentials, "SERVICE_ACCOUNT", tmp_path)
    assert contexts.namespace() == ""
    (tmp_path / "namespace").write_text("shop\n")
    assert contexts.namespace() == "shop"
    assert contexts.namespace(str(tmp_path / "absent")) == ""


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_the_config_map_is_as_good_as_the_document_in_it(seal: Command, form: str) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"keys.json": PUBLISHED.render()}}
    text = json.dumps(body, indent=4) if form == "json" else yaml.safe_dump(body)
    done = seal.run("app", "-n", "shop", "--value", "A=1", "--public-key", seal.write("cm", text))
    assert opened(done.stdout) == {"A": b"1"}
    printed = seal.run("--print-public-key", "--public-key", seal.write("cm", text)).stdout
    assert json.loads(printed) == json.loads(PUBLISHED.render())


def damaged(change: Callable[[dict[str, object]], object]) -> str:
    body = json.loads(PUBLISHED.render())
    change(body)
    return json.dumps(body)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\t",
        "[]",
        "kind: ConfigMap",
        "\xff",
        "kind: ConfigMap\ndata: {keys.json: []}",
        damaged(lambda body: body.pop("installation")),
        damaged(lambda body: body.update(keys=[])),
        damaged(lambda body: body["keys"][0].update(kid="0" * 16)),  # type: ignore[index]
        damaged(lambda body: body["keys"][0].update(publicKey="AAAA")),  # type: ignore[index]
    ],
)
def test_a_file_without_public_keys_is_refused(seal: Command, text: str) -> None:
    path = seal.write("keys", text.encode("latin-1"))
    done = seal.run("app", "-n", "shop", "--value", "A=1", "--public-key", path, code=1)
    assert "holds no" in done.stderr


def test_nobody_seals_for_a_key_whose_private_half_the_operator_lacks(seal: Command) -> None:
    path = seal.write("keys", damaged(lambda body: body.update(held=False)))
    done = seal.run("app", "-n", "shop", "--value", "A=1", "--public-key", path, code=1)
    assert "does not have the private key of the newest one" in done.stderr


def test_a_file_of_public_keys_that_is_not_there(seal: Command) -> None:
    done = seal.run("app", "-n", "shop", "--public-key", "absent", "--prompt", "A", code=1)
    assert done.stderr == "secretset seal: 'absent' cannot be read: No such file or directory\n"


def test_without_a_hub_that_is_said(seal: Command) -> None:
    done = CliRunner().invoke(app, ["seal", "app", "-n", "shop", "--value", f"A={CANARY}"])
    assert done.exit_code == 2
    assert "there is no kubeconfig" in done.stderr
    assert_hidden(done.output)


texts = st.text(st.characters(codec="utf-8"), max_size=60)


@given(st.dictionaries(st.from_regex(r"[a-zA-Z0-9_-]{1,64}", fullmatch=True), texts, min_size=1, max_size=3), texts)
def test_a_new_manifest_reads_as_it_was_meant_whatever_its_names(sealed: dict[str, str], description: str) -> None:
    spec = {"description": description, "region": None}
    printable = "".join(each for each in description if each.isprintable())
    text = seal_files.new(Kind.SECRET_SET, "shop", "app", dict.fromkeys(sealed, "hpke1.x"), {**spec})
    body = yaml.safe_load(text)
    assert body["spec"]["data"] == {key: {"sealed": "hpke1.x"} for key in sealed}
    assert body["spec"]["description"] == description or printable != description
    (found,) = manifests.read(text).sets
    assert list(found.entries) == list(sealed)


def test_no_traceback_shows_a_value() -> None:
    """Nothing of this kind is expected; the command says so to the interpreter all the same."""
    assert app.pretty_exceptions_enable is False
    with pytest.raises(ValueError, match="at most") as raised:
        NEW.private.public.seal(("i", Kind.SECRET_SET, "n", "s", "k"), CANARY.encode() * 900)  # type: ignore[arg-type]
    assert_hidden("".join(traceback.format_exception(raised.value)))
    assert INSTALLATION in PUBLISHED.render()
