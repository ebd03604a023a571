"""What every pass needs, passed in explicitly: there are no globals."""

from __future__ import annotations

import datetime
import time
from dataclasses import dataclass, field
from functools import cached_property

from secretset.config import Config
from secretset.controller.brake import DeletionBrake
from secretset.controller.events import EventRecorder
from secretset.controller.installation import Installation
from secretset.controller.store import HubStore
from secretset.controller.tombstones import Tombstones
from secretset.domain.names import Key
from secretset.kube.client import Client


@dataclass(frozen=True, kw_only=True)
class Context:
    """The hub, what is known of it, who we are, and what the installer set.

    Attributes:
        status_writes: monotonic time of the last status write of each set.
    """

    hub: Client
    store: HubStore
    installation: Installation
    events: EventRecorder
    config: Config
    status_writes: dict[Key, float] = field(default_factory=dict)

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
