"""What the tests of `secretset seal` share: an installation's keys, and the command run with them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from secretset.cli.main import app
from secretset.domain.names import Kind
from secretset.domain.sealing import Opener, Place, PrivateKey
from secretset.domain.sealing_keys import PublicKeys, SealingKey

INSTALLATION = "7f6b9a52-13c5-4c63-9d8b-2f8f0a1f3c11"


def key(number: int) -> SealingKey:
    """A key pair; a higher number is newer."""
    private = PrivateKey.from_seed(bytes([number]) * 32)
    return SealingKey(private=private, created=datetime(2026, 1, number, tzinfo=UTC))


OLD, NEW, FOREIGN = key(1), key(2), key(3)
PUBLISHED = PublicKeys.of(INSTALLATION, [OLD, NEW])
SET = "apiVersion: secretset.dev/v1alpha1\nkind: SecretSet\nmetadata: {name: app, namespace: shop}\nspec:\n"
"""The head of a manifest, to which `data` is added."""
OPENER = Opener([OLD.private, NEW.private])


class Command:
    """`secretset seal` with the keys of a file, in a folder of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = self.write("keys.json", PUBLISHED.render())

    def write(self, name: str, content: str | bytes) -> str:
        """A file of the folder; returns its path."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def text(self, path: str) -> str:
        """What stands in a file, line breaks as they are."""
        return Path(path).read_bytes().decode()

    def run(self, *arguments: str, input: bytes | str | None = None, code: int = 0) -> Result:  # noqa: A002
        """Run it; it ends with this code, and with no traceback."""
        keys = () if "--public-key" in arguments else ("--public-key", self.keys)
        done = CliRunner().invoke(app, ["seal", *keys, *arguments], input=input)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert done.exit_code == code, done.output
        return done


@pytest.fixture
def seal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("COLUMNS", "400")
    return Command(tmp_path)


def opened(manifest: str | dict[str, Any], namespace: str = "shop", opener: Opener = OPENER) -> dict[str, bytes]:
    """The values of a manifest of one set."""
    body = yaml.safe_load(manifest) if isinstance(manifest, str) else manifest
    kind, name, spec = Kind(body["kind"]), body["metadata"]["name"], body["spec"]
    entries = spec["data"] if kind is Kind.SECRET_SET else {"password": spec["password"]}
    return {
        key: opener.open(Place(INSTALLATION, kind, namespace, name, key), entry["sealed"])
        for key, entry in entries.items()
        if "sealed" in entry
    }
