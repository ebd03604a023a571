"""The sealing keys while the operator runs: all replicas follow them and open values, the leader makes and publishes.

A replica that meets a key which it does not hold looks at once whether there is a new one, at most every two seconds on
the average, whatever tenants write. When a key that was missing is back, the sets that need it are looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import structlog

from secretset import telemetry
from secretset.controller import kek, key_store
from secretset.controller.kek import KeyEncryption
from secretset.controller.store import HubStore
from secretset.domain.reasons import Reason, retrying
from secretset.domain.sealing import Cause, Opener, Place, Unopened, kid_of
from secretset.domain.sealing_keys import (
    CONFIG_MAP_NAME,
    SECRET_NAME,
    PublicKeys,
    SealingKey,
    newest,
    rotation_due,
    total,
)
from secretset.kube import errors
from secretset.kube.client import Client

log = structlog.get_logger(__name__)

_APART_SECONDS = 2.0  # between two reads on the average, however many unknown keys are met
_AT_ONCE = 3  # reads that may follow each other: a new key may be used as soon as it is published
_POLL_SECONDS = 60.0
_TICK_SECONDS = 5.0  # between polls while a set waits for a key
_REWOUND_SECONDS = 120.0  # in which keys that a former state of the hub lacks count as lost; after that, as retired
_MISSED_MAX = 10_000  # ids of which it is remembered that a look did not find them
_OTHER = "other"  # in the metric: ids that are not held; any text could be one


class SealingKeys:
    """The keys that values are opened with.

    Args:
        hub: where they are kept.
        store: of the sets that use them.
        namespace: the operator's own.
        installation: its id, which values are bound to.
        leads: whether this replica makes and publishes keys now.
        days: after which the newest key is followed by another; 0: never.
        folder: where the keys are instead, one file each; nothing is written there.
        keks: what their seeds may be wrapped with; the first one wraps new ones.
    """

    def __init__(
        self,
        hub: Client,
        store: HubStore,
        *,
        namespace: str,
        installation: str,
        leads: Callable[[], bool] = lambda: False,
        days: float = 30.0,
        folder: Path | None = None,
        keks: Sequence[KeyEncryption] = (),
    ) -> None:
        self._hub = hub
        self._store = store
        self._namespace = namespace
        self._installation = installation
        self._leads = leads
        self._days = days
        self._folder = folder
        self._keks = keks
        self._entries: Mapping[str, bytes] = {}
        self._held: Mapping[str, SealingKey] = {}
        self._told: Mapping[str, str] = {}  # of what cannot be used, so that it is logged once
        self._opener = Opener(())
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._read_at = float("-inf")
        self._reads = deque([self._read_at] * _AT_ONCE, maxlen=_AT_ONCE)
        self._owed: set[str | None] = set()  # ids that the next look is for
        self._missed: dict[str | None, None] = {}  # ids that a look was for, the newest last
        self._trouble: errors.KubeError | None = None
        self._put_back = False  # what is held, but not kept any more, was not retired
        self._uid = ""  # of the Secret, as of when nothing was lost
        self._refusal = ""  # why no key is made though one is due, so that it is logged once
        self._rewound_until = float("-inf")
        self._counted: tuple[int, frozenset[str]] | None = None

    # --- what passes ask

    async def opened(self, place: Place, text: str) -> bytes:
        """Open one value.

        Raises:
            Unopened: it does not open here, with the keys that there are.
            Problem: ``Retrying``: its key is not held, and may be a new one, which is looked for in a moment.
            KubeError: its key is not held, and the hub cannot be asked whether there is a new one.
        """
        try:
            value = self._opener.open(place, text)
        except Unopened as error:
            if error.why is not Cause.UNKNOWN_KEY:
                raise
            await self._look_again(kid_of(text))
            value = self._opener.open(place, text)
        telemetry.VALUES_OPENED.inc()
        return value

    async def _look_again(self, kid: str | None) -> None:
        before = self._read_at
        async with self._lock:
            if self._read_at != before:
                pass  # somebody looked while we waited
            else:
                self._owed.add(kid)
                if asyncio.get_running_loop().time() - self._reads[0] >= _APART_SECONDS * _AT_ONCE:
                    await self._read()
                else:
                    self._wake.set()
            if self._trouble is not None:
                raise self._trouble
            if kid in self._owed and kid not in self._missed:
                raise retrying("The key of a sealed value may be new, and is looked for", after=_APART_SECONDS)

    # --- life

    async def load(self) -> None:
        """Read the keys that there are, before the first pass.

        Raises:
            ConfigError: the folder of keys cannot be read.
            KubeError: the hub refused or did not answer.
        """
        async with self._lock:
            with contextlib.suppress(errors.Forbidden):  # sets without sealed values need none of this; `run` tells
                await self._read()

    async def run(self) -> None:
        """Follow the keys, and do what is the leader's, until cancelled."""
        led = False
        while True:
            leads = self._leads()
            since = asyncio.get_running_loop().time() - self._read_at
            if self._wake.is_set() or leads != led or since >= (_TICK_SECONDS if self._waited_for() else _POLL_SECONDS):
                self._wake.clear()
                led = leads
                try:
                    async with self._lock:
                        await self._read()
                        if leads:
                            await self._lead()
                        elif self._put_back and self._read_at >= self._rewound_until:
                            # The leader may have begun anew, and hold none of them.
                            with contextlib.suppress(errors.Forbidden):  # an agent only reads
                                await self._restore()
                except errors.KubeError as error:
                    log.warning("the sealing keys could not be looked after", error=str(error))
                    led = False
            self._count(leads=leads)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._wake.wait()
            await asyncio.sleep(self._read_at + _APART_SECONDS - asyncio.get_running_loop().time())

    def members_changed(self) -> None:
        """The lead may have changed hands."""
        self._wake.set()

    def rewound(self) -> None:
        """The hub was put back to an earlier state: it may lack keys that were made since."""
        self._rewound_until = asyncio.get_running_loop().time() + _REWOUND_SECONDS
        self._wake.set()

    def _waited_for(self) -> bool:
        """Whether a set failed because of a key that is not held."""
        return any(
            record.reason == Reason.UNSEAL_FAILED and not self._opener.kids.issuperset(record.sealing_kids)
            for record in self._store.sets.values()
        )

    # --- reading

    async def _read(self) -> None:
        """Take in what is kept now."""
        self._read_at = asyncio.get_running_loop().time()
        self._reads.append(self._read_at)
        try:
            kept = await self._kept()
        except errors.KubeError as error:
            self._trouble = error
            raise
        self._trouble = None
        self._missed |= dict.fromkeys(self._owed)
        self._owed.clear()
        while len(self._missed) > _MISSED_MAX:
            del self._missed[next(iter(self._missed))]
        entries = {} if kept is None else kept.entries
        lost = self._entries.keys() - entries.keys()
        # A Secret that is gone as a whole, or another one, or one of a former state of the hub, is no decision about a
        # key.
        other = kept is None or kept.uid != self._uid
        self._put_back = bool(lost) and (other or self._read_at < self._rewound_until)
        if self._put_back:
            log.error("sealing keys were lost", secret=f"{self._namespace}/{SECRET_NAME}", kids=sorted(lost))
            entries = {**self._entries, **entries}
        elif kept is not None:
            self._uid = kept.uid
        changed = {kid for kid in self._held.keys() & entries.keys() if entries[kid] != self._entries[kid]}
        known = {kid: key for kid, key in self._held.items() if kid not in changed}
        held = await key_store.unlocked(entries, self._keks, known)
        # A key whose entry was damaged goes on opening, and the sound entry is what would be put back.
        damaged = held.unusable.keys() & changed
        entries = {**entries, **{kid: self._entries[kid] for kid in damaged}}
        self._take(entries, held._replace(keys={**held.keys, **{kid: self._held[kid] for kid in damaged}}))

    async def _kept(self) -> key_store.Kept | None:
        if self._folder is None:
            return await key_store.kept(self._hub, self._namespace)
        try:
            return key_store.Kept("", await asyncio.to_thread(key_store.read_folder, self._folder))
        except OSError:
            raise errors.ConfigError("the folder of sealing keys cannot be read (--sealing-keys-dir)") from None

    def _take(self, entries: Mapping[str, bytes], held: key_store.Held) -> None:
        for kid, why in held.unusable.items():
            if self._told.get(kid) != why:
                held_still = kid in held.keys  # until this process ends
                log.error("the entry of a sealing key cannot be used", kid=kid, why=why, held_still=held_still)
        self._told, self._entries = held.unusable, entries
        if held.keys.keys() == self._held.keys():
            return
        added = held.keys.keys() - self._held.keys()
        log.info("sealing keys", held=sorted(held.keys), current=getattr(newest(held.keys.values()), "kid", None))
        self._held = held.keys
        self._opener = Opener(key.private for key in held.keys.values())
        self._store.keys_added(added)
        if self._leads():
            self._wake.set()  # they are to be published, whoever found them

    # --- what is the leader's

    async def _lead(self) -> None:
        if self._folder is None:
            await self._make()
        if self._held:  # what cannot be read is not taken back from the public
            keys = PublicKeys.of(self._installation, self._held.values())
            if await key_store.publish(self._hub, self._namespace, keys):
                log.info("sealing keys published", current=keys.keys[0].kid, keys=len(keys.keys))

    async def _make(self) -> None:
        """Put back what was lost; make a key if one is due."""
        if self._put_back:
            await self._restore()
        if not rotation_due(tuple(self._held.values()), self._days, datetime.now(UTC)):
            return
        refusal = await self._why_not()
        if refusal and refusal != self._refusal:
            log.error("no sealing key is made", why=refusal)
        self._refusal = refusal
        if refusal:
            return
        key, entry = await key_store.new_key(self._held, self._keks)
        entries = await key_store.add(self._hub, self._namespace, {key.kid: entry}, unless_changed=self._entries)
        if key.kid in entries:
            log.info("a new sealing key", kid=key.kid)
        entries = {kid: self._entries.get(kid, raw) for kid, raw in entries.items()}  # of damaged ones, the sound bytes
        self._take(entries, await key_store.unlocked(entries, self._keks, {**self._held, key.kid: key}))

    async def _restore(self) -> None:
        await key_store.add(self._hub, self._namespace, self._entries)
        self._put_back, self._rewound_until = False, float("-inf")
        log.warning("the sealing keys were put back", keys=len(self._entries))

    async def _why_not(self) -> str:
        """Why no key may be made: a loss is to be mended, not covered up. Empty if one may."""
        if self._entries and not self._held:
            return "none of those that are kept can be used"
        if not kek.fits(self._entries, self._keks):
            return "those that are kept are wrapped with a key-encryption key that was not given (--sealing-kek-file)"
        if not self._entries:
            public = await key_store.published(self._hub, self._namespace)
            if public is not None and public.keys and public.installation == self._installation:
                return (
                    f"the Secret {SECRET_NAME} was lost: `secretset keys restore` brings it back. Without a backup, "
                    f"delete the ConfigMap {CONFIG_MAP_NAME} to begin with a new key: what was sealed is lost then"
                )
        return ""

    def _count(self, *, leads: bool) -> None:
        """Tell how many values use which key: the leader does, of all sets."""
        state = (self._store.changes, self._opener.kids) if leads else None
        if state == self._counted:
            return
        self._counted = state
        telemetry.SEALED_VALUES.clear()
        if state is not None:
            counts = dict.fromkeys(self._opener.kids, 0)
            for kid, count in total(record.sealed for record in self._store.sets.values()).items():
                label = kid if kid in self._opener.kids else _OTHER
                counts[label] = counts.get(label, 0) + count
            for kid, count in counts.items():
                telemetry.SEALED_VALUES.labels(kid).set(count)
