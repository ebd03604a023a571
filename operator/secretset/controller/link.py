"""The link to a region's cluster: is it there, does it know us, is it the same as before.

The verdict is the region's breaker: while there is a problem, no pass sends a request there.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

import structlog

from secretset import telemetry
from secretset.controller.translate import UNTRUSTED
from secretset.domain import reasons
from secretset.domain.reasons import Problem
from secretset.kube import errors, supervise
from secretset.kube.client import Client
from secretset.kube.cluster_id import cluster_id

log = structlog.get_logger(__name__)

# An answer is asked for this often; one that takes longer than the deadline is none. Together, with the write that
# tells of it, less than the ten seconds within which a region says that it cannot be reached.
PROBE_SECONDS, PROBE_DEADLINE = 4.0, 3.0
_CUT_SECONDS = 1.0  # what fails faster may have been cut with its connection: it is tried once more on another
_LATE_SECONDS = 1.0  # a deadline that is noticed later than this found us without a turn ourselves: that is no silence
AWAY_SECONDS = 0.75  # between attempts while it is away: what waits is to be delivered within seconds of its return
REFUSED_SECONDS = 5.0  # while it refuses us, which only somebody else can mend
_ARRIVE_SECONDS = 6.0  # for its first words; a cluster that says that it is ready and then hangs is away
_VERSION_LENGTH = 64  # what a cluster says of itself is kept in the Region: no more than makes sense
_VERSION_PROBES = 15  # the version is asked for once in so many probes

OnBegin = Callable[[Client, bool], Awaitable[None]]


class _Verdict(NamedTuple):
    """What an attempt to talk to the cluster shows; the last two as the attributes of `Link`."""

    problem: Problem | None
    answered: bool | None
    refused: bool = False


class Link:
    """The connection of one region.

    Args:
        name: of the Region; None for the one of sets without a usable region.
        on_begin: called with the client when the cluster answers for the first time, and whenever another one answers
            in its place; and with whether it is another one than before.
        on_end: called before a client is closed: who follows something with it is to stop first. A watch that found its
            client closed would look as if the cluster had not answered.
        on_return: called when it answers again, with the seconds since it did before.
        on_verdict: called when the verdict is known, or another.

    Attributes:
        client: of the region's cluster; None while there are no usable credentials.
        problem: why nothing can be done there now, or None.
        answered: whether its API server gave the last answer that was asked for; None if nobody was asked.
        refused: it answers, but does not know us.
        last_contact: when it answered last, in seconds since the epoch; 0 for never.
        credentials: where those of the client are from, for messages.
        cluster_id: uid of its namespace kube-system, which is what a cluster goes by; empty while not known.
    """

    def __init__(
        self,
        name: str | None,
        *,
        on_begin: OnBegin,
        on_end: Callable[[], Awaitable[None]],
        on_return: Callable[[float], None],
        on_verdict: Callable[[], None],
    ) -> None:
        self.name = name
        self.client: Client | None = None
        self.problem: Problem | None = None
        self.answered: bool | None = None
        self.refused = False
        self.last_contact = 0.0
        self.credentials = "the operator's own credentials"
        self.server_version: str | None = None
        self.cluster_id = ""
        self._on_begin = on_begin
        self._on_end = on_end
        self._on_return = on_return
        self._on_verdict = on_verdict
        self._met = "", ""  # identity and URL of the cluster that answered last
        self._well_at = 0.0
        self._up_at = float("-inf")
        self._known = asyncio.Event()
        if name is None:
            self._known.set()
        self._suspected = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def expect(self, cluster_id: str) -> None:
        """This cluster answered for the region before, if not for us."""
        self._met = cluster_id, ""

    async def connect(self, client: Client) -> None:
        """Use this client from now on."""
        await self.end()
        self.client = client
        self.problem = None
        self._known.clear()
        self._task = supervise.start(f"link {self.name}", partial(self._keep, client))

    async def disconnect(self, problem: Problem | None) -> None:
        """Close the connection, if there is one, and say why there is none."""
        await self.end()
        self.problem = problem
        if problem is not None:
            self.answered, self.refused = None, False
            telemetry.REGION_UP.labels(self.name or "").set(0)
            self._known.set()
            self._on_verdict()

    async def end(self) -> None:
        """Close the connection, if there is one; what is known of the region stays."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._on_end()
        if self.client is not None:
            await self.client.close()
            self.client = None

    def suspect(self) -> None:
        """A request got no answer: look at once whether there is still somebody."""
        if self.problem is None:
            self._suspected.set()

    @property
    def known(self) -> bool:
        """Whether it was tried once whether the region can be used."""
        return self._known.is_set()

    async def wait_known(self) -> None:
        """Wait until it was tried once whether the region can be used."""
        await self._known.wait()

    async def usable(self) -> Client:
        """The client, once it is known whether the region can be used.

        Raises:
            Problem: it cannot be, now.
            Retired: the credentials are just being replaced.
        """
        await self.wait_known()
        self.check()
        if self.client is None:
            raise errors.Retired("the credentials are being replaced")
        return self.client

    def check(self) -> None:
        """Let a pass go on.

        Raises:
            Problem: the region cannot be used now. A new one each time: an exception keeps the frames that it went
                through, and what they hold.
        """
        if self.problem is not None:
            raise Problem(self.problem.reason, self.problem.message, after=self.problem.after)

    @property
    def up_for(self) -> float:
        """Seconds since it could be used again, or for the first time."""
        return time.monotonic() - self._up_at

    @property
    def away_for(self) -> float:
        """Seconds since all was well; 0 while it is."""
        return time.monotonic() - self._well_at if self.problem is not None else 0.0

    async def _keep(self, client: Client) -> None:
        begun = False
        probes = 0
        while True:
            away = self.problem is not None
            found = await self._tried(self._probe(client))
            if found.problem is None and begun and away:
                await client.forget_connections()  # attempts from before lead nowhere
            if found.problem is None and (not begun or away):
                found = await self._tried(self._arrive(client, begun=begun))
                begun |= found.problem is None
            if found.problem is None and probes % _VERSION_PROBES == 0:
                found = await self._tried(self._ask_version(client))
            probes = probes + 1 if found.problem is None else 0
            if found.problem is not None and not found.answered:
                await client.forget_connections()
            self._judge(found)
            self._suspected.clear()
            if found.problem is None:
                self._well_at = time.monotonic()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PROBE_SECONDS):
                        await self._suspected.wait()
            else:
                await asyncio.sleep(REFUSED_SECONDS if self.answered else AWAY_SECONDS)

    async def _tried(self, attempt: Awaitable[None]) -> _Verdict:
        """What an attempt to talk to the cluster shows."""
        name = self.name or ""
        try:
            await attempt
        except errors.Unauthorized:
            why = reasons.region_not_ready(name, f"{self.credentials} are not accepted.")
            return _Verdict(why, answered=True, refused=True)
        except errors.Untrusted:
            return _Verdict(reasons.region_not_ready(name, UNTRUSTED), answered=True)
        except (errors.NoCredentials, errors.ConfigError) as error:
            return _Verdict(reasons.region_not_ready(name, f"{error}."), answered=None)
        except (errors.Unreachable, TimeoutError):
            return _Verdict(reasons.region_unreachable(name), answered=False)
        except errors.Throttled:
            return _Verdict(reasons.region_unreachable(name, answers=True), answered=True)
        except errors.KubeError:
            return _Verdict(reasons.region_unreachable(name, answers=True), answered=False)
        except Exception as error:  # noqa: BLE001  (whatever it is, the workers wait for a verdict)
            log.error("no API server", region=name, error=supervise.where(error))  # noqa: TRY400
            why = reasons.region_not_ready(name, "what answers there is no Kubernetes API server.")
            return _Verdict(why, answered=True)
        return _Verdict(None, answered=True)

    async def _probe(self, client: Client) -> None:
        await client.prepare()  # apart from the deadline: a slow plugin is no silence of the cluster
        await self._twice(lambda: client.answers("/readyz", timeout=PROBE_DEADLINE), PROBE_DEADLINE)
        self.last_contact = time.time()

    async def _twice(self, attempt: Callable[[], Awaitable[None]], deadline: float) -> None:
        """Make an attempt, and once more where all was well before and its failure shows nothing of the cluster.

        Args:
            attempt: to talk to the cluster.
            deadline: seconds after which it gives up.
        """
        began = time.monotonic()
        try:
            await attempt()
        except (errors.Unreachable, TimeoutError):
            took = time.monotonic() - began
            if self.problem is not None or _CUT_SECONDS < took < deadline + _LATE_SECONDS:
                raise
            await attempt()

    async def _ask_version(self, client: Client) -> None:
        with contextlib.suppress(
            errors.Forbidden, errors.NotFound, errors.Throttled
        ):  # who hides it is there all the same
            version = await client.request("GET", "/version", timeout=PROBE_DEADLINE)
            self.server_version = str(version.get("gitVersion", ""))[:_VERSION_LENGTH]

    async def _arrive(self, client: Client, *, begun: bool) -> None:
        """The cluster answers, for the first time or again: see which one it is, in time to say so if it does not."""

        async def see() -> None:
            async with asyncio.timeout(_ARRIVE_SECONDS):
                self.cluster_id = await cluster_id(client)
                await self._meet(client, begun=begun)

        await self._twice(see, _ARRIVE_SECONDS)

    async def _meet(self, client: Client, *, begun: bool) -> None:
        cluster_id, server = self._met
        # Who may not look (any more) goes by the URL: that is no reason to take it for another cluster.
        known = bool(self.cluster_id and cluster_id)
        other = self.cluster_id != cluster_id if known else server not in {"", client.server}
        self._met = self.cluster_id or ("" if other else cluster_id), client.server
        if not begun or other:
            await self._on_begin(client, other)
        else:
            self._on_return(time.monotonic() - self._well_at)

    def _judge(self, found: _Verdict) -> None:
        problem = found.problem
        before, self.problem = self.problem, problem
        self.answered, self.refused = found.answered, found.refused
        first = not self._known.is_set()
        if problem is None and (first or before is not None):
            self._up_at = time.monotonic()
        self._known.set()
        telemetry.REGION_UP.labels(self.name or "").set(problem is None)
        if first or (before and before.message) != (problem and problem.message):
            log.info("region", region=self.name, state="up" if problem is None else problem.reason)
            self._on_verdict()
