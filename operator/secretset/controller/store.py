"""The hub as it was last seen: records of sets, regions, organizations and sources. No values.

Everything that changes here is turned into keys to look at; nothing is decided here.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import structlog

from secretset.domain.names import Key, Kind
from secretset.domain.reasons import Reason
from secretset.domain.record import SetRecord
from secretset.domain.regions import Organization, RegionRecord, resolve
from secretset.domain.versions import older
from secretset.pulse import Pulse

log = structlog.get_logger(__name__)


class HubStore:
    """Records of the hub's objects, and who has to be looked at when one changes.

    Attributes:
        pulse: beats with every change of a set, for those who count sets.
        forced: keys whose next pass must look at everything (annotation secretset.dev/reconcile).
        enqueue: called with each key that has to be looked at.
        on_region: called with the name of each Region that came, changed or went.
    """

    def __init__(self, enqueue: Callable[[Key], None], on_region: Callable[[str], None]) -> None:
        self.sets: dict[Key, SetRecord] = {}
        self.regions: dict[str, RegionRecord] = {}
        self.region_statuses: dict[str, Mapping[str, Any]] = {}
        self.organizations: dict[str, Organization] = {}
        self.sources: dict[tuple[str, str], tuple[str, str]] = {}
        self.pulse = Pulse()
        self.forced: set[Key] = set()
        self._enqueue = enqueue
        self._on_region = on_region
        self._written: set[Key] = set()
        self._by_source: defaultdict[tuple[str, str], set[Key]] = defaultdict(set)
        self._by_namespace: defaultdict[str, set[Key]] = defaultdict(set)

    def knows(self, kind: Kind, metadata: Mapping[str, Any]) -> bool:
        """Whether this very version of a set was seen; safe to ask from any thread."""
        known = self.sets.get(Key(kind, metadata["namespace"], metadata["name"]))
        return known is not None and known.resource_version == metadata["resourceVersion"]

    def awaits(self, kind: Kind, metadata: Mapping[str, Any]) -> bool:
        """Whether a write of ours to a set is under way; safe to ask from any thread."""
        return Key(kind, metadata["namespace"], metadata["name"]) in self._written

    @contextlib.contextmanager
    def writing(self, key: Key) -> Iterator[None]:
        """A set is written to, until its answer was applied: a watch may show what was written before that."""
        self._written.add(key)
        try:
            yield
        finally:
            self._written.discard(key)

    def apply_set(self, record: SetRecord, *, look: bool = True) -> None:
        """A set was seen, by a watch or in the answer to a write of ours.

        Args:
            record: of what was seen.
            look: have it looked at, if it is not what it was; False where somebody is about to.
        """
        key = record.key
        known = self.sets.get(key)
        if known is not None and older(record.resource_version, known.resource_version):
            return
        self.sets[key] = record
        self._index(key, known, record)
        self.pulse.beat()
        if known is not None and known.poke != record.poke:
            self.forced.add(key)
        if look and (known is None or not known.same_work(record)):
            self._enqueue(key)

    def forget_set(self, key: Key, uid: str | None = None) -> None:
        """A set is gone; ``uid`` guards against a late message about its predecessor."""
        known = self.sets.get(key)
        if known is None or (uid is not None and known.uid != uid):
            return
        del self.sets[key]
        self.forced.discard(key)
        self.pulse.beat()
        self._index(key, known, None)
        self._enqueue(key)
        twin = Key(key.kind.twin, key.namespace, key.name)
        if twin in self.sets:
            self._enqueue(twin)

    def apply_region(self, record: RegionRecord | None, status: Mapping[str, Any]) -> None:
        """A Region was seen; one that cannot be read stays what it was before, because its sets still live there."""
        if record is None:
            log.error("a Region does not fit the schema: install the CRDs of this version")
            return
        known, told = self.regions.get(record.name), self.region_statuses.get(record.name) or {}
        if known is not None and older(record.resource_version, known.resource_version):
            return
        self.regions[record.name] = record
        if told != status:
            self._on_region(record.name)  # by us; or by somebody else, and it is to be put right
        self.region_statuses[record.name] = status
        if known is None or known.uid != record.uid or known.generation != record.generation:
            self._on_region(record.name)
            self._enqueue_all(self.sets)

    def forget_region(self, name: str) -> None:
        """A Region is gone."""
        if self.regions.pop(name, None) is not None:
            self.region_statuses.pop(name, None)
            self._on_region(name)
            self._enqueue_all(self.sets)

    def apply_organization(self, obj: Mapping[str, Any]) -> None:
        """A namespace of the hub was seen."""
        record = Organization.parse(obj)
        known = self.organizations.get(record.name)
        if record != known:
            self.organizations[record.name] = record
            self._enqueue_all(self._by_namespace.get(record.name, ()))
            self._enqueue_waiting()

    def forget_organization(self, name: str) -> None:
        """A namespace of the hub is gone."""
        if self.organizations.pop(name, None) is not None:
            self._enqueue_waiting()

    def apply_source(self, obj: Mapping[str, Any]) -> None:
        """A source Secret was seen."""
        meta = obj["metadata"]
        place, version = (meta["namespace"], meta["name"]), (meta["uid"], meta["resourceVersion"])
        if self.sources.get(place) != version:
            self.sources[place] = version
            self._enqueue_all(self._by_source.get(place, ()))

    def forget_source(self, namespace: str, name: str) -> None:
        """A source Secret is gone, or lost its label."""
        if self.sources.pop((namespace, name), None) is not None:
            self._enqueue_all(self._by_source.get((namespace, name), ()))

    def keys_changed(self, kids: Collection[str]) -> None:
        """Sealing keys came, or went: sets with values for them failed for want of them, or can be repaired no more."""
        self._enqueue_all(key for key, record in self.sets.items() if not record.sealing_kids.isdisjoint(kids))

    def doubt(self) -> None:
        """What comes of sets and Regions is newer than what was seen, whatever its version: the hub was put back."""
        for record in self.sets.values():
            record.resource_version = ""
        for name, region in self.regions.items():
            self.regions[name] = replace(region, resource_version="")

    def region_of(self, record: SetRecord) -> str | None:
        """The region that a set lives in; the region need not exist."""
        return resolve(
            named=record.named_region,
            settled=record.settled_region,
            organization=self.organizations.get(record.key.namespace),
            regions=self.regions,
        )

    def older_twin(self, record: SetRecord) -> Key | None:
        """The object of the other kind that has this name, if it is the older of the two."""
        twin = self.sets.get(Key(record.key.kind.twin, record.key.namespace, record.key.name))
        # Of two that were created in the same second, the one that was taken up first keeps the name.
        own = record.created, not record.finalized, record.uid
        if twin is None or own < (twin.created, not twin.finalized, twin.uid):
            return None
        return twin.key

    def in_region(self, name: str | None) -> Iterable[SetRecord]:
        """The sets of a region."""
        return (record for record in self.sets.values() if self.region_of(record) == name)

    def by_region(self) -> dict[str | None, list[SetRecord]]:
        """The sets of all regions."""
        found: defaultdict[str | None, list[SetRecord]] = defaultdict(list)
        for record in self.sets.values():
            found[self.region_of(record)].append(record)
        return found

    def namespaces_with_sets(self) -> set[str]:
        """The organizations that have a set."""
        return {name for name, keys in self._by_namespace.items() if keys}

    def _enqueue_waiting(self) -> None:
        """Look at the sets that a namespace which came, changed or went may be good news for."""
        waiting = {Reason.NAMESPACE_MISSING, Reason.REGION_FORBIDDEN, Reason.PERMISSION_DENIED}
        self._enqueue_all(key for key, record in self.sets.items() if record.reason in waiting)

    def _enqueue_all(self, keys: Iterable[Key]) -> None:
        for key in tuple(keys):
            self._enqueue(key)

    def _index(self, key: Key, old: SetRecord | None, new: SetRecord | None) -> None:
        before = set(old.sources) if old else set()
        after = set(new.sources) if new else set()
        for name in before - after:
            self._by_source[key.namespace, name].discard(key)
            if not self._by_source[key.namespace, name]:
                del self._by_source[key.namespace, name]
        for name in after - before:
            self._by_source[key.namespace, name].add(key)
        if new is not None:
            self._by_namespace[key.namespace].add(key)
        elif key.namespace in self._by_namespace:
            self._by_namespace[key.namespace].discard(key)
            if not self._by_namespace[key.namespace]:
                del self._by_namespace[key.namespace]
