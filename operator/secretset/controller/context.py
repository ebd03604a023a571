"""What every pass needs, passed in explicitly: there are no globals."""

from __future__ import annotations

import datetime
import time
from dataclasses import dataclass, field

from secretset.config import Config
from secretset.controller.events import EventRecorder
from secretset.controller.installation import Installation
from secretset.controller.store import HubStore
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

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def timestamp(self) -> str:
        """Now, in RFC 3339, as the API writes times."""
        return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
