"""What the dashboard's script seals opens here, and it reads `.env` files as the command line does."""

from __future__ import annotations

import base64
import io
import subprocess
from pathlib import Path

import pytest
from dotenv.parser import parse_stream

from harness.script import called, needs_npm
from secretset.domain.names import VALUE_MAX_BYTES, Kind
from secretset.domain.sealing import Opener, Place, PrivateKey, Unopened

pytestmark = needs_npm

KEY = PrivateKey.from_seed(bytes(range(32)))
PLACES = [
    Place("6f1c1d3e-installation", Kind.SECRET_SET, "team", "app", "API_KEY"),
    Place("6f1c1d3e-installation", Kind.IMAGE_PULL_SECRET, "team", "registry", "password"),
    Place("ünï", Kind.SECRET_SET, "a", "b-c", "x" * 64),
]
VALUES = ["", "x", "höchst geheim ✓", "line\nline\r\n", "y" * 251, "y" * 252, "y" * 253, "z" * VALUE_MAX_BYTES]


def sealed(cases: list[tuple[Place, str]], folder: Path) -> list[str]:
    public = base64.b64encode(KEY.public.raw).decode()
    calls = [
        [
            {"kid": KEY.kid, "installation": place.installation, "publicKey": public},
            {"kind": place.kind.value, "namespace": place.namespace, "name": place.name, "key": place.key},
            f"utf8:{value}",
        ]
        for place, value in cases
    ]
    texts: list[str] = called("seal.ts", "seal", list(calls), folder)
    return texts


def test_it_opens_at_its_place_and_at_no_other(tmp_path: Path) -> None:
    cases = [(place, value) for place in PLACES for value in VALUES]
    opener = Opener([KEY])
    texts = sealed(cases, tmp_path)
    assert len(set(texts)) == len(cases), "another text each time"
    for (place, value), text in zip(cases, texts, strict=True):
        assert opener.open(place, text) == value.encode()
        for elsewhere in (place._replace(name="other"), place._replace(key="OTHER"), place._replace(installation="o")):
            with pytest.raises(Unopened):
                opener.open(elsewhere, text)


def test_the_length_tells_steps_of_256_bytes_alone(tmp_path: Path) -> None:
    lengths = {len(text) for text in sealed([(PLACES[0], "x" * length) for length in range(0, 253, 12)], tmp_path)}
    assert len(lengths) == 1


ENV = [
    "A=1\nB=two words  \n\n# a comment\nexport C=3",
    "URL=postgres://u:p#w@h/db\nCUT=kept # cut\nHASH=#none\nEMPTY=\nEMPTY2= # nothing",
    'S=\'single # kept \\\' quote\'\nD="double\\nline \\"q\\" \\\\ \\x" # after\nM="two\nlines"',
    "'quoted key'=x\nSPACES = around \n\tTAB\t=\tvalue\t\nDOLLAR=$A${B}\r\nCRLF=1\r\nCR=2\rLAST=3",
    "TWICE=1\nTWICE=2\nÜ=ö ✓\nnot.a.key=x\nA-B_c=d=e=f",
    "A='\\\\'\nB=\"\\\\\"\nC='a\\\nb'\nD= #x\nE=#x\nF=\t# x",
    "  # only a comment",
    "",
]
BROKEN = ["A=1\nno equals sign\nB=2", "A='open", 'A="open\nB=2', "A='x' trailing", "=value", "A=1\nJUST_A_KEY\n"]


def test_env_files_are_read_as_by_the_command_line(tmp_path: Path) -> None:
    wanted = [
        {each.key: each.value for each in parse_stream(io.StringIO(text)) if each.key is not None} for text in ENV
    ]
    found = called("env.ts", "parse", [[text] for text in ENV], tmp_path)
    assert [dict(each) for each in found] == wanted


def test_a_line_that_is_no_value_is_named(tmp_path: Path) -> None:
    for number, text in enumerate(BROKEN):
        (folder := tmp_path / str(number)).mkdir()
        with pytest.raises(subprocess.CalledProcessError) as failed:
            called("env.ts", "parse", [[text]], folder)
        line = 2 if "\n" in text and text.startswith("A=1") else 1
        assert f"Line {line} is no KEY=value" in failed.value.stderr
