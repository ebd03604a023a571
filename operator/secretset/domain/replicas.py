"""Which replica of the operator serves which region: rendezvous hashing over those that live. Pure.

Each replica gives each region a weight, and the heaviest one serves it. When a replica comes or goes, only the regions
that it wins or leaves move (Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Replica:
    """One process of the operator.

    Attributes:
        name: unique among those that live.
        regions: the only ones it serves (``--regions``); None for all whose credentials are on the hub.
    """

    name: str
    regions: frozenset[str] | None = None

    def may_serve(self, region: str, *, in_cluster: bool) -> bool:
        """Whether it can serve a region.

        Args:
            region: its name.
            in_cluster: the hub holds no credentials of it: only a replica that was told to serve it has some.
        """
        if self.regions is None:
            return not in_cluster
        return region in self.regions

    @property
    def may_lead(self) -> bool:
        """Whether it may take on what belongs to no region."""
        return self.regions is None


def owner(region: str, replicas: Iterable[Replica], *, in_cluster: bool = False) -> str | None:
    """The name of the replica that serves a region; None if none can."""
    able = [replica.name for replica in replicas if replica.may_serve(region, in_cluster=in_cluster)]
    return max(able, key=lambda name: _weight(name, region), default=None)


def _weight(replica: str, region: str) -> bytes:
    return hashlib.blake2b(f"{replica}\0{region}".encode(), digest_size=16).digest()
