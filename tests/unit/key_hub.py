"""A pretend hub that keeps Secrets and ConfigMaps with versions, and what sealing keys are on it."""

from __future__ import annotations

import asyncio
import copy
import functools
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from builders import secret_set
from secretset.controller import sealing_keys
from secretset.controller.sealing_keys import SealingKeys
from secretset.controller.store import HubStore
from secretset.domain.names import Key, Kind
from secretset.domain.observed import decode_data, encode_data
from secretset.domain.record import parse
from secretset.domain.sealing import Cause, Place, PrivateKey, PublicKey, Unopened
from secretset.domain.sealing_keys import CONFIG_MAP_NAME, DOCUMENT, SECRET_NAME, Entry, PublicKeys
from secretset.kube import errors, paths
from secretset.kube.client import Client

SYSTEM, INSTALLATION = "secretset-system", "installation"
PLACE = Place(INSTALLATION, Kind.SECRET_SET, "team", "app", "A")
SECRET = paths.secrets(SYSTEM, SECRET_NAME)
PUBLIC = paths.core("configmaps", SYSTEM, CONFIG_MAP_NAME)


def seed(number: int) -> bytes:
    return bytes([number]) * 32


def private(number: int) -> PrivateKey:
    return PrivateKey.from_seed(seed(number))


@functools.cache
def moment() -> datetime:
    """When this test began, so that what it makes twice is the same; `conftest.py` forgets it before each test."""
    return datetime.now(UTC).replace(microsecond=0)


def entry(number: int, *, days: float = 0.0) -> Entry:
    """The entry of a key that is so old."""
    return Entry(created=moment() - timedelta(days=days), secret=seed(number))


class KeyHub:
    """What is asked of the hub.

    Attributes:
        log: what was sent, as "verb name".
        fails: raised instead of an answer.
        refuses: raised instead of an answer to what changes something.
        meddles: before so many of the writes that come, somebody else writes the same object.
    """

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.log: list[str] = []
        self.fails: Exception | None = None
        self.refuses: Exception | None = None
        self.meddles = 0
        self._versions = itertools.count(1)

    @property
    def client(self) -> Client:
        return cast("Client", self)

    async def get(self, path: str, *_: Any, **__: Any) -> Any:
        await self._asked("get", path)
        if path not in self.objects:
            raise errors.Absent(404)
        return copy.deepcopy(self.objects[path])

    async def create(self, path: str, body: dict[str, Any]) -> Any:
        path = f"{path}/{body['metadata']['name']}"
        await self._asked("create", path)
        if path in self.objects:
            raise errors.AlreadyExists(409, "AlreadyExists")
        return self._put(path, body)

    async def replace(self, path: str, body: dict[str, Any]) -> Any:
        await self._asked("replace", path)
        if path not in self.objects:
            raise errors.Absent(404)
        if self.meddles:
            self.meddles -= 1
            self._put(path, self.objects[path])
        if body["metadata"]["resourceVersion"] != self.objects[path]["metadata"]["resourceVersion"]:
            raise errors.Conflict(409, "Conflict")
        return self._put(path, body)

    def keep(self, entries: Mapping[str, Entry | bytes]) -> None:
        """Have these entries in the Secret."""
        content = {kid: each.render() if isinstance(each, Entry) else each for kid, each in entries.items()}
        self._put(SECRET, {"metadata": {"name": SECRET_NAME}, "data": encode_data(content)})

    def keep_keys(self, *numbers: int, days: float = 0.0) -> None:
        self.keep({private(number).kid: entry(number, days=days) for number in numbers})

    @property
    def kids(self) -> set[str]:
        return set(decode_data(self.objects.get(SECRET, {})))

    @property
    def document(self) -> PublicKeys:
        return PublicKeys.parse(self.objects[PUBLIC]["data"][DOCUMENT])

    def reads(self) -> int:
        return self.log.count(f"get {SECRET_NAME}")

    def writes(self) -> list[str]:
        return [each for each in self.log if not each.startswith("get")]

    async def _asked(self, verb: str, path: str) -> None:
        await asyncio.sleep(0)  # others may come between
        self.log.append(f"{verb} {path.rsplit('/', 1)[1]}")
        if self.fails is not None:
            raise self.fails
        if self.refuses is not None and verb != "get":
            raise self.refuses

    def _put(self, path: str, body: dict[str, Any]) -> Any:
        version = str(next(self._versions))
        uid = self.objects.get(path, {"metadata": {"uid": f"uid-{version}"}})["metadata"]["uid"]
        meta = {**body["metadata"], "uid": uid, "resourceVersion": version}
        self.objects[path] = copy.deepcopy({**body, "metadata": meta})
        return copy.deepcopy(self.objects[path])


class Follower:
    """A replica's keys, and the sets that it looked at because of them."""

    def __init__(self, hub: KeyHub, *, leads: bool = False, **options: Any) -> None:
        self.looked_at: list[Key] = []
        self.leads = leads
        self.store = HubStore(self.looked_at.append, lambda _: None)
        self.keys = SealingKeys(
            hub.client,
            self.store,
            namespace=SYSTEM,
            installation=INSTALLATION,
            leads=lambda: self.leads,
            **options,
        )

    def has_set(self, name: str, text: str, **status: Any) -> Key:
        """The store has a set with this sealed value."""
        built = secret_set(name).with_spec(data={"A": {"sealed": text}}).with_status(**status)
        record = parse(Kind.SECRET_SET, built.object())
        self.store.apply_set(record)
        return record.key


def sealed(key: PublicKey | PrivateKey, value: bytes = b"value", place: Place = PLACE) -> str:
    public = key.public if isinstance(key, PrivateKey) else key
    return public.seal(place, value)


def hasten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become hundredths."""
    for name, seconds in (("_APART_SECONDS", 0.02), ("_TICK_SECONDS", 0.05), ("_POLL_SECONDS", 0.6)):
        monkeypatch.setattr(sealing_keys, name, seconds)


@asynccontextmanager
async def running(*followers: Follower) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(each.keys.run()) for each in followers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(check: Callable[[], object]) -> None:
    async with asyncio.timeout(3):
        while not check():  # noqa: ASYNC110  (of all sorts)
            await asyncio.sleep(0.005)


async def more_reads(hub: KeyHub) -> None:
    before = hub.reads()
    await until(lambda: hub.reads() > before)


async def unopened(follower: Follower, text: str) -> Cause:
    with pytest.raises(Unopened) as caught:
        await follower.keys.opened(PLACE, text)
    return caught.value.why
