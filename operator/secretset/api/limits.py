"""How much one may ask: the length of a body and its time, how often, how many at a time, for how long."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter

from limits import parse_many
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from secretset import telemetry
from secretset.api import errors
from secretset.api.auth import Known, bearer
from secretset.api.config import ApiConfig
from secretset.kube.errors import ConfigError

REST, RESTED = "rest", "rested"
"""In a request's state: what a handler calls whose request only waits from now on, and when it did so. It counts for
nobody then, and has no deadline: whoever calls it has bounds of its own."""

Asker = tuple[str, str]
"""Who counts as one: ``("token", its digest)`` or ``("address", …)``."""


def asker(scope: Scope, known: Known) -> Asker:
    """Whom a request counts for: a token that the hub accepted lately, else the address that it comes from.

    So no number of made-up tokens fills the memory, or asks the hub for more than one address may; nor does it take
    from what others may ask who come from the same address, as all do behind a proxy that is not trusted.
    """
    token = bearer(scope["headers"])
    if token is not None and known.accepted(token):
        return "token", known.digest(token)
    return "address", scope["client"][0] if scope.get("client") else ""


class Rate:
    """How often one may ask.

    Raises:
        ConfigError: the setting is none.
    """

    def __init__(self, setting: str) -> None:
        try:
            self._items = parse_many(setting)
        except ValueError:
            raise ConfigError(f"'{setting}' is no rate: write '1200/minute', or several with ';' between") from None
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def wait(self, whose: Asker) -> float:
        """Count a request.

        Returns:
            Seconds to wait before another one; 0.0 if this one may pass.
        """
        for item in self._items:
            if not self._limiter.hit(item, *whose):
                return max(1.0, self._limiter.get_window_stats(item, *whose).reset_time - time.time())
        return 0.0


class Limits:
    """The middleware that keeps them."""

    def __init__(self, app: ASGIApp, *, config: ApiConfig, rate: Rate, known: Known) -> None:
        self._app = app
        self._config = config
        self._rate = rate
        self._known = known
        # No one, however slow, keeps all the others out.
        self._share = max(1, config.concurrency // 2)
        self._running: Counter[Asker] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        whose = asker(scope, self._known)
        refusal = self._refusal(scope, whose)
        if refusal is not None:
            scope.setdefault("state", {})["who"] = self._known.name(bearer(scope["headers"]) or "")
            await refusal.response()(scope, receive, send)
            return
        deadline = asyncio.timeout(self._config.timeout)
        counted = self._count(whose)

        def rest() -> None:
            scope["state"][RESTED] = time.monotonic()
            deadline.reschedule(None)
            counted.close()

        scope.setdefault("state", {})[REST] = rest
        with counted:
            await self._in_time(deadline, scope, _bounded(receive, self._config), send)

    def _count(self, whose: Asker) -> contextlib.ExitStack:
        """Count a request until this is closed."""
        self._running[whose] += 1
        counted = contextlib.ExitStack()
        counted.callback(self._uncount, whose)
        return counted

    def _uncount(self, whose: Asker) -> None:
        self._running[whose] -= 1
        if not self._running[whose]:
            del self._running[whose]

    def _refusal(self, scope: Scope, whose: Asker) -> errors.Answer | None:
        if self._running.total() >= self._config.concurrency:
            telemetry.HTTP_REFUSED.labels("concurrency").inc()
            return errors.unavailable("Too many requests at a time; try again", "OVERLOADED")
        if self._running[whose] >= self._share:
            telemetry.HTTP_REFUSED.labels("concurrency").inc()
            return errors.too_many(1.0)
        if wait := self._rate.wait(whose):
            telemetry.HTTP_REFUSED.labels("rate").inc()
            return errors.too_many(wait)
        if _announced(scope) > self._config.max_body_bytes:
            return errors.too_large(self._config.max_body_bytes)
        return None

    async def _in_time(self, deadline: asyncio.Timeout, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def answer(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            async with deadline:
                await self._app(scope, receive, answer)
        except TimeoutError:
            if not deadline.expired() or begun:
                raise
            telemetry.HTTP_REFUSED.labels("timeout").inc()
            await errors.timed_out().response()(scope, receive, send)


def _bounded(receive: Receive, config: ApiConfig) -> Receive:
    """What is received, with bounds on a body: its length, and the time from when it is first waited for."""
    length, due, ended = 0, 0.0, False

    async def bounded() -> Message:
        nonlocal length, due, ended
        if ended:  # what is waited for now is that the client goes
            return await receive()
        due = due or asyncio.get_running_loop().time() + config.body_timeout
        deadline = asyncio.timeout_at(due)
        try:
            async with deadline:
                message = await receive()
        except TimeoutError:
            if not deadline.expired():
                raise
            raise errors.BodyTooSlow(config.body_timeout) from None
        ended = message["type"] != "http.request" or not message.get("more_body")
        if message["type"] == "http.request":
            length += len(message.get("body", b""))
            if length > config.max_body_bytes:
                raise errors.BodyTooLarge(config.max_body_bytes)
        return message

    return bounded


def _announced(scope: Scope) -> int:
    """What a request says of its length; the server reads no more than that."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0
