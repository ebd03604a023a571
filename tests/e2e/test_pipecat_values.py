"""Values of every awkward kind through Pipecat's own CLI, read back byte for byte from the managed Secret."""

from __future__ import annotations

import json
from pathlib import Path

from harness import Org
from harness.api import Api
from harness.pipecat import Pipecat

_LONGEST = 16_384  # bytes


def awkward(org: Org) -> dict[str, str]:
    """Values by key; each has something of its own that can be looked for."""
    forms = {
        "PLAIN": "{}",
        "spaces": "a {}  b",
        "outer-spaces": "  {}\t ",
        "EQUALS": "={}=a=b==",
        "SINGLE": "it's '{}'",
        "DOUBLE": 'say "{}" "',
        "IN_DOUBLE": '"{}"',
        "BACKSLASHES": "C:\\new\\{}\\\\n\\",
        "NEWLINES": "-----BEGIN-----\n{}\r\n\n-----END-----\n",
        "UTF8": "schlüssel-鍵-🔑-{}-é",
        "DASH": "-{}",
        "DASHES": "--skip={}",
        "JSON": '{{"type": "service_account", "key": "{}\\n", "n": [1, null]}}',
        "ARRAY": '["{}"]',
        "SHELL": "$HOME ${{X}} $({}) `id` ; rm -rf & | > !! ~",
        "PERCENT": "100%25 %s %(x)s {}",
        "MARKUP": "[red]{}[/red] [bold",
        "URL": "postgresql://user:{}@host:5432/db?a=b&c=d#e",
        "CONTROL": "\x01{}\x1b[31m\x7f\u2028\ufeff",
        "HASH": "#{} # no comment",
        "BASE64": "{}+/==",
    }
    return {key: form.format(org.canary()) for key, form in forms.items()}


def argument(key: str, value: str) -> str:
    """As the CLI wants it: it strips both ends, and one pair of double quotes around what is left then."""
    bare = value == value.strip() and not (value.startswith('"') and value.endswith('"'))
    return f"{key}={value}" if bare else f'{key}="{value}"'


def test_as_arguments(org: Org, pipecat: Pipecat) -> None:
    values = awkward(org)
    said = pipecat("secrets", "set", "app", "--skip", "--", *(argument(key, value) for key, value in values.items()))
    org.reaches("ready", "Synced")
    assert {key: value.decode() for key, value in org.values().items()} == values
    assert not [value for value in values.values() if value in said.text]
    shown = pipecat("secrets", "list", "app")
    assert sorted(each["fieldName"] for each in shown.json["secrets"]) == sorted(values)
    assert not [value for value in values.values() if value in shown.text]


def test_from_a_file(org: Org, pipecat: Pipecat, tmp_path: Path) -> None:
    values = {key: value for key, value in awkward(org).items() if len(value.splitlines()) == 1}
    lines = (argument(key, value) for key, value in values.items())
    (tmp_path / "secrets.env").write_text("# a comment\n\n" + "\n".join(lines) + "\n", newline="")
    pipecat("secrets", "set", "app", "--skip", "--file", "secrets.env")
    org.reaches("ready", "Synced")
    assert {key: value.decode() for key, value in org.values().items()} == values


def test_the_longest_value(org: Org, pipecat: Pipecat) -> None:
    canary = org.canary()
    longest = (canary + "é" * _LONGEST).encode()[:_LONGEST].decode(errors="ignore")
    longest += "x" * (_LONGEST - len(longest.encode()))
    pipecat("secrets", "set", "app", f"A={longest}", "--skip")
    org.reaches("ready", "Synced")
    assert org.values() == {"A": longest.encode()}
    said = pipecat("secrets", "set", "app", f"A={longest}x", f"B={canary}", "--skip", code=1)
    assert said.error["code"] == "GENERIC_BAD_REQUEST"
    assert "16,384 bytes" in said.error["error"]
    assert canary not in said.text
    assert org.values() == {"A": longest.encode()}


def test_what_the_cli_refuses_by_itself(org: Org, pipecat: Pipecat) -> None:
    value = org.canary()
    for argument in ("EMPTY=", 'EMPTY=""', f"{'k' * 65}={value}", f"a.b={value}", f"={value}"):
        assert value not in pipecat("secrets", "set", "app", argument, "--skip", code=1).text
    said = pipecat("secrets", "set", "app", "KEY", value, "--skip", code=1)
    assert value not in said.text
    assert org.get("secretset", "app") is None


def test_the_audit_line_has_names_alone(org: Org, pipecat: Pipecat, api: Api) -> None:
    value = org.canary()
    pipecat("secrets", "set", "app", f"A={value}", "--skip")
    mine = [line for line in api.audit() if line["organization"] == org.name]
    assert value not in json.dumps(mine)
    assert pipecat.token not in json.dumps(mine)
    mine = [line for line in mine if line["keys"]]
    assert [(line["who"], line["set"], line["keys"], line["outcome"]) for line in mine] == [
        (f"system:serviceaccount:{org.name}:editor", "app", ["A"], 202)
    ]
