"""`secretset set` and `unset` through a real shell: each example of the seeds, read back from the managed Secret."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from harness import OperatorProcess, Org, eventually
from harness.shell import Shell

# seeds/000, "Special characters" and "Important Notes": what stands in the shell, and what arrives of it.
QUOTED: list[tuple[str, str]] = [
    ("KEY={c}", "{c}"),
    ('KEY="{c} with spaces"', "{c} with spaces"),
    ('"KEY={c} with spaces"', "{c} with spaces"),
    ("KEY={c}=with=equals", "{c}=with=equals"),
    ("KEY==={c}==", "=={c}=="),
    ("'KEY={c} \"quoted\" here'", '{c} "quoted" here'),
    ('KEY="{c} \\"quoted\\" here"', '{c} "quoted" here'),
    ("KEY='{c}'\\''single'\\'", "{c}'single'"),
    ("KEY={c}\\\\to\\\\file", "{c}\\to\\file"),
    ("'KEY={c}\\to\\n'", "{c}\\to\\n"),
    ('KEY="{c}\\\\n \\to"', "{c}\\n \\to"),
    ('KEY="  {c}  "', "  {c}  "),
    ("KEY='$HOME `x` $(y) ! * ? ~ # {c}'", "$HOME `x` $(y) ! * ? ~ # {c}"),
    ("KEY=$'{c}\\ntwo\\tlines\\n'", "{c}\ntwo\tlines\n"),
    ("KEY=schlüssel-鍵-🔑-{c}", "schlüssel-鍵-🔑-{c}"),
    ("KEY=--{c}", "--{c}"),
    ("KEY=postgresql://user:{c}@host:5432/db?sslmode=require", "postgresql://user:{c}@host:5432/db?sslmode=require"),
]


@pytest.fixture
def shell(org: Org, tmp_path: Path) -> Shell:
    """A shell whose `secretset` is about the organization."""
    return Shell(org.plane, org.name, tmp_path)


def test_each_form_of_quoting_arrives_byte_for_byte(org: Org, shell: Shell) -> None:
    forms = {f"KEY_{number}": (*form, org.canary()) for number, form in enumerate(QUOTED)}
    written = (form.replace("KEY", key).format(c=canary) for key, (form, _, canary) in forms.items())
    done = shell.run(f"secretset set my-secrets {' '.join(written)}")
    assert "canary" not in done.out + done.said
    assert done.said.count("lists of processes") == 1
    assert org.values("my-secrets") == {
        key: expected.format(c=canary).encode() for key, (_, expected, canary) in forms.items()
    }


def test_the_examples_of_the_seeds(org: Org, shell: Shell) -> None:
    """seeds/001: create with two keys, add a third, choose a region; seeds/004: several flags, a file, overwrite."""
    first, second, third = (org.canary() for _ in range(3))
    done = shell.run(f"secretset set my-secrets SECRET_NAME={first} SECRET_NAME_2={second}")
    assert done.out == f"{org.name}/my-secrets: created in us-west, ready\n"
    assert org.values("my-secrets") == {"SECRET_NAME": first.encode(), "SECRET_NAME_2": second.encode()}
    done = shell.run(f"secretset set my-secrets SECRET_NAME_3={third}")
    assert done.out == f"{org.name}/my-secrets: changed in us-west, ready\n"
    assert org.values("my-secrets").keys() == {"SECRET_NAME", "SECRET_NAME_2", "SECRET_NAME_3"}
    refused = shell.run(f"secretset set my-secrets SECRET_NAME={second} --region us-east", code=1).said
    assert "Secret already exists in region 'us-west'. Cannot change region to 'us-east'." in refused
    refused = shell.run(f"secretset set my-secrets-us-east SECRET_NAME={second} --region us-east", code=1).said
    assert "Invalid region or organization does not have access" in refused
    shell.run(f"secretset set my-secrets-us-west SECRET_NAME={second} --region us-west")
    assert org.values("my-secrets-us-west") == {"SECRET_NAME": second.encode()}
    (shell.folder / "new-secrets.env").write_text(f"SECRET_A={first}\nSECRET_B='{second}'\n")
    shell.run("secretset set my-secrets --from-env new-secrets.env --overwrite")
    assert org.values("my-secrets") == {"SECRET_A": first.encode(), "SECRET_B": second.encode()}


def test_pairs_as_in_the_seeds_are_refused_with_the_form_that_works(org: Org, shell: Shell) -> None:
    first, second = org.canary(), org.canary()
    for line in (
        f"secretset set my-secrets SECRET_NAME {first} SECRET_NAME_2 {second}",
        f"secretset set my-secrets SECRET_NAME_3 {first}",
    ):
        done = shell.run(line, code=2)
        assert "canary" not in done.out + done.said
        assert "secretset set my-secrets KEY=VALUE" in " ".join(done.said.replace("│", " ").split())
    assert org.get("secretset", "my-secrets") is None


def test_from_a_file_and_standard_input_and_with_descriptions(org: Org, shell: Shell) -> None:
    text, binary = org.canary(), bytes(range(256)) + org.canary().encode() + b"\n"
    (shell.folder / "app.env").write_text(
        f"# a comment\nexport A=\"{text} 'x'\"\nB='$HOME ${{A}} \\n'\nLIVEKIT_URL=wss://x\nLIVEKIT_API_KEY=k\nEXTRA=1\nC=a=b\n"
    )
    done = shell.run(
        "secretset set app --from-env app.env --from-stdin BIN --reserved-keys EXTRA --description 'Stripe API key' "
        "--metadata environment=production --metadata owner=payments-team -o json",
        stdin=binary,
    )
    expected = {"A": f"{text} 'x'", "B": "$HOME ${A} \\n", "C": "a=b"}
    assert org.values() == {**{key: value.encode() for key, value in expected.items()}, "BIN": binary}
    assert [f"'{key}' is left out" in done.said for key in ("LIVEKIT_URL", "LIVEKIT_API_KEY", "EXTRA")] == [True] * 3
    shown = json.loads(done.out)
    assert (shown["status"], shown["region"], shown["description"]) == ("ready", "us-west", "Stripe API key")
    assert shown["metadata"] == {"environment": "production", "owner": "payments-team"}
    assert [key["name"] for key in shown["keys"]] == ["A", "B", "BIN", "C"]
    described = shell.run("secretset set app --metadata owner=ann")
    assert "waiting" not in described.said  # nothing moves where there is no terminal
    found = org.get("secretset", "app")
    assert found is not None
    assert found["spec"]["metadata"] == {"environment": "production", "owner": "ann"}
    assert "platform itself sets 'LIVEKIT_URL'" in shell.run("secretset set app LIVEKIT_URL=wss://x", code=1).said
    assert "platform itself sets 'EXTRA'" in shell.run("secretset set app EXTRA=1 --reserved-keys EXTRA", code=1).said


def test_empty_values_are_refused_unless_they_are_meant(org: Org, shell: Shell) -> None:
    (shell.folder / "e.env").write_text("A=1\nB=\nC=''\n")
    assert "nothing stands behind '='" in shell.run("secretset set app A=1 B=", code=2).said
    assert "nothing is the value of 'B', 'C'" in shell.run("secretset set app --from-env e.env", code=1).said
    assert "nothing is the value of 'A'" in shell.run("secretset set app --from-stdin A", code=1).said
    assert org.get("secretset", "app") is None
    shell.run("secretset set app --from-env e.env D= --allow-empty")
    assert org.values() == {"A": b"1", "B": b"", "C": b"", "D": b""}


def test_a_key_alone_is_asked_for_and_not_shown(org: Org, shell: Shell) -> None:
    typed, shown = f"{org.canary()} '\"\\ $x", org.canary()
    with shell.terminal(f"secretset set app B={shown} A") as terminal:
        terminal.answer("Value of A: ", typed)
        terminal.answer("Repeat for confirmation: ", typed)
    assert typed not in terminal.screen
    assert re.search("app: (waiting|pending|ready)", terminal.screen)  # the line of progress
    assert "created in us-west, ready" in terminal.screen
    assert org.values() == {"A": typed.encode(), "B": shown.encode()}
    assert "there is no terminal to ask at: use --from-stdin KEY" in shell.run("secretset set app A", code=1).said
    # Who would be refused anyway is not asked.
    assert "Cannot change region" in shell.run("secretset set app A --region us-east", code=1).said
    assert "Invalid region" in shell.run("secretset set new A --region us-east", code=1).said


def test_env_files_are_found_and_asked_about(org: Org, shell: Shell) -> None:
    assert "no values: give KEY=VALUE" in shell.run("secretset set app", code=2).said
    with shell.terminal("secretset set app", code=1) as terminal:
        pass
    assert "there is no .env, .env.local or .env.production here" in terminal.screen
    one, two = org.canary(), org.canary()
    (shell.folder / ".env").write_text(f"A={one}\n")
    with shell.terminal("secretset set app", code=1) as terminal:
        terminal.answer(f"Put the values of .env into {org.name}/app?", "n")
    assert org.get("secretset", "app") is None
    with shell.terminal("secretset set app") as terminal:
        terminal.answer(f"Put the values of .env into {org.name}/app?", "")
    assert org.values() == {"A": one.encode()}
    git = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "init", "-q"], cwd=shell.folder, check=True, env=git)
    (shell.folder / ".env.production").write_text(f"B={two}\nLIVEKIT_API_SECRET=x\n")
    with shell.terminal("secretset set app --overwrite") as terminal:
        terminal.answer("Put the values of which file", "3")
        terminal.answer("type a number from 1 to 2", "2")
    assert org.values() == {"B": two.encode()}
    assert "'LIVEKIT_API_SECRET' is left out" in terminal.screen
    assert "warning: git does not ignore '.env.production'" in terminal.screen
    assert not {one, two} & set(terminal.screen.split())
    # Off a terminal nothing is taken that was not named.
    assert ".env, .env.local, .env.production are offered" in shell.run("secretset set app", code=2).said


def test_unset_takes_keys_out_but_not_the_last(org: Org, shell: Shell) -> None:
    a, b, c = (org.canary() for _ in range(3))
    shell.run(f"secretset set app A={a} B={b} C={c}")
    assert shell.run("secretset unset app A B A").out == f"{org.name}/app: 2 keys removed in us-west, ready\n"
    assert org.values() == {"C": c.encode()}
    assert "Cannot remove the last key; delete the set instead." in shell.run("secretset unset app C", code=1).said
    assert "has no key 'A'" in shell.run("secretset unset app C A", code=1).said
    refused = shell.run(f"secretset unset app A={a}", code=1).said
    assert a not in refused
    assert "there is no set 'absent'" in shell.run("secretset unset absent A", code=1).said
    assert org.values() == {"C": c.encode()}


def test_what_is_not_ready_has_exit_codes_of_its_own(org: Org, shell: Shell, operator: OperatorProcess) -> None:
    value = org.canary()
    org.region("cli-later", namespace="{namespace}-later")
    try:
        late = shell.run(f"secretset set late A={value} --region cli-later --timeout 1", code=3).said
        assert "was not ready after 1 s: pending: NamespaceMissing" in late
        at_once = shell.run(f"secretset set late B={value} --no-wait")
        assert at_once.out.startswith(f"{org.name}/late: changed in cli-later, pending; secretset wait late")
        assert shell.run("secretset delete late --yes --timeout 20").out == f"{org.name}/late: deleted\n"
        org.there("create", "secret", "generic", "taken", "--from-literal=x=y")
        taken = shell.run(f"secretset set taken A={value}", code=4).said
        assert "failed: NameConflict" in taken
    finally:
        org.forget_regions()
    assert operator.running


def test_what_is_stored_is_told_so_though_it_cannot_be_followed(org: Org, tmp_path: Path) -> None:
    """Who may write and get sets, but neither list nor watch them."""
    user, verbs = f"blind-{org.name}", "get,create,patch,delete"
    org.kubectl("create", "role", "blind", f"--verb={verbs}", "--resource=secretsets,imagepullsecrets.secretset.dev")
    org.kubectl("create", "rolebinding", "blind", "--role=blind", f"--user={user}")
    shell = Shell(org.plane, org.name, tmp_path, kubeconfig=org.plane.kubeconfig_for(user))
    a, b = org.canary(), org.canary()
    for line, done in (
        (f"set app A={a} B={b}", "is stored"),
        ("unset app B", "is stored"),
        ("restart app", "is asked for"),
        ("delete app --yes", "is being deleted"),
    ):
        told = shell.run(f"secretset {line}", code=3).said
        assert f"{done}, but could not be followed: you may not " in told
        assert told.endswith("It goes on by itself\n")
        if line.startswith("unset"):
            org.reaches("ready")
            assert org.values() == {"A": a.encode()}
    eventually(lambda: org.get("secretset", "app") is None)


def test_rbac_alone_decides(org: Org, tmp_path: Path) -> None:
    value = org.canary()
    shell = Shell(org.plane, org.name, tmp_path, kubeconfig=org.plane.kubeconfig_for("cli-nobody"))
    done = shell.run(f"secretset set app A={value}", code=2)
    assert "you may not" in done.said
    assert value not in done.out + done.said
    assert "you may not get secretsets there (RBAC of the hub)" in shell.run("secretset list", code=2).said
