"""The verdict on a region's cluster: what each answer to the probe means, and who is told of a change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from secretset.controller import link as module
from secretset.controller.link import Link
from secretset.domain import reasons
from secretset.kube import errors
from secretset.kube.client import Client

UNREACHABLE = "Region 'us' cannot be reached; it is tried again."
UNREADY = "Region 'us' answers, but says that it is not ready; it is tried again."
REFUSED = "Region 'us' is not ready: the operator's own credentials are not accepted."
DISTRUSTED = "Region 'us' is not ready: the certificate that its API server shows is not to be trusted."
STRANGE = "Region 'us' is not ready: what answers there is no Kubernetes API server."
SAID = "said-by-the-server"


UID_1, UID_2 = "11111111-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000002"


class Cluster:
    """A client whose cluster answers as the test says.

    Attributes:
        fault: what the probe raises; None for a good answer.
        unready: what making credentials raises, after `slow` seconds; None if they are made.
        cut: so many probes more fail, because their connection is cut.
        late: so many probes more fail, because for this long (seconds) nothing of ours ran.
        uid: of kube-system, or what asking for it raises.
        cut_later: the same as `cut`, of asking for it.
    """

    def __init__(self, uid: str | Exception = UID_1, *, server: str = "https://us", fault: Any = None) -> None:
        self.uid = uid
        self.server = server
        self.fault: Exception | None = fault
        self.cut = 0
        self.late: list[float] = []
        self.cut_later = 0
        self.unready: Exception | None = None
        self.slow = 0.0
        self.prepared = 0
        self.probes = 0
        self.forgotten = 0
        self.closed = False

    async def prepare(self) -> None:
        self.prepared += 1
        await asyncio.sleep(self.slow)
        if self.unready is not None:
            raise self.unready

    async def answers(self, path: str, *, timeout: float) -> None:  # noqa: ASYNC109  (as the client's)
        assert path == "/readyz"
        assert timeout < 10
        self.probes += 1
        if self.cut:
            self.cut -= 1
            raise errors.Unreachable("cut")
        if self.late:
            time.sleep(self.late.pop())  # noqa: ASYNC251  (that is what it is about)
            raise errors.Unreachable("TimeoutError")
        if self.fault is not None:
            raise self.fault

    async def request(self, method: str, path: str, **_: Any) -> Any:
        assert (method, path) == ("GET", "/version")
        return {"gitVersion": "v1.36.3"}

    async def get(self, path: str) -> Any:
        assert path == "/api/v1/namespaces/kube-system"
        if self.cut_later:
            self.cut_later -= 1
            raise errors.Unreachable("cut")
        if isinstance(self.uid, Exception):
            raise self.uid
        return {"metadata": {"uid": self.uid}}

    async def forget_connections(self) -> None:
        self.forgotten += 1

    async def close(self) -> None:
        self.closed = True


class Told:
    """A link, and what it told."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.away: list[float] = []
        self.begin_fault: Exception | None = None
        self.cluster: Cluster | None = None
        self.ends: list[bool] = []
        self.link = Link("us", on_begin=self.begin, on_end=self.end, on_return=self.returned, on_verdict=self.verdict)

    async def begin(self, _: Client, other: bool) -> None:
        if self.begin_fault is not None:
            raise self.begin_fault
        self.log.append("stranger" if other else "begin")

    async def end(self) -> None:
        if self.cluster is not None:
            self.ends.append(self.cluster.closed)

    def returned(self, seconds: float) -> None:
        self.away.append(seconds)
        self.log.append("return")

    def verdict(self) -> None:
        self.log.append(self.link.problem.message if self.link.problem else "up")

    async def connect(self, cluster: Cluster) -> None:
        await self.link.connect(cast("Client", cluster))
        self.cluster = cluster
        await asyncio.wait_for(self.link.wait_known(), 5)

    async def probed(self, cluster: Cluster, times: int = 2) -> None:
        """Until it was probed so often again: by then what came of the first of them was told."""
        wanted = cluster.probes + times
        async with asyncio.timeout(5):
            while cluster.probes < wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PROBE_SECONDS", "AWAY_SECONDS", "REFUSED_SECONDS"):
        monkeypatch.setattr(module, name, 0.002)


@pytest.fixture
async def told() -> AsyncIterator[Told]:
    told = Told()
    yield told
    await told.link.end()


async def test_a_cluster_that_answers_is_begun_with_once(told: Told) -> None:
    cluster = Cluster()
    assert not told.link.known
    await told.connect(cluster)
    await told.probed(cluster, 40)
    assert told.log == ["begin", "up"]
    assert (told.link.answered, told.link.refused, told.link.problem) == (True, False, None)
    assert (told.link.cluster_id, told.link.server_version) == (UID_1, "v1.36.3")
    assert told.link.last_contact > 0
    assert await told.link.usable() is cast("Client", cluster)


FAULTS = [
    (errors.Unreachable(SAID), UNREACHABLE, False, False),
    (errors.ServerError(500), UNREADY, False, False),
    (errors.Throttled(429), UNREADY, True, False),
    (errors.Unauthorized(401), REFUSED, True, True),
    (errors.Untrusted(SAID), DISTRUSTED, True, False),
    (errors.NoCredentials("the plugin failed"), "Region 'us' is not ready: the plugin failed.", None, False),
    (KeyError(SAID), STRANGE, True, False),
]


@pytest.mark.parametrize(("fault", "message", "answered", "refused"), FAULTS)
async def test_what_an_answer_means(
    told: Told, fault: Exception, message: str, answered: bool | None, refused: bool
) -> None:
    cluster = Cluster(fault=fault)
    await told.connect(cluster)
    await told.probed(cluster)
    assert told.log == [message]
    assert (told.link.answered, told.link.refused) == (answered, refused)
    with pytest.raises(reasons.Problem) as caught:
        await told.link.usable()
    assert caught.value.message == message
    assert (cluster.forgotten > 0) is (not answered), "connections are given up where nobody answers"
    cluster.fault = None
    await told.probed(cluster)
    assert told.log == [message, "begin", "up"]


async def test_credentials_are_made_before_the_deadline_of_a_probe_begins(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROBE_DEADLINE", 0.01)
    cluster = Cluster()
    cluster.slow = 0.1
    await told.connect(cluster)
    assert told.log == ["begin", "up"]


async def test_a_plugin_that_goes_on_hanging_has_one_verdict(told: Told) -> None:
    cluster = Cluster()
    cluster.unready, cluster.slow = errors.NoCredentials("the plugin did not end"), 0.01
    await told.connect(cluster)
    async with asyncio.timeout(5):
        while cluster.prepared < 5:
            await asyncio.sleep(0.001)
            assert told.link.answered is None
    assert told.log == ["Region 'us' is not ready: the plugin did not end."]
    assert cluster.probes == 0
    cluster.unready = None
    await told.probed(cluster, 3)
    assert told.log[1:] == ["begin", "up"]


async def test_it_tells_when_it_is_lost_and_when_it_is_back(told: Told) -> None:
    cluster = Cluster()
    await told.connect(cluster)
    for _ in range(2):
        cluster.fault = errors.Unreachable("cut")
        await told.probed(cluster, 3)
        cluster.fault = None
        await told.probed(cluster, 3)
    assert told.log == ["begin", "up", *[UNREACHABLE, "return", "up"] * 2]


async def test_a_connection_that_is_cut_under_a_probe_tells_nothing(told: Told) -> None:
    cluster = Cluster()
    await told.connect(cluster)
    cluster.cut = 1
    await told.probed(cluster, 4)
    assert (told.log, cluster.forgotten) == (["begin", "up"], 0)


async def test_a_connection_that_is_cut_while_it_arrives_tells_nothing(told: Told) -> None:
    for _ in range(2):  # the first time, and with other credentials
        cluster = Cluster()
        cluster.cut_later = 1
        await told.connect(cluster)
        assert cluster.forgotten == 0
    assert told.log == ["begin", "up"] * 2


@pytest.fixture
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CUT_SECONDS", 0.0)
    monkeypatch.setattr(module, "PROBE_DEADLINE", 0.001)
    monkeypatch.setattr(module, "_LATE_SECONDS", 0.05)


@pytest.mark.usefixtures("prompt")
async def test_who_had_no_turn_does_not_take_that_for_silence(told: Told) -> None:
    cluster = Cluster()
    await told.connect(cluster)
    cluster.late = [0.2]
    await told.probed(cluster, 4)
    assert (told.log, cluster.forgotten) == (["begin", "up"], 0)
    cluster.fault = errors.Unreachable("TimeoutError")
    cluster.late = [0.2]
    await told.probed(cluster, 4)
    assert told.log == ["begin", "up", UNREACHABLE], "nor does it go on for ever"


async def test_it_tells_when_the_cause_changes(told: Told) -> None:
    cluster = Cluster(fault=errors.Unreachable("cut"))
    await told.connect(cluster)
    await told.probed(cluster)
    cluster.fault = errors.Unauthorized(401)
    await told.probed(cluster, 3)
    assert told.log == [UNREACHABLE, REFUSED]


async def test_how_long_it_was_away_counts_from_its_last_answer(told: Told) -> None:
    cluster = Cluster()
    await told.connect(cluster)
    cluster.fault = errors.Unreachable("cut")
    await told.probed(cluster)
    await asyncio.sleep(0.2)
    cluster.fault = None
    await told.probed(cluster, 3)
    (away,) = told.away
    assert 0.2 <= away < 3


async def test_what_cannot_be_begun_is_tried_again(told: Told) -> None:
    cluster = Cluster()
    told.begin_fault = errors.Unreachable("cut")
    await told.connect(cluster)
    await told.probed(cluster)
    assert told.log == [UNREACHABLE]
    told.begin_fault = None
    await told.probed(cluster, 3)
    assert told.log == [UNREACHABLE, "begin", "up"]


async def test_a_throttled_cluster_is_asked_again_for_who_it_is(told: Told) -> None:
    cluster = Cluster(errors.Throttled(429))
    await told.connect(cluster)
    assert (told.log, told.link.answered) == ([UNREADY], True)
    cluster.uid = UID_1
    await told.probed(cluster, 3)
    assert told.log == [UNREADY, "begin", "up"]
    assert told.link.cluster_id == UID_1


# --- the same cluster, or another


async def test_another_cluster_at_the_same_address_is_a_stranger(told: Told) -> None:
    cluster = Cluster()
    await told.connect(cluster)
    cluster.fault = errors.Unreachable("cut")
    await told.probed(cluster, 3)
    cluster.fault, cluster.uid = None, UID_2
    await told.probed(cluster, 3)
    assert told.log == ["begin", "up", UNREACHABLE, "stranger", "up"]
    assert told.link.cluster_id == UID_2


@pytest.mark.parametrize(
    ("before", "after", "other"),
    [
        (Cluster(UID_1), Cluster(UID_1), False),
        (Cluster(UID_1), Cluster(UID_1, server="https://by-another-name"), False),
        (Cluster(UID_1), Cluster(UID_2), True),
        # Who may not look goes by the address.
        (Cluster(UID_1), Cluster(errors.Forbidden(403)), False),
        (Cluster(errors.Forbidden(403)), Cluster(UID_1), False),
        (Cluster(errors.Forbidden(403)), Cluster(errors.Forbidden(403)), False),
        (Cluster(UID_1), Cluster(errors.Forbidden(403), server="https://other"), True),
        (Cluster(errors.Forbidden(403)), Cluster(UID_1, server="https://other"), True),
    ],
)
async def test_new_credentials_lead_to_the_same_cluster_or_to_another(
    told: Told, before: Cluster, after: Cluster, other: bool
) -> None:
    await told.connect(before)
    await told.connect(after)
    assert before.closed
    assert told.log == ["begin", "up", "stranger" if other else "begin", "up"]


async def test_an_identity_outlives_credentials_that_may_not_look(told: Told) -> None:
    for cluster in (Cluster(UID_1), Cluster(errors.Forbidden(403)), Cluster(UID_2)):
        await told.connect(cluster)
    assert told.log[4:] == ["stranger", "up"]


# --- suspicion, and the end


async def test_a_suspicion_is_looked_into_at_once(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROBE_SECONDS", 60.0)
    cluster = Cluster()
    await told.connect(cluster)
    assert cluster.probes == 1
    cluster.fault = errors.Unreachable("cut")
    told.link.suspect()
    await told.probed(cluster)
    assert told.log == ["begin", "up", UNREACHABLE]


async def test_while_credentials_are_replaced_nothing_is_wrong(told: Told) -> None:
    cluster = Cluster()
    await told.connect(cluster)
    await told.link.end()
    with pytest.raises(errors.Retired):
        await told.link.usable()


async def test_whoever_follows_something_hears_of_the_end_before_the_client_is_closed(told: Told) -> None:
    first, second = Cluster(), Cluster()
    await told.connect(first)
    await told.connect(second)
    assert (first.closed, told.ends) == (True, [False])
    await told.link.disconnect(reasons.region_not_ready("us", "it is decommissioned."))
    assert (second.closed, told.ends) == (True, [False, False])


async def test_without_credentials_it_says_why(told: Told) -> None:
    cluster = Cluster()
    await told.connect(cluster)
    why = reasons.region_not_ready("us", "it is decommissioned.")
    await told.link.disconnect(why)
    assert cluster.closed
    assert told.log == ["begin", "up", why.message]
    assert (told.link.answered, told.link.problem, told.link.client) == (None, why, None)
    with pytest.raises(reasons.Problem):
        await told.link.usable()
    probes = cluster.probes
    await asyncio.sleep(0.02)
    assert cluster.probes == probes
