"""Where sealing keys are kept: two that write at once lose none, wrapped ones need their key, files are read."""

import asyncio
from pathlib import Path

import pytest

from secretset.controller import kek, key_store
from secretset.domain.sealing_keys import BACKED_UP, Entry, PublicKeys, Unusable
from secretset.kube import errors
from unit.key_hub import INSTALLATION, PUBLIC, SECRET, SYSTEM, KeyHub, entry, private


async def test_two_that_add_at_once_lose_no_key() -> None:
    hub = KeyHub()
    entries = [{private(n).kid: entry(n).render()} for n in range(1, 5)]
    await asyncio.gather(*(key_store.add(hub.client, SYSTEM, each) for each in entries))
    assert hub.kids == {private(n).kid for n in range(1, 5)}
    assert len([each for each in hub.writes() if each.startswith("replace")]) > 3  # some had to try again


async def test_an_entry_is_never_changed() -> None:
    hub = KeyHub()
    hub.keep_keys(1)
    before = hub.objects[SECRET]
    found = await key_store.add(hub.client, SYSTEM, {private(1).kid: b"other"})
    assert found.entries.keys() == {private(1).kid}
    assert found.entries[private(1).kid] != b"other"
    assert hub.objects[SECRET] == before


async def test_an_entry_that_is_no_use_is_replaced_if_it_is_still_there() -> None:
    hub = KeyHub()
    hub.keep({private(1).kid: b"damaged", private(2).kid: entry(2)})
    good = {private(n).kid: entry(n, days=n).render() for n in (1, 2)}
    found = await key_store.add(hub.client, SYSTEM, good, broken={private(1).kid: b"other"})
    assert found.entries[private(1).kid] == b"damaged"
    found = await key_store.add(hub.client, SYSTEM, good, broken={private(1).kid: b"damaged"})
    assert found.entries == {private(1).kid: good[private(1).kid], private(2).kid: entry(2).render()}


async def test_nothing_is_added_to_what_changed_meanwhile() -> None:
    hub = KeyHub()
    hub.keep_keys(1, 2)
    stale = {private(1).kid: entry(1).render()}
    found = await key_store.add(hub.client, SYSTEM, {private(3).kid: entry(3).render()}, unless_changed=stale)
    assert found.entries.keys() == hub.kids == {private(1).kid, private(2).kid}
    assert hub.writes() == []


async def test_what_else_is_in_the_secret_stays() -> None:
    hub = KeyHub()
    hub.keep({"notes": b"mine", private(1).kid: entry(1)})
    assert (await key_store.read(hub.client, SYSTEM) or {}).keys() == {private(1).kid}
    await key_store.add(hub.client, SYSTEM, {private(2).kid: entry(2).render()})
    assert await key_store.remove(hub.client, SYSTEM, private(1).kid)
    assert hub.kids == {"notes", private(2).kid}
    assert not await key_store.remove(hub.client, SYSTEM, private(1).kid)
    assert await key_store.read(KeyHub().client, SYSTEM) is None
    assert not await key_store.remove(KeyHub().client, SYSTEM, private(1).kid)


async def test_publishing_writes_only_what_differs() -> None:
    hub = KeyHub()
    hub.keep_keys(1)
    held = await key_store.unlocked(await key_store.read(hub.client, SYSTEM) or {}, ())
    document = PublicKeys.of(INSTALLATION, held.keys.values())
    assert await key_store.publish(hub.client, SYSTEM, document)
    assert not await key_store.publish(hub.client, SYSTEM, document)
    assert await key_store.published(hub.client, SYSTEM) == document
    hub.objects[PUBLIC]["data"]["keys.json"] = "mine"
    assert await key_store.published(hub.client, SYSTEM) is None
    assert await key_store.publish(hub.client, SYSTEM, document)
    assert hub.document == document
    assert hub.writes() == ["create secretset-public-keys", "replace secretset-public-keys"]


async def test_what_is_written_is_known_as_it_is_read() -> None:
    hub = KeyHub()
    for number in (1, 2, 2):
        found = await key_store.add(hub.client, SYSTEM, {private(number).kid: entry(number).render()})
        assert found == await key_store.kept(hub.client, SYSTEM)
    assert await key_store.add(KeyHub().client, SYSTEM, {}) == key_store.Kept("", "", {})


async def published(*numbers: int) -> KeyHub:
    hub = KeyHub()
    held = await key_store.unlocked({private(n).kid: entry(n, days=10 - n).render() for n in numbers}, ())
    await key_store.publish(hub.client, SYSTEM, PublicKeys.of(INSTALLATION, held.keys.values()))
    return hub


async def test_a_key_is_taken_from_the_public_while_another_writes_there() -> None:
    hub = await published(1, 2)
    hub.meddles = 2
    await key_store.unpublish(hub.client, SYSTEM, private(1).kid)
    assert [key.kid for key in hub.document.keys] == [private(2).kid]
    await key_store.unpublish(hub.client, SYSTEM, private(1).kid)
    await key_store.unpublish(KeyHub().client, SYSTEM, private(1).kid)
    hub.meddles = 1000
    with pytest.raises(errors.Conflict):
        await key_store.unpublish(hub.client, SYSTEM, private(2).kid)


async def test_it_is_noted_of_which_keys_there_is_a_backup() -> None:
    hub = await published(1, 2)
    first, second, third = (private(number).kid for number in (1, 2, 3))
    assert await key_store.backed_up(hub.client, SYSTEM) == frozenset()
    await key_store.note_backup(hub.client, SYSTEM, {first, third})
    hub.meddles = 2
    await key_store.note_backup(hub.client, SYSTEM, {second})
    assert await key_store.backed_up(hub.client, SYSTEM) == {first, second}
    before = hub.writes()
    await key_store.note_backup(hub.client, SYSTEM, {second})
    assert hub.writes() == before
    # Publishing leaves it; a key that went is forgotten with the next backup.
    await key_store.unpublish(hub.client, SYSTEM, first)
    assert first in await key_store.backed_up(hub.client, SYSTEM)
    hub.objects[PUBLIC]["metadata"]["annotations"][BACKED_UP] += ",what is no id"
    await key_store.note_backup(hub.client, SYSTEM, {second})
    assert hub.objects[PUBLIC]["metadata"]["annotations"][BACKED_UP] == second
    empty = KeyHub()
    await key_store.note_backup(empty.client, SYSTEM, {first})
    assert (await key_store.backed_up(empty.client, SYSTEM), empty.writes()) == (frozenset(), [])


async def test_a_new_key_is_newer_than_those_that_cannot_be_used_too() -> None:
    ahead = Entry(created=entry(1, days=-2).created, secret=b"wrapped", kek="lost")
    key, _ = await key_store.new_key({private(1).kid: ahead.render(), private(2).kid: entry(2).render()}, ())
    assert key.created > ahead.created


async def test_wrapped_seeds_need_their_key() -> None:
    first, second = kek.LocalKey(bytes(32)), kek.LocalKey(bytes(31) + b"\1")
    wrapped = await kek.wrapped(entry(1), [second, first])
    assert wrapped.kek == second.id != first.id
    assert entry(1).secret not in wrapped.secret
    entries = {private(1).kid: wrapped.render(), private(2).kid: entry(2).render()}
    assert (await key_store.unlocked(entries, [first, second])).keys.keys() == entries.keys()
    held = await key_store.unlocked(entries, [first])
    assert held.keys.keys() == {private(2).kid}
    assert held.unusable == {
        private(1).kid: "it is wrapped with a key-encryption key that was not given (--sealing-kek-file)"
    }
    assert await kek.wrapped(wrapped, [first]) is wrapped
    with pytest.raises(Unusable, match="its wrapped seed was altered"):
        second.unwrap(wrapped.secret[:-1] + bytes([wrapped.secret[-1] ^ 1]))
    for short in (b"", b"short"):
        with pytest.raises(Unusable):
            first.unwrap(short)


async def test_a_new_key_fits_where_it_can_be_unwrapped_with_the_others() -> None:
    first, second = kek.LocalKey(bytes(32)), kek.LocalKey(bytes(31) + b"\1")
    wrapped = {private(1).kid: (await kek.wrapped(entry(1), [first])).render(), private(2).kid: entry(2).render()}
    plain = {private(2).kid: entry(2).render(), private(3).kid: b"damaged"}
    assert [kek.fits(each, []) for each in ({}, plain, wrapped)] == [True, True, False]
    assert [kek.fits(plain, keks) for keks in ([first], [second])] == [True, True]
    assert [kek.fits(wrapped, keks) for keks in ([first], [second, first], [second])] == [True, True, False]


async def test_a_key_that_is_held_is_not_unwrapped_again() -> None:
    class Counted(kek.LocalKey):
        count = 0

        def unwrap(self, wrapped: bytes) -> bytes:
            self.count += 1
            return super().unwrap(wrapped)

    key = Counted(bytes(32))
    entries = {private(1).kid: (await kek.wrapped(entry(1), [key])).render()}
    held = await key_store.unlocked(entries, [key])
    again = await key_store.unlocked(entries, [key], held.keys)
    assert key.count == 1
    assert again == held


def test_key_files(tmp_path: Path) -> None:
    good, short = tmp_path / "good", tmp_path / "short"
    good.write_bytes(bytes(32))
    short.write_bytes(bytes(31))
    assert [each.id for each in kek.load([good, good])] == [kek.LocalKey(bytes(32)).id] * 2
    assert kek.load([]) == ()
    for file, says in ((short, "is not 32 bytes long"), (tmp_path / "none", "cannot be read")):
        with pytest.raises(errors.ConfigError, match=says):
            kek.load([good, file])


def test_a_folder_of_keys(tmp_path: Path) -> None:
    # As kubelet mounts a Secret.
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / private(1).kid).write_bytes(b"raw")
    (tmp_path / private(1).kid).symlink_to(f"..data/{private(1).kid}")
    (tmp_path / "README").write_text("not a key")
    assert key_store.read_folder(tmp_path) == {private(1).kid: b"raw"}
    with pytest.raises(OSError, match="No such file"):
        key_store.read_folder(tmp_path / "none")
