"""What every pass needs, passed in explicitly: there are no globals."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from secretset import telemetry
from secretset.config import Config
from secretset.controller.brake import DeletionBrake
from secretset.controller.events import EventRecorder
from secretset.controller.installation import Installation
from secretset.controller.kek import KeyEncryption
from secretset.controller.sealing_keys import SealingKeys
from secretset.controller.source_reads import SourceReads
from secretset.controller.store import HubStore
from secretset.controller.tombstones import Tombstones
from secretset.domain.names import Key
from secretset.kube.client import Client


@dataclass(frozen=True, kw_only=True)
class Context:
    """The hub, what is known of it, who we are, and what the installer set.

    Attributes:
        leads: whether what belongs to no region is ours now.
        keks: what sealing keys may be wrapped with.
        status_writes: monotonic time of the last status write of each set.
    """

    hub: Client
    store: HubStore
    installation: Installation
    events: EventRecorder
    config: Config
    leads: Callable[[], bool] = lambda: False
    keks: Sequence[KeyEncryption] = ()
    status_writes: dict[Key, float] = field(default_factory=dict)

    @cached_property
    def sealing(self) -> SealingKeys:
        """What sealed values are opened with."""
        config = self.config
        makes = config.sealing_keys_dir is None
        telemetry.SEALING_KEY_MAX_AGE.set(config.sealing_key_days * 86_400 if makes else 0)
        return SealingKeys(
            self.hub,
            self.store,
            namespace=config.namespace,
            installation=self.installation.id,
            leads=self.leads,
            days=config.sealing_key_days,
            folder=config.sealing_keys_dir,
            keks=self.keks,
        )

    @cached_property
    def source_reads(self) -> SourceReads:
        """What sources are read with."""
        return SourceReads(self.hub)

    @cached_property
    def brake(self) -> DeletionBrake:
        """What slows mass deletion down, in all regions together."""
        return DeletionBrake(self.config, self.store, self.events)

    @cached_property
    def tombstones(self) -> Tombstones:
        """What was left behind in regions that could not be asked."""
        return Tombstones(
            self.hub,
            namespace=self.config.namespace,
            installation=self.installation.id,
            store=self.store,
            events=self.events,
        )

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def timestamp(self) -> str:
        """Now, in RFC 3339, as the API writes times."""
        return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
