"""What was seen in a region: records of managed Secrets, of the workloads that use them, and of ServiceAccounts.

Watches and the answers to our own requests fill it; every change that matters becomes a key to look at.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from secretset.controller.installation import Installation
from secretset.domain import accounts, workloads
from secretset.domain.accounts import Account
from secretset.domain.names import Key, Kind
from secretset.domain.observed import SecretRecord
from secretset.domain.record import SetRecord
from secretset.domain.rollouts import Rollout
from secretset.domain.uses import WHOLE
from secretset.domain.versions import older
from secretset.domain.waves import Wave
from secretset.domain.workloads import Workload, WorkloadKind

Doubtable = str | tuple[str, str]  # uid of a workload; namespace and name of a ServiceAccount


class RegionView:
    """Records of one region.

    Attributes:
        secrets: (namespace, name) to what was seen of the managed Secret, or is remembered of a lost one.
        workloads: namespace to uid to workload.
        service_accounts: namespace to name to ServiceAccount; only of namespaces where pull secrets want some.
        stuck: uid of each workload whose newest pods do not start, to what keeps them.
        placed: key to the namespace that its managed Secret belongs to; kept by the runner.
    """

    def __init__(
        self,
        *,
        installation: Installation,
        enqueue: Callable[[Key], None],
        placed: Mapping[Key, str],
        on_rollout: Callable[[str, Rollout | None], None],
    ) -> None:
        self.secrets: dict[tuple[str, str], SecretRecord] = {}
        self.workloads: defaultdict[str, dict[str, Workload]] = defaultdict(dict)
        self.service_accounts: defaultdict[str, dict[str, Account]] = defaultdict(dict)
        self.stuck: dict[str, str] = {}
        self._through: dict[str, str] = {}  # uid to the last restart of ours whose rollout has ended
        self._doubted: set[Doubtable] = set()
        self._on_rollout = on_rollout
        self._placed = placed
        self._installation = installation
        self._enqueue = enqueue

    def known_secrets(self) -> list[tuple[str, str]]:
        """(namespace, name) of the managed Secrets that were seen and are not known to be gone."""
        return [place for place, record in self.secrets.items() if not record.deleted]

    def known_workloads(self, kind: WorkloadKind) -> list[tuple[str, str]]:
        """(namespace, name) of the workloads of a kind."""
        return [
            (w.namespace, w.name) for slots in self.workloads.values() for w in slots.values() if w.kind == kind.kind
        ]

    def known_accounts(self) -> list[tuple[str, str]]:
        """(namespace, name) of the ServiceAccounts."""
        return [
            (account.namespace, name) for slots in self.service_accounts.values() for name, account in slots.items()
        ]

    def users(self, namespace: str, key: Key) -> list[Workload]:
        """The workloads that use the managed Secret of a key; a pull secret also by way of their ServiceAccount."""
        bound = self.bound(namespace, self.workloads.get(namespace, {}).values(), key)
        return [replace(w, rollout=Rollout.CURRENT) if self._rolls_by_itself(w, key.name) else w for w in bound]

    def _rolls_by_itself(self, workload: Workload, secret: str) -> bool:
        """Whether what rolls is not a restart of ours for a Secret: somebody deploys, scales, or a pod is not ready."""
        return workload.rollout in {Rollout.RESTARTING, Rollout.HELD} and (
            not workload.restarted_by(secret) or self._through.get(workload.uid) == workload.restarted_for
        )

    def bound(self, namespace: str, slots: Iterable[Workload], key: Key) -> list[Workload]:
        """Of workloads of a namespace, those that use the managed Secret of a key."""
        if key.kind is Kind.SECRET_SET:
            return [w for w in slots if key.name in w.uses]
        by_account = {a.name for a in self.service_accounts.get(namespace, {}).values() if key.name in a.pull_secrets}
        return [
            w if key.name in w.uses else replace(w, uses={**w.uses, key.name: WHOLE})
            for w in slots
            if key.name in w.uses or w.account in by_account
        ]

    def restarted_for(self, wave: Wave | None, owner: SetRecord, namespace: str) -> Collection[str]:
        """Uids that are known to have been restarted for a set's unfinished wave; some may have lost their mark.

        Args:
            wave: None stands for one that was lost with its Secret.
            owner: whose status tells what was done before this process began.
            namespace: of the region.
        """
        record = self.secrets.get((namespace, owner.key.name))
        known = record.restarted_for(wave) if record is not None else ()
        if not owner.rolled or (wave is not None and wave.id != owner.planned):
            return known
        slots = self.workloads.get(namespace, {}).values()
        return {*known, *(w.uid for w in slots if f"{w.kind}/{w.name}" in owner.rolled)}

    def note_restart(self, workload: Workload, marks: Mapping[str, str]) -> None:
        """A workload was restarted for these waves; that is remembered even if it loses its marks."""
        for secret, wave in marks.items():
            record = self.secrets.get((workload.namespace, secret))
            if record is not None and record.wave is not None and record.wave.id == wave:
                record.note_restart(workload.uid)

    def forget(self) -> None:
        """Another cluster is behind the region's name: nothing that was seen means anything there."""
        self.secrets.clear()
        for namespace in {*self.workloads, *self.service_accounts}:
            self.drop(namespace)

    def doubt_secrets(self, namespace: str) -> None:
        """What comes of Secrets is newer than what was seen, whatever its version; of all if the namespace is empty.

        What Secrets were meant to do stays remembered; it may be what the copies of a store that was put back lack.
        """
        for (place, _), record in self.secrets.items():
            if namespace in {"", place}:
                record.resource_version = ""

    def doubt_workloads(self, kind: WorkloadKind, namespace: str) -> None:
        """As for Secrets, with the workloads of a kind; their versions stay, because patches name them."""
        for place, slots in self.workloads.items():
            if namespace in {"", place}:
                self._doubted.update(slot.uid for slot in slots.values() if slot.kind == kind.kind)

    def doubt_accounts(self, namespace: str) -> None:
        """As for workloads, with ServiceAccounts."""
        for place, slots in self.service_accounts.items():
            if namespace in {"", place}:
                self._doubted.update((place, name) for name in slots)

    def drop(self, namespace: str) -> None:
        """A namespace is not followed any more."""
        slots = self.workloads.pop(namespace, {})
        for gone in list(slots.values()):
            self._drop_workload(slots, gone)
        for name in self.service_accounts.pop(namespace, {}):
            self._doubted.discard((namespace, name))

    def remember_secret(self, obj: dict[str, Any]) -> SecretRecord | None:
        """Take over a Secret as a write of ours returned it, unless a watch was faster and shows what came after."""
        record = SecretRecord.of(obj, installation=self._installation.id, keyring=self._installation.keyring)
        meta = obj["metadata"]
        place = meta["namespace"], meta["name"]
        known = self.secrets.get(place)
        if known is not None and older(meta["resourceVersion"], known.resource_version):
            if record is not None and known.owner == record.owner:
                known.keep_wave(record)
            return known
        if record is not None:
            if known is not None:
                record.inherit(known)
            self.secrets[place] = record
        return record

    def version_of(self, place: tuple[str, str]) -> tuple[str, str, float] | None:
        """Which Secret was seen at a place, in which version, and when it was lost: another with each thing seen."""
        known = self.secrets.get(place)
        return None if known is None else (known.uid, known.resource_version, known.deleted)

    def see_secret(self, obj: dict[str, Any], *, look: bool = True) -> None:
        """A managed Secret came or changed, or was read.

        Args:
            obj: the Secret.
            look: have its set looked at; False where somebody does.
        """
        meta = obj["metadata"]
        place = meta["namespace"], meta["name"]
        known = self.secrets.get(place)
        version = meta["resourceVersion"]
        if known and (version == known.resource_version or older(version, known.resource_version)):
            return  # our own write, or an event from before it
        record = SecretRecord.of(obj, installation=self._installation.id, keyring=self._installation.keyring)
        if record is not None:
            if known is not None and known.owner == record.owner:
                record.keep_wave(known)
                record.inherit(known)
            self.secrets[place] = record
            if look:
                self._enqueue(record.owner)
        elif known is not None:
            self._lose(known)

    def miss_secret(self, namespace: str, name: str, obj: dict[str, Any] | None) -> None:
        """A managed Secret is gone, or lost our label."""
        known = self.secrets.get((namespace, name))
        if known is not None and (obj is None or obj["metadata"]["uid"] == known.uid):
            if obj is not None:
                known.resource_version = obj["metadata"]["resourceVersion"]  # an answer from before comes too late
            self._lose(known)

    def _lose(self, record: SecretRecord) -> None:
        """Keep what a lost Secret was meant to do: an unfinished wave goes on with the Secret that replaces it."""
        record.deleted, record.intact = time.time(), False
        self._enqueue(record.owner)

    def forget_lost(self, place: tuple[str, str]) -> None:
        """Nobody wants the Secret back: what was remembered of a lost one is of no use."""
        record = self.secrets.get(place)
        if record is not None and record.deleted:
            del self.secrets[place]

    def see_workload(self, kind: WorkloadKind, obj: dict[str, Any]) -> None:
        """A workload came or changed."""
        meta = obj["metadata"]
        slots = self.workloads[meta["namespace"]]
        known = slots.get(meta["uid"])
        if known is None:
            name = meta["name"]  # compared here: there may be thousands of others
            for gone in [w for w in slots.values() if w.name == name and self._replaced(w, kind, meta)]:
                self._drop_workload(slots, gone)
        elif self._stale(meta["resourceVersion"], known.resource_version, known.uid):
            return
        seen = slots[meta["uid"]] = workloads.parse(kind, obj)
        renewed = known is not None and known.restarted_for != seen.restarted_for  # and those were the pods before
        if renewed or seen.rollout is not Rollout.RESTARTING:
            self.stuck.pop(seen.uid, None)
        if seen.rollout is Rollout.CURRENT:
            self._through[seen.uid] = seen.restarted_for
        if not seen.looks_like(known):
            self._workload_changed(meta["namespace"], known, seen)
            self._on_rollout(seen.uid, seen.rollout)

    def _stale(self, version: str, known: str, identity: Doubtable) -> bool:
        """Whether what came is what is known, or from before it; where that is doubted, nothing is, once."""
        if identity in self._doubted:
            self._doubted.discard(identity)
            return False
        return version == known or older(version, known)

    def _replaced(self, slot: Workload, kind: WorkloadKind, meta: Mapping[str, Any]) -> bool:
        """Whether an object of the name of a workload is its successor, and its end was not seen."""
        return (
            slot.kind == kind.kind
            and slot.uid != meta["uid"]
            and (slot.uid in self._doubted or not older(meta["resourceVersion"], slot.resource_version))
        )

    def miss_workload(self, kind: WorkloadKind, namespace: str, name: str, obj: dict[str, Any] | None) -> None:
        """A workload is gone."""
        slots = self.workloads[namespace]
        uid = obj["metadata"]["uid"] if obj else None
        found = [w for w in slots.values() if (w.kind, w.name) == (kind.kind, name) and uid in {None, w.uid}]
        for slot in found:
            self._drop_workload(slots, slot)
            self._workload_changed(namespace, slot, None)

    def _drop_workload(self, slots: dict[str, Workload], gone: Workload) -> None:
        del slots[gone.uid]
        self._doubted.discard(gone.uid)
        self.stuck.pop(gone.uid, None)
        self._through.pop(gone.uid, None)
        self._on_rollout(gone.uid, None)

    def _workload_changed(self, namespace: str, *states: Workload | None) -> None:
        known = [state for state in states if state is not None]
        used = {secret for state in known for secret in state.uses}
        for state in known:
            account = self.service_accounts.get(namespace, {}).get(state.account)
            used.update(account.pull_secrets if account is not None else ())
        for secret in used:
            if record := self.secrets.get((namespace, secret)):
                self._enqueue(record.owner)

    def see_account(self, obj: dict[str, Any]) -> None:
        """A ServiceAccount came or changed."""
        account = accounts.parse(obj)
        slots = self.service_accounts[account.namespace]
        known = slots.get(account.name)
        place = account.namespace, account.name
        if known is not None and self._stale(account.resource_version, known.resource_version, place):
            return
        slots[account.name] = account
        if known is None or (known.pull_secrets, known.marks) != (account.pull_secrets, account.marks):
            self._account_changed(account.namespace)

    def miss_account(self, namespace: str, name: str, _: dict[str, Any] | None) -> None:
        """A ServiceAccount is gone."""
        if self.service_accounts[namespace].pop(name, None) is not None:
            self._account_changed(namespace)

    def _account_changed(self, namespace: str) -> None:
        for key, place in self._placed.items():
            if place == namespace and key.kind is Kind.IMAGE_PULL_SECRET:
                self._enqueue(key)
