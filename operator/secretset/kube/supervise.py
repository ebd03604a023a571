"""Tasks beside each other, and tasks that must not end.

Of those, a defect met once is logged, without its text, and the task begins anew.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import structlog

log = structlog.get_logger(__name__)

_AGAIN_SECONDS = 1.0

T = TypeVar("T")


def where(error: BaseException) -> str:
    """Type and place of an exception; its text may hold anything, a value included."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"


def ends(error: BaseException) -> bool:
    """Whether an exception is this task's own cancellation, and not that of something that it waited for."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


async def keep(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run until cancelled; begin again a second after whatever else ends it."""
    while True:
        try:
            return await run()
        except (Exception, asyncio.CancelledError) as error:
            if ends(error):
                raise
            log.error("a task ended", task=name, error=where(error))  # noqa: TRY400
        await asyncio.sleep(_AGAIN_SECONDS)


async def all_of(*work: Awaitable[T]) -> list[T]:
    """Do things side by side; the first failure ends the others, and is raised as it is.

    With a TaskGroup, who catches what its tasks raise can lose its own cancellation, if that comes in the moment when
    one of them fails (Python before 3.13).
    """
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def start(name: str, run: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    """Keep something running in a task of its own, until that is cancelled."""
    return asyncio.create_task(keep(name, run), name=name)
