"""kopf, run so that it ends when it has ended, and tells nothing that an API server said."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable

import kopf
import structlog

from secretset import telemetry

log = structlog.get_logger(__name__)

_CANCELS, _CANCEL_SECONDS = 20, 0.25


def run(
    registry: kopf.OperatorRegistry,
    settings: kopf.OperatorSettings,
    over: threading.Event,
    let_go: Callable[[], Awaitable[None]],
) -> None:
    """Run kopf in a loop of this thread's own until it fails, or until ``over`` is set.

    kopf's own end may never come: a watcher of it takes its cancellation for something else, and then waits for
    credentials that nobody makes any more. So whatever is left is cancelled again and again, for five seconds.

    Args:
        registry: with the handlers.
        settings: of kopf.
        over: set to have it end; set when it has.
        let_go: closes what was made for it.

    Raises:
        Exception: what it failed of.
    """
    loop = asyncio.new_event_loop()  # not uvloop's, which is not made to be closed with connections left over
    loop.set_exception_handler(telemetry.nobody_waits)
    try:
        loop.run_until_complete(_follow(registry, settings, over))
    finally:
        over.set()  # a thread of kopf's waits for it
        loop.run_until_complete(_end(let_go))
        loop.close()


async def _follow(registry: kopf.OperatorRegistry, settings: kopf.OperatorSettings, over: threading.Event) -> None:
    tasks = await kopf.spawn_tasks(
        registry=registry, settings=settings, standalone=True, clusterwide=True, stop_flag=over
    )
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


async def _end(let_go: Callable[[], Awaitable[None]]) -> None:
    for _ in range(_CANCELS):
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if not left:
            break
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=_CANCEL_SECONDS)
    else:
        log.warning("kopf does not end", tasks=len(asyncio.all_tasks()) - 1)
    await let_go()
    await asyncio.get_running_loop().shutdown_asyncgens()


class _Teller(logging.Handler):
    """Tells what kopf tells. Of its warnings and errors, which quote what API servers answer, only where they are from.

    Whatever goes wrong in kopf is a warning: it is started anew.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING:
            logging.getLogger().callHandlers(record)
        else:
            error = record.exc_info[0] if record.exc_info else None
            log.warning("kopf", at=f"{record.name}:{record.lineno}", error=error.__name__ if error else "")


def listen() -> None:
    """Have kopf's log go through the teller."""
    logger = logging.getLogger("kopf")
    logger.propagate = False
    logger.handlers[:] = [_Teller()]
