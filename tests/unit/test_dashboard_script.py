"""What the dashboard's script seals in a browser opens here, at its place and at no other."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

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
