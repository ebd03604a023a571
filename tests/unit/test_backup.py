"""The backup of an installation: it opens with its passphrase, and without it tells nothing."""

import base64
import json
from datetime import UTC, datetime

import pytest

from secretset.domain.backup import FORMAT, Backup, Unreadable
from secretset.domain.sealing_keys import Entry
from unit.key_hub import private, seed

BACKUP = Backup(
    installation={"id": b"6d1a3f0e-0000-4000-8000-000000000000", "fingerprint-key-1": bytes(range(32))},
    keys={private(1).kid: Entry(created=datetime(2026, 3, 1, tzinfo=UTC), secret=seed(1))},
)
PASSPHRASE = "correct horse battery"
FILE = BACKUP.seal(PASSPHRASE)


def test_it_opens_with_its_passphrase() -> None:
    assert Backup.open(FILE, PASSPHRASE) == BACKUP


def test_another_passphrase_or_an_altered_file_opens_nothing() -> None:
    with pytest.raises(Unreadable, match="the passphrase is another, or the file was altered"):
        Backup.open(FILE, PASSPHRASE + "x")
    content = json.loads(FILE)
    raw = bytearray(base64.b64decode(content["data"]))
    raw[0] ^= 1
    altered = json.dumps({**content, "data": base64.b64encode(raw).decode()}).encode()
    with pytest.raises(Unreadable, match="altered"):
        Backup.open(altered, PASSPHRASE)


@pytest.mark.parametrize(
    "change", [{"format": "secretset-backup2"}, {"salt": "AAAA"}, {"nonce": ""}, {"data": None}, {"salt": "?"}]
)
def test_what_is_no_backup_is_told(change: dict[str, object]) -> None:
    with pytest.raises(Unreadable, match="no backup of this version"):
        Backup.open(json.dumps({**json.loads(FILE), **change}).encode(), PASSPHRASE)


@pytest.mark.parametrize("raw", [b"", b"[]", b"\xff", b"{}", b"null"])
def test_garbage_is_no_backup(raw: bytes) -> None:
    with pytest.raises(Unreadable):
        Backup.open(raw, PASSPHRASE)


def test_the_file_shows_nothing() -> None:
    other = BACKUP.seal(PASSPHRASE)
    assert other != FILE
    assert json.loads(other)["format"] == FORMAT
    for secret in (seed(1), bytes(range(32)), b"6d1a3f0e"):
        assert secret not in FILE
        assert base64.b64encode(secret)[:-2] not in FILE
    assert "\\x01" not in repr(BACKUP)
