"""`secretset seal -f`: manifests changed where they are, and nothing in them but the entries in question."""

from __future__ import annotations

import difflib
import json
import os
import re
import stat
from pathlib import Path

import pytest
import typer
import yaml

from secretset.domain.last_applied import ANNOTATION
from secretset.domain.names import Kind
from secretset.domain.sealing import Place
from unit.sealed import INSTALLATION, NEW, SET, Command, opened, seal

__all__ = ["seal"]

CANARY = "cAnArY-7c1e0f-YrAnAc"

FILE = f"""\
# What checkout needs.   Two spaces   stay.

apiVersion: apps/v1
kind: Deployment
metadata: {{ name: web , labels: {{app:   web}} }}
spec:
  template:
    spec:
      containers:
        - name: web        # indented by two
          args: ["--x",
                 '--y']
---
apiVersion: secretset.dev/v1alpha1
kind: SecretSet
metadata:
  name: checkout   # the set
  namespace: shop
spec:
  region: eu
  data:
    # of the payment provider
    API_KEY:
      value: {CANARY}   # ask Ann
    # of the database

    "DATABASE_URL": {{valueFrom: {{secretKeyRef: {{name: db, key: url}}}}}}  # moves soon
    OLD_KEY:
        # was sealed in May
        sealed: hpke1.old
    PEM:
      value: |
        -----BEGIN-----
          two

        -----END-----
    # before the last
    LAST: {{ value: 'it''s "quoted"' }}
  # after the data
  restart: {{policy: Never}}
...
---
# the same name elsewhere
apiVersion: secretset.dev/v1alpha1
kind: SecretSet
metadata: {{name: checkout, namespace: other}}
spec: {{data: {{A: {{value: "\\u00e9\\ud83d\\ude00"}}, B: {{sealed: hpke1.b}}}}}}
---
apiVersion: secretset.dev/v1alpha1
kind: ImagePullSecret
metadata: {{name: registry, namespace: shop}}
spec:
  host: ghcr.io
  username: bot
  password:
    value: >-
      folded
      text
  serviceAccounts: [default]
"""

SEALED = NEW.private.public.seal(Place(INSTALLATION, Kind.SECRET_SET, "shop", "elsewhere", "A"), b"")
TEXT = re.compile(r"hpke1\.[0-9a-f]{16}\.[A-Za-z0-9_-]+")


def changes(before: str, after: str) -> list[str]:
    """What lines differ, with sealed values left out."""
    lines = difflib.unified_diff(before.splitlines(), TEXT.sub("S", after).splitlines(), n=0, lineterm="")
    return [line for line in lines if line[0] in "+-"][2:]


def documents(text: str) -> list[dict[str, object]]:
    return list(yaml.safe_load_all(text))


def test_values_are_merged_and_everything_else_stays(seal: Command) -> None:
    path = seal.write("app.yaml", FILE.replace(CANARY, "not-so-secret"))
    before = seal.text(path)
    given = ["--value=API_KEY=1", "--value=DATABASE_URL=2", "--value=OLD_KEY=3", "--value=PEM=4", "--value=NEW=5"]
    done = seal.run("checkout", "-n", "shop", "--merge-into", path, *given, "--value=LAST=6", "--value=yes=7")
    assert done.stdout == ""
    assert f"sealed 7 values for SecretSet checkout, with the key {NEW.kid}" in done.stderr
    assert "still plain" in done.stderr  # of the set with the same name elsewhere
    after = seal.text(path)
    assert changes(before, after) == [
        "-      value: not-so-secret   # ask Ann",
        "+      sealed: S   # ask Ann",
        '-    "DATABASE_URL": {valueFrom: {secretKeyRef: {name: db, key: url}}}  # moves soon',
        '+    "DATABASE_URL": {"sealed": "S"}  # moves soon',
        "-        sealed: hpke1.old",
        "+        sealed: S",
        "-      value: |",
        "-        -----BEGIN-----",
        "-          two",
        "-",
        "-        -----END-----",
        "+      sealed: S",
        "-    LAST: { value: 'it''s \"quoted\"' }",
        "+    LAST: { sealed: S }",
        "+    NEW: {sealed: S}",
        '+    "yes": {sealed: S}',
    ]
    assert opened(documents(after)[1]) == {
        "API_KEY": b"1",
        "DATABASE_URL": b"2",
        "OLD_KEY": b"3",
        "PEM": b"4",
        "LAST": b"6",
        "NEW": b"5",
        "yes": b"7",
    }
    assert documents(after)[2:] == documents(before)[2:]
    # Merging again changes nothing but the text of that value.
    seal.run("checkout", "-n", "shop", "-f", path, "--in-place", "--value=NEW=9")
    assert changes(TEXT.sub("S", after), seal.text(path)) == []
    assert opened(documents(seal.text(path))[1])["NEW"] == b"9"


def test_every_value_of_a_file_is_sealed(seal: Command) -> None:
    text = FILE.replace("hpke1.old", SEALED).replace("hpke1.b", SEALED)
    path = seal.write("app.yaml", text)
    done = seal.run("-f", path)
    assert f"sealed 5 values, with the key {NEW.kid}" in done.stderr
    assert "no sets" not in done.stderr
    assert seal.text(path) == text
    first, checkout, other, registry = documents(done.stdout)
    assert first == documents(FILE)[0]
    plain = {"API_KEY": CANARY.encode(), "PEM": b"-----BEGIN-----\n  two\n\n-----END-----\n", "LAST": b'it\'s "quoted"'}
    left = {"OLD_KEY", "DATABASE_URL"}
    spec: dict[str, dict[str, dict[str, str]]] = checkout["spec"]  # type: ignore[assignment]
    for key in left:
        del spec["data"][key]
    assert opened(checkout) == plain
    other["spec"]["data"].pop("B")  # type: ignore[index]
    assert opened(other, "other") == {"A": "é😀".encode()}
    assert opened(registry) == {"password": b"folded text"}
    assert CANARY not in done.output
    seal.run("-f", path, "-i")
    assert CANARY not in seal.text(path)
    assert seal.run("-f", path).stdout == seal.text(path)
    assert "sealed 0 values" in seal.run("-f", path, "-i").stderr


@pytest.mark.parametrize(
    "spec",
    [
        "  data: {}",
        "  data: { }\n  region: eu\n",
        "  data: {A: {value: x}}",
        "  data: {A: {value: x},}\n",
        "  data:\n    A: {value: x}",
        "  data:\n    A: {value: x}\n\n\n# the end",
        "  data:\n    A:\n    B: null\n",
        "  data:\n    A: {}\n    B:\n       value: x\n       sealed: hpke1.x\n",
        "  data:\n    A: {value: x, sealed: hpke1.y}\n  region: eu\n",
        "  data:\n    A: &a {value: x}\n",
        "  data:\r\n    A:\r\n      value: |\r\n        x\r\n    B: {value: y}\r\n  region: eu\r\n",
        "  data:\n    A:\n      value: >+\n        x\n\n  region: eu\n",
        "  data:\n  # first\n   A:\n    value: |-\n     x\n     # text\n  # comment\n",
        "  data:\n    A:\n      value: x\n    B: {value: 'a\n      b'}\n",
        "  data: {A: {valueFrom: {secretKeyRef: {name: a, key: b}}},\n    B: {value: x}}\n",
    ],
)
def test_merging_works_in_every_style(seal: Command, spec: str) -> None:
    path = seal.write("app.yaml", SET + spec)
    seal.run("app", "--merge-into", path, "--value=A=1", "--value=B=2", "--value=C=3", "--value=1=4")
    text = seal.text(path)
    assert opened(text) == {"A": b"1", "B": b"2", "C": b"3", "1": b"4"}
    assert ("\r\n" in text) == ("\r\n" in spec)
    assert "\n" not in text.replace("\r\n", "") or "\r\n" not in spec.replace("\n", "") or text.startswith(SET)
    for comment in re.findall(r"# [a-z ]+", spec.replace("# text", "")):
        assert comment in text


def test_json_stays_json(seal: Command) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "secretset.dev/v1alpha1",
                "kind": "SecretSet",
                "metadata": {"name": "app", "namespace": "shop"},
                "spec": {"data": {"A": {"value": "x\U0001f511\n"}, "B": {"value": ""}}},
            }
        ],
    }
    path = seal.write("app.json", json.dumps(body, indent=2))
    seal.run("-f", path, "-i")
    seal.run("app", "--merge-into", path, "--value=C=3")
    (item,) = json.loads(seal.text(path))["items"]
    assert opened(item) == {"A": "x\U0001f511\n".encode(), "B": b"", "C": b"3"}


REFUSED: list[tuple[str, str]] = [
    ("no YAML, line 7", SET + f"  data:\n    A: {{value: {CANARY}\n  B: ]\n"),
    ("no YAML", f"\0{CANARY}"),
    ("'A' is no text: put it in quotes", SET + "  data: {A: {value: 0123456}}"),
    ("'A' is no text: put it in quotes", SET + "  data: {A: {value: 1e3}}"),
    ("'A' is no text: put it in quotes", SET + "  data: {A: {value: yes}}"),
    ("'A' is no text: put it in quotes", SET + "  data: {A: {value: n}}"),
    ("'A' is no text: put it in quotes", SET + "  data: {A: {value: 2026-01-01}}"),
    ("'A' is no text: put it in quotes", SET + "  data: {A: {value: }}"),
    ("'A' is no text: put it in quotes", SET + f"  data: {{A: {{value: [{CANARY}]}}}}"),
    ("'A' is no text: put it in quotes", SET + f"  data: {{A: {{value: !!binary {CANARY}}}}}"),
    ("none of sealed, valueFrom and value", SET + f"  data: {{A: {CANARY}}}"),
    ("none of sealed, valueFrom and value", SET + f"  data: {{A: {{valeu: {CANARY}}}}}"),
    ("'A' has in `sealed` is not sealed, or damaged", SET + f"  data: {{A: {{sealed: {CANARY}}}}}"),
    ("'A' has in `sealed` is not sealed, or damaged", SET + f"  data: {{A: {{sealed: {SEALED[:-2]}}}}}"),
    ("'A' has in `sealed` is not sealed, or damaged", SET + f"  data: {{A: {{sealed: [{CANARY}]}}}}"),
    ("'A' has a field that no entry has", SET + f"  data: {{A: {{sealed: {SEALED}, valeu: {CANARY}}}}}"),
    ("both value and valueFrom", SET + f"  data: {{A: {{value: {CANARY}, valueFrom: {{}}}}}}"),
    ("'LIVEKIT_URL'", SET + f"  data: {{LIVEKIT_URL: {{value: {CANARY}}}}}"),
    ("stood before, at line 6", SET + f"  data:\n    A: {{value: {CANARY}}}\n    A: {{value: {CANARY}}}\n"),
    ("refers to an anchor", SET + f"  data:\n    A: &a {{value: {CANARY}}}\n    B: *a\n"),
    ("refers to an anchor", f"x: &x {CANARY}\n{SET}  data: {{A: {{value: *x}}}}"),
    ("may use anchors", SET + f"  data:\n    A: {{value: &a {CANARY}}}\n  description: *a\n"),
    ("merges another mapping", SET + f"  data:\n    <<: {{A: {{value: {CANARY}}}}}\n"),
    ("the name of a field is no text", SET + f"  data:\n    1: {{value: {CANARY}}}\n"),
    ("is no mapping", SET + f"  data: [{CANARY}]"),
    ("half of a surrogate pair", SET + '  data: {A: {value: "\\ud83d"}}'),
    ("longer than 16,384 bytes", SET + f"  data: {{A: {{value: {CANARY * 900}}}}}"),
    ("has no spec", SET),
    ("is no name for a set", SET.replace("app", "A") + f"  data: {{A: {{value: {CANARY}}}}}"),
    ("say --namespace", SET.replace(", namespace: shop", "") + f"  data: {{A: {{value: {CANARY}}}}}"),
    ("is not UTF-8 text", "\udcff"),
]


@pytest.mark.parametrize(("says", "text"), REFUSED)
def test_what_cannot_be_sealed_is_refused_and_no_file_changes(seal: Command, says: str, text: str) -> None:
    well = seal.write("well.yaml", SET + "  data: {A: {value: x}}\n")
    path = seal.write("app.yaml", text.encode(errors="surrogateescape"))
    done = seal.run("-f", well, "-f", path, "--in-place", code=1)
    assert says in done.stderr
    assert "app.yaml" in done.stderr
    assert CANARY not in done.output
    assert done.stdout == ""
    assert seal.text(well).endswith("value: x}}\n")
    assert sorted(os.listdir(seal.folder)) == ["app.yaml", "keys.json", "well.yaml"]  # noqa: PTH208


def test_a_set_that_is_not_there_is_told_with_those_that_are(seal: Command) -> None:
    path = seal.write("app.yaml", FILE)
    done = seal.run("absent", "--merge-into", path, "--value=A=1", code=1)
    assert (
        "there is no SecretSet absent in it, but ImagePullSecret shop/registry, SecretSet other/checkout" in done.stderr
    )
    assert "several of SecretSet checkout" in seal.run("checkout", "-f", path, "--value=A=1", code=1).stderr
    assert (
        "there is no SecretSet third/checkout"
        in seal.run(*("checkout", "-n", "third", "-f", path, "--value=A=1"), code=1).stderr
    )
    assert "in another namespace" in seal.run("-n", "third", "-f", path, code=1).stderr
    empty = seal.write("empty.yaml", "# nothing\n")
    assert "but no sets" in seal.run("app", "-f", empty, "--value=A=1", code=1).stderr
    done = seal.run("app", "-f", seal.write("null.yaml", SET + "  data:\n"), "--value=A=1", code=1)
    assert "write `data: {}`" in done.stderr


def test_a_namespace_that_only_an_option_names(seal: Command) -> None:
    path = seal.write("app.yaml", SET.replace(", namespace: shop", "") + "  data: {A: {value: x}}\n")
    assert opened(seal.run("-n", "shop", "-f", path).stdout) == {"A": b"x"}
    assert opened(seal.run("app", "-n", "shop", "-f", path, "--value=A=y").stdout) == {"A": b"y"}


def test_standard_input_and_several_files_are_printed_as_one_stream(seal: Command) -> None:
    text = SET + "  data: {A: {value: x}}"
    assert opened(seal.run("-f", "-", input=text).stdout) == {"A": b"x"}
    both = seal.run("-f", seal.write("a", text), "-f", seal.write("b", text)).stdout
    assert [opened(body) for body in documents(both)] == [{"A": b"x"}] * 2


def test_a_pull_secrets_password_is_merged(seal: Command) -> None:
    path = seal.write("app.yaml", FILE)
    flags = ("registry", "--kind", "imagepullsecret", "--from-stdin", "password")
    seal.run(*flags, "--merge-into", path, input=b"token")
    assert opened(documents(seal.text(path))[3]) == {"password": b"token"}


def test_a_file_keeps_its_mode_and_a_link_stays_one(seal: Command) -> None:
    path = Path(seal.write("app.yaml", SET + "  data: {A: {value: x}}\n"))
    path.chmod(0o640)
    link = seal.folder / "link.yaml"
    link.symlink_to("app.yaml")
    seal.run("-f", str(link), "-i")
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert opened(seal.text(str(path))) == {"A": b"x"}


def test_nothing_is_left_when_a_file_cannot_be_replaced(seal: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    path = seal.write("app.yaml", SET + f"  data: {{A: {{value: {CANARY}}}}}\n")
    kept: list[bytes] = []

    def replace(self: Path, _: Path) -> Path:
        kept.append(self.read_bytes())
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", replace)
    assert "Permission denied" in seal.run("-f", path, "-i", code=1).stderr
    assert CANARY in seal.text(path)
    assert CANARY.encode() not in kept[0]
    assert sorted(os.listdir(seal.folder)) == ["app.yaml", "keys.json"]  # noqa: PTH208


def test_what_is_written_into_a_manifest_while_a_value_is_asked_for_stays(
    seal: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = seal.write("app.yaml", SET + "  data: {A: {value: x}}\n")

    def prompt(*_: object, **__: object) -> str:
        seal.write("app.yaml", SET + "  region: eu # moved\n  data: {B: {value: y}}\n")
        return "typed"

    monkeypatch.setattr(typer, "prompt", prompt)
    seal.run("app", "--prompt", "A", "--merge-into", path)
    text = seal.text(path)
    assert "  region: eu # moved\n  data: {B: {value: y}, A:" in text
    assert opened(text) == {"A": b"typed"}

    def other(*_: object, **__: object) -> str:
        seal.write("app.yaml", SET.replace("app", "other") + "  data: {}\n")
        return CANARY

    monkeypatch.setattr(typer, "prompt", other)
    done = seal.run("app", "--prompt", "A", "--merge-into", path, code=1)
    assert "there is no SecretSet app in it" in done.stderr
    assert CANARY not in done.output
    assert seal.text(path).endswith("data: {}\n")


def test_values_of_a_manifest_from_standard_input_are_merged(seal: Command) -> None:
    done = seal.run("app", "--value=A=1", "-f", "-", input=SET + "  data: {}\n")
    assert opened(done.stdout) == {"A": b"1"}


@pytest.mark.parametrize("version", ["apiVersion: secretset.dev/v1alpha1\n", ""])
def test_items_of_any_list_are_sealed_as_kubectl_would_apply_them(seal: Command, version: str) -> None:
    item = yaml.safe_load(SET + "  data: {A: {value: x}}")
    if version:  # kubectl takes both from the list
        del item["apiVersion"], item["kind"]
    text = f"{version or 'apiVersion: v1' + chr(10)}kind: {'SecretSetList' if version else 'ConfigMapList'}\n"
    path = seal.write("app.yaml", text + yaml.safe_dump({"items": [item, {"kind": "Deployment"}, 5]}))
    assert "sealed 1 value," in seal.run("-f", path, "-i").stderr
    (made, *_) = yaml.safe_load(seal.text(path))["items"]
    assert opened({"kind": "SecretSet", **made}) == {"A": b"x"}


def test_a_file_without_sets_is_named(seal: Command) -> None:
    path = seal.write("other.yaml", "kind: Deployment\napiVersion: apps/v1\nitems: {}\n")
    done = seal.run("-f", path, "-f", seal.write("app.yaml", SET + "  data: {A: {value: x}}"), "-i")
    assert f"no sets, so nothing was looked at, in '{path}'\n" in done.stderr
    assert "sealed 1 value," in done.stderr


def test_what_kubectl_noted_in_plain_text_is_told(seal: Command) -> None:
    note = json.dumps({"spec": {"data": {"A": {"value": CANARY}}}})
    body = yaml.safe_load(SET + "  data: {A: {value: x}}")
    body["metadata"]["annotations"] = {ANNOTATION: note}
    done = seal.run("-f", seal.write("app.yaml", yaml.safe_dump(body)), "-i")
    assert "holds plain text: take it out" in done.stderr
    assert CANARY not in done.stderr
