"""Sources that are read once for a burst of passes, and never for a pass that was asked for after the read was sent."""

import asyncio
import time
from typing import Any, cast

import pytest

from secretset.controller import source_reads
from secretset.controller.source_reads import SourceReads
from secretset.domain.reasons import Problem, Reason
from secretset.kube import errors
from secretset.kube.client import Client


class Hub:
    """Answers reads with a Secret whose version is the number of reads so far."""

    def __init__(self) -> None:
        self.reads = 0
        self.value = "eA=="
        self.labels = {"secretset.dev/source": "true"}
        self.fault: Exception | None = None
        self.hold: asyncio.Event | None = None

    async def get(self, _: str) -> dict[str, Any]:
        self.reads += 1
        number, hold = self.reads, self.hold
        if hold is not None:
            await hold.wait()
        if self.fault is not None:
            raise self.fault
        meta = {"uid": "u", "resourceVersion": str(number), "labels": self.labels}
        return {"metadata": meta, "data": {"key": self.value}}


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def reads(hub: Hub) -> SourceReads:
    return SourceReads(cast("Client", hub))


async def read(reads: SourceReads, asked: float, name: str = "db") -> int:
    """The version that is read, after a look at the clock that is told apart from the next."""
    found = await reads.read("team", name, asked=asked)
    assert found.values == {"key": b"x"}
    await asyncio.sleep(0.001)
    return int(found.version[1])


async def test_passes_that_were_asked_for_before_the_read_share_it(reads: SourceReads) -> None:
    asked = time.perf_counter()
    assert [await read(reads, asked) for _ in range(3)] == [1, 1, 1]


async def test_a_pass_that_was_asked_for_later_reads_for_itself_and_for_those_before(reads: SourceReads) -> None:
    first = time.perf_counter()
    assert await read(reads, first) == 1
    second = time.perf_counter()
    assert await read(reads, second) == 2
    assert await read(reads, first) == 2


async def test_sources_are_told_apart(reads: SourceReads) -> None:
    asked = time.perf_counter()
    assert [await read(reads, asked), await read(reads, asked, "other")] == [1, 2]


async def test_a_read_that_comes_back_late_does_not_replace_a_later_one(hub: Hub, reads: SourceReads) -> None:
    asked, hub.hold = time.perf_counter(), asyncio.Event()
    late, held = asyncio.ensure_future(read(reads, asked)), hub.hold
    await asyncio.sleep(0.001)
    hub.hold = None
    assert await read(reads, time.perf_counter()) == 2
    held.set()
    assert await late == 1
    assert await read(reads, asked) == 2


async def test_values_are_not_kept_for_long(reads: SourceReads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_reads, "_KEPT_SECONDS", 0.0)
    asked = time.perf_counter()
    assert [await read(reads, asked), await read(reads, asked)] == [1, 2]
    assert not reads._kept


@pytest.mark.parametrize("limit", ["_KEPT", "_KEPT_BYTES"])
async def test_not_many_and_no_large_ones_are_kept(
    reads: SourceReads, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(source_reads, limit, 0)
    asked = time.perf_counter()
    assert [await read(reads, asked), await read(reads, asked)] == [1, 2]


@pytest.mark.parametrize(
    ("fault", "labels", "reason"),
    [
        (errors.Absent(404, "NotFound"), {}, Reason.SOURCE_MISSING),
        (errors.Forbidden(403, "Forbidden"), {}, Reason.PERMISSION_DENIED),
        (None, {}, Reason.SOURCE_FORBIDDEN),
    ],
)
async def test_what_cannot_be_used_is_asked_for_again_each_time(
    hub: Hub, reads: SourceReads, fault: Exception | None, labels: dict[str, str], reason: Reason
) -> None:
    hub.fault, hub.labels = fault, labels
    asked = time.perf_counter()
    for number in (1, 2):
        with pytest.raises(Problem) as problem:
            await reads.read("team", "db", asked=asked)
        assert problem.value.reason is reason
        assert hub.reads == number
