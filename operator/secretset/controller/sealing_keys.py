"""The sealing keys while the operator runs: all replicas follow them and open values, the leader makes and publishes.

A replica that meets a key which it does not hold looks at once whether there is a new one, at most every two seconds on
the average, whatever tenants write. When a key that was missing is back, the sets that need it are looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from secretset import telemetry
from secretset.controller import kek, key_store
from secretset.controller.kek import KeyEncryption
from secretset.controller.key_metrics import KeyMetrics
from secretset.controller.store import HubStore
from secretset.domain.lost_keys import LostKeys
from secretset.domain.reasons import Reason, retrying
from secretset.domain.sealing import Cause, Opener, Place, Unopened, kid_of
from secretset.domain.sealing_keys import (
    CONFIG_MAP_NAME,
    SECRET_NAME,
    Entry,
    PublicKeys,
    SealingKey,
    newest,
    parsed,
    rotation_due,
)
from secretset.kube import errors
from secretset.kube.client import Client

log = structlog.get_logger(__name__)

_APART_SECONDS = 2.0  # between two reads on the average, however many unknown keys are met
_AT_ONCE = 3  # reads that may follow each other: a new key may be used as soon as it is published
_POLL_SECONDS = 60.0
_TICK_SECONDS = 5.0  # between polls while a set waits for a key, or nobody may seal
_LAST_SECONDS = 2.0  # for a last look of a leader that ends
_CLOCKS_APART = timedelta(minutes=5)
_MISSED_MAX = 10_000  # ids of which it is remembered that a look did not find them


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
        self._known = False  # whether it was found out once what is kept
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._read_at = float("-inf")
        self._reads = deque([self._read_at] * _AT_ONCE, maxlen=_AT_ONCE)
        self._owed: set[str | None] = set()  # ids that the next look is for
        self._missed: dict[str | None, None] = {}  # ids that a look was for, the newest last
        self._trouble: errors.KubeError | None = None
        self._lost = LostKeys()  # what is held, but not kept any more, and was not retired
        self._refusal = ""  # why no key is made though one is due, so that it is logged once
        self._failure = ""  # what went wrong with the last look, so that it is logged once
        self._forbidden = False  # whether that was for want of a right, which comes rarely
        self._led = False
        self._barred = False  # whether nobody may seal, since the newest key is not held
        self._plain = ""  # id of the newest key that ought to be wrapped, so that it is logged once
        self._metrics = KeyMetrics()
        self._looked_at: tuple[object, bool] = (None, False)  # what was there, and whether a set waited for a key

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

    def lacks(self, kids: Collection[str]) -> bool:
        """Whether one of these keys is not held, as far as is known: a hub that does not answer is no verdict."""
        return bool(kids) and self._trouble is None and self._known and not self._opener.kids.issuperset(kids)

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
        try:
            await self._follow()
        except asyncio.CancelledError:
            if self._led:
                await self._look_once_more()
            raise

    async def _look_once_more(self) -> None:
        """Put back what was lost meanwhile: nobody else may hold it."""
        with contextlib.suppress(errors.KubeError, TimeoutError):
            async with asyncio.timeout(_LAST_SECONDS), self._lock:
                await self._read()
                if self._lost.kids:
                    await self._restore()

    async def _follow(self) -> None:
        while True:
            leads = self._leads()
            since = asyncio.get_running_loop().time() - self._read_at
            soon = (self._waited_for() or (self._led and self._barred)) and not self._forbidden
            if self._wake.is_set() or leads != self._led or since >= (_TICK_SECONDS if soon else _POLL_SECONDS):
                self._wake.clear()
                self._led = leads
                failure, self._forbidden = "", False
                try:
                    await self._look_after(leads=leads)
                except errors.KubeError as error:
                    failure, self._forbidden = str(error), isinstance(error, errors.Forbidden)
                    if failure != self._failure:
                        log.warning("the sealing keys could not be looked after", error=failure)
                    self._led = self._led and self._forbidden  # else again at the next tick
                self._failure = failure
            self._metrics.count(self._store, self._opener.kids, leads=leads)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._wake.wait()
            await asyncio.sleep(self._read_at + _APART_SECONDS - asyncio.get_running_loop().time())

    async def _look_after(self, *, leads: bool) -> None:
        async with self._lock:
            await self._read()
            if leads:
                await self._lead()
            elif self._lost.kids:
                # The leader may have begun anew, and hold none of them.
                with contextlib.suppress(errors.Forbidden):  # an agent only reads
                    await self._restore()

    def members_changed(self) -> None:
        """The lead may have changed hands."""
        self._wake.set()

    def rewound(self) -> None:
        """The hub was put back to an earlier state: it may lack keys that were made since."""
        if self._folder is None:
            self._lost.rewound(asyncio.get_running_loop().time())
            self._wake.set()

    def _waited_for(self) -> bool:
        """Whether a set failed because of a key that is not held; looked at again where something changed."""
        state = (self._store.pulse.count, self._opener.kids)
        if state != self._looked_at[0]:
            waits = any(
                record.reason == Reason.UNSEAL_FAILED and not self._opener.kids.issuperset(record.sealing_kids)
                for record in self._store.sets.values()
            )
            self._looked_at = (state, waits)
        return self._looked_at[1]

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
        lost = self._lost.kids
        entries = self._lost.judge(self._entries, kept, self._read_at)
        if self._lost.kids - lost:
            log.error("sealing keys were lost", secret=f"{self._namespace}/{SECRET_NAME}", kids=sorted(self._lost.kids))
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
            return key_store.Kept("", "", await asyncio.to_thread(key_store.read_folder, self._folder))
        except OSError:
            raise errors.ConfigError("the folder of sealing keys cannot be read (--sealing-keys-dir)") from None

    def _take(self, entries: Mapping[str, bytes], held: key_store.Held) -> None:
        for kid, why in held.unusable.items():
            if self._told.get(kid) != why:
                held_still = kid in held.keys  # until this process ends
                log.error("the entry of a sealing key cannot be used", kid=kid, why=why, held_still=held_still)
        self._told, self._entries = held.unusable, entries
        self._metrics.know(entries)
        self._known = True
        before = {kid: key.created for kid, key in self._held.items()}
        if {kid: key.created for kid, key in held.keys.items()} == before:
            return
        current = newest(held.keys.values())
        log.info("sealing keys", held=sorted(held.keys), current=current.kid if current is not None else None)
        self._held = held.keys
        self._opener = Opener(key.private for key in held.keys.values())
        self._store.keys_changed(held.keys.keys() ^ before.keys())
        self._tell(current)
        if self._leads():
            self._wake.set()  # they are to be published, whoever found them

    def _tell(self, current: SealingKey | None) -> None:
        """Tell of the keys that are held now what people have to know."""
        telemetry.SEALING_KEY_CREATED.clear()
        for kid, key in self._held.items():
            telemetry.SEALING_KEY_CREATED.labels(kid).set(key.created.timestamp())
        if current is None:
            return
        if current.created > datetime.now(UTC) + _CLOCKS_APART:
            log.warning("the newest sealing key was made in the future: until then none follows it", kid=current.kid)
        entry = parsed({current.kid: self._entries[current.kid]}).get(current.kid)
        if self._keks and entry is not None and entry.kek is None and current.kid != self._plain:
            log.warning(
                "the newest sealing key is not wrapped: `secretset keys rotate --sealing-kek-file` makes one that is",
                kid=current.kid,
            )
            self._plain = current.kid

    # --- what is the leader's

    async def _lead(self) -> None:
        if not self._metrics.begun:  # before what is lost is published no more
            self._metrics.know(await key_store.remembered(self._hub, self._namespace))
            self._metrics.begun = True
        if self._folder is None:
            await self._make()
        keys = await self._publishable()
        self._barred = keys is not None and not keys.held
        if keys is None or not await key_store.publish(self._hub, self._namespace, keys):
            return
        if keys.held:
            log.info("sealing keys published", current=keys.keys[0].kid, keys=len(keys.keys))
        else:
            log.error("nobody may seal: the newest sealing key is not held", kid=keys.keys[0].kid)

    async def _publishable(self) -> PublicKeys | None:
        """What is to be published: what is held, and of what is published already what may be held again.

        None of it is sealed for while the newest is not held. None: there is nothing.
        """
        locked = self._locked
        public = await key_store.published(self._hub, self._namespace) if locked or not self._held else None
        if public is not None and public.installation != self._installation:
            public = None
        if not self._held:  # what is lost may be restored
            return replace(public, held=False) if public is not None and public.keys else None
        known = public.keys if public is not None else ()
        # For what is sealed for these is opened when they are back.
        others = [replace(key, created=locked[key.kid].created) for key in known if key.kid in locked]
        keys = PublicKeys.of(self._installation, [*self._held.values(), *others])
        return replace(keys, held=keys.keys[0].kid in self._held)

    async def _make(self) -> None:
        """Put back what was lost; make a key if one is due."""
        if self._lost.kids:
            await self._restore()
        created = [key.created for key in self._held.values()] + [entry.created for entry in self._locked.values()]
        if not rotation_due(created, self._days, datetime.now(UTC)):
            return
        refusal = await self._why_not()
        if refusal and refusal != self._refusal:
            log.error("no sealing key is made", why=refusal)
        self._refusal = refusal
        if refusal:
            return
        key, entry = await key_store.new_key(self._entries, self._keks)
        kept = await key_store.add(self._hub, self._namespace, {key.kid: entry}, unless_changed=self._entries)
        if key.kid not in kept.entries:
            await self._read()  # somebody changed them meanwhile
            return
        log.info("a new sealing key: back it up with `secretset keys backup`", kid=key.kid)
        self._lost.wrote(kept.uid, kept.version)
        entries = {**self._entries, key.kid: entry}  # of damaged ones, the sound bytes
        self._take(entries, await key_store.unlocked(entries, self._keks, {**self._held, key.kid: key}))

    async def _restore(self) -> None:
        kept = await key_store.add(self._hub, self._namespace, {kid: self._entries[kid] for kid in self._lost.kids})
        self._lost.wrote(kept.uid, kept.version)
        log.warning("the sealing keys were put back", keys=len(kept.entries))

    @property
    def _locked(self) -> Mapping[str, Entry]:
        """Wrapped keys that could not be unwrapped: a key service that is away now may do it again."""
        found = parsed({kid: raw for kid, raw in self._entries.items() if kid not in self._held})
        return {kid: entry for kid, entry in found.items() if entry.kek is not None}

    async def _why_not(self) -> str:
        """Why no key may be made: a loss is to be mended, not covered up. Empty if one may."""
        if self._entries and not self._held:
            return (
                "none of those that are kept can be used: `secretset keys restore` mends them. Without a backup, "
                "`secretset keys rotate --although-unusable` begins anew beside them"
            )
        if not kek.fits(self._entries, self._keks):
            return (
                "those that are kept are wrapped with a key-encryption key that was not given (--sealing-kek-file). If "
                "it was lost, `secretset keys restore` wraps those of a backup anew, and `secretset keys rotate "
                "--although-unusable` begins anew"
            )
        if not self._entries:
            public = await key_store.published(self._hub, self._namespace)
            if public is not None and public.keys and public.installation == self._installation:
                return (
                    f"the Secret {SECRET_NAME} was lost: `secretset keys restore` brings it back. Without a backup, "
                    f"delete the ConfigMap {CONFIG_MAP_NAME} to begin with a new key: what was sealed is lost then"
                )
        return ""
