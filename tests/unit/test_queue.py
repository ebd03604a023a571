"""The work queue: no change lost, no key beside itself, the earliest delay counts, failures slow down."""

import asyncio
import statistics
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from secretset.controller.queue import BACKOFF_FIRST, BACKOFF_LAST, WorkQueue


@pytest.fixture
async def queue() -> AsyncIterator[WorkQueue[str]]:
    made: WorkQueue[str] = WorkQueue("test")
    yield made
    made.close()


async def taken(queue: WorkQueue[str], number: int) -> list[str]:
    """The next keys, each given back at once; after them nothing else is ready."""
    found = []
    async with asyncio.timeout(5):
        for _ in range(number):
            found.append(await queue.get())
            queue.done(found[-1])
    assert len(queue) == 0
    return found


async def test_a_key_is_in_it_once_and_keys_come_in_their_order(queue: WorkQueue[str]) -> None:
    for key in "abacb":
        queue.add(key)
    assert len(queue) == 3
    assert await taken(queue, 3) == ["a", "b", "c"]
    assert queue.idle


async def test_a_key_that_is_added_while_it_is_worked_on_comes_once_more_afterwards(queue: WorkQueue[str]) -> None:
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0
    assert not queue.idle
    queue.done("a")
    assert await taken(queue, 1) == ["a"]


async def test_a_key_never_runs_beside_itself(queue: WorkQueue[str]) -> None:
    running: set[str] = set()
    passes, finished = 0, asyncio.Event()

    async def work() -> None:
        nonlocal passes
        while True:
            key = await queue.get()
            assert key not in running
            running.add(key)
            passes += 1
            if passes < 30:
                queue.add(key)
            await asyncio.sleep(0)
            running.discard(key)
            queue.done(key)
            if queue.idle:
                finished.set()

    workers = [asyncio.create_task(work()) for _ in range(4)]
    for key in "ab":
        queue.add(key)
    async with asyncio.timeout(5):
        await finished.wait()
    assert passes >= 30
    for worker in workers:
        worker.cancel()
    results = await asyncio.gather(*workers, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)


async def test_every_waiting_worker_gets_a_key(queue: WorkQueue[str]) -> None:
    async with asyncio.timeout(1), asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(queue.get()) for _ in range(3)]
        await asyncio.sleep(0)
        for key in "abc":
            queue.add(key)
    assert sorted(task.result() for task in waiting) == ["a", "b", "c"]


async def test_of_several_delays_the_earliest_counts(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 60)
    queue.add_after("a", 0.01)
    queue.add_after("a", 30)
    assert len(queue) == 0
    assert queue.idle, "a delayed key does not count"
    assert await taken(queue, 1) == ["a"]


async def test_a_delayed_key_that_is_added_comes_at_once(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 60)
    queue.add("a")
    assert await taken(queue, 1) == ["a"]


def _failed(queue: WorkQueue[str], key: str) -> float:
    """Have it fail, and let the time of its retry come."""
    delay = queue.retry(key)
    queue._due(key)
    return delay


async def test_failures_in_a_row_slow_a_key_down_up_to_a_limit(queue: WorkQueue[str]) -> None:
    delays = [_failed(queue, "a") for _ in range(40)]
    assert 0.75 * BACKOFF_FIRST <= delays[0] <= 1.25 * BACKOFF_FIRST
    for number, delay in enumerate(delays):
        centre = min(BACKOFF_FIRST * 2**number, BACKOFF_LAST)
        assert 0.75 * centre <= delay <= 1.25 * centre
    assert statistics.pstdev(delays[10:]) > 0, "without jitter, all come at once"
    assert queue.retry("b") <= 1.25 * BACKOFF_FIRST, "each key has its own"


async def test_failures_before_the_time_of_the_next_retry_put_it_off_no_longer(queue: WorkQueue[str]) -> None:
    first = queue.retry("a")
    assert max(queue.retry("a") for _ in range(40)) <= 2 * 1.25 * BACKOFF_FIRST
    await asyncio.sleep(first + 0.05)
    assert await queue.get() == "a"


async def test_a_success_or_forgetting_begins_anew(queue: WorkQueue[str]) -> None:
    for end in (queue.succeeded, queue.forget):
        for _ in range(5):
            _failed(queue, "a")
        end("a")
        assert queue.retry("a") <= 1.25 * BACKOFF_FIRST


async def test_a_retry_waits_at_least_as_long_as_the_server_asked(queue: WorkQueue[str]) -> None:
    assert queue.retry("a", at_least=33.0) == 33.0


async def test_a_forgotten_key_does_not_come_back(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 0.005)
    queue.add_after("b", 0.01)
    queue.forget("a")
    queue.forget("never seen")
    assert await taken(queue, 1) == ["b"]


async def test_a_closed_queue_plans_nothing(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 0.005)
    queue.close()
    await asyncio.sleep(0.05)
    assert len(queue) == 0


async def test_a_closed_queue_takes_nothing_in(queue: WorkQueue[str]) -> None:
    """The keys of a region that ends are another runner's: plans for them would keep the dead one alive."""
    queue.close()
    queue.add("a")
    queue.add_after("b", 0.005)
    queue.retry("c", at_least=0.005)
    await asyncio.sleep(0.05)
    assert len(queue) == 0
    assert not queue._later


async def test_a_worker_that_is_cancelled_takes_no_key_with_it(queue: WorkQueue[str]) -> None:
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    queue.add("a")
    assert await taken(queue, 1) == ["a"]


async def test_a_key_knows_when_it_was_added_last_until_nobody_waits_for_it(queue: WorkQueue[str]) -> None:
    """What a pass read before that moment may be older than the reason for the pass."""
    queue.add("a")
    key = await queue.get()
    first = queue.asked(key)
    queue.add("a")
    again = queue.asked(key)
    assert again > first
    queue.add("a")
    assert queue.asked(key) > again
    queue.done(key)
    assert queue.asked(await queue.get()) > again
    queue.done(key)
    assert queue.asked("a") == float("inf")
    queue.add("b")
    first = queue.asked("b")
    queue.add("b")
    assert queue.asked("b") > first
