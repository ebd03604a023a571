"""Tombstones: what is remembered on the hub of a managed Secret that had to be left behind. Names only, no values.

One ConfigMap for each, in the operator's namespace. It outlives the set, and goes when the region was swept.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from secretset.domain import names, plan
from secretset.domain.names import Key, Kind
from secretset.domain.observed import ObservedSecret
from secretset.domain.record import SetRecord

# What to do about a Secret that was left behind:
# delete  it is there, as the set left it;
# gone    it is not there; ServiceAccounts may still refer to it;
# drop    it belongs to somebody else now, or what comes there will: nothing is touched;
# wait    the set itself is still there, and may yet take its Secret away, or decide to retain it; or another set of its
#         name and place may yet adopt it.
Verdict = Literal["delete", "gone", "drop", "wait"]

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")  # what may be a segment of a path


@dataclass(frozen=True, kw_only=True, slots=True)
class Tombstone:
    """A managed Secret that was left in a region.

    Attributes:
        region: name of the Region.
        cluster: id of the cluster that the Region led to; empty if it was never learned.
        namespace: of the Secret, there.
        owner: the set that it belonged to; the Secret bears its name.
        uid: of that set.
        since: RFC 3339 time.
        why: one word: the reason why the region could not be asked.
    """

    region: str
    cluster: str
    namespace: str
    owner: Key
    uid: str
    since: str
    why: str

    @property
    def name(self) -> str:
        """Of its ConfigMap: the same for the same Secret of the same set, so that it is harmless to write it twice."""
        parts = (self.region, self.namespace, *self.owner, self.uid)
        return f"tombstone-{hashlib.sha256('/'.join(parts).encode()).hexdigest()[:40]}"

    @property
    def place(self) -> tuple[str, str]:
        """Region, and namespace there."""
        return self.region, self.namespace

    def elsewhere(self, cluster: str) -> bool:
        """Whether the Secret is in another cluster than this one, or may be, because this one is not known (empty).

        Of a Secret whose own cluster was never learned, any may be the one.
        """
        return bool(self.cluster) and self.cluster != cluster

    def render(self, namespace: str) -> dict[str, Any]:
        """The ConfigMap, for a namespace of the hub."""
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": self.name,
                "namespace": namespace,
                "labels": {
                    "app.kubernetes.io/part-of": names.FIELD_MANAGER,
                    names.LABEL_TOMBSTONE: "true",
                    names.LABEL_REGION: self.region,
                },
            },
            "immutable": True,
            "data": {
                "region": self.region,
                "cluster": self.cluster,
                "namespace": self.namespace,
                "kind": self.owner.kind.value,
                "organization": self.owner.namespace,
                "name": self.owner.name,
                "uid": self.uid,
                "since": self.since,
                "why": self.why,
            },
        }

    @classmethod
    def parse(cls, obj: Mapping[str, Any]) -> Self | None:
        """Read a ConfigMap; None if it is not as we write it."""
        data = obj.get("data") or {}
        try:
            found = cls(
                region=data["region"],
                cluster=data.get("cluster", ""),
                namespace=data["namespace"],
                owner=Key(Kind(data["kind"]), data["organization"], data["name"]),
                uid=data["uid"],
                since=data.get("since", ""),
                why=data.get("why", ""),
            )
        except (KeyError, ValueError):
            return None
        segments = (found.region, found.namespace, found.owner.namespace, found.owner.name)
        return found if found.uid and all(map(_NAME.fullmatch, segments)) else None


def verdict(
    tombstone: Tombstone,
    secret: ObservedSecret | None,
    *,
    installation: str,
    live: SetRecord | None,
    home: tuple[str, str] | None,
) -> Verdict:
    """What is to be done about a Secret that was left behind.

    It is deleted only if it is ours and still that of the very set that left it: a set that was created again under
    the name adopts the Secret, and keeps it. Until that is seen the Secret stays remembered, because a set that is not
    admitted to its region adopts nothing.

    Args:
        tombstone: what is remembered.
        secret: what stands there; None for nothing.
        installation: our id.
        live: the set that has the name now, if there is one.
        home: region, and namespace there, where that set's Secret belongs; None if that is nowhere.
    """
    if live is not None and live.uid == tombstone.uid and live.finalized:
        return "wait"
    heir = live is not None and live.uid != tombstone.uid and not live.deleting and home == tombstone.place
    if secret is None:
        return "drop" if heir else "gone"
    ours = plan.owned(secret, installation=installation, key=tombstone.owner)
    if not ours or secret.marks is None or secret.marks.owner_uid != tombstone.uid:
        return "drop"
    return "wait" if heir else "delete"
