"""What a region's cluster has that not every cluster has: optional kinds of workloads, and the bind policy."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

import structlog

from secretset.domain.policies import BindPolicy
from secretset.domain.workloads import WORKLOAD_KINDS, WorkloadKind
from secretset.kube import bind_policy, discovery, errors
from secretset.kube.client import Client

log = structlog.get_logger(__name__)

AGAIN_SECONDS = 60.0
_FAILED, _SOON = 5.0, 1.0  # seconds: after a look that did not succeed, and after somebody asked for one

Kinds = tuple[WorkloadKind, ...]

ALWAYS: Kinds = tuple(kind for kind in WORKLOAD_KINDS if not kind.optional)


class Features:
    """What was found in one region, looked at again about every minute.

    Args:
        well: whether the region can be asked now.
        on_kinds: called with the kinds that are served from now on, before they count.
        on_change: called when something else changed that the Region's status tells.

    Attributes:
        kinds: of workloads that the cluster serves, in the order of the table.
        bind: how the bind policy stands there; None until it was looked at.
    """

    def __init__(
        self,
        *,
        well: Callable[[], bool],
        on_kinds: Callable[[Client, Kinds], Awaitable[None]],
        on_change: Callable[[], None],
    ) -> None:
        self.kinds = ALWAYS
        self.bind: BindPolicy | None = None
        self._well = well
        self._on_kinds = on_kinds
        self._on_change = on_change
        self._due = asyncio.Event()

    def due(self) -> None:
        """What was found may be so no more: look soon."""
        self._due.set()

    async def begin(self, client: Client) -> None:
        """Look once, before anything is followed.

        While the cluster does not tell what it serves, it is taken to serve everything: a watch that fails has sets
        wait until that is known. Without it, workloads would look gone, and the restarts they are owed be dropped.
        """
        self.kinds, self.bind = WORKLOAD_KINDS, None
        self._due.clear()
        try:
            self.kinds = await _kinds(client)
            self.bind = await bind_policy.look(client)
        except errors.KubeError:
            self._due.set()

    async def run(self, client: Client) -> None:
        """Look again until cancelled; what was found before stands while a look does not succeed."""
        pace = AGAIN_SECONDS
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pace * random.uniform(0.8, 1.2)):  # noqa: S311  (jitter)
                    await self._due.wait()
                    await asyncio.sleep(_SOON)
            self._due.clear()
            pace = _FAILED
            if self._well():
                with contextlib.suppress(errors.KubeError):
                    await self._look(client)
                    pace = AGAIN_SECONDS

    async def _look(self, client: Client) -> None:
        kinds = await _kinds(client)
        if kinds != self.kinds:
            log.info("kinds of workloads", cluster=client.name, kinds=[kind.plural for kind in kinds])
            await self._on_kinds(client, kinds)
            self.kinds = kinds
        bind = await bind_policy.look(client)
        if bind != self.bind:
            self.bind = bind
            self._on_change()


async def _kinds(client: Client) -> Kinds:
    """The kinds of workloads that a cluster serves; one request for each group and version that is optional.

    Raises:
        KubeError: the cluster could not be asked.
    """
    # The group alone does not tell: Argo CD and Argo Rollouts share theirs.
    served: dict[str, frozenset[str]] = {}
    for api in sorted({kind.api for kind in WORKLOAD_KINDS if kind.optional}):
        served[api] = frozenset()
        with contextlib.suppress(errors.Forbidden):  # whoever hides what is served hides it for good
            served[api] = await discovery.served(client, api)
    return tuple(kind for kind in WORKLOAD_KINDS if not kind.optional or kind.plural in served[kind.api])
