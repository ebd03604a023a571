"""`secretset keys rotate`, `retire` and `restore` on a pretend hub: what they do, and what they refuse."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from secretset.cli import key_changes, reseal_sets, restore
from secretset.cli.backup import gathered
from secretset.cli.hub import CommandError
from secretset.cli.key_changes import retired, rotated
from secretset.cli.reseal_sets import Scope, resealed
from secretset.controller import installation, kek, key_store
from secretset.domain.backup import Backup
from secretset.domain.observed import decode_data, encode_data
from secretset.domain.sealing_keys import KNOWN_SECONDS, Entry, PublicKeys
from secretset.kube import errors, paths
from unit.key_hub import PUBLIC, SECRET, SYSTEM, Follower, KeyHub, entry, private, running, seed, until

INSTALLED = paths.secrets(SYSTEM, installation.SECRET_NAME)
LEASES = paths.leases(SYSTEM)
ID, OTHER_ID = "6d1a3f0e-0000-4000-8000-000000000000", "6d1a3f0e-0000-4000-8000-000000000001"
FIRST, SECOND, THIRD = (private(number).kid for number in (1, 2, 3))


SCOPE = Scope(namespace=None, names=frozenset(), operator_namespace=SYSTEM, folder=None, kek_files=(), dry_run=False)


def content(identity: str) -> dict[str, bytes]:
    return {"id": identity.encode(), "fingerprint-current": b"1", "fingerprint-key-1": bytes(32)}


def installed(*numbers: int, identity: str = ID) -> KeyHub:
    """A hub with these keys, the last one the newest, which are published."""
    hub = KeyHub()
    hub._put(INSTALLED, {"metadata": {"name": installation.SECRET_NAME}, "data": encode_data(content(identity))})
    if numbers:
        hub.keep({private(number).kid: entry(number, days=10 - number) for number in numbers})
    return hub


async def publish(hub: KeyHub, *numbers: int) -> KeyHub:
    held = await key_store.unlocked({private(n).kid: entry(n, days=10 - n).render() for n in numbers}, ())
    await key_store.publish(hub.client, SYSTEM, PublicKeys.of(ID, held.keys.values()))
    hub.log.clear()
    return hub


def published(hub: KeyHub) -> list[str]:
    return [key.kid for key in hub.document.keys]


def backup(*numbers: int, identity: str = ID) -> Backup:
    keys = {private(n).kid: entry(n, days=10 - n) for n in numbers}
    return Backup(installation=content(identity), keys=keys)


async def restored(
    hub: KeyHub, found: Backup, *, keks: tuple[Path, ...] = (), replace: bool = False, **options: bool
) -> str:
    done = await restore.restored(hub.client, SYSTEM, found, kek_files=keks, replace=replace, **options)
    return " ".join([*done.sentences(), *done.troubles()])


def answers(*texts: str) -> Callable[[], Awaitable[str]]:
    left = list(texts)

    async def in_use() -> str:
        return left.pop(0)

    return in_use


@pytest.fixture
def keks(tmp_path: Path) -> tuple[Path, Path]:
    files = tmp_path / "first", tmp_path / "second"
    for file in files:
        file.write_bytes(file.name.ljust(32).encode())
    return files


async def wrapped(number: int, file: Path) -> Entry:
    return await kek.wrapped(entry(number, days=10 - number), kek.load([file]))


# --- retire


async def test_a_key_is_retired_when_nobody_seals_with_it_any_more() -> None:
    hub = await publish(installed(1, 2), 1, 2)
    await retired(hub.client, SYSTEM, FIRST, answers("", ""), seconds=0)
    assert hub.kids == {SECOND}
    assert published(hub) == [SECOND]
    assert key_changes.RETIRE_SECONDS > KNOWN_SECONDS


async def test_what_was_sealed_meanwhile_keeps_a_key() -> None:
    hub = await publish(installed(1, 2), 1, 2)
    with pytest.raises(CommandError, match=r"cannot be retired: 1 values need it.*--although-used"):
        await retired(hub.client, SYSTEM, FIRST, answers("", "1 values need it: app"), seconds=0)
    assert hub.writes() == []


async def test_which_keys_are_not_retired() -> None:
    hub = await publish(installed(1, 2), 1, 2)
    for kid, why in ((SECOND, "is the key that is sealed with"), (THIRD, "there is no key")):
        with pytest.raises(CommandError, match=why):
            await retired(hub.client, SYSTEM, kid, answers(""), seconds=60)
    await publish(hub, 1, 2, 3)  # the operator has its keys from elsewhere
    with pytest.raises(CommandError, match=f"the operator has {THIRD} sealed with"):
        await retired(hub.client, SYSTEM, FIRST, answers(""), seconds=60)
    assert hub.writes() == []


async def test_a_key_is_retired_while_the_leader_publishes() -> None:
    hub = await publish(installed(1, 2), 1, 2)
    hub.meddles = 3
    await retired(hub.client, SYSTEM, FIRST, answers("", ""), seconds=0)
    assert (hub.kids, published(hub)) == ({SECOND}, [SECOND])


# --- rotate


async def test_a_new_key_is_published_with_the_others() -> None:
    hub = await publish(installed(1, 2), 1, 2)
    kid, wrapped_with, unusable = await rotated(hub.client, SYSTEM, [])
    assert published(hub) == [kid, SECOND, FIRST]
    assert (wrapped_with, unusable) == (None, ())
    empty = installed()
    assert [(await rotated(empty.client, SYSTEM, [])).kid] == published(empty)


async def test_no_key_is_made_beside_some_that_are_no_use(keks: tuple[Path, Path]) -> None:
    first, second = keks
    hub = await publish(installed(1, 2), 1, 2)
    hub.keep({FIRST: b"damaged", SECOND: entry(2, days=8)})
    hub.log.clear()
    with pytest.raises(CommandError, match=f"the key {FIRST} cannot be used: its entry is damaged"):
        await rotated(hub.client, SYSTEM, [])
    hub.keep({FIRST: await wrapped(1, first), SECOND: entry(2, days=8)})
    for files in ([], [second]):
        with pytest.raises(CommandError, match="--sealing-kek-file"):
            await rotated(hub.client, SYSTEM, files)
    assert hub.writes() == []
    follower = Follower(hub, leads=True, keks=kek.load([second, first]))
    follower.keys._installation = ID
    async with running(follower):
        assert (await rotated(hub.client, SYSTEM, [second, first])).kek == kek.load([second])[0].id
    assert {each.kek for each in map(Entry.parse, decode_data(hub.objects[SECRET]).values())} == {
        None,
        *(each.id for each in kek.load(keks)),
    }


async def test_a_damaged_newest_key_is_named_and_not_looked_for_elsewhere() -> None:
    """The operator may publish it still, because a replica holds it."""
    hub = await publish(installed(1, 2), 1, 2)
    hub.keep({FIRST: entry(1, days=9), SECOND: b"damaged"})
    says = rf"the key {SECOND} cannot be used: its entry is damaged\. `secretset keys restore`"
    with pytest.raises(CommandError, match=says):
        await rotated(hub.client, SYSTEM, [])
    says = f"the entry of the key {SECOND}, which is sealed with, is damaged in the Secret.*`secretset keys restore`"
    for work in (key_changes.check_retirable(hub.client, SYSTEM, FIRST, ""), resealed(hub.client, SCOPE)):
        with pytest.raises(CommandError, match=says):
            await work
    assert hub.writes() == []


async def test_one_can_begin_anew_beside_keys_that_are_lost(keks: tuple[Path, Path]) -> None:
    first, second = keks
    hub = await publish(installed(1, 2), 1, 2)
    hub.keep({FIRST: b"damaged", SECOND: await wrapped(2, first)})
    hub.log.clear()
    with pytest.raises(CommandError, match="--although-unusable"):
        await rotated(hub.client, SYSTEM, [second])
    done = await rotated(hub.client, SYSTEM, [second], although_unusable=True)
    assert (done.kek, done.unusable) == (kek.load([second])[0].id, tuple(sorted([FIRST, SECOND])))
    assert hub.kids == {FIRST, SECOND, done.kid}
    assert published(hub) == [SECOND, FIRST]  # it is the operator's to say what it can open
    follower = Follower(hub, leads=True, keks=kek.load([second]), days=30)
    follower.keys._installation = ID
    async with running(follower):
        await until(lambda: published(hub)[0] == done.kid)
    # From then on a lost key can be given up.
    await retired(hub.client, SYSTEM, SECOND, answers("", ""), seconds=0)
    assert hub.kids == {FIRST, done.kid}
    # Of a Secret that is not the operator's, nobody makes one.
    await publish(hub, 1, 3)
    with pytest.raises(CommandError, match="from elsewhere"):
        await rotated(hub.client, SYSTEM, [second], although_unusable=True)


async def test_a_secret_that_the_operator_does_not_use_is_left_alone(tmp_path: Path) -> None:
    hub = await publish(installed(1), 1, 2)
    scope = SCOPE
    for work in (rotated(hub.client, SYSTEM, []), resealed(hub.client, scope), gather(hub)):
        with pytest.raises(CommandError, match=f"the operator has {SECOND} sealed with"):
            await work
    assert hub.writes() == []
    # The folder is asked instead.
    for number in (1, 2):
        (tmp_path / private(number).kid).write_bytes(entry(number, days=10 - number).render())
    keys = await reseal_sets._keys(hub.client, with_folder(scope, tmp_path))
    assert keys.current.kid == SECOND
    saved, missing = await gather(hub, folder=tmp_path)
    assert (set(saved.keys), missing) == ({FIRST, SECOND}, {})
    assert saved.installation == content(ID)
    (tmp_path / SECOND).unlink()
    for folder, says in ((tmp_path / "none", "cannot be read"), (tmp_path, "the newest key in the folder")):
        for asked in (reseal_sets._keys(hub.client, with_folder(scope, folder)), gather(hub, folder=folder)):
            with pytest.raises(CommandError, match=says):
                await asked
    # Nor does a restore publish the keys of such a Secret; and the installation can be brought back alone.
    told = await restored(hub, backup(1))
    assert "with 1 sealing key:" in told
    assert published(hub) == [SECOND, FIRST]
    del hub.objects[INSTALLED]
    del hub.objects[SECRET]
    assert "No sealing key was brought back." in await restored(hub, backup(1), installation_only=True)
    assert decode_data(hub.objects[INSTALLED]) == content(ID)
    assert (SECRET in hub.objects, published(hub)) == (False, [SECOND, FIRST])


def with_folder(scope: Scope, folder: Path) -> Scope:
    return Scope(**{**vars(scope), "folder": folder})


# --- backup


async def gather(
    hub: KeyHub, *, folder: Path | None = None, keks: tuple[Path, ...] = ()
) -> tuple[Backup, dict[str, str]]:
    return await gathered(hub.client, SYSTEM, folder=folder, kek_files=keks)


async def test_what_can_be_used_is_backed_up_whatever_is_damaged_beside(keks: tuple[Path, Path]) -> None:
    first, _ = keks
    hub = await publish(installed(1, 2), 1, 2)
    for broken, sound in ((FIRST, SECOND), (SECOND, FIRST)):
        number = 1 if sound == FIRST else 2
        hub.keep({broken: b"damaged", sound: await wrapped(number, first)})
        saved, missing = await gather(hub, keks=(first,))
        assert (saved.keys, missing) == ({sound: entry_of(number)}, {broken: "its entry is damaged"})
        with pytest.raises(CommandError, match="cannot be backed up"):
            await gather(hub)
    hub.objects.pop(SECRET)
    with pytest.raises(CommandError, match="there are no sealing keys in the Secret"):
        await gather(hub)


def entry_of(number: int) -> Entry:
    return backup(number).keys[private(number).kid]


# --- restore


async def test_what_cannot_be_used_is_replaced() -> None:
    hub = await publish(installed(1, 2), 1, 2)
    hub.keep({FIRST: b"damaged", SECOND: Entry(created=entry(2).created, secret=seed(3))})
    told = await restored(hub, backup(1, 2))
    assert f"The hub is installation {ID}, with 2 sealing keys: 0 added, 2 replaced that could not be used." in told
    assert decode_data(hub.objects[SECRET])[FIRST] == backup(1).keys[FIRST].render()
    assert published(hub) == [SECOND, FIRST]
    before = hub.objects[SECRET]
    assert "0 added, 0 replaced" in await restored(hub, backup(1, 2))
    assert hub.objects[SECRET] == before


async def test_what_cannot_be_used_still_is_told_and_takes_nothing_from_the_public() -> None:
    hub = await publish(installed(1, 2), 1, 2)
    hub.keep({FIRST: entry(1, days=9), SECOND: b"damaged"})
    done = await restore.restored(hub.client, SYSTEM, backup(1), kek_files=(), replace=False)
    assert done.to_json() == {
        "installation": ID,
        "formerInstallation": ID,
        "keys": sorted([FIRST, SECOND]),
        "added": [],
        "replaced": [],
        "notInBackup": None,
        "unusable": {SECOND: "its entry is damaged"},
    }
    assert f"keys cannot be used still, and are not in this backup: {SECOND}: its entry" in done.troubles()[0]
    assert published(hub) == [SECOND, FIRST]


async def test_keys_whose_wrapping_was_lost_are_wrapped_anew(keks: tuple[Path, Path]) -> None:
    first, second = keks
    hub = installed()
    hub.keep({FIRST: await wrapped(1, first), SECOND: await wrapped(2, first)})
    for files, found in (((), backup(1, 2)), ((second,), backup(1))):
        with pytest.raises(CommandError, match="--sealing-kek-file"):
            await restored(hub, found, keks=files)
    assert hub.writes() == []
    await restored(hub, backup(1, 2), keks=(second,))
    held = await key_store.unlocked(decode_data(hub.objects[SECRET]), kek.load([second]))
    assert held.keys.keys() == {FIRST, SECOND}


async def test_what_the_backup_lacks_need_not_hold_it_up(keks: tuple[Path, Path]) -> None:
    """The key-encryption key was lost, and a key was made since the backup."""
    first, second = keks
    hub = await publish(installed(1, 2), 1, 2)
    hub.keep({FIRST: await wrapped(1, first), SECOND: await wrapped(2, first)})
    hub.log.clear()
    with pytest.raises(CommandError, match="--although-unusable"):
        await restored(hub, backup(1), keks=(second,))
    assert hub.writes() == []
    told = await restored(hub, backup(1), keks=(second,), although_unusable=True)
    assert f"not in this backup: {SECOND}: it is wrapped with a key-encryption key that was not given" in told
    held = await key_store.unlocked(decode_data(hub.objects[SECRET]), kek.load([second]))
    assert (set(held.keys), set(held.unusable)) == ({FIRST}, {SECOND})


async def test_what_was_brought_back_is_in_a_backup() -> None:
    hub = await publish(installed(1, 2), 1, 2)
    await restored(hub, backup(1))
    assert await key_store.backed_up(hub.client, SYSTEM) == {FIRST}
    hub.refuses = errors.Forbidden(403)
    assert "could not be noted" in await key_changes.note_backup(hub.client, SYSTEM, {SECOND})


async def test_a_backup_without_the_current_key_says_so() -> None:
    hub = await publish(installed(1, 2), 1, 2)
    says = f"the key to seal with, {SECOND}, is not in this backup: make a new one (`secretset keys backup`)"
    assert says in await restored(hub, backup(1))
    assert "is not in this backup" not in await restored(hub, backup(1, 2))


async def test_another_installation_is_replaced_only_while_no_replica_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore, "LIVING_SECONDS", 0.01)
    hub = installed(3, identity=OTHER_ID)
    with pytest.raises(CommandError, match="--replace"):
        await restored(hub, backup(1, 2))
    renewals = iter(range(100))

    def lease(name: str, version: str, holder: str = "somebody") -> dict[str, Any]:
        return {"metadata": {"name": name, "uid": "u", "resourceVersion": version}, "spec": {"holderIdentity": holder}}

    class Living(dict[str, Any]):
        """A Lease that is another one each time."""

        def __deepcopy__(self, _: Any) -> dict[str, Any]:
            return {"items": [lease("secretset-replica-a", str(next(renewals))), lease("secretset-replica-b", "1")]}

    hub.objects[LEASES] = Living()
    hub.log.clear()
    with pytest.raises(CommandError, match=r"the operator runs \(secretset-replica-a\)"):
        await restored(hub, backup(1, 2), replace=True)
    assert hub.writes() == []
    # One that was killed left its Lease, one that ended gave it back.
    hub.objects[LEASES] = {"items": [lease("secretset-replica-b", "1"), lease("secretset-replica-c", "1", holder="")]}
    told = await restored(hub, backup(1, 2), replace=True)
    assert "The hub was another installation before; start the operator now." in told
    assert decode_data(hub.objects[INSTALLED])["id"] == ID.encode()
    assert hub.document.installation == ID
    assert PUBLIC in hub.objects
