"""A key that the operator cannot use, and a place where keys do not belong: neither is left behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from secretset.cli import key_changes
from secretset.cli.hub import CommandError
from secretset.cli.key_changes import retired, rotated
from secretset.cli.reseal_sets import resealed
from secretset.controller import kek, key_store
from secretset.domain.names import Kind
from secretset.domain.observed import decode_data
from secretset.domain.sealing_keys import Entry, newest_kid
from secretset.kube import paths
from unit.key_hub import SECRET, SYSTEM, Follower, KeyHub, entry, running, until
from unit.test_cli_key_changes import (
    FIRST,
    ID,
    SCOPE,
    SECOND,
    THIRD,
    answers,
    backup,
    gather,
    installed,
    publish,
    published,
    restored,
    wrapped,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "kek"
    file.write_bytes(bytes(32))
    return file


def operator(hub: KeyHub, *keks: Path) -> Follower:
    follower = Follower(hub, leads=True, keks=kek.load(keks))
    follower.keys._installation = ID
    return follower


async def test_a_key_that_the_operator_cannot_unwrap_is_taken_out_again(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_changes, "TAKEN_SECONDS", 0.2)
    hub = await publish(installed(1, 2), 1, 2)
    follower = operator(hub)
    async with running(follower):
        await until(lambda: follower.keys._opener.kids)
        with pytest.raises(CommandError, match="give it the key-encryption key first"):
            await rotated(hub.client, SYSTEM, [file])
    assert (hub.kids, published(hub)) == ({FIRST, SECOND}, [SECOND, FIRST])


async def test_a_key_that_the_operator_unwraps_is_there_when_it_has_published_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_changes, "_LOOK_SECONDS", 0.01)
    hub = await publish(installed(1, 2), 1, 2)
    async with running(operator(hub, file)):
        kid = (await rotated(hub.client, SYSTEM, [file])).kid
    assert (published(hub)[0], hub.document.held) == (kid, True)
    # From then on it is known that the operator has it.
    hub.log.clear()
    kid = (await rotated(hub.client, SYSTEM, [file])).kid
    assert published(hub)[0] == kid


async def test_a_key_that_the_operator_leaves_aside_is_named_and_can_be_taken_away(file: Path) -> None:
    hub = await publish(installed(1, 2), 1, 2)
    hub.keep({FIRST: entry(1, days=9), SECOND: entry(2, days=8), THIRD: await wrapped(3, file)})
    hub.log.clear()
    assert newest_kid(decode_data(hub.objects[SECRET])) == THIRD
    says = f"{THIRD}, is wrapped with a key-encryption key that the operator was not given.*keys retire {THIRD}"
    for work in (rotated(hub.client, SYSTEM, []), resealed(hub.client, SCOPE), gather(hub)):
        with pytest.raises(CommandError, match=says):
            await work
    with pytest.raises(CommandError, match="is the key that is sealed with"):
        await retired(hub.client, SYSTEM, SECOND, answers(""), seconds=0)
    with pytest.raises(CommandError, match="cannot be retired: 1 value needs it"):
        await retired(hub.client, SYSTEM, THIRD, answers("1 value needs it: app"), seconds=0)
    assert hub.writes() == []
    await retired(hub.client, SYSTEM, THIRD, answers("", ""), seconds=0)
    assert (hub.kids, published(hub)) == ({FIRST, SECOND}, [SECOND, FIRST])
    # One that was published meanwhile stays, and so does the newest where nothing is published.
    await publish(hub, 1, 2, 3)
    hub.keep({SECOND: entry(2, days=8), THIRD: await wrapped(3, file)})
    with pytest.raises(CommandError, match="is the key that is sealed with"):
        await retired(hub.client, SYSTEM, THIRD, answers(""), seconds=0)
    alone = installed(1, 2)
    with pytest.raises(CommandError, match="is the key that is sealed with"):
        await retired(alone.client, SYSTEM, SECOND, answers(""), seconds=0)


async def test_a_document_that_is_marked_still_says_whose_keys_these_are() -> None:
    """The operator has its keys from a folder, and has lost the newest."""
    hub = await publish(installed(1), 1, 2)
    await key_store.publish(hub.client, SYSTEM, replace(hub.document, held=False))
    with pytest.raises(CommandError, match=f"the operator has {SECOND} sealed with"):
        await rotated(hub.client, SYSTEM, [])


async def test_a_backup_is_not_brought_into_an_organization() -> None:
    hub = installed()
    for kind in Kind:
        hub.log.clear()
        hub.objects[paths.custom_list(kind, SYSTEM)] = {"metadata": {}, "items": [{"metadata": {"name": "app"}}]}
        with pytest.raises(CommandError, match=f"the namespace '{SYSTEM}' holds sets.*--operator-namespace"):
            await restored(hub, backup(1))
        assert hub.writes() == []
        hub.objects[paths.custom_list(kind, SYSTEM)]["items"] = []
        assert "with 1 sealing key:" in await restored(hub, backup(1))
    assert Entry.parse(decode_data(hub.objects[SECRET])[FIRST]).secret
