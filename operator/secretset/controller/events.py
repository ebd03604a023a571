"""Events on custom resources, for what a user would want to know. Best effort: a lost event never delays the work.

Nothing here repeats: events go out on transitions and on writes only, and the status remembers what was told before.
"""

from __future__ import annotations

import asyncio
import datetime
import uuid
from typing import Any

import structlog

from secretset.domain import names
from secretset.domain.names import Key
from secretset.domain.regions import RegionRecord
from secretset.kube import errors, paths
from secretset.kube.client import Client

log = structlog.get_logger(__name__)

_BACKLOG = 1000


class EventRecorder:
    """Sends events in the background, and drops them rather than queue without bound."""

    def __init__(self, client: Client, *, instance: str) -> None:
        self._client = client
        self._instance = instance
        self._queue: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue(_BACKLOG)

    def emit(self, key: Key, uid: str, *, reason: str, note: str, action: str, warning: bool = False) -> None:
        """Tell something about a set; ``note`` is built from names, never from values."""
        regarding = {"kind": key.kind.value, "namespace": key.namespace, "name": key.name, "uid": uid}
        self._queue_up(regarding, reason=reason, note=note, action=action, warning=warning)

    def emit_region(self, region: RegionRecord, *, reason: str, note: str, action: str, warning: bool = False) -> None:
        """Tell something about a Region; events on what has no namespace are kept in `default`."""
        regarding = {"kind": "Region", "name": region.name, "uid": region.uid}
        self._queue_up(regarding, reason=reason, note=note, action=action, warning=warning)

    def _queue_up(self, regarding: dict[str, str], *, reason: str, note: str, action: str, warning: bool) -> None:
        now = datetime.datetime.now(datetime.UTC)
        namespace, name = regarding.get("namespace", "default"), regarding["name"]
        event = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"namespace": namespace, "name": f"{name[:40].rstrip('-.')}.{uuid.uuid4().hex[:16]}"},
            "eventTime": now.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "type": "Warning" if warning else "Normal",
            "reason": reason,
            "note": note[:1024],
            "action": action,
            "reportingController": names.FIELD_MANAGER,
            "reportingInstance": self._instance,
            "regarding": {"apiVersion": names.API_VERSION, **regarding},
        }
        try:
            self._queue.put_nowait((namespace, event))
        except asyncio.QueueFull:
            log.warning("event dropped", kind=regarding["kind"], namespace=namespace, name=name, reason=reason)

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            namespace, event = await self._queue.get()
            try:
                await self._client.create(paths.events(namespace), event)
            except errors.KubeError as error:
                log.debug("event not sent", reason=event["reason"], error=str(error))
