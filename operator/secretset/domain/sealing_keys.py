"""The sealing keys of an installation, as they are kept and as they are published.

Kept: one entry for each key, named by its id, in a Secret of the operator's namespace or in a folder of such files.
Published: one document in a ConfigMap that everybody may read. The newest key is the one to seal with; the others only
open what was sealed with them.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from secretset.domain.names import GROUP
from secretset.domain.sealing import SEED_BYTES, PrivateKey, PublicKey, kid_of

SECRET_NAME = "secretset-sealing-keys"  # noqa: S105  (a name)
CONFIG_MAP_NAME = "secretset-public-keys"
DOCUMENT = "keys.json"
"""The one entry of that ConfigMap."""
BACKED_UP = f"{GROUP}/backed-up"
"""Its annotation that tells the ids of the keys that are in a backup, separated by commas."""
KNOWN_SECONDS = 90.0
"""For how long the webhook seals by a document that it has read: from then on it has to have read it again."""

_KID = re.compile(r"[0-9a-f]{16}")
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_WRAPPED_MAX = 16_384  # bytes; what key services make of 32 bytes is a few hundred long


class Unusable(Exception):
    """A key cannot be used; the message is a closed sentence fragment that says why, and nothing of the key."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Entry:
    """What is kept of one key.

    Attributes:
        created: when it was made.
        secret: the 32 bytes of its X-Wing seed, or what a key-encryption key made of them.
        kek: the id of that key-encryption key; None if the seed is not wrapped.
    """

    created: datetime
    secret: bytes
    kek: str | None = None

    @classmethod
    def parse(cls, raw: bytes) -> Entry:
        """Read an entry: ``{"seed": base64, "created": RFC 3339}`` or ``{"wrapped": base64, "kek": id, "created": …}``.

        Raises:
            Unusable: it is none.
        """
        try:
            content = json.loads(raw)
            kek = content.get("kek")
            secret = base64.b64decode(content["seed" if kek is None else "wrapped"], validate=True)
            entry = cls(created=_time(content["created"]), secret=secret, kek=kek)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Unusable("its entry is damaged") from None
        sound = len(secret) == SEED_BYTES if kek is None else isinstance(kek, str) and 0 < len(secret) <= _WRAPPED_MAX
        if not sound:
            raise Unusable("its entry is damaged")
        return entry

    def render(self) -> bytes:
        """The entry as it is kept."""
        secret = base64.b64encode(self.secret).decode()
        form = {"seed": secret} if self.kek is None else {"wrapped": secret, "kek": self.kek}
        return json.dumps({**form, "created": text_of(self.created)}).encode()


@dataclass(frozen=True, kw_only=True, repr=False)
class SealingKey:
    """A key that can be used.

    Attributes:
        private: the key pair.
        created: when it was made.
    """

    private: PrivateKey
    created: datetime

    @classmethod
    def of(cls, kid: str, seed: bytes, created: datetime) -> SealingKey:
        """Make the key of a seed that was kept under an id.

        Raises:
            Unusable: the seed is not that of this key: the entry was exchanged, or unwrapped with the wrong key.
        """
        try:
            private = PrivateKey.from_seed(seed)
        except ValueError:
            raise Unusable("its entry is damaged") from None
        if private.kid != kid:
            raise Unusable("its entry holds another key than its name says")
        return cls(private=private, created=created)

    @property
    def kid(self) -> str:
        """The id of the key."""
        return self.private.kid


@dataclass(frozen=True, kw_only=True)
class PublishedKey:
    """What everybody may know of a key."""

    public: PublicKey
    created: datetime

    @property
    def kid(self) -> str:
        """The id of the key."""
        return self.public.kid


@dataclass(frozen=True, kw_only=True)
class PublicKeys:
    """The published document.

    Attributes:
        installation: the id of the installation, which values are bound to.
        keys: the newest first.
        held: whether the operator has the private key of the newest one; without it nobody seals, as long as nobody
            could open that.
    """

    installation: str
    keys: tuple[PublishedKey, ...]
    held: bool = True

    @classmethod
    def of(cls, installation: str, keys: Iterable[SealingKey | PublishedKey], *, held: bool = True) -> PublicKeys:
        """What is to be published of these keys."""
        published = (
            PublishedKey(public=key.private.public, created=key.created) if isinstance(key, SealingKey) else key
            for key in keys
        )
        return cls(installation=installation, keys=tuple(sorted(published, key=_age)), held=held)

    @classmethod
    def parse(cls, text: str) -> PublicKeys:
        """Read the document.

        Raises:
            Unusable: it is none, or a key in it is not what its id says.
        """
        try:
            content = json.loads(text)
            keys = [
                PublishedKey(
                    public=PublicKey.from_bytes(base64.b64decode(each["publicKey"], validate=True)),
                    created=_time(each["created"]),
                )
                for each in content["keys"]
            ]
            named = [str(each["kid"]) for each in content["keys"]]
            installation, is_held = content["installation"], content.get("held", True)
        except (ValueError, KeyError, TypeError):
            raise Unusable("the document of public keys is damaged") from None
        sound = isinstance(installation, str) and isinstance(is_held, bool)
        if not sound or named != [key.kid for key in keys] or len(set(named)) < len(named):
            raise Unusable("the document of public keys is damaged")
        return cls.of(installation, keys, held=is_held)

    def render(self) -> str:
        """The document as it is published."""
        keys = [
            {
                "kid": key.kid,
                "publicKey": base64.b64encode(key.public.raw).decode(),
                "created": text_of(key.created),
            }
            for key in self.keys
        ]
        mark = {} if self.held else {"held": False}
        return json.dumps({"installation": self.installation, **mark, "keys": keys}, indent=1)

    @property
    def newest(self) -> PublicKey | None:
        """The newest key, whether it is to be sealed with or not; None if there is none yet."""
        return self.keys[0].public if self.keys else None

    @property
    def current(self) -> PublicKey | None:
        """The key to seal with; None if there is none yet, or the operator does not have its private key."""
        return self.newest if self.held else None

    def with_key(self, key: SealingKey) -> PublicKeys:
        """The same with one more key."""
        return self.of(self.installation, [*self.without(key.kid).keys, key], held=self.held)

    def without(self, kid: str) -> PublicKeys:
        """The same without a key."""
        return self.of(self.installation, [key for key in self.keys if key.kid != kid], held=self.held)

    def retirable(self, used: Collection[str]) -> frozenset[str]:
        """The ids of the keys that nothing needs any more: neither to seal with, nor to open what they ``used``."""
        return frozenset(key.kid for key in self.keys[1:]) - frozenset(used)


def newest(keys: Iterable[SealingKey]) -> SealingKey | None:
    """The key to seal with; None of none."""
    return min(keys, key=_age, default=None)


def rotation_due(created: Iterable[datetime], days: float, now: datetime) -> bool:
    """Whether a new key has to be made: there is none, or the newest is that many days old.

    Args:
        created: when those were made that can be used, or may be again.
        days: after which a new one is made; 0: never, but for the first.
        now: the time.
    """
    newest_of_them = max(created, default=None)
    return newest_of_them is None or (days > 0 and now - newest_of_them >= timedelta(days=days))


def created_after(times: Iterable[datetime], now: datetime) -> datetime:
    """When a new key counts as made: now, and in any case after the others, though a clock may have been ahead."""
    return max([now, *(time + timedelta(seconds=1) for time in times)]).replace(microsecond=0)


def parsed(entries: Mapping[str, bytes]) -> dict[str, Entry]:
    """Those of these entries that can be read, by id; their seeds may be wrapped."""
    found: dict[str, Entry] = {}
    for kid, raw in entries.items():
        with contextlib.suppress(Unusable):
            found[kid] = Entry.parse(raw)
    return found


def newest_kid(entries: Mapping[str, bytes]) -> str | None:
    """The id of the newest of these entries, as far as they can be read; None of none."""
    found = parsed(entries)
    return min(found, key=lambda kid: (-found[kid].created.timestamp(), kid), default=None)


def is_kid(name: str) -> bool:
    """Whether a name can be that of a key."""
    return _KID.fullmatch(name) is not None


def usage(texts: Iterable[str | None]) -> tuple[tuple[str, int], ...]:
    """How many of these sealed values were sealed for which key, by id; a text of another form needs none.

    Equal answers are one object: many sets give the same.
    """
    found = Counter(kid for text in texts if text is not None and (kid := kid_of(text)) is not None)
    return _shared(tuple(sorted((sys.intern(kid), count) for kid, count in found.items())))


def total(usages: Iterable[Iterable[tuple[str, int]]]) -> Mapping[str, int]:
    """The sum of such answers: values by the id of the key that they name."""
    found: Counter[str] = Counter()
    for each in usages:
        for kid, count in each:
            found[kid] += count
    return found


def text_of(time: datetime) -> str:
    """A time as it is kept, in RFC 3339."""
    return time.astimezone(UTC).strftime(_TIME)


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time without its zone")
    return time


def _age(key: SealingKey | PublishedKey) -> tuple[float, str]:
    return -key.created.timestamp(), key.kid


@functools.lru_cache(maxsize=4096)
def _shared(each: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    return each
