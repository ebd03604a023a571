"""Reads of source Secrets, each made once for the many sets that ask for it in a burst.

A read serves only passes that were asked for before it was sent, so each pass knows whatever its reason knew: the
change that woke it, and all before that (docs/architecture.md, "Caches lie"). What was read is kept for a second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from secretset.domain import names, reasons
from secretset.domain.observed import decode_data
from secretset.kube import errors, paths
from secretset.kube.client import Client

_KEPT_SECONDS = 1.0
_KEPT, _KEPT_BYTES = 100, 64 * 2**10  # sources, and bytes of values in each of them


@dataclass(frozen=True, kw_only=True, repr=False)
class Source:
    """A source Secret as it was read.

    Attributes:
        sent: when the read was sent, by `time.perf_counter`.
        values: by key.
        version: its uid and resourceVersion.
    """

    sent: float
    values: Mapping[str, bytes]
    version: tuple[str, str]


class SourceReads:
    """Reads source Secrets from a quorum of the hub."""

    def __init__(self, hub: Client) -> None:
        self._hub = hub
        self._kept: dict[tuple[str, str], Source] = {}

    async def read(self, namespace: str, name: str, *, asked: float) -> Source:
        """A source, as it was at some time after the pass that wants it was asked for.

        Args:
            namespace: of the set that reads it.
            name: of the Secret.
            asked: when somebody last asked for the pass, by `time.perf_counter`.

        Raises:
            Problem: it is missing, not labelled as a source, or may not be read.
            KubeError: the hub refused or did not answer.
        """
        kept = self._kept.get((namespace, name))
        if kept is not None and kept.sent > asked:
            return kept
        sent = time.perf_counter()
        try:
            obj = await self._hub.get(paths.secrets(namespace, name))
        except errors.Absent:
            raise reasons.source_missing(namespace, name) from None
        except errors.Forbidden:
            raise reasons.permission_denied("hub", "get", "secrets", namespace) from None
        meta = obj["metadata"]
        if (meta.get("labels") or {}).get(names.LABEL_SOURCE) != "true":
            raise reasons.source_forbidden(namespace, name)
        source = Source(sent=sent, values=decode_data(obj), version=(meta["uid"], meta["resourceVersion"]))
        self._keep((namespace, name), source)
        return source

    def _keep(self, place: tuple[str, str], source: Source) -> None:
        """Keep a source for others, unless a later read came back before this one."""
        kept = self._kept.get(place)
        if kept is not None and kept.sent > source.sent:
            return
        self._kept.pop(place, None)
        if len(self._kept) < _KEPT and sum(map(len, source.values.values())) <= _KEPT_BYTES:
            self._kept[place] = source
            asyncio.get_running_loop().call_later(_KEPT_SECONDS, self._drop, place, source)

    def _drop(self, place: tuple[str, str], source: Source) -> None:
        if self._kept.get(place) is source:
            del self._kept[place]
