"""A region's workers and the sets that they look at, whose passes do nothing and end as they are told to.

It knows what is owed: a pass that begins after the last change of a set, and succeeds.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from typing import cast

from secretset.controller.context import Context
from secretset.controller.outcome import Done, Postponed
from secretset.controller.queue import BACKOFF_FIRST, BACKOFF_LAST
from secretset.controller.reconcile import Reconciler
from secretset.controller.runner import RegionRunner
from secretset.domain.names import Key, Kind
from secretset.domain.reasons import Problem, Reason
from secretset.kube import errors
from unit.runners import runner
from unit.virtual import VirtualLoop

_KEYS = [
    *(Key(Kind.SECRET_SET, team, name) for team in ("blue", "red") for name in ("app", "dbs")),
    Key(Kind.IMAGE_PULL_SECRET, "red", "regcred"),
]
KEYS = range(len(_KEYS))
_REGION = "histories"
_RETRY_AFTER = 7.0
_WAIT = 20.0
# How a pass may end, and whether that counts as a failure of its key (None: neither way).
HOW: dict[str, bool | None] = {
    "done": False,
    "done, look again": False,
    "done, with backoff": True,
    "postponed": None,
    "no answer": True,
    "throttled": True,
    "a defect": True,
    "a problem that nobody expected": True,
    "what it waited for was cancelled": True,
}


class World:
    """One region at a time; each public method up to `check` is something that may happen."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.broken: list[str] = []
        self._workers = 1
        self._reconcile = _Reconciler(self)
        self._runner: RegionRunner | None = None
        self._gone: list[RegionRunner] = []
        self._running: set[Key] = set()
        self._changed: Counter[Key] = Counter()
        self._seen: Counter[Key] = Counter()  # what a pass that succeeded had before it when it began
        self._scripts: defaultdict[Key, deque[tuple[str, float]]] = defaultdict(deque)
        self._failures: Counter[Key] = Counter()
        self._not_before: dict[Key, float] = {}  # of keys that nothing but backoff brings back
        self._overtaken: dict[Key, int] = {}  # of keys that wait, how many passes may still begin before theirs

    # --- what happens

    def begin(self, workers: int) -> None:
        self._workers = workers
        self.loop.run(self._start())
        self.turn()

    def change(self, key: int, *, turn: bool = True) -> None:
        self._changed[_KEYS[key]] += 1
        self._add(_KEYS[key])
        if turn:
            self.turn()

    def script(self, key: int, ends: Sequence[tuple[str, float]]) -> None:
        self._scripts[_KEYS[key]].extend(ends)

    def plan(self, key: int, seconds: float) -> None:
        async def plan() -> None:
            self.runner.queue.add_after(_KEYS[key], seconds)

        self._not_before.pop(_KEYS[key], None)
        self.loop.run(plan())
        self.turn()

    def wait(self, seconds: float) -> None:
        self.loop.sleep(seconds)

    def hand_over(self) -> None:
        before = self.runner
        self.loop.run(before.stop())
        self._gone.append(before)
        self._failures.clear()
        self._not_before.clear()
        self._overtaken.clear()
        if self._running:
            self.broken.append("a runner that was stopped goes on")
        self.loop.run(self._start())
        for key in _KEYS:
            self._add(key)
        self.turn()

    # --- what must be so

    def check(self) -> None:
        assert not self.broken, self.broken
        if self._runner is None:
            return
        queue, tasks = self.runner.queue, self.runner._tasks
        assert len(tasks) == self._workers
        assert not any(task.done() for task in tasks), "a worker has ended"
        assert len(self._running) <= self._workers
        assert not len(queue) or len(self._running) == self._workers, "a worker rests, and there is work"
        assert queue._failures == +self._failures
        for gone in self._gone:
            assert not gone._tasks
            assert not gone.queue._later, "a runner that was stopped has plans"

    def settle(self) -> None:
        """Nothing more happens, and nothing is in the way: what is owed is done, and then nothing."""
        self._scripts.clear()
        # The longest that anything was put off: a plan, or backoff, at most three times in a row.
        self.wait(3 * 1.25 * BACKOFF_LAST + 200.0)
        self.check()
        assert all(self._seen[key] == count for key, count in self._changed.items()), "a change was lost"
        assert self.runner.queue.idle
        assert not self.runner.queue._later
        assert not self.runner.queue._failures, "a success does not begin anew"
        assert not self._running

    def turn(self) -> None:
        self.loop.turn()

    def close(self) -> None:
        if self._runner is not None:
            self.loop.run(self.runner.stop())
        self.loop.end()

    # --- passes

    @property
    def runner(self) -> RegionRunner:
        assert self._runner is not None
        return self._runner

    async def pass_over(self, runner: RegionRunner, key: Key) -> Done:
        """What `Reconciler._pass` does here; what is wrong is kept, as it would be taken for a defect."""
        self._began(runner, key)
        version = self._changed[key]
        how, seconds = self._scripts[key].popleft() if self._scripts[key] else ("done", 0.0)
        self._running.add(key)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._running.discard(key)
        if HOW[how]:
            self._failed(key, at_least=_RETRY_AFTER if how in {"throttled", "done, with backoff"} else 0.0)
        elif HOW[how] is False:
            self._seen[key] = max(self._seen[key], version)
            del self._failures[key]
        return await _end(how)

    def _began(self, runner: RegionRunner, key: Key) -> None:
        now = self.loop.time()
        if runner is not self._runner:
            self.broken.append("a runner that was stopped begins a pass")
        if key in self._running:
            self.broken.append(f"{key} runs beside itself")
        if len(self._running) >= self._workers:
            self.broken.append("more passes than workers")
        if now < self._not_before.pop(key, 0.0):
            self.broken.append(f"{key} comes again before its time")
        self._overtaken.pop(key, None)
        for other in self._overtaken:
            self._overtaken[other] -= 1
            if self._overtaken[other] < 0:
                self.broken.append(f"{other} is overtaken by what came after it")

    def _failed(self, key: Key, *, at_least: float) -> None:
        middle = min(BACKOFF_FIRST * 2.0 ** self._failures[key], BACKOFF_LAST)
        queue = self.runner.queue
        self._failures[key] += key not in queue._later  # one before the time of the last retry is none more
        if key not in queue._again and key not in queue._later:
            self._not_before[key] = self.loop.time() + max(at_least, 0.75 * middle) - 1e-6

    def _add(self, key: Key) -> None:
        self._not_before.pop(key, None)
        queue = self.runner.queue
        if key not in queue._queued and key not in queue._running:
            self._overtaken[key] = len(queue)
        queue.add(key)

    async def _start(self) -> None:
        self._runner = runner(_REGION, reconcile=self._reconcile, workers=self._workers)
        self._runner.start()


class _Reconciler(Reconciler):
    def __init__(self, world: World) -> None:
        super().__init__(cast("Context", None), lambda _: None)
        self._world = world

    async def _pass(self, runner: RegionRunner, key: Key) -> Done:
        return await self._world.pass_over(runner, key)


async def _end(how: str) -> Done:
    match how:
        case "done, look again":
            return Done(worked=True, wait=_WAIT)
        case "done, with backoff":
            return Done(worked=True, backoff=_RETRY_AFTER)
        case "postponed":
            raise Postponed(_WAIT)
        case "no answer":
            raise errors.Unreachable("timeout")
        case "throttled":
            raise errors.Throttled(429, retry_after=_RETRY_AFTER)
        case "a defect":
            raise KeyError(how)
        case "a problem that nobody expected":
            raise Problem(Reason.RETRYING, how)
        case "what it waited for was cancelled":
            nobodys = asyncio.ensure_future(asyncio.sleep(60))
            nobodys.cancel()
            await nobodys
    return Done()
