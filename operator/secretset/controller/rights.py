"""What the operator may not do in a region although its sets need it: looked up, kept, and looked up again."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Mapping, Sequence
from enum import Enum

from secretset.domain import rights
from secretset.domain.rights import Missing
from secretset.domain.workloads import WorkloadKind
from secretset.kube import access, errors, paths, supervise
from secretset.kube.client import Client

_SOON, _AGAIN, _SELDOM = 0.5, 60.0, 600.0  # seconds: after a new namespace, while something is missing, else
_FAILED = 5.0  # seconds after a look that did not succeed
_DOUBT = 5.0  # seconds between looks at everything that are for a refusal
_AT_A_TIME = 4


class Rights:
    """What is missing in the namespaces that a region's sets use.

    Args:
        wanted: namespace to whether pull secrets are attached to ServiceAccounts there.
        creates: whether namespaces are to be created in the region.
        kinds: of workloads that are followed there.
        well: whether the region can be asked now.
        on_change: called when what is missing changed.

    Attributes:
        missing: in order; None until it was looked up.
    """

    def __init__(
        self,
        wanted: Callable[[], Mapping[str, bool]],
        creates: Callable[[], bool],
        *,
        kinds: Callable[[], Sequence[WorkloadKind]],
        well: Callable[[], bool],
        on_change: Callable[[], None],
    ) -> None:
        self.missing: tuple[Missing, ...] | None = None
        self._wanted = wanted
        self._creates = creates
        self._kinds = kinds
        self._well = well
        self._on_change = on_change
        self._due = asyncio.Event()
        self._granted: set[tuple[str, bool]] = set()
        self._looked = float("-inf")
        self._doubted = False

    def due(self) -> None:
        """A namespace came into use: look soon."""
        self._due.set()

    def regained(self) -> None:
        """Something is allowed: what was missing may have been granted."""
        if self.missing:
            self._due.set()

    def doubt(self) -> None:
        """A request was refused: a right may have been taken away. Or others are needed than before."""
        self._doubted = True
        self._due.set()

    async def run(self, client: Client) -> None:
        """Look until cancelled."""
        self.missing = None
        self._granted.clear()
        while True:
            self._due.clear()
            pace = _FAILED  # then what was found before stands
            if self._well():
                with contextlib.suppress(errors.KubeError):
                    self._tell(await self._look(client))
                    pace = self._pace()
            self._looked = time.monotonic()
            try:
                async with asyncio.timeout(pace * random.uniform(0.8, 1.2)):  # noqa: S311  (jitter)
                    await self._due.wait()
            except TimeoutError:
                self._granted.clear()
                continue
            await asyncio.sleep(_SOON)
            if self._doubted or self.missing:
                await asyncio.sleep(self._looked + _DOUBT - time.monotonic())
            if self._doubted:
                self._granted.clear()
                self._doubted = False

    def _pace(self) -> float:
        return _AGAIN if self.missing else _SELDOM

    def _tell(self, found: tuple[Missing, ...]) -> None:
        if found != self.missing:
            self.missing = found
            self._on_change()

    async def _look(self, client: Client) -> tuple[Missing, ...]:
        gate = asyncio.Semaphore(_AT_A_TIME)

        async def one(namespace: str, pull: bool) -> list[Missing]:
            if (namespace, pull) in self._granted:
                return []
            async with gate:
                found = await access.lacking(client, namespace, rights.needed(self._kinds(), pull_secrets=pull))
                if found and await presence(client, namespace) is not Presence.THERE:
                    return []  # roles end with their namespace, and it is the sets that tell of that
            if not found:
                self._granted.add((namespace, pull))
            return [Missing(right, namespace) for right in found]

        # To get namespaces makes messages better; whoever does not grant it everywhere need not hear of it for ever.
        create = [right for right in rights.cluster_rights(create_namespaces=self._creates()) if right.verb != "get"]
        everywhere = [Missing(right, None) for right in await access.lacking(client, None, create)]
        looked = await supervise.all_of(*(one(*item) for item in sorted(self._wanted().items())))
        return (*everywhere, *(missing for found in looked for missing in found))


class Presence(Enum):
    """Whether a namespace is there."""

    THERE = "there"
    ENDING = "is being deleted"
    MISSING = "missing"


async def presence(client: Client, namespace: str) -> Presence:
    """Whether a namespace is there; who may not ask is told yes. Roles end before their namespace does.

    Raises:
        KubeError: the cluster could not be asked.
    """
    try:
        found = await client.get(paths.core("namespaces", None, namespace))
    except errors.Absent:
        return Presence.MISSING
    except errors.Forbidden:
        return Presence.THERE
    return Presence.ENDING if "deletionTimestamp" in found["metadata"] else Presence.THERE
